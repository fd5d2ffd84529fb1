//! The adapter: gates among the layers of tower-http and on nested routers, and forged tokens over
//! HTTP.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod body_timeout;
mod forged_tokens;
mod middleware;
mod rig;
mod routers;
mod timeouts;
