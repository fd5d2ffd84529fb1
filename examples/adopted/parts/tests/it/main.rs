//! The service for machines and people, over HTTP.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod keys;
mod people;
mod support;
