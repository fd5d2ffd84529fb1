//! Other crates that guard routes, and their costs. A workspace of its own measures them, so their
//! dependencies never touch ours.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use anyhow::Context;

use crate::table::Table;

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/Cargo.toml");
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "--release", "--manifest-path", workspace]);
    command
        .arg("--")
        .args(table.size.pick(Some("--quick"), None));
    let mut running = command.stdout(Stdio::piped()).spawn()?;
    let said = running.stdout.take().context("no output")?;
    let mut rows = String::new();
    for line in BufReader::new(said).lines() {
        let line = line?;
        println!("{line}");
        rows.push_str(&line);
        rows.push('\n');
    }
    anyhow::ensure!(running.wait()?.success(), "benches/peers failed");
    table.notes.push(format!("```text\n{rows}```"));
    Ok(())
}
