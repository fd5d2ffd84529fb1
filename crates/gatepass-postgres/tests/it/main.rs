//! The store in PostgreSQL: the contract, and behaviour of PostgreSQL alone.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod contract;
mod given_up;
mod log;
mod opening;
mod own_servers;
mod pooled_contract;
mod reader;
mod running;
mod search_path;
mod support;
mod transactions;
