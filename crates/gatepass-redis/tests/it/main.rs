//! The store in Redis and in Redis Cluster: the contract, and behaviour of Redis alone.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod cluster;
mod cluster_contract;
mod contract;
mod examination;
mod log;
mod opening;
mod running;
mod support;
