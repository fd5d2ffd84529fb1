//! `cargo xtask bench --check`: compares the instructions of the hot operations with the counts on
//! record in the repository. So a regression shows without timing anything.
//!
//! `benches/instructions` has the operations, and explains why two runs count the same. Its
//! `counts.toml` is the record. `cargo xtask bench --check --update` writes it.
//!
//! # Why the check fails in both directions
//!
//! A count of more than [`TOLERANCE`] above the record is a regression. A count of more than
//! [`TOLERANCE`] below the record also fails, with another message: an improvement that isn't on
//! record would hide the next regression, and developers don't read the output of a run that
//! succeeds. One command records the improvement.
//!
//! # Why it never fails on another machine
//!
//! Another compiler, C library or valgrind changes the counts by more than the tolerance. So the
//! record names these programs ([`Environment`]). If they differ, the check shows the counts, says
//! NOT CHECKED, and succeeds. Update the record after an upgrade: until then, nothing is checked.
//!
//! The record also names the processor that valgrind presents to the program. valgrind 3.19
//! presents an Intel Core i7-4910MQ on each machine that has AVX2, for example on an AMD EPYC, and
//! older models on other machines. That model lacks AVX-512, ADX and the SHA extensions. So code
//! that chooses by processor, as AWS-LC and `sha2` do, chooses the same on each machine with AVX2.
//!
//! # Why valgrind is called directly
//!
//! gungraun 0.20 (formerly iai-callgrind) also counts with callgrind. It needs a runner program of
//! exactly its own version, and has 27 crates in its tree. Here one command line and one line of
//! output do that work. gungraun keeps its baselines below `target/`, so a record in the repository
//! would still need this module. Its counts also begin at a function's entry.
//! function's entry.

mod callgrind;
mod environment;
mod profile;
mod record;

use anyhow::Context;
use xshell::Shell;

use self::{
    environment::Environment,
    record::{Change, Record},
};
use crate::{
    apt,
    program::{Missing, answers},
    progress::{Steps, step},
};

/// Largest difference from the record, as a part of the recorded count.
///
/// Two runs differ by far less. But a change of one function affects the inlining of others, which
/// moves a count by a percent or two without a reason that a reader could find.
const TOLERANCE: f64 = 0.03;

const RECORD: &str = "benches/instructions/counts.toml";
const UPDATE: &str = "`cargo xtask bench --check --update`";

/// Makes sure that valgrind is installed.
pub(crate) fn ready(sh: &Shell, missing: Missing) -> anyhow::Result<()> {
    let is_there = || answers(sh, &["valgrind", "--version"]);
    if missing == Missing::Installed && !is_there() {
        apt::try_install(sh, &["valgrind"])?;
    }
    anyhow::ensure!(
        is_there(),
        "valgrind is missing: install it, on Debian with `apt-get install valgrind`, or have `cargo \
         xtask setup` do so where it runs as root"
    );
    Ok(())
}

/// Counts the instructions, and compares them with the record. With `update` it replaces the record
/// instead.
pub(crate) fn check(sh: &Shell, update: bool) -> anyhow::Result<()> {
    ready(sh, Missing::Reported)?;
    let mut steps = Steps::new("bench", 2);
    steps.next("build the operations to count");
    let program = profile::build(sh)?;
    let environment = Environment::ask(sh, &program)?;
    let counts = callgrind::count_all(sh, &program, &mut steps)?;
    steps.done();
    let now = Record::new(environment, counts);

    let path = sh.current_dir().join(RECORD);
    if update {
        std::fs::write(&path, now.to_string()).with_context(|| format!("cannot write {RECORD}"))?;
        step("bench", &format!("the counts are in {RECORD}"));
        return Ok(());
    }
    let text = std::fs::read_to_string(&path);
    let text = text.with_context(|| format!("cannot read {RECORD}: {UPDATE} writes it"))?;
    let before = Record::parse(&text).with_context(|| format!("{RECORD} is damaged"))?;
    report(&before, &now)
}

fn report(before: &Record, now: &Record) -> anyhow::Result<()> {
    let changes = before.changes(now, TOLERANCE);
    print!("{}", record::table(&changes));
    let differences = before.environment().differences(now.environment());
    if !differences.is_empty() {
        let differences = differences.join(", ");
        let text = format!("NOT CHECKED: the record is of another environment: {differences}");
        step("bench", &text);
        return Ok(());
    }
    let named = |wanted: fn(&Change) -> bool| {
        let names = changes.iter().filter(|(_, change)| wanted(change));
        let names: Vec<_> = names.map(|(name, _)| name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let mut faults = Vec::new();
    if let Some(names) = named(|change| matches!(change, Change::Rose(..))) {
        faults.push(format!(
            "more instructions than on record: {names}. `callgrind_annotate` shows where they are \
             in target/instructions/NAME.out. If you accept them, run {UPDATE}, and say why in the \
             commit"
        ));
    }
    if let Some(names) = named(|change| matches!(change, Change::Fell(..))) {
        faults.push(format!(
            "fewer instructions than on record: {names}. Run {UPDATE}: an old record hides a later \
             regression"
        ));
    }
    if let Some(names) = named(|change| matches!(change, Change::New(_) | Change::Gone(_))) {
        faults.push(format!(
            "not the operations on record: {names}. Run {UPDATE}"
        ));
    }
    anyhow::ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(rustc: &str, counts: &[(&str, u64)]) -> Record {
        let environment = Environment::new([("rustc", rustc)]);
        let counts = counts
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count));
        Record::new(environment, counts.collect())
    }

    #[test]
    fn a_count_within_the_tolerance_is_accepted() {
        let before = record("1", &[("verify", 1000), ("login", 1000)]);
        let now = record("1", &[("verify", 1029), ("login", 971)]);
        assert!(report(&before, &now).is_ok());
    }

    #[test]
    fn a_count_beyond_the_tolerance_is_refused_in_both_directions() {
        let before = record("1", &[("verify", 1000)]);
        let rose = report(&before, &record("1", &[("verify", 1031)]));
        assert!(rose.unwrap_err().to_string().starts_with("more"));
        let fell = report(&before, &record("1", &[("verify", 969)]));
        assert!(fell.unwrap_err().to_string().starts_with("fewer"));
    }

    #[test]
    fn an_operation_that_came_or_went_is_refused() {
        let before = record("1", &[("verify", 1000)]);
        let error = report(&before, &record("1", &[("login", 1000)])).unwrap_err();
        assert!(error.to_string().contains("login, verify"), "{error}");
    }

    #[test]
    fn counts_of_another_environment_are_compared_and_accepted() {
        let before = record("1", &[("verify", 1000)]);
        assert!(report(&before, &record("2", &[("verify", 9000)])).is_ok());
    }
}
