//! The table, in the terminal and as Markdown.

use std::fs;

use crate::{group::Row, measure::Quartiles};

const HEAD: [&str; 6] = [
    "framework",
    "guard",
    "requests/s, of bare",
    "the same by server time",
    "server, µs",
    "it does less than gatepass",
];

/// Crates whose versions the report names.
const NAMED: &[&str] = &[
    "gatepass",
    "actix-web",
    "actix-web-httpauth",
    "axum",
    "axum-jwt-auth",
    "axum-login",
    "jsonwebtoken",
    "jwt-authorizer",
    "sqlx",
    "tower-oauth2-resource-server",
    "tower-sessions",
    "tower-sessions-sqlx-store",
];

const LOCK: &str = include_str!("../Cargo.lock");

pub(crate) fn terminal(rows: &[Row]) -> String {
    let cells = rows.iter().map(cells);
    let lines: Vec<[String; 6]> = std::iter::once(HEAD.map(ToOwned::to_owned))
        .chain(cells)
        .collect();
    let mut table = String::new();
    for line in &lines {
        let mut text = String::new();
        for (column, cell) in line.iter().enumerate() {
            let column = lines.iter().filter_map(|line| line.get(column));
            let width = column.map(|cell| cell.chars().count()).max().unwrap_or(0);
            text.push_str(&format!("{cell:width$}  "));
        }
        table.push_str(text.trim_end());
        table.push('\n');
    }
    table
}

pub(crate) fn markdown(rows: &[Row], faults: &[String]) -> String {
    let mut text = format!(
        "# gatepass beside other guards\n\n\
         Machine: {}. {}.\n\nCommand: `{}`\n\nVersions: {}.\n\n\
         Medians with quartiles. A bare route has 1.0 of its own requests per second, and no \
         microseconds added.\n\n",
        machine(),
        first_line("rustc", &["--version"]),
        command(),
        versions()
    );
    text.push_str(&format!("| {} |\n", HEAD.join(" | ")));
    text.push_str(&format!("|{}\n", "---|".repeat(HEAD.len())));
    for row in rows {
        text.push_str(&format!("| {} |\n", cells(row).join(" | ")));
    }
    for fault in faults {
        text.push_str(&format!("\n{fault}\n"));
    }
    text
}

fn cells(row: &Row) -> [String; 6] {
    [
        row.group.clone(),
        row.guard.to_owned(),
        shown(row.rate, 3),
        shown(row.server_rate, 3),
        shown(row.added, 1),
        row.less.to_owned(),
    ]
}

fn shown(quartiles: Quartiles, digits: usize) -> String {
    let Quartiles {
        lower,
        median,
        upper,
    } = quartiles;
    format!("{median:.digits$} ({lower:.digits$} to {upper:.digits$})")
}

fn command() -> String {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let command = "cargo run --release --manifest-path benches/peers/Cargo.toml --";
    format!("{command} {}", given.join(" "))
}

fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models = || text.lines().filter(|line| line.starts_with("model name"));
    let model = models().next().and_then(|line| line.split(": ").nth(1));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let model = model.unwrap_or("an unknown processor");
    format!(
        "{} cores of {model}, Linux {}",
        models().count(),
        kernel.trim()
    )
}

fn first_line(program: &str, args: &[&str]) -> String {
    let output = std::process::Command::new(program).args(args).output();
    let output = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&output).into_owned();
    text.lines()
        .next()
        .unwrap_or("an unknown compiler")
        .to_owned()
}

/// The versions of all compared crates, from the lock file.
fn versions() -> String {
    let mut lines = LOCK.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let name = line
            .strip_prefix("name = ")
            .map(|name| name.trim_matches('"'));
        let Some(name) = name.filter(|name| NAMED.contains(name)) else {
            continue;
        };
        let version = lines
            .next()
            .and_then(|line| line.strip_prefix("version = "));
        found.push(format!(
            "{name} {}",
            version.unwrap_or("?").trim_matches('"')
        ));
    }
    found.join(", ")
}
