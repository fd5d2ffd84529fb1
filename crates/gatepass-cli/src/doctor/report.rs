//! The result, for people and for programs.

use std::{cmp::Reverse, fmt};

use gatepass::{
    Timestamp,
    store::{Examination, Finding, RecordedHeartbeat, Severity},
};
use serde_json::{Value, json};

/// The findings about a store and its nodes.
pub(crate) struct Report {
    store: &'static str,
    now: Option<Timestamp>,
    nodes: Vec<RecordedHeartbeat>,
    findings: Vec<Finding>,
}

impl Report {
    /// A report on a store of this kind. Several services in one store are only a note if it is
    /// `shared` on purpose.
    pub(super) fn new(store: &'static str, examination: &Examination, shared: bool) -> Self {
        let mut findings = examination.all_findings();
        for finding in &mut findings {
            if shared && finding.code == "several_services" {
                finding.severity = Severity::Note;
            }
        }
        findings.sort_by_key(|finding| Reverse(finding.severity));
        let heartbeats = examination.heartbeats.as_ref();
        let mut nodes = heartbeats.map_or_else(Vec::new, |all| all.nodes.clone());
        nodes.sort_by_key(|node| (node.heartbeat.started_at, node.heartbeat.node));
        Self {
            store,
            now: heartbeats.map(|all| all.now),
            nodes,
            findings,
        }
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_healthy(&self) -> bool {
        let notes = |finding: &Finding| finding.severity == Severity::Note;
        self.findings.iter().all(notes)
    }

    fn state(&self, node: &RecordedHeartbeat) -> &'static str {
        match self.now {
            _ if node.heartbeat.left => "stopped",
            Some(now) if node.is_live(now) => "live",
            _ => "silent",
        }
    }

    /// The report as JSON, for programs.
    pub(crate) fn json(&self) -> Value {
        let nodes = self.nodes.iter().map(|node| {
            let beat = &node.heartbeat;
            json!({
                "id": beat.node.to_string(),
                "state": self.state(node),
                "version": beat.version,
                "issuer": beat.issuer.as_str(),
                "audience": beat.audience.as_str(),
                "started_at": beat.started_at.to_string(),
                "last_heartbeat_at": node.at.to_string(),
                "clock_ahead_ms": node.clock_ahead_millis(),
                "lag_ms": beat.lag.map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)),
                "max_staleness_ms": u64::try_from(beat.max_staleness.as_millis()).unwrap_or(u64::MAX),
                "secrets": beat.secrets,
                "keys": beat.keys,
            })
        });
        let findings = self.findings.iter().map(|finding| {
            json!({
                "severity": finding.severity.as_str(),
                "code": finding.code,
                "text": finding.text,
            })
        });
        json!({
            "healthy": self.is_healthy(),
            "store": self.store,
            "nodes": Vec::from_iter(nodes),
            "findings": Vec::from_iter(findings),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_live = |node: &&RecordedHeartbeat| self.state(node) == "live";
        let live = self.nodes.iter().filter(is_live).count();
        writeln!(f, "{}, {live} live nodes", self.store)?;
        for node in &self.nodes {
            let beat = &node.heartbeat;
            let lag = match beat.lag {
                Some(lag) => format!("{} ms", lag.as_millis()),
                None => "unknown".to_owned(),
            };
            writeln!(
                f,
                "  {} {}: gatepass {}, {} for {}, clock {:+} ms, lag {lag}",
                beat.node,
                self.state(node),
                beat.version,
                beat.issuer,
                beat.audience,
                node.clock_ahead_millis()
            )?;
        }
        for finding in &self.findings {
            writeln!(
                f,
                "{} [{}]: {}",
                finding.severity, finding.code, finding.text
            )?;
        }
        if self.is_healthy() {
            writeln!(f, "healthy")?;
        }
        Ok(())
    }
}
