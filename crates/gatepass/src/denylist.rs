//! The replica of the live revocations, which lets a check do without a store call.
//!
//! The store's log is the truth. The replica is a copy of it in memory. A follower task keeps it
//! current. The node judges requests by it only while its lease holds: while the last applied pull
//! *began* at most `max_staleness` ago. So a revocation committed at time c is enforced from c +
//! `max_staleness` on, or the node stops answering.
//!
//! The replica may know more than the log, and never less. For example, a failover can lose a
//! revocation that this node has already read, and the replica keeps it.
//!
//! Three structures share the work:
//!
//! * `id_set.rs` holds the ended sessions and the revoked tokens: an exact set, 28 to 45 bytes an
//!   entry, that a request reads without a lock.
//! * moka holds the cutoffs of accounts (`entries.rs`), one for each user who has logged out
//!   everywhere. Such an entry lives as long as a session may, so each has a deadline of its own.
//!   `prefixes.rs` spares most requests this lookup.
//! * The cache of verified tokens (`token/cache.rs`) is in front of both. It remembers at which
//!   version of the replica a token was live. Until another revocation comes, a request with that
//!   token needs no lookup at all.
//!
//! `watchers.rs` notifies open connections. A revocation wakes the connections that it may concern.
//! The end of the lease, and its return, wake all of them.

pub(crate) mod entries;
mod epoch;
pub(crate) mod follower;
pub(crate) mod heart;
pub(crate) mod horizon;
pub(crate) mod id_set;
pub(crate) mod lease;
pub(crate) mod prefixes;
pub(crate) mod replica;
pub(crate) mod staleness;
pub(crate) mod watchers;
