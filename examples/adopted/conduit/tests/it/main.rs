//! The rules of the RealWorld API, over HTTP.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

mod articles;
mod sessions;
mod users;
