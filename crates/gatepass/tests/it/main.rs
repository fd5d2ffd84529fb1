//! The core, through its public types: keys, tokens, sessions, revocation, the replies on the wire.
//!
//! Each module has one subject. Tests that need a framework, a server or a process of their own are
//! in the workspace's `tests`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod administering;
mod adopting;
mod changing;
mod clock;
mod config;
mod connections;
mod hang_ups;
mod hooks;
mod issuers;
mod keys;
mod lifetimes;
mod managing;
mod observe;
mod outage;
mod pages;
mod refresh;
mod revocation;
mod services;
mod throttling;
mod tokens;
mod wire;
