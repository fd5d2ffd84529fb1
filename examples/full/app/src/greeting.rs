//! The text that the terminal shows at the start.

use std::net::SocketAddr;

use gatepass::Transport;

use crate::{
    location::{Database, StoreLocation},
    settings::Settings,
    users::{DEMO, demo_users},
};

/// The way that a person tries the application.
#[derive(Clone, Copy)]
pub(crate) enum Interface {
    /// The page for browsers, beside the routes that most examples have.
    Page,
    /// Lines of shell, where the routes are others. There is no page.
    Shell(&'static str),
}

/// Five lines with one URL: where to look, who may log in, and what else there is. With `--curl`,
/// lines of shell follow.
pub(crate) fn greeting(
    address: SocketAddr,
    settings: &Settings,
    demo_names: &[String],
    interface: Interface,
) -> String {
    let mut greeting = format!("Listening on http://{address}\n");
    greeting.push_str(match interface {
        Interface::Page => {
            "  Open it in a browser: the page shows each request, and lets you play a thief.\n"
        }
        Interface::Shell(_) => "  Log in over HTTP, and call the methods over gRPC.\n",
    });
    let users: Vec<String> = demo_users(demo_names)
        .map(|(name, password, _)| format!("{name} with {password}"))
        .collect();
    if !users.is_empty() {
        greeting.push_str(&format!("  Log in as {}.\n", users.join(", ")));
    }
    greeting.push_str(&format!("  {}\n", sessions(&settings.store)));
    greeting.push_str("  --curl also prints commands to paste. --help lists all settings.\n");

    let (issuer, here) = (&settings.issuer, format!("http://{address}"));
    // An issuer that was chosen has its reasons, such as a proxy in front.
    if issuer == Settings::ISSUER && *issuer != here {
        greeting.push_str(&format!(
            "The tokens name the issuer {issuer}, and not this address: so a restart on\n\
             another port logs no user out. If OAuth clients look for the endpoints of this server,\n\
             start it with --issuer {here} and a store of its own.\n"
        ));
    }
    if settings.curl {
        greeting.push_str("\nPaste this into another terminal:\n\n");
        greeting.push_str(&match interface {
            Interface::Page => transcript(address, settings.transport),
            Interface::Shell(lines) => filled(lines, address),
        });
    }
    greeting
}

/// The place of the sessions, without the address of a server: it may hold a password.
fn sessions(store: &StoreLocation) -> String {
    let place = match store {
        StoreLocation::Database(Database::Memory) => {
            return "The sessions end with this process.".to_owned();
        }
        StoreLocation::Database(Database::Sqlite(file)) => file.display().to_string(),
        StoreLocation::Database(Database::Postgres(_)) => "PostgreSQL".to_owned(),
        StoreLocation::Redis(_) => "Redis".to_owned(),
    };
    format!("The sessions are in {place}: stop with Ctrl-C, start again, and they are still there.")
}

/// Lines for any POSIX shell with curl and sed: a login, a refresh, and the two ways to log out.
pub(crate) fn transcript(address: SocketAddr, transport: Transport) -> String {
    let lines = match transport {
        Transport::Bearer | Transport::Both => include_str!("transcript.sh"),
        Transport::Cookie => include_str!("transcript-cookies.sh"),
    };
    filled(lines, address)
}

fn filled(lines: &str, address: SocketAddr) -> String {
    let [(name, password, _), ..] = DEMO;
    lines
        .replace("{address}", &address.to_string())
        .replace("{name}", name)
        .replace("{password}", password)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn greets(address: &str, args: &[&str], names: &[&str], interface: Interface) -> String {
        let settings = Settings::parse_from(["example"].iter().chain(args));
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        greeting(address.parse().unwrap(), &settings, &names, interface)
    }

    const ADDRESS: &str = "127.0.0.1:3000";
    const NAMES: &[&str] = &["alice", "bob", "root"];

    #[test]
    fn the_greeting_has_five_lines_and_one_url() {
        for interface in [Interface::Page, Interface::Shell("call {address}")] {
            let said = greets(ADDRESS, &[], NAMES, interface);
            assert_eq!(said.lines().count(), 5, "{said}");
            assert_eq!(said.matches("://").count(), 1, "{said}");
            assert!(said.starts_with("Listening on http://127.0.0.1:3000\n"));
            assert!(said.contains("in gatepass.db:"), "{said}");
            assert!(said.lines().all(|line| line.len() <= 100), "{said}");
        }
    }

    #[test]
    fn only_demo_users_that_there_are_have_their_passwords_shown() {
        let said = greets(ADDRESS, &[], &["alice"], Interface::Page);
        assert!(said.contains("alice with alice-in-wonderland.") && !said.contains("bob"));
        let said = greets(ADDRESS, &[], &[], Interface::Page);
        assert!(
            !said.contains("alice") && !said.contains("Log in"),
            "{said}"
        );
    }

    #[test]
    fn the_address_of_a_store_is_not_shown() {
        for (store, place) in [
            ("postgres://shop:hunter2@db.example/shop", "in PostgreSQL"),
            ("redis://shop:hunter2@db.example", "in Redis"),
            ("memory", "end with this process"),
        ] {
            let said = greets(ADDRESS, &["--store", store], NAMES, Interface::Page);
            assert!(said.contains(place) && !said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn lines_of_shell_are_shown_if_they_are_asked_for() {
        for transport in ["bearer", "cookie", "both"] {
            let args = ["--transport", transport, "--curl"];
            let said = greets(ADDRESS, &args, NAMES, Interface::Page);
            assert!(said.contains("curl -sS") && said.contains("url='http://127.0.0.1:3000'"));
            for left in ["{name}", "{password}", "{address}"] {
                assert!(!said.contains(left), "{left} in {said}");
            }
            let said = greets(ADDRESS, &args[..2], NAMES, Interface::Page);
            assert!(!said.contains("curl -sS"), "{said}");
        }
        let said = greets(
            ADDRESS,
            &["--curl"],
            NAMES,
            Interface::Shell("call {address}"),
        );
        assert!(said.ends_with("call 127.0.0.1:3000"), "{said}");
    }

    #[test]
    fn a_server_whose_issuer_is_another_address_says_so_when_it_starts() {
        for (address, issuer, says_so) in [
            ("127.0.0.1:3000", Settings::ISSUER, false),
            ("127.0.0.1:4000", Settings::ISSUER, true),
            ("0.0.0.0:3000", Settings::ISSUER, true),
            ("127.0.0.1:4000", "http://127.0.0.1:4000", false),
            ("127.0.0.1:4000", "https://shop.example", false),
        ] {
            let said = greets(address, &["--issuer", issuer], &[], Interface::Page);
            assert!(said.starts_with(&format!("Listening on http://{address}\n")));
            assert_eq!(said.contains("--issuer http://"), says_so, "{said}");
            assert_eq!(
                said.contains(issuer),
                says_so || issuer.contains(address),
                "{said}"
            );
        }
    }
}
