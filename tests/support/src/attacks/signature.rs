//! A signature is by the key, over the message, and in the only valid form.

mod ecdsa;
mod eddsa;
mod hmac;
mod rsa;

pub use ecdsa::malleated;
use gatepass::Refusal::{BadSignature, Malformed};

use super::{Table, Victim};
use crate::forge::{Forge, base64url};

pub(super) fn attacks(table: &mut Table, victim: &Victim) {
    any(table, victim);
    match victim.algorithm().name() {
        "EdDSA" => eddsa::attacks(table, victim),
        "ES256" | "ES384" => ecdsa::attacks(table, victim),
        name if name.starts_with("HS") => hmac::attacks(table, victim),
        _ => rsa::attacks(table, victim),
    }
}

/// The message of the good token. A table combines it with other signatures.
struct Signed<'a> {
    table: &'a mut Table,
    message: &'a str,
}

impl<'a> Signed<'a> {
    fn new(table: &'a mut Table, victim: &'a Victim) -> Self {
        let (message, _) = victim.good().rsplit_once('.').unwrap();
        Self { table, message }
    }

    fn bad(&mut self, name: impl AsRef<str>, signature: impl AsRef<[u8]>) {
        let token = format!("{}.{}", self.message, base64url(signature));
        self.table.refused(BadSignature, name, token);
    }

    fn good(&mut self, name: impl AsRef<str>, signature: impl AsRef<[u8]>) {
        let token = format!("{}.{}", self.message, base64url(signature));
        self.table.accepted(name, token);
    }
}

/// Signatures that are wrong for every algorithm.
fn any(table: &mut Table, victim: &Victim) {
    let forge = &victim.forge;
    let [header, payload, text] = victim.segments();
    let hex = |bytes: &[u8]| {
        let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
        digits.collect::<String>()
    };
    let mut signed = Signed::new(table, victim);
    let message = signed.message;
    let good = forge.signature(message);
    let reversed: Vec<u8> = good.iter().rev().copied().collect();
    let inverted: Vec<u8> = good.iter().map(|byte| !byte).collect();
    let (first, last) = good.split_at(good.len() / 2);
    let cases = [
        ("none", Vec::new()),
        ("a zero byte", vec![0]),
        ("a byte more", [&good[..], b"\0"].concat()),
        ("a zero byte before", [b"\0", &good[..]].concat()),
        ("two zero bytes before", [b"\0\0", &good[..]].concat()),
        ("a byte before", [b"\x04", &good[..]].concat()),
        ("a byte short", good[..good.len() - 1].to_vec()),
        ("without its first byte", good[1..].to_vec()),
        ("its first half", first.to_vec()),
        ("its second half", last.to_vec()),
        ("its halves swapped", [last, first].concat()),
        ("twice", [&good[..], &good[..]].concat()),
        ("turned round", reversed),
        ("inverted", inverted),
        ("zeros", vec![0; good.len()]),
        ("ones", vec![255; good.len()]),
        ("a kilobyte of zeros", vec![0; 1024]),
        ("in hexadecimal", hex(&good).into_bytes()),
        ("in base64url twice", base64url(&good).into_bytes()),
        ("of another message", forge.signature("another.message")),
        (
            "of the message and a line feed",
            forge.signature(format!("{message}\n")),
        ),
        (
            "of the message and NUL",
            forge.signature(format!("{message}\0")),
        ),
        (
            "of the message in capitals",
            forge.signature(message.to_uppercase()),
        ),
        ("of a stranger", victim.stranger.signature(message)),
        ("of the neighbour", victim.neighbour.signature(message)),
    ];
    for (name, signature) in cases {
        signed.bad(name, signature);
    }
    signed.good("made anew", forge.signature(message));

    let claims = victim.claims();
    let mallory = base64url(claims.with("sub", r#""mallory""#).to_string());
    let later = base64url(claims.with("exp", "253402300799").to_string());
    for (name, payload) in [("another subject", mallory), ("another end", later)] {
        let token = format!("{header}.{payload}.{text}");
        table.refused(BadSignature, format!("kept, with {name}"), token);
    }
    for (name, bad) in [
        ("a null", "null"),
        ("a true", "true"),
        ("of one character", "A"),
        ("of five", "AAAAA"),
    ] {
        let token = format!("{header}.{payload}.{bad}");
        let reason = if bad.len() % 4 == 1 {
            Malformed
        } else {
            BadSignature
        };
        table.refused(reason, name, token);
    }
    // A key for one issuer must not sign for another.
    let same_kid = Forge::stranger(victim.algorithm());
    let token = same_kid.token(victim.header().to_string(), claims.to_string());
    table.refused(BadSignature, "of a stranger under our key id", token);
}
