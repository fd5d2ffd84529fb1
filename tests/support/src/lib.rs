//! The helpers that the tests of several crates share.
//!
//! * [`world`]: a store with a clock, and nodes over it.
//! * [`forge`]: access tokens that gatepass itself never issues.
//! * [`attacks`]: such tokens, each with the reason for which it must be refused.
//! * [`examination`]: a rule that the examinations of all stores keep.
//! * [`oracle`]: the rules of rotation, as the tests of one node and of several know them.
//! * [`provider`]: a real OpenID Connect provider.
//! * [`rig`]: an authority that they are tried against.
//! * [`servers`]: the real servers of a run.
//! * [`transactions`]: a store that acts in transactions of an application's.
//! * [`web`]: the servers of other issuers.
//! * `actix` and `tonic`, each a feature: servers and clients of these frameworks.
//! * [`log`]: the events that gatepass traces, for a test to look at.

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
