//! The report of a part: Markdown and charts in `benches/report`.

use std::{env, fs, path::Path, process::Command};

use anyhow::Context;

use crate::{
    chart,
    table::{Row, Table},
};

/// Writes the report of the part `name`.
pub(crate) fn write(name: &str, table: &Table) -> anyhow::Result<()> {
    let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/report"));
    fs::create_dir_all(directory)?;
    let mut text = format!("# `cargo xtask bench {name}`\n\n{}\n", machine());
    let mut charts = Vec::new();
    charts.extend(chart::goals(&table.rows).map(|chart| ("goals", chart)));
    charts.extend(table.charts.iter().cloned());
    for (title, chart) in charts {
        let file = format!("{name}-{title}.svg");
        fs::write(directory.join(&file), chart)?;
        text.push_str(&format!("![{title}]({file})\n\n"));
    }
    text.push_str(&format!(
        "| {} |\n|---|---|---|---|\n",
        Row::HEAD.join(" | ")
    ));
    for row in &table.rows {
        text.push_str(&format!("| {} |\n", row.cells().join(" | ")));
    }
    for note in &table.notes {
        text.push_str(&format!("\n{}\n", note.trim_end()));
    }
    let path = directory.join(format!("{name}.md"));
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The machine, the versions and the date, as a table.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map(|rest| rest.trim_start_matches([' ', '\t', ':']));
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.split_whitespace().nth(1);
    let gib = kib.and_then(|kib| kib.parse::<f64>().ok());
    let gib = gib.map_or(0.0, |kib| kib / f64::from(1 << 20));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (model, kernel) = (model.unwrap_or(env::consts::ARCH), said("uname", &["-sr"]));
    let commit = said("git", &["describe", "--always", "--dirty"]);
    let (rustc, date) = (said("rustc", &["--version"]), said("date", &["-u", "+%F"]));
    format!(
        "| | |\n|---|---|\n\
         | processor | {model}, {cores} cores |\n\
         | memory | {gib:.0} GiB |\n\
         | system | {kernel} |\n\
         | gatepass | {} at `{commit}` |\n\
         | compiler | {rustc} |\n\
         | date | {date} |\n",
        env!("CARGO_PKG_VERSION"),
    )
}

/// The first line that a program prints, or nothing.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&output).into_owned();
    text.lines().next().unwrap_or_default().to_owned()
}
