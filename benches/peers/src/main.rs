//! The speed of a route behind gatepass, compared with other Rust crates that guard routes.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- [--quick] [--report FILE] [NAME]
//! ```
//!
//! `--quick` measures a tenth as long, and `--report` writes the table as Markdown. `NAME` chooses
//! the groups with this text in their name, for example `eddsa`.
//!
//! # The comparison
//!
//! A server has a bare route, and the same route behind each guard. It runs on one thread. A client
//! in another thread sends requests over loopback sockets that stay open, each with its own token.
//! It switches routes every few milliseconds, so other work of the machine affects all routes
//! alike. Each figure is a ratio of two routes within one round. The table has the medians and
//! quartiles of all rounds.
//!
//! The client uses sockets, since you can judge a share of a real request better. Sockets hide no
//! difference: the column "server, µs" is the processor time that a guard adds to a request. It
//! excludes the client, and also a database in another process.
//!
//! All guards of a group verify the same tokens, or their own sessions. None of the peers that
//! verify tokens can revoke one, and the table says so for each.
//!
//! # A workspace of its own
//!
//! The peers bring four versions of jsonwebtoken, and two each of axum, sqlx and reqwest. None of
//! them may touch our lock file. Continuous integration doesn't build this workspace, since that
//! would take longer than all other checks: `cargo xtask lint` only checks its format and spelling.
//! Run `cargo clippy --manifest-path benches/peers/Cargo.toml` before a release, and after you
//! change the API of an adapter.

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

/// A batch is far longer than a reading of the clocks, and shorter than most disturbances.
/// `--quick` measures a tenth of the rounds.
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
        // The table still shows the other measurements.
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
