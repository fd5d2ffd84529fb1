//! Faults of a store, and of the nodes that leave heartbeats in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use crate::{
    env::clock::Timestamp,
    model::ids::NodeId,
    store::heartbeat::{Heartbeat, Heartbeats, RecordedHeartbeat},
};

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a script must know what to do with each"
)]
pub enum Severity {
    /// For your information. You need not do anything.
    Note,
    /// The fault does harm under some circumstances, for example when the power fails.
    Warning,
    /// The fault does harm now: nodes refuse users, or accept revoked tokens.
    Error,
}

impl Severity {
    /// The name, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A fact that an operator should know, as `gatepass doctor` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// How bad the fault is.
    pub severity: Severity,
    /// A stable name for scripts, such as `clock_off`.
    pub code: &'static str,
    /// The fault, and what to do. The text holds no secret and names no user.
    pub text: String,
}

impl Finding {
    /// A finding with the stable name `code`.
    #[must_use]
    pub fn new(severity: Severity, code: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            severity,
            code,
            text,
        }
    }

    /// A [note](Severity::Note).
    #[must_use]
    pub fn note(code: &'static str, text: impl Into<String>) -> Self {
        Self::new(Severity::Note, code, text)
    }

    /// A [warning](Severity::Warning).
    #[must_use]
    pub fn warning(code: &'static str, text: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, text)
    }

    /// An [error](Severity::Error).
    #[must_use]
    pub fn error(code: &'static str, text: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, text)
    }
}

impl Finding {
    /// The finding that the purge doesn't keep up: nodes should have removed this many `rows` an
    /// hour ago. `None` if there are no such rows. `last` is the horizon of the last purge, if
    /// there was one.
    #[must_use]
    pub fn overdue(rows: u64, last: Option<Timestamp>) -> Option<Self> {
        let last = last.map_or("there never was a purge".to_owned(), |last| {
            format!("the last purge went up to {last}")
        });
        (rows > 0).then(|| {
            Self::warning(
                "purge_behind",
                format!(
                    "{rows} rows should have been removed more than an hour ago, and {last}: see \
                     whether a node with an Authority runs, whether its clock is right, and whether \
                     it logs store.unavailable for the purge"
                ),
            )
        })
    }

    /// The finding that this release can't read the heartbeats.
    #[must_use]
    pub fn unreadable_heartbeats() -> Self {
        Self::warning(
            "unreadable_heartbeats",
            "this release can't read the heartbeats: use the release that the nodes run",
        )
    }
}

/// The result of examining a store without changing it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Examination {
    /// The faults of the store itself.
    pub findings: Vec<Finding>,
    /// The heartbeats in the store, if this release could read them.
    pub heartbeats: Option<Heartbeats>,
}

impl Examination {
    /// The result of an examination.
    #[must_use]
    pub const fn new(findings: Vec<Finding>, heartbeats: Option<Heartbeats>) -> Self {
        Self {
            findings,
            heartbeats,
        }
    }

    /// All findings, including those about the nodes, the worst first.
    #[must_use]
    pub fn all_findings(&self) -> Vec<Finding> {
        let nodes = self.heartbeats.as_ref().map(examine_nodes);
        let mut all = self.findings.clone();
        all.extend(nodes.unwrap_or_default());
        all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        all
    }
}

/// The largest error of a clock that gatepass tolerates.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

/// The findings about the nodes that leave these heartbeats.
#[must_use]
pub fn examine_nodes(heartbeats: &Heartbeats) -> Vec<Finding> {
    let nodes = &heartbeats.nodes;
    let live = live(heartbeats);
    let mut findings = Vec::new();
    if live.is_empty() {
        findings.push(Finding::note(
            "no_heartbeats",
            "no node leaves heartbeats, so gatepass can't examine the nodes: set heartbeat() on \
             each of them, unless they are stopped",
        ));
    }
    for node in nodes {
        let (left, is_live) = (node.heartbeat.left, node.is_live(heartbeats.now));
        if !left && !is_live {
            let silent = heartbeats.now.since(node.at).as_secs();
            findings.push(Finding::warning(
                "node_silent",
                format!(
                    "{} left its last heartbeat {silent} s ago: it has died, or it can't write to the store",
                    name(&node.heartbeat)
                ),
            ));
        }
    }
    for node in &live {
        findings.extend(clock(node));
        findings.extend(behind(&node.heartbeat));
    }
    findings.extend(services(&live));
    findings.extend(differences(&live).into_iter().map(|(_, finding)| finding));
    findings.extend(releases(&live));
    findings
}

