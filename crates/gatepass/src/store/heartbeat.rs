//! The heartbeats that nodes leave in a store: which nodes there are, and their configuration.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    env::clock::Timestamp,
    model::ids::{Audience, Issuer, NodeId},
};

/// A node's report on itself. The node writes it into the store at each interval if you set
/// [`heartbeat`](crate::AuthorityBuilder::heartbeat).
///
/// It holds no secret and no key. Its fingerprints reveal neither. A store keeps it as
/// [text](Self::to_text).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Heartbeat {
    /// The random id of the node, new at each start.
    pub node: NodeId,
    /// The release of gatepass that the node runs.
    pub version: String,
    /// The issuer (`iss`).
    #[serde(rename = "iss")]
    pub issuer: Issuer,
    /// The audience (`aud`).
    #[serde(rename = "aud")]
    pub audience: Audience,
    /// The fingerprints of its master secrets, the active one first.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// The ids and fingerprints of its keys that verify access tokens. The signing key comes first.
    #[serde(default)]
    pub keys: Vec<String>,
    /// When the node started, by its own clock.
    #[serde(with = "instant")]
    pub started_at: Timestamp,
    /// When the node sent this, by its own clock.
    #[serde(with = "instant")]
    pub clock: Timestamp,
    /// The pause between two of its heartbeats.
    #[serde(with = "length")]
    pub interval: Duration,
    /// The maximum age of the revocations that the node judges by.
    #[serde(with = "length")]
    pub max_staleness: Duration,
    /// How far the clocks of issuer and verifier may differ on this node.
    #[serde(with = "length")]
    pub leeway: Duration,
    /// The maximum age of the revocations to judge by while no pull succeeds, if you set
    /// [`danger_judge_by_stale_revocations`].
    ///
    /// [`danger_judge_by_stale_revocations`]: crate::AuthorityBuilder::danger_judge_by_stale_revocations
    #[serde(with = "maybe_length", default)]
    pub judges_stale: Option<Duration>,
    /// The age of the revocations that the node knew. `None` if it could not know.
    #[serde(with = "maybe_length", default)]
    pub lag: Option<Duration>,
    /// How often the node has asked the other nodes whether they know of everything that was
    /// committed. Zero if it waits for no answer.
    #[serde(default)]
    pub asks: u64,
    /// For each node that asks, the number of its last question to which this node answers yes: it
    /// knows of everything that was committed before that question.
    #[serde(default)]
    pub acknowledges: BTreeMap<NodeId, u64>,
    /// Whether the node has stopped, and no longer judges requests.
    #[serde(default)]
    pub left: bool,
}

impl Heartbeat {
    /// The heartbeat of a node that has just started, with no secrets and no keys.
    #[must_use]
    pub fn new(node: NodeId, issuer: Issuer, audience: Audience, now: Timestamp) -> Self {
        Self {
            node,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            issuer,
            audience,
            secrets: Vec::new(),
            keys: Vec::new(),
            started_at: now,
            clock: now,
            interval: Duration::ZERO,
            max_staleness: Duration::ZERO,
            leeway: Duration::ZERO,
            judges_stale: None,
            lag: None,
            asks: 0,
            acknowledges: BTreeMap::new(),
            left: false,
        }
    }

    /// The text that a store keeps.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The heartbeat that a store has kept as `text`. `None` if the text isn't a heartbeat.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// A heartbeat, and the store's time when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedHeartbeat {
    /// The heartbeat.
    pub heartbeat: Heartbeat,
    /// When the store wrote it.
    pub at: Timestamp,
}

/// A node that has missed more heartbeats than this has stopped, or can't write.
const MISSED: u32 = 3;

impl RecordedHeartbeat {
    /// A heartbeat that the store wrote at `at`.
    #[must_use]
    pub const fn new(heartbeat: Heartbeat, at: Timestamp) -> Self {
        Self { heartbeat, at }
    }

