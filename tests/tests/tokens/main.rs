//! What is no good access token is refused for what is wrong with it, and before the store is
//! asked.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../forge/mod.rs"]
mod forge;

mod attacks;
mod claims;
mod generated;
mod kinds;
mod over_http;
mod refused;
mod revoked;
mod rig;
mod spelling;

use std::time::Duration;

use forge::{AUDIENCE, ED25519, ED25519_PUBLIC, ISSUER, Members, base64url, master, unbase64url};
use gatepass::{
    Authority, Clock, Error, MemoryStore, Refusal,
    keys::{Algorithm, SigningKey, VerifyingKey},
};
use gatepass_testkit::{CountingStore, ManualClock};
use proptest::{collection::vec, prelude::*, sample::Index};

use attacks::{Attack, Table, segments};
use rig::Rig;

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
