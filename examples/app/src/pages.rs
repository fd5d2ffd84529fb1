//! What the application says: to browsers, to API clients, and on the terminal.

use std::net::SocketAddr;

use gatepass::Pass;
use serde_json::{Value, json};

use crate::users::DEMO;

/// What `GET /me` answers: who asked, and by what session.
#[must_use]
pub fn me(pass: &Pass) -> Value {
    json!({
        "subject": pass.subject().as_str(),
        "session_id": pass.session_id().to_string(),
        "scope": pass.scopes().as_str(),
        "expires_at": pass.expires_at().to_string(),
    })
}

/// What `GET /maybe` answers, to anybody: `null` is nobody.
#[must_use]
pub fn maybe(pass: Option<&Pass>) -> Value {
    json!({ "subject": pass.map(|pass| pass.subject().as_str()) })
}

/// The page of `GET /`.
pub(crate) fn home(listen: SocketAddr) -> String {
    let text = include_str!("home.html").replace("{transcript}", &escaped(&transcript(listen)));
    let users: String = DEMO
        .iter()
        .map(|(name, password, scope)| {
            format!("<tr><td>{name}<td><code>{password}</code><td>{scope}\n")
        })
        .collect();
    text.replace("{users}", &users)
}

/// What is printed at the start.
pub(crate) fn banner(address: SocketAddr, demo_names: &[String]) -> String {
    let mut banner = format!("Listening on http://{address}\n");
    if demo_names.is_empty() {
        return banner;
    }
    banner.push_str("\nDemo users:\n");
    for (name, password, scope) in DEMO {
        if demo_names.iter().any(|demo| demo == name) {
            banner.push_str(&format!(
                "  {name:<6} password {password:<20} scope {scope}\n"
            ));
        }
    }
    banner.push_str("\nTo try it, paste this into another terminal:\n\n");
    banner.push_str(&transcript(address));
    banner
}

/// Lines for any POSIX shell with curl and sed: a login, a refresh, and the two ways to log out.
fn transcript(address: SocketAddr) -> String {
    let [(name, password, _), ..] = DEMO;
    include_str!("transcript.sh")
        .replace("{address}", &address.to_string())
        .replace("{name}", name)
        .replace("{password}", password)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
