//! A text that is no good access token is refused for its own fault, before the store is asked.
mod cached;
mod claims;
mod generated;
mod kinds;
mod refused;
mod revoked;
mod spelling;

use std::time::Duration;

use gatepass::{
    Authority, Clock, Error, MemoryStore, Refusal,
    keys::{Algorithm, SigningKey, VerifyingKey},
};
use gatepass_testkit::{ManualClock, TestStore};
use proptest::{collection::vec, prelude::*, sample::Index};
use test_support::{
    attacks::{Attack, Table, segments},
    forge::{AUDIENCE, ED25519, ED25519_PUBLIC, ISSUER, Members, base64url, master, unbase64url},
    rig::Rig,
};

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
