//! The environment of a count: everything that changes a count, apart from the repository's code
//! and its lock file.

use std::{
    collections::{BTreeMap, btree_map::Iter},
    path::Path,
};

use anyhow::Context;
use xshell::{Shell, cmd};

/// Names of programs and their versions, and the processor that valgrind presents.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Environment(BTreeMap<String, String>);

/// The programs whose versions matter, each with the command that prints its version. The versions
/// omit the suffix of a distribution, because its patches change no count.
const ASKED: &[(&str, &[&str])] = &[
    ("cc", &["cc", "-dumpfullversion"]),
    ("libc", &["getconf", "GNU_LIBC_VERSION"]),
    ("rustc", &["rustc", "--version"]),
    ("valgrind", &["valgrind", "--version"]),
];

impl Environment {
    pub(super) fn new<N: Into<String>, V: Into<String>>(
        values: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let values = values.into_iter();
        Self(
            values
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }

    /// Asks for the environment of this machine.
    pub(super) fn ask(sh: &Shell, program: &Path) -> anyhow::Result<Self> {
        let mut values = BTreeMap::new();
        for (name, command) in ASKED {
            let (program, args) = command.split_first().context("no command")?;
            // A missing program counts as a version of its own.
            let answer = cmd!(sh, "{program} {args...}")
                .quiet()
                .ignore_stderr()
                .read();
            let answer = answer.unwrap_or_default();
            let line = answer.lines().next().unwrap_or("none");
            values.insert((*name).to_owned(), line.replace('"', "'"));
        }
        let processor = cmd!(sh, "valgrind --tool=none --quiet {program} processor");
        values.insert("processor".to_owned(), processor.quiet().read()?);
        Ok(Self(values))
    }

    pub(super) fn iter(&self) -> Iter<'_, String, String> {
        self.0.iter()
    }

    /// Describes each difference from `other`.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let mut names: Vec<_> = self.0.keys().chain(other.0.keys()).collect();
        names.sort();
        names.dedup();
        let difference = |name: &&String| {
            let values = [&self.0, &other.0].map(|all| all.get(*name).map_or("none", |it| it));
            let [before, now] = values;
            (before != now).then(|| format!("{name} was {before:?} and is {now:?}"))
        };
        names.iter().filter_map(difference).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_differ_by_values_and_by_names() {
        let one = Environment::new([("cc", "12"), ("rustc", "1.95")]);
        let other = Environment::new([("rustc", "1.96")]);
        assert_eq!(one.differences(&one), [""; 0]);
        let differences = one.differences(&other);
        assert_eq!(
            differences,
            [
                r#"cc was "12" and is "none""#,
                r#"rustc was "1.95" and is "1.96""#
            ]
        );
    }
}
