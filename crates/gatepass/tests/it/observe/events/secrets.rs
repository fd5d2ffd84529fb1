//! Everything that must never be seen, in every form that it could be seen in.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use gatepass::Issued;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use test_support::world::SECRET;

use crate::observe::events::PASSWORD;

/// Everything that must never be seen, with what it is.
#[derive(Default)]
pub(crate) struct Secrets(Vec<(String, String)>);

impl Secrets {
    pub(crate) fn standing() -> Self {
        let mut secrets = Self::default();
        secrets.add("password", PASSWORD);
        secrets.add_key("master secret", SECRET);
        let labels = [
            ("refresh key", "gatepass refresh token HMAC-SHA256 v1", 64),
            ("access key", "gatepass access token HS256 v1", 32),
        ];
        for (what, label, bytes) in labels {
            secrets.add_key(what, &derived(label, bytes));
        }
        secrets
    }

    pub(crate) fn add(&mut self, what: &str, secret: &str) {
        self.0.push((what.to_owned(), secret.to_owned()));
    }

    pub(crate) fn add_key(&mut self, what: &str, bytes: &[u8]) {
        let head = bytes.first_chunk::<12>().unwrap();
        self.add(what, &String::from_utf8_lossy(bytes));
        let hex: String = head.iter().map(|byte| format!("{byte:02x}")).collect();
        self.add(what, &hex.to_uppercase());
        self.add(what, &hex);
        // Twelve bytes, so that no padding hides the beginning of a longer text.
        self.add(what, &STANDARD.encode(head));
        self.add(what, &URL_SAFE_NO_PAD.encode(head));
        // As `Debug` writes bytes.
        let listed = format!("{head:?}");
        self.add(what, listed.trim_matches(['[', ']']));
    }

    pub(crate) fn add_issued(&mut self, issued: &Issued) {
        self.add("refresh token", issued.refresh_token.as_str());
        self.add(
            "refresh token",
            issued.refresh_token.as_str().trim_start_matches("gpr_"),
        );
        let access = issued.access_token.as_str();
        self.add("access token", access);
        // The header is the same for all, and no secret. But code that logs it also logs the rest.
        for segment in access.split('.') {
            self.add("segment", segment);
        }
    }

    #[track_caller]
    pub(crate) fn assert_absent(&self, text: &str) {
        for (what, secret) in &self.0 {
            assert!(!text.contains(secret), "{what} {secret:?} in:\n{text}");
        }
    }
}

/// HKDF-SHA256 without a salt, as far as `bytes` (RFC 5869).
fn derived(label: &str, bytes: usize) -> Vec<u8> {
    let hmac = |key: &[u8], parts: &[&[u8]]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes()
    };
    let prk = hmac(&[0; 32], &[SECRET]);
    let mut output = Vec::new();
    let mut last = Vec::new();
    for counter in 1_u8.. {
        if output.len() >= bytes {
            break;
        }
        last = hmac(&prk, &[&last, label.as_bytes(), &[counter]]).to_vec();
        output.extend_from_slice(&last);
    }
    output.truncate(bytes);
    output
}

#[test]
fn a_secret_that_was_logged_would_be_found() {
    let secrets = Secrets::standing();
    for (what, secret) in &secrets.0 {
        let text = format!("before {secret} after");
        assert!(
            std::panic::catch_unwind(|| secrets.assert_absent(&text)).is_err(),
            "{what}"
        );
    }
    let in_bytes = format!("{:?}", SECRET.to_vec());
    assert!(std::panic::catch_unwind(|| secrets.assert_absent(&in_bytes)).is_err());
}
