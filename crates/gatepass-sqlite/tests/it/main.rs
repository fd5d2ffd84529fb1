//! The store in SQLite: the contract, and behaviour of SQLite alone.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod contention;
mod contract;
mod damage;
mod examination;
mod file;
mod transactions;
