//! An existing JSON API that has moved to gatepass: the server of Conduit, the blog of the
//! [RealWorld] project, in axum over PostgreSQL.
//!
//! The clients were written before gatepass, and nothing changes for them:
//!
//! * They send `Authorization: Token eyJ…`, and get their token in the member `token` of a user.
//! * They keep this one token, and don't know refresh tokens. A session is access-only, and `GET
//!   /api/user` brings a fresh token after half of its life.
//! * An error is `{"errors":{"token":["is missing"]}}`, also if gatepass refuses the request.
//! * Anonymous readers see articles; users also see whether they follow an author.
//!
//! The API has new routes: `POST /api/user/logout`, `POST /api/user/logout-all`, and `GET
//! /api/user/sessions` for the list of sessions. A new password ends the other sessions in the same
//! transaction.
//!
//! | file | the part that gatepass replaced |
//! |---|---|
//! | `auth.rs` | the middleware that verified a JWT, and the query for its user on each request |
//! | `users.rs` | the calls that signed a JWT after registration and login |
//! | `error.rs` | the 401s of the middleware; the format is still the application's |
//!
//! All other files are as they were, except that handlers take `User<Account>` for the account.
//!
//! ```sh
//! export DATABASE_URL=postgres://conduit:password@localhost/conduit SECRET=$(openssl rand -hex 64)
//! cargo run -p example-conduit
//! curl localhost:3000/api/users -H 'Content-Type: application/json' \
//!   -d '{"user":{"username":"jake","email":"jake@example.com","password":"looking-glass"}}'
//! curl localhost:3000/api/user -H "Authorization: Token $token"
//! ```
//!
//! Keep the value of `SECRET`, for example in a file that you make under `umask 077`. The next
//! start needs the same one.
//!
//! The tests in `tests/it` check the rules of the RealWorld API. Run them with `cargo nextest run
//! -p example-conduit`. They need the servers that `cargo xtask servers` starts.
//!
//! [RealWorld]: https://github.com/realworld-apps/realworld

mod account;
mod articles;
mod auth;
mod body;
mod comments;
mod error;
mod profiles;
mod state;
mod users;

use std::error::Error;

use axum::{
    Router,
    routing::{delete, get, post},
};
use example_passwords::Passwords;
use gatepass::{Clock, MasterSecret, Requirements};
use gatepass_axum::{GateLayer, routes};
use gatepass_postgres::PostgresStore;
use sqlx::PgPool;

use crate::{auth::Accounts, error::ApiError, state::Conduit};

/// The application over the database at this URL. It creates its tables, and gatepass creates the
/// schema `gatepass` beside them.
///
/// ```no_run
/// use gatepass::{MasterSecret, SystemClock};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let database = "postgres://conduit:password@localhost/conduit";
/// let app = example_conduit::app(database, MasterSecret::generate()?, SystemClock).await?;
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// The error of the database.
pub async fn app(
    database: &str,
    secret: MasterSecret,
    clock: impl Clock,
) -> Result<Router, Box<dyn Error + Send + Sync>> {
    let pool = PgPool::connect(database).await?;
    sqlx::raw_sql(include_str!("schema.sql"))
        .execute(&pool)
        .await?;
    let passwords = Passwords::new()?;
    // A separate pool: axum drops a handler whose client hangs up, perhaps while it begins a
    // transaction, and sqlx then gives that connection to the next caller.
    let sessions = PostgresStore::connect(database).await?;
    let accounts = Accounts {
        pool: pool.clone(),
        passwords: passwords.clone(),
    };
    let authority = auth::authority(accounts, secret, sessions.clone(), clock).await?;
    let users = auth::users(pool.clone());
    let endpoints = auth::endpoints(authority.clone())?;

    let gate = GateLayer::new(&authority);
    let strangers = Router::new()
        .route("/api/users", post(users::register))
        .route("/api/users/login", post(users::log_in))
        .route_layer(gate.clone().require(Requirements::new().open()));
    let gate = gate.users(&users);
    let readers = Router::new()
        .route("/api/profiles/{username}", get(profiles::show))
        .route("/api/articles", get(articles::list))
        .route("/api/articles/{slug}", get(articles::show))
        .route("/api/articles/{slug}/comments", get(comments::list))
        .route("/api/tags", get(articles::tags))
        .route_layer(gate.clone().require(Requirements::new().optional()));
    let members = Router::new()
        .route("/api/user", get(users::current).put(users::update))
        .route(
            "/api/profiles/{username}/follow",
            post(profiles::follow).delete(profiles::unfollow),
        )
        .route("/api/articles", post(articles::create))
        .route("/api/articles/feed", get(articles::feed))
        .route(
            "/api/articles/{slug}",
            delete(articles::delete).put(articles::update),
        )
        .route(
            "/api/articles/{slug}/favorite",
            post(articles::favorite).delete(articles::unfavorite),
        )
        .route("/api/articles/{slug}/comments", post(comments::add))
        .route(
            "/api/articles/{slug}/comments/{id}",
            delete(comments::delete),
        )
        .route_layer(gate);

    let state = Conduit {
        pool,
        passwords,
        authority,
        sessions,
        users,
        endpoints: endpoints.clone(),
    };
    Ok(strangers
        .merge(readers)
        .merge(members)
        .with_state(state)
        .merge(routes(endpoints))
        .fallback(async || ApiError::NotFound("path")))
}
