//! What is actix-web's own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod around;
mod bodies;
mod gate;
mod head;
mod keep_alive;
mod rig;
mod stalled;
