//! The shared parts of gatepass's tests: the example application for the scenarios, in each
//! framework, in process and as a separate program. The tests are in `tests/`. They also compile
//! the code in the READMEs.

#![expect(
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    reason = "for the tests of this workspace alone"
)]
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

pub mod application;
pub mod conformance;
pub mod frameworks;
pub mod narrator;
pub mod nodes;
pub mod program;
pub mod sockets;

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
