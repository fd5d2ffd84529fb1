//! Claims that need several frameworks, stores or processes.

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
mod connections;
mod cors;
mod crash;
mod disk;
mod extractors;
mod hang_ups;
mod http2;
mod narrator;
mod nodes;
mod processes;
mod readme;
mod refusals;
mod request_targets;
mod server;
mod slow_heads;
mod tonic;
mod transaction;
mod unmatched_routes;
mod warp;
