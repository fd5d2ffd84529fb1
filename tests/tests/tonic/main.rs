//! The scenarios through tonic, in process and over sockets, and what is gRPC's alone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../application/mod.rs"]
mod application;
mod calls;
mod driver;
mod probe;
mod refusals;
mod scenarios;
mod streams;