/// Whether the node differs from most live nodes in its secrets or keys. `None` if it has left no
/// heartbeat, or isn't live.
pub(crate) fn differs(heartbeats: &Heartbeats, node: NodeId) -> Option<bool> {
    let live = live(heartbeats);
    let found = live.iter().any(|one| one.heartbeat.node == node);
    found.then(|| differences(&live).iter().any(|(one, _)| *one == node))
}

/// The live nodes, in the order in which they started.
fn live(heartbeats: &Heartbeats) -> Vec<&RecordedHeartbeat> {
    let live = heartbeats.nodes.iter();
    let mut live = Vec::from_iter(live.filter(|node| node.is_live(heartbeats.now)));
    live.sort_by_key(|node| (node.heartbeat.started_at, node.heartbeat.node));
    live
}

/// The name of a node in a finding.
fn name(node: &Heartbeat) -> String {
    format!(
        "the node {} (gatepass {}, started {})",
        node.node, node.version, node.started_at
    )
}

fn clock(node: &RecordedHeartbeat) -> Option<Finding> {
    let ahead = node.clock_ahead_millis();
    let off = Duration::from_millis(ahead.unsigned_abs());
    let leeway = node.heartbeat.leeway;
    if off <= leeway / 2 && off <= CLOCK_TOLERANCE {
        return None;
    }
    let direction = if ahead > 0 { "ahead of" } else { "behind" };
    let text = |harm: &str| {
        format!(
            "the clock of {} is {:.1} s {direction} the store's: {harm}. Run NTP on its machine",
            name(&node.heartbeat),
            off.as_secs_f64()
        )
    };
    Some(if off > CLOCK_TOLERANCE {
        let harm = "it accepts expired tokens, or refuses valid ones";
        Finding::error("clock_off", text(harm))
    } else {
        let harm = format!("the leeway is {} s", leeway.as_secs());
        Finding::warning("clock_off", text(&harm))
    })
}

fn behind(node: &Heartbeat) -> Option<Finding> {
    if node.lag.is_some_and(|lag| lag <= node.max_staleness) {
        return None;
    }
    // The first heartbeat comes before the node loads the log.
    if node.lag.is_none() && node.clock.since(node.started_at) < node.interval {
        return None;
    }
    let known = match node.lag {
        Some(lag) => format!("{:.1} s old", lag.as_secs_f64()),
        None => "of an unknown age, since its clock was set back".to_owned(),
    };
    let harm = match node.judges_stale {
        Some(_) => "it may accept revoked tokens, which danger_judge_by_stale_revocations() allows",
        None => "it answers 503",
    };
    Some(Finding::error(
        "node_behind",
        format!(
            "the revocations that {} knows are {known}, and may be {} s old: {harm}. See why it \
             can't read the log, in its own log under store.unavailable",
            name(node),
            node.max_staleness.as_secs_f64()
        ),
    ))
}

/// The finding that several services share the store. This may be intended.
fn services(live: &[&RecordedHeartbeat]) -> Option<Finding> {
    let services = live.iter().map(|node| service(&node.heartbeat));
    let services = BTreeSet::from_iter(services);
    if services.len() < 2 {
        return None;
    }
    let named = services.iter();
    let named = named.map(|(issuer, audience)| format!("{issuer} for {audience}"));
    let named = Vec::from_iter(named).join(", ");
    Some(Finding::warning(
        "several_services",
        format!(
            "the nodes have different issuers or audiences, and refuse each other's tokens: {named}. \
             If they are one service, give all of them the same ones"
        ),
    ))
}

fn service(node: &Heartbeat) -> (&str, &str) {
    (node.issuer.as_str(), node.audience.as_str())
}

