//! How fast gatepass guards a route, beside the other crates that guard routes in Rust.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- [--quick] [--report FILE] [NAME]
//! ```
//!
//! `--quick` measures a tenth as long, `--report` writes the table as Markdown, and `NAME` chooses
//! the groups that have it in their name. For example, `eddsa`.
//!
//! # The comparison
//!
//! A server has a bare route, and the same route behind each guard. One thread serves. A client in
//! another thread asks over loopback sockets that it keeps open, each with a token of its own, and
//! turns from route to route every few milliseconds. So other work of the machine meets all routes
//! alike. Each figure is a ratio of two routes within one round. The table has the medians of all
//! rounds with their quartiles.
//!
//! The client uses sockets, since a share of a real request is easier to judge. Sockets hide no
//! difference: the column "server, µs" is the
//! processor time that a guard adds to a request. It leaves the client out, and the database too,
//! where that is another process.
//!
//! All guards of a group verify the same tokens, or sessions of their own where they have such.
//! None of the peers that verify tokens can revoke one; the table says so beside each.
//!
//! # A workspace of its own
//!
//! The peers bring four versions of jsonwebtoken along, and two each of axum, sqlx and reqwest.
//! None of them may touch our lock file. Continuous integration doesn't build it, since that would
//! take longer than all other checks: `cargo xtask lint` only checks its format and spelling. Run
//! `cargo clippy --manifest-path benches/peers/Cargo.toml` before a release, and after a change of
//! an adapter's API.

#![expect(
    clippy::print_stdout,
    reason = "a command line tool says what it measured"
)]

mod client;
mod group;
mod guards;
mod measure;
mod report;
mod tokens;

use std::{path::PathBuf, time::Duration};

use anyhow::Context;

use crate::{
    group::Group,
    guards::{actix, axum, axum_07, sessions},
    measure::Effort,
};

/// A name, and the server that it starts.
type Start = (&'static str, fn() -> anyhow::Result<Group>);

const GROUPS: &[Start] = &[
    ("axum-hs256", axum::hs256),
    ("axum-eddsa", axum::eddsa),
    ("axum07-hs256", axum_07::hs256),
    ("axum07-eddsa", axum_07::eddsa),
    ("actix-hs256", actix::hs256),
    ("actix-eddsa", actix::eddsa),
    ("sessions-sqlite", sessions::sqlite),
    ("sessions-postgres", sessions::postgres),
];

/// A batch is far longer than a look at the clocks, and shorter than most disturbances. `--quick`
/// takes a tenth of the rounds.
const FULL: Effort = Effort {
    rounds: 200,
    batch: Duration::from_millis(20),
};
const QUICK: Effort = Effort { rounds: 20, ..FULL };

/// The command line.
struct Flags {
    effort: Effort,
    report: Option<PathBuf>,
    filter: String,
}

fn flags() -> anyhow::Result<Flags> {
    let mut flags = Flags {
        effort: FULL,
        report: None,
        filter: String::new(),
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--quick" => flags.effort = QUICK,
            "--report" => flags.report = Some(args.next().context("--report of no file")?.into()),
            flag if flag.starts_with('-') => anyhow::bail!("there is no flag {flag}"),
            _ => flags.filter = arg,
        }
    }
    Ok(flags)
}

fn main() -> anyhow::Result<()> {
    let flags = flags()?;
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for (name, start) in GROUPS
        .iter()
        .filter(|(name, _)| name.contains(&flags.filter))
    {
        println!("== peers: {name}");
        // The table still shows the measurements of the others.
        match start().and_then(|group| group.measure(flags.effort)) {
            Ok(measured) => rows.extend(measured),
            Err(error) => faults.push(format!("{name} could not be measured: {error:#}")),
        }
    }
    println!("\n{}", report::terminal(&rows));
    for fault in &faults {
        println!("{fault}");
    }
    if let Some(path) = &flags.report {
        std::fs::write(path, report::markdown(&rows, &faults))?;
    }
    anyhow::ensure!(faults.is_empty(), "{} groups failed", faults.len());
    Ok(())
}
