//! What is no good access token is refused for what is wrong with it, and before the store is asked.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../forge/mod.rs"]
mod forge;

mod claims;
mod generated;
mod header;
mod kinds;
mod spelling;

use forge::{ED25519, ED25519_PUBLIC, Forge, Members, Rig, base64url, master, unbase64url};
use gatepass::{Authority, Clock, Error, KeySet, MemoryStore, Refusal, SigningKey, VerifyingKey};
use gatepass_testkit::{CountingStore, ManualClock};
use proptest::{collection::vec, prelude::*, sample::Index};
use std::time::Duration;

const LIMIT: usize = 8 * 1024;

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn segments(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

/// Another base64url text of the same bytes, if there is one.
fn non_canonical(text: &str) -> Option<String> {
    let (rest, last) = text.split_at(text.len() - 1);
    let spare = match text.len() % 4 {
        2 => 0b1111,
        3 => 0b11,
        _ => return None,
    };
    let last = ALPHABET
        .iter()
        .position(|c| last.as_bytes() == [*c])
        .unwrap();
    assert_eq!(last & spare, 0, "canonical");
    Some(format!("{rest}{}", char::from(ALPHABET[last | 1])))
}