/// The nodes that differ from most others of their service, each with a finding.
fn differences(live: &[&RecordedHeartbeat]) -> Vec<(NodeId, Finding)> {
    let mut services: BTreeMap<_, Vec<&Heartbeat>> = BTreeMap::new();
    for node in live {
        let node = &node.heartbeat;
        services.entry(service(node)).or_default().push(node);
    }
    let mut findings = Vec::new();
    for nodes in services.values() {
        let secrets = strangers(nodes, |node| &node.secrets);
        for node in &secrets {
            let text = format!(
                "{} has another master secret than most nodes: it refuses refresh tokens that they \
                 accept. Give it the secret of the others, or announce both on all nodes",
                name(node)
            );
            findings.push((node.node, Finding::error("other_secret", text)));
        }
        for node in strangers(nodes, |node| &node.keys) {
            // Keys that are derived from another secret also differ.
            if secrets.iter().any(|other| other.node == node.node) {
                continue;
            }
            let text = format!(
                "{} has other keys than most nodes: one side refuses access tokens that the other \
                 signs. Give it the keys of the others, or announce both on all nodes",
                name(node)
            );
            findings.push((node.node, Finding::error("other_keys", text)));
        }
    }
    findings
}

/// The nodes that don't accept the active secret or key of most nodes, or whose active secret or
/// key most nodes don't accept. The active one is the first of a list.
fn strangers<'a>(
    nodes: &[&'a Heartbeat],
    list: impl Fn(&Heartbeat) -> &Vec<String>,
) -> Vec<&'a Heartbeat> {
    let mut counts: BTreeMap<Option<&String>, usize> = BTreeMap::new();
    for node in nodes {
        *counts.entry(list(node).first()).or_default() += 1;
    }
    // On a tie, the node that started first is right.
    let most = counts.values().max().copied().unwrap_or(0);
    let usual = nodes
        .iter()
        .find(|node| counts.get(&list(node).first()) == Some(&most));
    let Some(usual) = usual.copied() else {
        return Vec::new();
    };
    let accepts = |one: &Heartbeat, other: &Heartbeat| {
        let active = list(other).first();
        active.is_none_or(|active| list(one).contains(active))
    };
    let nodes = nodes.iter().copied();
    let strangers = nodes.filter(|node| !accepts(node, usual) || !accepts(usual, node));
    strangers.collect()
}

