//! The store in Redis and in Redis Cluster: the contract, and what is Redis's own.

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
