//! The adapter: each refusal and failure as a gRPC client sees it, and calls that stream.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod addresses;
mod refusals;
mod served;
mod streams;
