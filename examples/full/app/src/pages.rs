//! The texts of the application for browsers and for API clients.

use std::net::SocketAddr;

use gatepass::{Pass, Transport};
use serde_json::{Value, json};

use crate::{
    answer::millis, demo::Action, greeting::transcript, peer::PeerUrl, settings::Settings,
    users::demo_users,
};

/// The answer to `GET /me`: the current user and session.
#[must_use]
pub fn me(pass: &Pass) -> Value {
    json!({
        "subject": pass.subject().as_str(),
        "session_id": pass.session_id().map(|id| id.to_string()),
        "scope": pass.scopes().as_str(),
        "expires_at": pass.expires_at().to_string(),
    })
}

/// The answer to `GET /maybe`, for any client: the subject is `null` if no user is logged in.
#[must_use]
pub fn maybe(pass: Option<&Pass>) -> Value {
    json!({ "subject": pass.map(|pass| pass.subject().as_str()) })
}

/// The page of `GET /account`, in HTML. It has no script that could refresh the cookies: the gate
/// of the route refreshes them.
#[must_use]
pub fn account(pass: &Pass) -> String {
    include_str!("page/account.html")
        .replace("{subject}", &escaped(pass.subject().as_str()))
        .replace("{expires_at}", &pass.expires_at().to_string())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// A file of the page, which is the same for every user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Asset {
    /// The path of its route.
    pub path: &'static str,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The file.
    pub body: &'static str,
}

impl Asset {
    /// The path of the page itself.
    pub const HOME: &str = "/";

    /// All files of the page.
    pub const ALL: [Self; 10] = [
        Self::new(Self::HOME, HTML, include_str!("page/page.html")),
        Self::new("/assets/page.css", CSS, include_str!("page/page.css")),
        Self::new("/assets/page.js", JAVASCRIPT, include_str!("page/page.js")),
        Self::new("/assets/live.js", JAVASCRIPT, include_str!("page/live.js")),
        Self::new(
            "/assets/return_to.js",
            JAVASCRIPT,
            include_str!("page/return_to.js"),
        ),
        Self::new(
            "/assets/rights.js",
            JAVASCRIPT,
            include_str!("page/rights.js"),
        ),
        Self::new(
            "/assets/thief.js",
            JAVASCRIPT,
            include_str!("page/thief.js"),
        ),
        Self::new(
            "/assets/words.js",
            JAVASCRIPT,
            include_str!("page/words.js"),
        ),
        Self::new(
            "/assets/gatepass.js",
            JAVASCRIPT,
            include_str!("../../../../clients/js/gatepass.js"),
        ),
        Self::new("/assets/icon.svg", SVG, include_str!("page/icon.svg")),
    ];

    /// The header fields of each answer with a file of the page. `Content-Type` is not among them.
    ///
    /// The page may load only its own files, and may send requests only to its own service. Scripts
    /// and styles in the HTML don't run, no site may put the page into a frame, and no link reveals
    /// its address.
    pub const HEADERS: [(&str, &str); 4] = [
        (
            "content-security-policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
             img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        // The files are small, and may change with the next version of the example.
        ("cache-control", "no-cache"),
    ];

    const fn new(path: &'static str, content_type: &'static str, body: &'static str) -> Self {
        Self {
            path,
            content_type,
            body,
        }
    }
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The answer to `GET /demo/config`: the facts that the page needs about this service. The
/// passwords in it are public, because they belong to the demo users.
pub(crate) fn config(
    address: SocketAddr,
    demo_names: &[String],
    settings: &Settings,
    actions: &[Action],
) -> Value {
    let users: Vec<_> = demo_users(demo_names)
        .map(|(name, password, scope)| json!({"name": name, "password": password, "scope": scope}))
        .collect();
    let transcript = (!users.is_empty()).then(|| transcript(address, settings.transport));
    json!({
        "transport": match settings.transport {
            Transport::Bearer => "bearer",
            Transport::Cookie => "cookie",
            Transport::Both => "both",
        },
        "access_ttl_ms": millis(settings.access_ttl),
        "overlap_ms": millis(settings.overlap),
        "users": users,
        "theft": actions.contains(&Action::Steal),
        "rights": actions.contains(&Action::Demote),
        "peer": settings.peer.as_ref().map(PeerUrl::as_str),
        "transcript": transcript,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn settings(transport: &str) -> Settings {
        Settings::parse_from(["example", "--transport", transport])
    }

    #[test]
    fn only_demo_users_that_there_are_have_their_passwords_shown() {
        let address: SocketAddr = "127.0.0.1:3000".parse().unwrap();
        let shown = |names: &[String], transport: &str| {
            config(address, names, &settings(transport), &[]).to_string()
        };
        for transport in TRANSPORTS {
            let text = shown(&["alice".to_owned()], transport);
            assert!(text.contains("alice-in-wonderland") && !text.contains("bob-the-builder"));
            assert!(text.contains("http://127.0.0.1:3000"), "{text}");
            for left in ["{name}", "{password}", "{address}"] {
                assert!(!text.contains(left), "{left} in {text}");
            }
            assert!(!shown(&[], transport).contains("alice"));
        }
    }

    #[test]
    fn the_page_is_told_the_transport_and_which_demonstrations_there_are() {
        let address: SocketAddr = "127.0.0.1:3000".parse().unwrap();
        for transport in TRANSPORTS {
            for (actions, theft, rights) in [
                (&[][..], false, false),
                (&[Action::Steal, Action::Replay], true, false),
                (&[Action::Demote, Action::Promote], false, true),
            ] {
                let told = config(address, &[], &settings(transport), actions);
                assert_eq!(told["transport"], transport);
                assert_eq!(
                    (&told["theft"], &told["rights"]),
                    (&theft.into(), &rights.into())
                );
                assert_eq!(told["overlap_ms"], 30_000);
            }
        }
    }

    #[test]
    fn the_page_loads_only_its_own_files_and_runs_none_that_is_inline() {
        let html = Asset::ALL[0].body;
        for tag in html.split('<').filter(|tag| tag.starts_with("script")) {
            assert!(
                tag.starts_with(r#"script type="module" src="/assets/"#),
                "{tag}"
            );
        }
        for inline in [" style=", " onclick=", "<style", "http://", "https://"] {
            assert!(!html.contains(inline), "{inline}");
        }
        for loaded in html.split([' ', '\n']).filter_map(|word| {
            let (name, rest) = word.split_once("=\"")?;
            let path = rest.split('"').next()?;
            (name == "src" || path.starts_with("/assets/")).then_some(path)
        }) {
            assert!(
                Asset::ALL.iter().any(|asset| asset.path == loaded),
                "{loaded}"
            );
        }
        for asset in Asset::ALL {
            for line in asset.body.lines().filter(|line| line.contains(" from \"")) {
                let name = line.split(" from \"./").nth(1).unwrap();
                let path = format!("/assets/{}", name.trim_end_matches("\";"));
                assert!(Asset::ALL.iter().any(|asset| asset.path == path), "{line}");
            }
        }
    }

    #[test]
    fn a_password_stays_out_of_the_address_if_no_script_runs() {
        let html = Asset::ALL[0].body;
        let forms: Vec<_> = html.split("<form").skip(1).collect();
        assert!(!forms.is_empty());
        for form in forms {
            let (tag, _) = form.split_once('>').unwrap();
            assert!(tag.contains(r#" method="post""#), "{tag}");
        }
    }

    const TRANSPORTS: [&str; 3] = ["bearer", "cookie", "both"];
}
