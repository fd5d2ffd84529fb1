//! What is axum's own: gates among the layers of tower-http, and on routers in one another.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../common/world.rs"]
#[allow(dead_code, reason = "each file of tests needs its own part of it")]
mod world;

mod around;
mod rig;
mod routers;
mod timeouts;