    /// Whether the node was running a short time ago. It has not left, and has missed at most three
    /// heartbeats at `now`, the store's time.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        !self.heartbeat.left && now.since(self.at) <= self.heartbeat.interval * MISSED
    }

    /// How far the node's clock was ahead of the store's clock, in milliseconds. Negative if the
    /// node's clock is behind. The value includes the time that the call took.
    #[must_use]
    pub const fn clock_ahead_millis(&self) -> i64 {
        self.heartbeat.clock.unix_millis() - self.at.unix_millis()
    }
}

/// The heartbeats in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heartbeats {
    /// The store's time.
    pub now: Timestamp,
    /// The last heartbeat of each node, in any order.
    pub nodes: Vec<RecordedHeartbeat>,
}

impl Heartbeats {
    /// The heartbeats that a store has at its time `now`.
    #[must_use]
    pub const fn new(now: Timestamp, nodes: Vec<RecordedHeartbeat>) -> Self {
        Self { now, nodes }
    }
}

/// Instants as milliseconds since the epoch.
mod instant {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::env::clock::Timestamp;

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        at.unix_millis().serialize(to)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(from).map(Timestamp::from_unix_millis)
    }
}

/// Durations as milliseconds.
mod length {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn millis(length: Duration) -> u64 {
        u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn serialize<S: Serializer>(length: &Duration, to: S) -> Result<S::Ok, S::Error> {
        millis(*length).serialize(to)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

/// Durations as milliseconds, if there are any.
mod maybe_length {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::length::millis;

    #[expect(clippy::ref_option, reason = "serde passes a reference")]
    pub(super) fn serialize<S: Serializer>(
        length: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        length.map(millis).serialize(to)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        let millis = Option::<u64>::deserialize(from)?;
        Ok(millis.map(Duration::from_millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat() -> Heartbeat {
        let (issuer, audience) = (Issuer::new("a \"b\"").unwrap(), Audience::new("c").unwrap());
        let now = Timestamp::from_unix_millis(1_795_000_000_123);
        Heartbeat::new(NodeId::from_bytes([7; 16]), issuer, audience, now)
    }

    #[test]
    fn a_heartbeat_survives_being_kept() {
        let mut beat = heartbeat();
        beat.secrets = vec!["0011".to_owned()];
        beat.keys = vec!["kid 2233".to_owned()];
        beat.lag = Some(Duration::from_millis(17));
        beat.judges_stale = Some(Duration::from_secs(60));
        beat.interval = Duration::from_secs(5);
        beat.asks = 3;
        beat.acknowledges = [(NodeId::from_bytes([8; 16]), 2)].into();
        beat.left = true;
        assert_eq!(Heartbeat::from_text(&beat.to_text()), Some(beat));
        assert_eq!(Heartbeat::from_text("{}"), None);
    }

    /// Nodes of two releases can share a store.
    #[test]
    fn a_heartbeat_of_another_release_is_understood() {
        let newer = heartbeat().to_text().replacen('{', r#"{"unknown":[1],"#, 1);
        assert!(Heartbeat::from_text(&newer).is_some());
        let mut older: serde_json::Value = serde_json::from_str(&heartbeat().to_text()).unwrap();
        for later in [
            "asks",
            "acknowledges",
            "left",
            "lag",
            "judges_stale",
            "keys",
        ] {
            older.as_object_mut().unwrap().remove(later).unwrap();
        }
        assert_eq!(Heartbeat::from_text(&older.to_string()), Some(heartbeat()));
    }

    #[test]
    fn a_node_is_live_until_it_has_missed_three_heartbeats() {
        let mut beat = heartbeat();
        beat.interval = Duration::from_secs(5);
        let at = Timestamp::from_unix_secs(1_795_000_000);
        let recorded = RecordedHeartbeat::new(beat, at);
        let after = |secs| at + Duration::from_secs(secs);
        assert!(recorded.is_live(at) && recorded.is_live(after(15)));
        assert!(!recorded.is_live(after(16)));
        assert_eq!(recorded.clock_ahead_millis(), 123);
        let mut left = recorded;
        left.heartbeat.left = true;
        assert!(!left.is_live(at));
    }
}
