//! The texts of the application: for browsers, for API clients, and for the terminal.

use std::net::SocketAddr;

use gatepass::{Pass, Transport};
use serde_json::{Value, json};

use crate::{settings::Settings, users::DEMO};

/// The answer to `GET /me`: the user who asked, and the session.
#[must_use]
pub fn me(pass: &Pass) -> Value {
    json!({
        "subject": pass.subject().as_str(),
        "session_id": pass.session_id().to_string(),
        "scope": pass.scopes().as_str(),
        "expires_at": pass.expires_at().to_string(),
    })
}

/// The answer to `GET /maybe`, for any client: the subject is `null` if no user is logged in.
#[must_use]
pub fn maybe(pass: Option<&Pass>) -> Value {
    json!({ "subject": pass.map(|pass| pass.subject().as_str()) })
}

/// The page of `GET /`.
pub(crate) fn home(listen: SocketAddr, demo_names: &[String], transport: Transport) -> String {
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
            .replace(
                "{transcript}",
                &escaped(&transcript(listen, lines(transport))),
            )
    };
    let browser = match transport {
        Transport::Bearer => include_str!("bearer.html"),
        Transport::Cookie | Transport::Both => include_str!("cookies.html"),
    };
    include_str!("home.html")
        .replace("{browser}", browser)
        .replace("{demo}", &demo)
}

/// The text that is printed at the start.
pub(crate) fn banner(
    address: SocketAddr,
    issuer: &str,
    demo_names: &[String],
    transport: Transport,
) -> String {
    banner_with(address, issuer, demo_names, lines(transport))
}

/// The text that is printed at the start, with lines of shell for other routes than those of most
/// examples.
pub(crate) fn banner_with(
    address: SocketAddr,
    issuer: &str,
    demo_names: &[String],
    lines: &str,
) -> String {
    let mut banner = format!("Listening on http://{address}\n");
    let here = format!("http://{address}");
    // An issuer that was chosen has its reasons, such as a proxy in front.
    if issuer == Settings::ISSUER && issuer != here {
        banner.push_str(&format!(
            "The tokens name the issuer {issuer}, whatever --listen says: a restart on another\n\
             port logs nobody out. For OAuth clients that look for this server's endpoints, start\n\
             with --issuer {here} and a store of its own.\n"
        ));
    }
    let users: String = demo_users(demo_names)
        .map(|(name, password, scope)| {
            format!("  {name:<6} password {password:<20} scope {scope}\n")
        })
        .collect();
    if !users.is_empty() {
        banner.push_str("\nDemo users:\n");
        banner.push_str(&users);
        banner.push_str("\nTo try it, paste this into another terminal:\n\n");
        banner.push_str(&transcript(address, lines));
    }
    banner
}

fn demo_users(names: &[String]) -> impl Iterator<Item = (&str, &str, &str)> {
    DEMO.into_iter()
        .filter(move |(name, ..)| names.iter().any(|demo| demo == name))
}

/// Lines for any POSIX shell with curl and sed: a login, a refresh, and the two ways to log out.
fn lines(transport: Transport) -> &'static str {
    match transport {
        Transport::Bearer | Transport::Both => include_str!("transcript.sh"),
        Transport::Cookie => include_str!("transcript-cookies.sh"),
    }
}

fn transcript(address: SocketAddr, lines: &str) -> String {
    let [(name, password, _), ..] = DEMO;
    lines
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
        let banner: Show = |address, demo_names, transport| {
            banner(address, "https://issuer.test", demo_names, transport)
        };
        for (show, transport) in [home as Show, banner]
            .iter()
            .flat_map(|show| TRANSPORTS.map(|t| (show, t)))
        {
            let text = show(address, &["alice".to_owned()], transport);
            assert!(text.contains("alice-in-wonderland") && !text.contains("bob-the-builder"));
            assert!(text.contains("http://127.0.0.1:3000"), "{text}");
            for left in ["{name}", "{demo}", "{browser}", "{transcript}", "{address}"] {
                assert!(!text.contains(left), "{left} in {text}");
            }
            assert!(!show(address, &[], transport).contains("alice-in-wonderland"));
        }
    }

    #[test]
    fn there_is_a_form_to_log_in_where_a_browser_can() {
        let address: SocketAddr = "127.0.0.1:3000".parse().unwrap();
        for transport in TRANSPORTS {
            let form = home(address, &[], transport).contains(r#"<form id="login">"#);
            assert_eq!(form, transport != Transport::Bearer, "{transport:?}");
        }
    }

    #[test]
    fn a_server_whose_issuer_is_another_address_says_so_when_it_starts() {
        let said = |address: &str, issuer: &str| {
            banner(address.parse().unwrap(), issuer, &[], Transport::Bearer)
        };
        for (address, issuer, says_so) in [
            ("127.0.0.1:3000", Settings::ISSUER, false),
            ("127.0.0.1:4000", Settings::ISSUER, true),
            ("0.0.0.0:3000", Settings::ISSUER, true),
            ("127.0.0.1:4000", "http://127.0.0.1:4000", false),
            ("127.0.0.1:4000", "https://shop.example", false),
        ] {
            let said = said(address, issuer);
            assert!(said.starts_with(&format!("Listening on http://{address}\n")));
            assert_eq!(said.contains("--issuer http://"), says_so, "{said}");
            assert_eq!(
                said.contains(issuer),
                says_so || issuer.contains(address),
                "{said}"
            );
        }
    }

    type Show = fn(SocketAddr, &[String], Transport) -> String;

    const TRANSPORTS: [Transport; 3] = [Transport::Bearer, Transport::Cookie, Transport::Both];
}
