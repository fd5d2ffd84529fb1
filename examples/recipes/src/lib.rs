//! Recipes: one small program for each question that an application asks about gatepass. A longer
//! recipe is a folder. Its `main.rs` has the part that uses gatepass. Each recipe has its own
//! tests.
//!
//! | question | program |
//! |---|---|
//! | How do pages without JavaScript log in, and come back to where the user was? | `pages` |
//! | How does a single-page application on a subdomain use cookies? | `single_page_app` |
//! | How do API keys work beside sessions? | `api_keys` |
//! | How do a user's roles come from a database, and change at once? | `roles` |
//! | How does the support team act as a user? | `impersonation` |
//! | How does a WebSocket end with its session? | `websocket` |
//! | How does each tenant see its own data alone? | `tenants` |
//! | How do addresses get right behind a reverse proxy? | `reverse_proxy` |
//! | How do I rotate the signing key? | `key_rotation` |
//! | How do I accept another issuer's tokens? | `other_issuer` |
//! | How do I move in from hand-made JWTs without logging users out? | `adopt_jwt` |
//! | How do I move in from a table of sessions, such as Django's? | `adopt_sessions` |
//! | How do I move in from Supabase? | `adopt_supabase` |
//! | How do users log in through an OpenID Connect provider? | `oidc_login` |
//! | How does a user show a passkey before a risky act? | `passkey_step_up` |
//! | How do I protect an MCP server, whose clients find the login by themselves? | `mcp_server` |
//! | How do I test a handler of my own? | `handler_test` |
//!
//! Run one with `cargo run -p example-recipes --bin pages`, and all their tests with `cargo nextest
//! run -p example-recipes`. With `RUST_LOG=info`, a program also logs what gatepass does.

#![expect(
    clippy::print_stdout,
    reason = "the recipes tell the terminal where they listen"
)]

use std::error::Error;

use axum::Router;
use tokio::net::TcpListener;

/// Serves `app` on 127.0.0.1:3000, and writes its log. In production, limit how long a client may
/// take to send a request, as the README of `gatepass-axum` shows.
///
/// # Errors
///
/// The error of the server.
pub async fn serve(app: Router) -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt::init();
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
