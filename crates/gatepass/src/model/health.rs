//! The health of a node, without a request to the store.

use std::time::Duration;

use crate::env::clock::Timestamp;

/// The health of a node: how current the revocations are that it judges requests by. Use it for a
/// readiness probe, and for people.
///
/// The node reads it from memory and waits for nothing, so you can ask as often as you like. It
/// knows of the store only what the last pulls have shown.
///
/// # For a readiness probe, not for a liveness probe
///
/// A node that is not [ready](Self::is_ready) answers requests with 503 until a pull succeeds. It
/// retries by itself, at least every 5 s (or every `poll_interval`, if that is longer). A restart
/// would not help: without the store, the node could not even start. All nodes that share a store
/// lose it at the same time. So if your nodes also serve pages that need no login, don't let a load
/// balancer remove the last node.
///
/// ```
/// use gatepass::{Authority, MasterSecret, MemoryStore, Verifier};
///
/// /// The answer of `GET /ready`, in whatever framework: a status and a body.
/// fn ready(verifier: &Verifier) -> (u16, String) {
///     let health = verifier.health();
///     let status = if health.is_ready() { 200 } else { 503 };
///     let lag = health.lag.map_or("unknown".into(), |lag| format!("{} ms", lag.as_millis()));
///     let pulls = match health.failing_since {
///         Some(since) => format!("{} pulls have failed since {since}", health.failed_pulls),
///         None => "the last pull succeeded".into(),
///     };
///     (status, format!("lag {lag}, {} revocations, {pulls}\n", health.entries))
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = MasterSecret::generate()?;
/// let authority = Authority::builder("https://shop.example", "shop-api", secret, MemoryStore::new())
///     .build()
///     .await?;
/// let (status, body) = ready(authority.verifier());
/// assert_eq!(status, 200);
/// assert!(body.ends_with("0 revocations, the last pull succeeded\n"), "{body}");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Whether the last complete pull began at most `max_staleness` ago.
    pub lease_holds: bool,
    /// Whether the node would judge a request now by the revocations that it knows. Without the
    /// lease, the node would first pull, and answer 503 if the pull fails (but see
    /// [`danger_judge_by_stale_revocations`]).
    ///
    /// [`danger_judge_by_stale_revocations`]: crate::VerifierBuilder::danger_judge_by_stale_revocations
    pub judges_requests: bool,
    /// How long ago the last complete pull began: the larger of monotonic and wall-clock time.
    /// `None` if a clock was set back since, because then the node cannot know.
    pub lag: Option<Duration>,
    /// About how many revocations the node knew at the last complete pull. Each session that has
    /// ended and each token that was revoked is one. The node keeps a revocation for an hour, and
    /// longer if a token that it concerns can still be valid. Some of them may have expired.
    pub entries: u64,
    /// The wall-clock time since which no pull has succeeded. `None` if the last pull succeeded.
    pub failing_since: Option<Timestamp>,
    /// How many pulls have failed one after the other.
    pub failed_pulls: u64,
    /// How far this node's clock was ahead of the store's clock at the last heartbeat, in
    /// milliseconds. Negative if this node's clock is behind. `None` without
    /// [heartbeats](crate::AuthorityBuilder::heartbeat). Either clock may be wrong.
    pub clock_ahead_millis: Option<i64>,
    /// Whether the master secret or the keys of this node differ from those of most nodes that
    /// leave heartbeats. `gatepass doctor` says what differs. `None` without heartbeats.
    pub differs: Option<bool>,
    /// The other [issuers](crate::issuers::Issuers) that you trust, in the order of the
    /// configuration. An issuer whose keys can't be fetched doesn't make the node unready.
    pub issuers: Vec<IssuerHealth>,
    /// The progress of the clients' move from an old system, from
    /// [`Authority::health`](crate::Authority::health). `None` if you [adopt](crate::Adopt) no old
    /// tokens, and from [`Verifier::health`](crate::Verifier::health).
    pub adoption: Option<AdoptionHealth>,
}

/// The progress of the clients' move from an old system, as one node has observed it since its
/// start.
///
/// Add up the numbers of all nodes. A node that restarts counts from zero. It waits for another 30
/// days before it reports that you can remove the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdoptionHealth {
    /// The configured date after which gatepass refuses old tokens.
    pub until: Timestamp,
    /// How many old tokens this node has exchanged for sessions.
    pub exchanged: u64,
    /// How many different old tokens this node has accepted within the last day that are not
    /// exchanged yet. A node counts up to 10,000 of them.
    pub in_use: u64,
    /// When this node last accepted or exchanged an old token. `None` if it has seen none.
    pub last_seen_at: Option<Timestamp>,
    /// Whether the move is over: the date has passed, or this node has seen no old token for 30
    /// days. When this is true on all nodes, remove the configuration.
    pub can_be_removed: bool,
}

/// The health of the keys of another issuer on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IssuerHealth {
    /// The issuer, as it was configured.
    pub issuer: String,
    /// How many of its keys verify tokens here. Without any, requests with its tokens get 503.
    pub keys: usize,
    /// When the node last fetched its keys, or learned that they are unchanged. `None` before the
    /// first time.
    pub fetched_at: Option<Timestamp>,
    /// The time since which every fetch has failed. `None` if the last one succeeded.
    pub failing_since: Option<Timestamp>,
    /// How many fetches have failed one after the other.
    pub failed_fetches: u64,
}

impl Health {
    /// Whether this node should receive requests that need to be judged. One failed pull does not
    /// make it unready, and neither does a store that fails for less time than the lease lasts.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.judges_requests
    }
}
