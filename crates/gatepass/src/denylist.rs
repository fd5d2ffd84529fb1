//! The replica of the live revocations: what makes a check cost no store call.
//!
//! The store's log is the truth. The replica is a copy of it in a moka cache. A follower task keeps it
//! current, and requests are judged by it only while its lease holds: while the last pull that was
//! applied *began* at most `max_staleness` ago. So a revocation committed at time c is enforced from
//! c + `max_staleness` on, or the node stops answering.
//!
//! The replica may know more than the log, and never less. For example, a failover can lose a
//! revocation that this node has already read, and the replica keeps it.

mod entries;
mod filter;
mod follower;
mod health;
mod lease;
mod prefixes;
mod replica;

use std::time::Duration;

pub use self::health::Health;
pub(crate) use self::{
    follower::Follower,
    replica::{Replica, ReplicaSettings},
};

/// How fresh the knowledge of revocations must be that a token is judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Staleness {
    /// The `max_staleness` that is configured. No store call while the lease holds.
    #[default]
    Bounded,
    /// At most this old, where that is stricter than `max_staleness`.
    Within(Duration),
    /// The store is asked each time, and a session that it does not know is refused: an allow-list.
    Strict,
}

/// What is known of a token's revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Live,
    Revoked,
    Unknown,
}
