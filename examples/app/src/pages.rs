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
pub(crate) fn home(listen: SocketAddr, demo_names: &[String]) -> String {
    let users: String = demo_users(demo_names)
        .map(|(name, password, scope)| {
            format!("<tr><td>{name}<td><code>{password}</code><td>{scope}\n")
        })
        .collect();
    let demo = if users.is_empty() {
        String::new()
    } else {
        include_str!("demo.html")
            .replace("{users}", &users)
            .replace("{transcript}", &escaped(&transcript(listen)))
    };
    include_str!("home.html").replace("{demo}", &demo)
}

/// What is printed at the start.
pub(crate) fn banner(address: SocketAddr, demo_names: &[String]) -> String {
    let mut banner = format!("Listening on http://{address}\n");
    let users: String = demo_users(demo_names)
        .map(|(name, password, scope)| {
            format!("  {name:<6} password {password:<20} scope {scope}\n")
        })
        .collect();
    if !users.is_empty() {
        banner.push_str("\nDemo users:\n");
        banner.push_str(&users);
        banner.push_str("\nTo try it, paste this into another terminal:\n\n");
        banner.push_str(&transcript(address));
    }
    banner
}

fn demo_users(names: &[String]) -> impl Iterator<Item = (&str, &str, &str)> {
    DEMO.into_iter()
        .filter(move |(name, ..)| names.iter().any(|demo| demo == name))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_demo_users_that_there_are_have_their_passwords_shown() {
        let address: SocketAddr = "127.0.0.1:3000".parse().unwrap();
        for show in [home, banner] {
            let text = show(address, &["alice".to_owned()]);
            assert!(text.contains("alice-in-wonderland") && !text.contains("bob-the-builder"));
            assert!(text.contains("http://127.0.0.1:3000"), "{text}");
            assert!(
                !text.contains("{name}") && !text.contains("{demo}"),
                "{text}"
            );
            assert!(!show(address, &[]).contains("alice-in-wonderland"));
        }
    }
}
