//! The replica of the live revocations: what makes a check cost no store call.
//!
//! The store's log is the truth. The replica is a copy of it in a moka cache. A follower task keeps
//! it current, and requests are judged by it only while its lease holds: while the last pull that
//! was applied *began* at most `max_staleness` ago. So a revocation committed at time c is enforced
//! from c + `max_staleness` on, or the node stops answering.
//!
//! The replica may know more than the log, and never less. For example, a failover can lose a
//! revocation that this node has already read, and the replica keeps it.

pub(crate) mod entries;
pub(crate) mod filter;
pub(crate) mod follower;
pub(crate) mod horizon;
pub(crate) mod lease;
pub(crate) mod prefixes;
pub(crate) mod replica;
pub(crate) mod staleness;
