//! The claims that need several frameworks, stores or processes.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and one that measures says what it has measured"
)]

mod actix;
mod conformance;
mod cors;
mod crash;
mod disk;
mod extractors;
mod http2;
mod hung_up;
mod narrator;
mod nodes;
mod order;
mod processes;
mod readme;
mod reasons;
mod server;
mod slow_heads;
mod targets;
mod tonic;
mod warp;
