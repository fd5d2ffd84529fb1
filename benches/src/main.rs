//! How fast gatepass is: each row of the table compares two things, measured side by side in one
//! run.
//!
//! `cargo xtask bench` runs all, `cargo xtask bench stores` those whose name contains that. Nothing
//! here fails because it is slow: how loaded the machine was, no test can know.

#![expect(
    clippy::print_stdout,
    reason = "a command line tool says what it measured"
)]

mod following;
mod growth;
mod logout_all;
mod measure;
mod news;
mod revocations;
mod route;
mod servers;
mod signing;
mod stores;
mod table;
mod token;
mod verifying;

use crate::table::Table;

/// Measures what it is called, and puts it into the table.
type Bench = fn(&mut Table) -> anyhow::Result<()>;

/// Quick ones first. Repeated tokens will have their rows after `verify`, once there is a cache for
/// them.
const BENCHES: &[(&str, Bench)] = &[
    ("verify", verifying::run),
    ("sign", signing::run),
    ("revocations", revocations::run),
    ("route", route::run),
    ("news-sqlite", news::sqlite),
    ("stores-sqlite", stores::sqlite),
    ("stores-postgres", stores::postgres),
    ("stores-redis", stores::redis),
    ("stores-redis-cluster", stores::redis_cluster),
    ("following-postgres", following::postgres),
    ("following-redis", following::redis),
    ("following-redis-cluster", following::redis_cluster),
    ("logout-all-sqlite", logout_all::sqlite),
    ("logout-all-postgres", logout_all::postgres),
    ("logout-all-redis", logout_all::redis),
    ("growth-sqlite", growth::sqlite),
    ("growth-postgres", growth::postgres),
    ("growth-redis", growth::redis),
];

fn main() -> anyhow::Result<()> {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let mut table = Table::default();
    let chosen: Vec<_> = BENCHES
        .iter()
        .filter(|(name, _)| name.contains(&filter))
        .collect();
    if chosen.is_empty() {
        let names: Vec<_> = BENCHES.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        anyhow::bail!("no benchmark has {filter:?} in its name; there are: {names}");
    }
    for (name, bench) in chosen {
        println!("== bench: {name}");
        // The table still shows the measurements of the others.
        if let Err(error) = bench(&mut table) {
            println!("{name} could not be measured: {error:#}");
        }
    }
    println!("\n{table}");
    Ok(())
}
