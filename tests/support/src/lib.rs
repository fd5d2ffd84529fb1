//! The helpers that the tests of several crates share.
//!
//! * [`world`]: a store with a clock, and nodes over it.
//! * [`forge`]: access tokens that gatepass itself never issues.
//! * [`attacks`]: such tokens, each with the reason for the refusal.
//! * [`examination`]: a rule for the examinations of all stores.
//! * [`oracle`]: the rules of rotation, for the tests of one node and of several nodes.
//! * [`provider`]: a real OpenID Connect provider.
//! * [`rig`]: an authority to attack.
//! * [`servers`]: the real servers of a run.
//! * [`transactions`]: a store that acts in an application's transactions.
//! * [`web`]: the servers of other issuers.
//! * `actix` and `tonic`, each behind a feature: servers and clients of these frameworks.
//! * [`log`]: the events that gatepass traces.

#![expect(
    missing_docs,
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    clippy::new_without_default,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_debug_implementations,
    reason = "tests alone use it, and they fail by panicking"
)]

#[cfg(feature = "actix")]
pub mod actix;
pub mod attacks;
pub mod examination;
pub mod forge;
pub mod log;
pub mod oracle;
pub mod provider;
pub mod rig;
pub mod servers;
#[cfg(feature = "tonic")]
pub mod tonic;
pub mod transactions;
pub mod web;
pub mod world;
