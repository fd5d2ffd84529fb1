//! The dashboard and the alert rules name metrics that there are, with labels that they have.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use serde_json::Value;

const DASHBOARD: &str = include_str!("../../../monitoring/grafana.json");
const ALERTS: &str = include_str!("../../../monitoring/alerts.yml");
const EVENTS: &str = include_str!("../../../docs/events.md");
const OPERATING: &str = include_str!("../../../docs/operating.md");

/// The metrics as the documentation has them, each with its label if it has one. A test of the
/// crate holds the documentation against the source.
fn metrics() -> BTreeMap<String, Option<String>> {
    let parts = Vec::from_iter(EVENTS.split('`'));
    let mut metrics = BTreeMap::new();
    for (at, part) in parts.iter().enumerate() {
        if part.starts_with("gatepass_") {
            let label = match parts.get(at + 1) {
                Some(&", by ") => parts.get(at + 2).map(|label| (*label).to_owned()),
                _ => None,
            };
            let known = metrics.entry((*part).to_owned()).or_insert(None);
            *known = known.take().or(label);
        }
    }
    metrics
}

/// The expressions of the dashboard and of the alerts.
fn expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap());
    let shown = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
    let alerts = ALERTS
        .lines()
        .filter_map(|line| line.trim().strip_prefix("expr: "));
    shown.chain(alerts.map(str::to_owned)).collect()
}

/// The names of metrics in an expression, each with what follows it.
fn named(expression: &str) -> Vec<(&str, &str)> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
    let starts = expression.match_indices("gatepass_").map(|(at, _)| at);
    let names = starts.map(|at| {
        let rest = expression.get(at..).unwrap_or_default();
        rest.split_at(rest.find(|c| !is_part(c)).unwrap_or(rest.len()))
    });
    names.collect()
}

#[test]
fn each_metric_that_is_shown_or_watched_is_there() {
    let metrics = metrics();
    let mut used = BTreeSet::new();
    for expression in expressions() {
        let names = named(&expression);
        assert!(!names.is_empty(), "{expression}");
        for (name, rest) in names {
            let base = name.strip_suffix("_sum").or(name.strip_suffix("_count"));
            let metric = metrics.get(base.unwrap_or(name));
            let label = metric.unwrap_or_else(|| panic!("{name} in {expression}"));
            assert_eq!(base.is_some(), name.contains("enforced"), "{expression}");
            // A counter means nothing but by how it grows.
            if name.ends_with("_total") || base.is_some() {
                assert!(
                    rest.contains("[") && expression.contains("e("),
                    "{expression}"
                );
            }
            for with in ["reason", "operation", "by"] {
                let filtered = rest.starts_with(&format!("{{{with}="));
                let grouped = expression.contains(&format!("by ({with})"))
                    || expression.contains(&format!(", {with})"));
                if filtered || grouped {
                    assert_eq!(label.as_deref(), Some(with), "{expression}");
                }
            }
            used.insert(base.unwrap_or(name).to_owned());
        }
    }
    // Most of them can be seen. The others are a part of these, or are traced.
    assert!(used.len() >= 20, "{used:?}");
}

#[test]
fn reasons_that_alerts_watch_are_reasons() {
    let wire = include_str!("../../../docs/wire.md");
    for expression in expressions() {
        let Some((_, rest)) = expression.split_once("reason=") else {
            continue;
        };
        let reasons = rest.split('"').nth(1).unwrap();
        for reason in reasons.split('|') {
            assert!(wire.contains(&format!("`{reason}`")), "{reason}");
        }
    }
}

#[test]
fn each_alert_says_what_happens_and_what_to_do() {
    let alerts = Vec::from_iter(ALERTS.split("- alert: ").skip(1));
    assert!(alerts.len() > 5);
    for alert in alerts {
        for member in ["expr: ", "severity: ", "summary: ", "description: "] {
            assert_eq!(alert.matches(member).count(), 1, "{alert}");
        }
    }
}

#[test]
fn each_alert_has_a_row_in_the_documentation() {
    let rules = ALERTS.lines().map(str::trim);
    let rules = rules.filter_map(|line| line.strip_prefix("- alert: "));
    let (_, table) = OPERATING.split_once("\n### Each alert\n").unwrap();
    let lines = table.lines().take_while(|line| !line.starts_with('#'));
    let rows = lines.filter_map(|line| line.strip_prefix("| `"));
    let explained = rows.filter_map(|row| {
        let cells = Vec::from_iter(row.split(" | "));
        assert!(cells.len() == 3 && !cells.contains(&""), "{row}");
        row.split_once('`').map(|(name, _)| name)
    });
    assert_eq!(Vec::from_iter(explained), Vec::from_iter(rules));
}

/// Prometheus has a tool of its own that reads the rules.
#[test]
fn promtool_accepts_the_alerts_where_it_is_installed() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("monitoring/alerts.yml");
    let checked = Command::new("promtool")
        .args(["check", "rules"])
        .arg(rules)
        .output();
    match checked {
        Ok(checked) => assert!(checked.status.success(), "{checked:?}"),
        Err(error) => println!("NOT CHECKED: promtool: {error}"),
    }
}
