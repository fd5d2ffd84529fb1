//! Runs callgrind on one operation after the other.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::{metadata, progress::Steps};

/// The function of the program that repeats an operation. Callgrind counts nothing outside of it.
const COUNTED: &str = "--toggle-collect=*counted_operations*";

/// An operation of the program, and how often the program repeats it.
struct Operation {
    name: String,
    times: u64,
}

/// The instructions of each operation. It runs as many at once as there are processors, which
/// changes no count.
pub(super) fn count_all(
    sh: &Shell,
    program: &Path,
    steps: &mut Steps,
) -> anyhow::Result<BTreeMap<String, u64>> {
    let operations = operations(&cmd!(sh, "{program}").quiet().read()?)?;
    let directory = metadata::target_directory(sh)?.join("instructions");
    fs::create_dir_all(&directory)?;
    let at_once = thread::available_parallelism().map_or(1, usize::from);
    let text = format!("count {} operations under callgrind", operations.len());
    steps.next(&text);

    let (next, counts) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let work = || -> anyhow::Result<()> {
        while let Some(operation) = operations.get(next.fetch_add(1, Ordering::Relaxed)) {
            let output = directory.join(format!("{}.out", operation.name));
            let count = count(program, operation, &output).with_context(|| operation.name.clone());
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.insert(operation.name.clone(), count?);
        }
        Ok(())
    };
    thread::scope(|scope| -> anyhow::Result<()> {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let outcome = worker.join();
            outcome.map_err(|_| anyhow::anyhow!("a thread that counted has panicked"))??;
        }
        Ok(())
    })?;
    Ok(counts.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Parses the list of operations that the program prints: a name and a number in each line.
fn operations(listed: &str) -> anyhow::Result<Vec<Operation>> {
    let operation = |line: &str| {
        let (name, times) = line.split_once(' ').context("no number")?;
        let (name, times) = (name.to_owned(), times.parse()?);
        Ok(Operation { name, times })
    };
    listed.lines().map(operation).collect()
}

fn count(program: &Path, operation: &Operation, output: &Path) -> anyhow::Result<u64> {
    let mut command = Command::new("valgrind");
    command
        .args(["--quiet", "--tool=callgrind", COUNTED])
        .arg(format!("--callgrind-out-file={}", output.display()))
        .arg(program)
        .arg(&operation.name);
    let run = command.output().context("cannot start valgrind")?;
    let said = String::from_utf8_lossy(&run.stderr);
    anyhow::ensure!(run.status.success(), "valgrind failed: {}", said.trim());
    let total = total(&fs::read_to_string(output)?)?;
    anyhow::ensure!(total > 0, "callgrind has not found the function to count");
    Ok(total / operation.times.max(1))
}

/// The number of instructions in a profile of callgrind.
fn total(profile: &str) -> anyhow::Result<u64> {
    let line = profile
        .lines()
        .find_map(|line| line.strip_prefix("summary: "));
    Ok(line.context("callgrind wrote no summary")?.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_a_profile_is_its_count() {
        let profile = "version: 1\nevents: Ir\nsummary: 123456\n\nfn=(1) a\n0 123456\n";
        assert_eq!(total(profile).unwrap(), 123_456);
        assert!(total("version: 1\n").is_err());
    }

    #[test]
    fn the_program_lists_its_operations() {
        let listed = operations("login 8\nverify 16\n").unwrap();
        let listed: Vec<_> = listed
            .iter()
            .map(|one| (one.name.as_str(), one.times))
            .collect();
        assert_eq!(listed, [("login", 8), ("verify", 16)]);
        assert!(operations("login\n").is_err());
    }
}