fn releases(live: &[&RecordedHeartbeat]) -> Option<Finding> {
    let releases = live.iter().map(|node| node.heartbeat.version.as_str());
    let releases = BTreeSet::from_iter(releases);
    (releases.len() > 1).then(|| {
        let releases = Vec::from_iter(releases).join(", ");
        let text = format!("the nodes run different releases of gatepass: {releases}");
        Finding::note("several_releases", text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::clock::Timestamp;

    const NOW: Timestamp = Timestamp::from_unix_secs(1_795_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    fn node(number: u8) -> RecordedHeartbeat {
        let id = NodeId::from_bytes([number; 16]);
        let (issuer, audience) = ("shop".try_into().unwrap(), "api".try_into().unwrap());
        let mut node = Heartbeat::new(id, issuer, audience, NOW);
        node.secrets = vec!["s1".to_owned()];
        node.keys = vec!["k1".to_owned()];
        node.interval = 5 * SECOND;
        node.max_staleness = 2 * SECOND;
        node.leeway = 30 * SECOND;
        node.lag = Some(SECOND);
        node.started_at = Timestamp::from_unix_secs(1_794_000_000 + i64::from(number));
        RecordedHeartbeat::new(node, NOW)
    }

    /// The findings about three nodes, after `change` has changed the second.
    fn found(change: impl Fn(&mut RecordedHeartbeat)) -> Vec<(Severity, &'static str)> {
        let mut nodes = vec![node(1), node(2), node(3)];
        change(&mut nodes[1]);
        let heartbeats = Heartbeats::new(NOW, nodes);
        let found = examine_nodes(&heartbeats);
        for finding in &found {
            assert!(!finding.text.contains("s1"), "{finding:?}");
            let named = finding
                .text
                .contains(&NodeId::from_bytes([2; 16]).to_string());
            let of_all = ["several_services", "several_releases"].contains(&finding.code);
            assert_eq!(named, !of_all, "{finding:?}");
        }
        let is_other = found
            .iter()
            .any(|finding| finding.code.starts_with("other_"));
        for number in 1..=3 {
            let differs = differs(&heartbeats, NodeId::from_bytes([number; 16]));
            assert!(differs.is_none() || differs == Some(is_other && number == 2));
        }
        found.iter().map(|one| (one.severity, one.code)).collect()
    }

    #[test]
    fn nodes_that_agree_are_healthy() {
        assert_eq!(found(|_| {}), []);
    }

    #[test]
    fn a_node_with_another_secret_key_issuer_or_release_is_found() {
        use Severity::{Error, Note, Warning};

        let other_secret = found(|node| node.heartbeat.secrets = vec!["s2".to_owned()]);
        assert_eq!(other_secret, [(Error, "other_secret")]);
        let both = found(|node| {
            node.heartbeat.secrets = vec!["s2".to_owned()];
            node.heartbeat.keys = vec!["k2".to_owned()];
        });
        assert_eq!(both, [(Error, "other_secret")], "one mistake is told once");
        let other_keys = found(|node| node.heartbeat.keys = vec!["k2".to_owned()]);
        assert_eq!(other_keys, [(Error, "other_keys")]);
        let issuer = found(|node| node.heartbeat.issuer = "bank".try_into().unwrap());
        assert_eq!(issuer, [(Warning, "several_services")]);
        let audience = found(|node| node.heartbeat.audience = "admin".try_into().unwrap());
        assert_eq!(audience, [(Warning, "several_services")]);
        let release = found(|node| "9.9.9".clone_into(&mut node.heartbeat.version));
        assert_eq!(release, [(Note, "several_releases")]);
    }

    #[test]
    fn a_rotation_that_goes_right_is_no_finding() {
        let both = |first: &str, second: &str| vec![first.to_owned(), second.to_owned()];
        for (second, others) in [
            // Announced everywhere, and active on one node.
            (both("s2", "s1"), both("s1", "s2")),
            (both("s1", "s2"), both("s1", "s2")),
            (both("s1", "s2"), vec!["s1".to_owned()]),
        ] {
            let mut nodes = vec![node(1), node(2), node(3)];
            for one in &mut nodes {
                one.heartbeat.secrets.clone_from(&others);
            }
            nodes[1].heartbeat.secrets = second;
            assert_eq!(examine_nodes(&Heartbeats::new(NOW, nodes)), []);
        }
        // Active before the others know it.
        let early = found(|node| node.heartbeat.secrets = both("s2", "s1"));
        assert_eq!(early, [(Severity::Error, "other_secret")]);
    }

    #[test]
    fn a_clock_that_is_off_is_found_in_either_direction() {
        let off = |millis: i64| {
            found(|node| {
                node.heartbeat.clock = Timestamp::from_unix_millis(NOW.unix_millis() + millis);
            })
        };
        for sign in [1, -1] {
            assert_eq!(off(sign * 15_000), []);
            let warned = [(Severity::Warning, "clock_off")];
            assert_eq!(off(sign * 15_001), warned);
            assert_eq!(off(sign * 300_000), warned);
            assert_eq!(off(sign * 300_001), [(Severity::Error, "clock_off")]);
        }
    }

    #[test]
    fn a_node_that_is_behind_silent_or_gone_is_told_apart() {
        let error = [(Severity::Error, "node_behind")];
        assert_eq!(found(|node| node.heartbeat.lag = Some(2 * SECOND)), []);
        assert_eq!(found(|node| node.heartbeat.lag = Some(3 * SECOND)), error);
        assert_eq!(found(|node| node.heartbeat.lag = None), error);
        let starting = found(|node| {
            node.heartbeat.lag = None;
            node.heartbeat.started_at = NOW;
        });
        assert_eq!(starting, []);
        let silent = found(|node| node.at = Timestamp::from_unix_secs(NOW.unix_secs() - 16));
        assert_eq!(silent, [(Severity::Warning, "node_silent")]);
        assert_eq!(found(|node| node.heartbeat.left = true), []);
        let none = examine_nodes(&Heartbeats::new(NOW, Vec::new()));
        assert_eq!(none.len(), 1);
        assert_eq!(
            (none[0].severity, none[0].code),
            (Severity::Note, "no_heartbeats")
        );
    }
}
