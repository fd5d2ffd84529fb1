//! Numbers out of range, points of small order, and the variants of Ed25519 (RFC 8032 §5.1).

use aws_lc_rs::digest;
use num_bigint::BigUint;

use super::{Signed, Table, Victim};

/// The points of small order, in the standard encoding and in non-standard ones.
const SMALL: [(&str, &str); 6] = [
    (
        "the identity",
        "0100000000000000000000000000000000000000000000000000000000000000",
    ),
    (
        "the identity with a sign",
        "0100000000000000000000000000000000000000000000000000000000000080",
    ),
    (
        "a point of order 2",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ),
    (
        "a point of order 4",
        "0000000000000000000000000000000000000000000000000000000000000000",
    ),
    (
        "a point of order 8",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    ),
    (
        "the identity beyond p",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ),
];

pub(super) fn attacks(table: &mut Table, victim: &Victim) {
    let mut signed = Signed::new(table, victim);
    let message = signed.message.as_bytes();
    let good = victim.forge.signature(message);
    let (r, s) = good.split_at(32);
    let order = (BigUint::from(1u8) << 252u32)
        + BigUint::parse_bytes(b"27742317777372353535851937790883648493", 10).unwrap();
    let with_s = |s: &BigUint| {
        let mut bytes = s.to_bytes_le();
        bytes.resize(bytes.len().max(32), 0);
        [r, &bytes].concat()
    };
    let number = BigUint::from_bytes_le(s);
    for times in 1u8..=15 {
        let name = format!("S + {times} L");
        signed.bad(name, with_s(&(&number + &order * times)));
    }
    for (name, s) in [
        ("S = 0", BigUint::ZERO),
        ("S = 1", BigUint::from(1u8)),
        ("S = L", order.clone()),
        ("L - S", &order - &number),
        (
            "S with its top bit",
            &number + (BigUint::from(1u8) << 255u32),
        ),
        (
            "S with its next bit",
            &number + (BigUint::from(1u8) << 254u32),
        ),
        (
            "S with its third bit",
            &number + (BigUint::from(1u8) << 253u32),
        ),
    ] {
        signed.bad(name, with_s(&s));
    }
    for (name, point) in SMALL {
        let point = bytes(point);
        signed.bad(format!("R {name}, S = 0"), [&point, &[0; 32][..]].concat());
        signed.bad(format!("R {name}"), [&point, s].concat());
    }
    let mut negative = good.clone();
    negative[31] ^= 0x80;
    signed.bad("R with the other sign", &negative);
    let turned: Vec<u8> = s.iter().rev().copied().collect();
    signed.bad("S big-endian", [r, &turned].concat());
    signed.bad("S and R", [s, r].concat());
    signed.bad("in an octet string", [&[4, 64], &good[..]].concat());
    signed.bad("R alone", r);
    signed.bad("S alone", s);
    signed.bad("the key and S", [&key(victim), s].concat());
    signed.bad("in front of the message", [&good[..], message].concat());

    let hashed = digest::digest(&digest::SHA512, message);
    let prefix = b"SigEd25519 no Ed25519 collisions";
    let prehashed = [&prefix[..], &[1, 0], hashed.as_ref()].concat();
    let context = [&prefix[..], &[0, 0], message].concat();
    for (name, text) in [
        ("of the hash", hashed.as_ref()),
        ("of Ed25519ph, as if", &prehashed),
        ("of Ed25519ctx, as if", &context),
    ] {
        signed.bad(name, victim.forge.signature(text));
    }
}

fn key(victim: &Victim) -> Vec<u8> {
    let der = crate::forge::der_of(victim.forge.public_pem().unwrap());
    der[der.len() - 32..].to_vec()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}
