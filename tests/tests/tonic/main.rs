//! What is gRPC's alone.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod example;
mod refusals;
mod served;
mod streams;

use gatepass_tests::frameworks::tonic::{calls, probe};
