//! The adapter: gates as filters, and the bodies that the routes take.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod bodies;
mod gates;
