//! The speed of gatepass. Each ratio compares two things that take turns in one run.
//!
//! `cargo xtask bench` runs all parts, and `cargo xtask bench stores http` runs these two. A full
//! run of a part writes its report to `benches/report`, and `--quick` writes none. A slow result is
//! no failure. Each row says whether other work of the machine disturbed it.

#![expect(
    clippy::print_stdout,
    reason = "a command line tool says what it measured"
)]

mod chart;
mod child;
mod clock;
mod counted;
mod denylist;
mod following;
mod growth;
mod http;
mod load;
mod log;
mod logout_all;
mod measure;
mod news;
mod peers;
mod repeated;
mod report;
mod rights;
mod scale;
mod servers;
mod signing;
mod stores;
mod streams;
mod table;
mod token;
mod verifying;

use std::time::Instant;

use crate::{measure::Size, table::Table};

/// Measures something, and puts it into the table.
type Bench = fn(&mut Table) -> anyhow::Result<()>;

/// A part: its name, the benchmarks that always run, and those that a quick run skips.
type Part = (&'static str, &'static [Bench], &'static [Bench]);

/// The quick parts come first.
const PARTS: &[Part] = &[
    ("verify", &[verifying::run, repeated::run], &[]),
    ("sign", &[signing::run], &[]),
    ("denylist", &[denylist::run], &[]),
    ("http", &[http::run, http::login], &[]),
    (
        "stores",
        &[
            stores::sqlite,
            stores::postgres,
            stores::redis,
            news::sqlite,
        ],
        &[
            stores::redis_cluster,
            following::postgres,
            following::redis,
            following::redis_cluster,
        ],
    ),
    (
        "growth",
        &[logout_all::sqlite, growth::sqlite],
        &[
            logout_all::postgres,
            logout_all::redis,
            growth::postgres,
            growth::redis,
        ],
    ),
    ("rights", &[rights::sqlite], &[]),
    ("streams", &[streams::run], &[]),
    ("peers", &[peers::run], &[]),
    ("scale", &[scale::run], &[]),
];

fn main() -> anyhow::Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [child::FLAG, rest @ ..] = arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        return child::main(rest);
    }
    if let [streams::FLAG, file] = arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        return streams::node(file);
    }
    let all = arguments.len();
    arguments.retain(|argument| argument != "--quick");
    let size = match arguments.len() == all {
        true => Size::Full,
        false => Size::Quick,
    };
    for asked in &arguments {
        let names: Vec<_> = PARTS.iter().map(|(name, ..)| *name).collect();
        anyhow::ensure!(
            names.contains(&asked.as_str()),
            "there is no part {asked:?} of the benchmarks; there are: {}",
            names.join(", ")
        );
    }
    let is_asked = |name: &str| arguments.is_empty() || arguments.iter().any(|asked| asked == name);
    let start = Instant::now();
    let mut tables = Vec::new();
    let parts: Vec<_> = PARTS.iter().filter(|(name, ..)| is_asked(name)).collect();
    for (number, (name, always, in_full)) in (1..).zip(&parts) {
        let label = format!("== measure {number}/{}", parts.len());
        println!("{label}: {name}");
        let begun = Instant::now();
        let mut table = Table::new(size);
        for bench in always.iter().chain(size.pick(&[][..], *in_full)) {
            // The table still shows the other measurements.
            if let Err(error) = bench(&mut table) {
                let failed = format!("A part of `{name}` could not be measured: {error:#}");
                println!("{failed}");
                table.notes.push(failed);
            }
        }
        if size == Size::Full {
            report::write(name, &table)?;
        }
        println!("{label}: done in {:.0} s", begun.elapsed().as_secs_f64());
        tables.push((name, table));
    }
    for (name, table) in tables {
        println!("\n{name}\n{table}");
    }
    println!("== measure: done in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}
