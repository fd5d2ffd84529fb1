//! The record of counts in the repository: a small, sorted TOML file with a line for each
//! operation.

use std::{collections::BTreeMap, fmt};

use anyhow::Context;

use super::environment::Environment;

const HEAD: &str = "\
# Instructions of one operation, counted by callgrind: `cargo xtask bench --check` compares.
# `cargo xtask bench --check --update` writes this file; benches/instructions has the operations.
";
const ENVIRONMENT: &str = "[environment]";
const INSTRUCTIONS: &str = "[instructions]";

/// The counts of one run, and its environment.
pub(super) struct Record {
    environment: Environment,
    counts: BTreeMap<String, u64>,
}

/// The difference between the count on record and the count of this run. Each variant has the
/// recorded count before the new one.
pub(super) enum Change {
    /// The counts differ by no more than the tolerance.
    Same(u64, u64),
    /// The new count is larger.
    Rose(u64, u64),
    /// The new count is smaller.
    Fell(u64, u64),
    /// The operation isn't on record.
    New(u64),
    /// The program has no such operation any more.
    Gone(u64),
}

impl Record {
    pub(super) fn new(environment: Environment, counts: BTreeMap<String, u64>) -> Self {
        Self {
            environment,
            counts,
        }
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Reads what [`Display`](fmt::Display) writes.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut environment = BTreeMap::new();
        let mut counts = BTreeMap::new();
        let mut section = "";
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((name, value)) = line.split_once(" = ") else {
                section = line;
                continue;
            };
            let name = name.to_owned();
            match section {
                ENVIRONMENT => {
                    environment.insert(name, value.trim_matches('"').to_owned());
                }
                INSTRUCTIONS => {
                    let count = value.parse().with_context(|| line.to_owned())?;
                    counts.insert(name, count);
                }
                _ => anyhow::bail!("{line:?} is in no known section"),
            }
        }
        let environment = Environment::new(environment);
        Ok(Self::new(environment, counts))
    }

    /// The change of each operation that is in either record.
    pub(super) fn changes(&self, now: &Self, tolerance: f64) -> Vec<(String, Change)> {
        let mut changes = Vec::new();
        for (name, count) in &now.counts {
            let change = match self.counts.get(name) {
                Some(before) => Change::between(*before, *count, tolerance),
                None => Change::New(*count),
            };
            changes.push((name.clone(), change));
        }
        for (name, before) in &self.counts {
            if !now.counts.contains_key(name) {
                changes.push((name.clone(), Change::Gone(*before)));
            }
        }
        changes
    }
}

impl Change {
    fn between(before: u64, now: u64, tolerance: f64) -> Self {
        let part = part(before, now);
        if part > tolerance {
            Self::Rose(before, now)
        } else if part < -tolerance {
            Self::Fell(before, now)
        } else {
            Self::Same(before, now)
        }
    }
}

/// The growth from `before` to `now`, as a part of `before`.
fn part(before: u64, now: u64) -> f64 {
    now as f64 / before as f64 - 1.0
}

/// A line for each change.
pub(super) fn table(changes: &[(String, Change)]) -> String {
    let mut table = String::new();
    for (name, change) in changes {
        let text = match change {
            Change::Same(before, now) | Change::Rose(before, now) | Change::Fell(before, now) => {
                let percent = 100.0 * part(*before, *now);
                format!("{before:>10} {now:>10} {percent:>+7.2} %")
            }
            Change::New(now) => format!("{:>10} {now:>10}", "new"),
            Change::Gone(before) => format!("{before:>10} {:>10}", "gone"),
        };
        table.push_str(&format!("{name:<24} {text}\n"));
    }
    table
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}\n{ENVIRONMENT}")?;
        for (name, value) in self.environment.iter() {
            writeln!(f, "{name} = \"{value}\"")?;
        }
        writeln!(f, "\n{INSTRUCTIONS}")?;
        for (name, count) in &self.counts {
            writeln!(f, "{name} = {count}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let environment = Environment::new([("rustc", "rustc 1.95.0"), ("cc", "gcc 12")]);
        let counts = [("login".to_owned(), 5), ("verify".to_owned(), 7)];
        let written = Record::new(environment, counts.into()).to_string();
        let read = Record::parse(&written).unwrap();
        assert_eq!(read.to_string(), written);
        assert!(written.ends_with(
            "cc = \"gcc 12\"\nrustc = \"rustc 1.95.0\"\n\n[instructions]\nlogin = 5\nverify = 7\n"
        ));
    }

    #[test]
    fn a_damaged_record_is_refused() {
        for damaged in ["[instructions]\nverify = many\n", "verify = 5\n"] {
            assert!(Record::parse(damaged).is_err(), "{damaged}");
        }
    }

    #[test]
    fn the_table_shows_both_counts_and_their_difference() {
        let changes = [
            ("verify".to_owned(), Change::between(1000, 1050, 0.03)),
            ("login".to_owned(), Change::New(7)),
        ];
        let lines = table(&changes);
        let words: Vec<Vec<&str>> = lines
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            words,
            [
                vec!["verify", "1000", "1050", "+5.00", "%"],
                vec!["login", "new", "7"]
            ]
        );
    }
}
