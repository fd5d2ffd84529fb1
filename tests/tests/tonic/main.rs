//! The scenarios through tonic, in process and over sockets, and what is gRPC's alone.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../application/mod.rs"]
mod application;
mod calls;
mod driver;
mod example;
mod probe;
mod refusals;
mod scenarios;
mod served;
mod streams;
