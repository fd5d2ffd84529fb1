//! The report of a node on its knowledge, made without a request to the store.

use std::time::Duration;

use crate::env::clock::Timestamp;

/// How a node stands with the revocations it judges by: for a readiness probe, and for people.
///
/// The node reads it from memory and waits for neither the store nor anything else, so you can ask
/// for it as often as you like. It tells of the store only what the last pulls have found out.
///
/// # For a readiness probe, not for a liveness probe
///
/// A node that is not [ready](Self::is_ready) answers requests with 503 until a pull succeeds, and
/// tries by itself (every 5 s at the latest, where `poll_interval` is not longer). To restart it
/// would not help: it could not even start. Nodes that all share one store lose it together.
/// Therefore, do not let a load balancer take the last of them out if it serves anything that needs
/// no login.
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
    /// Whether the last pull that counts began at most `max_staleness` ago.
    pub lease_holds: bool,
    /// Whether a request would be judged now by what is known here. Without the lease it would ask
    /// for a pull first, and be answered 503 if that fails (but see
    /// [`danger_judge_by_stale_revocations`]).
    ///
    /// [`danger_judge_by_stale_revocations`]: crate::VerifierBuilder::danger_judge_by_stale_revocations
    pub judges_requests: bool,
    /// How long ago the last pull that counts began, by the larger of monotonic and wall-clock
    /// time. `None` if a clock was set back since, so that the node cannot know.
    pub lag: Option<Duration>,
    /// About how many revocations are known, as of the last pull that counts. Each session that has
    /// ended and each token that was revoked is one. The node keeps it for an hour, and longer if a
    /// token that it concerns can still be valid. Some of them may have expired.
    pub entries: u64,
    /// Since when no pull has succeeded, by the wall clock. `None` if the last one did.
    pub failing_since: Option<Timestamp>,
    /// How many pulls have failed one after the other.
    pub failed_pulls: u64,
    /// How far this node's clock was ahead of the store's at its last heartbeat, in milliseconds.
    /// It is negative for a clock that is behind. `None` without
    /// [heartbeats](crate::AuthorityBuilder::heartbeat). Both clocks may be off.
    pub clock_ahead_millis: Option<i64>,
    /// Whether this node has another master secret or other keys than most nodes that leave
    /// heartbeats. `gatepass doctor` says which. `None` without heartbeats.
    pub differs: Option<bool>,
    /// The other [issuers](crate::issuers::Issuers) that are trusted here, in the order of the
    /// configuration. An issuer whose keys can't be fetched doesn't make the node unready.
    pub issuers: Vec<IssuerHealth>,
    /// The progress of the clients' move from an old system, from
    /// [`Authority::health`](crate::Authority::health). `None` if no old tokens are
    /// [adopted](crate::Adopt), and from [`Verifier::health`](crate::Verifier::health).
    pub adoption: Option<AdoptionHealth>,
}

/// The progress of the clients' move from an old system, as one node has seen it since its start.
///
/// Add up the numbers of all nodes. A node that restarts counts from zero, and waits for another 30
/// days before it says that the code can be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdoptionHealth {
    /// The date of the configuration, after which old tokens are refused.
    pub until: Timestamp,
    /// How many old tokens this node has exchanged for sessions.
    pub exchanged: u64,
    /// How many different old tokens this node has accepted within the last day that are not
    /// exchanged yet. A node counts up to 10,000 of them.
    pub in_use: u64,
    /// When this node last accepted or exchanged an old token. `None` if it has seen none.
    pub last_seen_at: Option<Timestamp>,
    /// Whether the move is over: the date has passed, or this node has seen no old token for 30
    /// days. If all nodes say so, remove the configuration.
    pub can_be_removed: bool,
}

/// How a node stands with the keys of another issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IssuerHealth {
    /// The issuer, as it was configured.
    pub issuer: String,
    /// How many of its keys verify tokens here. With none, its tokens are answered 503.
    pub keys: usize,
    /// When its keys were last fetched, or were said to be the same. `None` before the first time.
    pub fetched_at: Option<Timestamp>,
    /// Since when each fetch has failed. `None` if the last one succeeded.
    pub failing_since: Option<Timestamp>,
    /// How many fetches have failed one after the other.
    pub failed_fetches: u64,
}

impl Health {
    /// Whether requests that need to be judged should come to this node. A single pull that failed
    /// does not make it unready, and neither does a store that fails for shorter than the lease
    /// holds.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.judges_requests
    }
}
