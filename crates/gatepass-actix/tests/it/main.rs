//! The adapter: the gate in each place where an application puts it, the extractors behind it, and
//! the endpoints among the middleware of other crates.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bodies;
mod body_timeout;
mod gate;
mod head;
mod keep_alive;
mod middleware;
mod rig;
