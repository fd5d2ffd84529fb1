//! Numbers out of range, and encodings other than the two numbers side by side (RFC 7518 §3.4).

use aws_lc_rs::digest;
use num_bigint::BigUint;

use super::{Signed, Table, Victim};
use crate::forge::{base64url, unbase64url};

/// The order of P-256 or P-384, by the length of a number in bytes.
fn order(length: usize) -> BigUint {
    let digits: &[u8] = match length {
        32 => b"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
        _ => {
            b"ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973"
        }
    };
    BigUint::parse_bytes(digits, 16).unwrap()
}

/// `number` in `length` bytes, or in more bytes if it is too large.
fn fixed(number: &BigUint, length: usize) -> Vec<u8> {
    let bytes = number.to_bytes_be();
    [vec![0; length.saturating_sub(bytes.len())], bytes].concat()
}

/// The same token with n - s instead of s, which is the message's other valid signature. An
/// attacker can make it from the first one without the key.
pub fn malleated(token: &str) -> String {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = unbase64url(signature);
    let (r, s) = signature.split_at(signature.len() / 2);
    let twin = order(r.len()) - BigUint::from_bytes_be(s);
    let signature = [r.to_vec(), fixed(&twin, r.len())].concat();
    format!("{message}.{}", base64url(signature))
}

pub(super) fn attacks(table: &mut Table, victim: &Victim) {
    table.accepted("r and n - s", malleated(victim.good()));
    let mut signed = Signed::new(table, victim);
    let good = victim.forge.signature(signed.message);
    let length = good.len() / 2;
    let (r, s) = good.split_at(length);
    let n = order(length);
    let number = BigUint::from_bytes_be;
    let pair = |r: &BigUint, s: &BigUint| [fixed(r, length), fixed(s, length)].concat();
    let (zero, one, most) = (BigUint::ZERO, BigUint::from(1u8), &n - 1u8);
    let (r, s) = (number(r), number(s));
    let ones = number(&vec![255; length]);
    for (name, signature) in [
        ("r = 0", pair(&zero, &s)),
        ("s = 0", pair(&r, &zero)),
        ("r = 0, s = 0", pair(&zero, &zero)),
        ("r = n", pair(&n, &s)),
        ("s = n", pair(&r, &n)),
        ("r = n, s = n", pair(&n, &n)),
        ("r = 0, s = n", pair(&zero, &n)),
        ("r = 1, s = 1", pair(&one, &one)),
        ("r = 1, s = 0", pair(&one, &zero)),
        ("r = 0, s = 1", pair(&zero, &one)),
        ("r = n - 1, s = n - 1", pair(&most, &most)),
        ("r = n + 1", pair(&(&n + 1u8), &s)),
        ("s = n + 1", pair(&r, &(&n + 1u8))),
        ("all ones", pair(&ones, &ones)),
        ("n - r", pair(&(&n - &r), &s)),
        ("n - r, n - s", pair(&(&n - &r), &(&n - &s))),
        ("r + n", pair(&(&r + &n), &s)),
        ("s + n", pair(&r, &(&s + &n))),
        ("r + n and s + n", pair(&(&r + &n), &(&s + &n))),
        ("s, s", pair(&s, &s)),
        ("r, r", pair(&r, &r)),
        ("s and r", pair(&s, &r)),
        ("the sum", pair(&r, &((&r + &s) % &n))),
        ("2s", pair(&r, &((&s * 2u8) % &n))),
    ] {
        signed.bad(name, signature);
    }

    let der = |r: &[u8], s: &[u8]| {
        let integers = [integer(r), integer(s)].concat();
        [
            &[0x30, u8::try_from(integers.len()).unwrap()],
            &integers[..],
        ]
        .concat()
    };
    let (r, s) = good.split_at(length);
    let strict = der(r, s);
    let zeros = |count| vec![0; count];
    for (name, signature) in [
        ("DER", strict.clone()),
        ("DER of n - s", der(r, &fixed(&(&n - number(s)), length))),
        ("DER and something behind", [&strict[..], b"\0"].concat()),
        (
            "DER with a long length",
            [&[0x30, 0x81], &strict[1..]].concat(),
        ),
        ("DER of zeros", vec![0x30, 6, 2, 1, 0, 2, 1, 0]),
        (
            "DER in an octet string",
            [&[4, u8::try_from(strict.len()).unwrap()], &strict[..]].concat(),
        ),
        ("DER, cut to fit", strict[..2 * length].to_vec()),
        ("a zero byte before each", [&[0], r, &[0], s].concat()),
        ("a zero byte behind each", [r, &[0], s, &[0]].concat()),
        (
            "two of P-521",
            [
                zeros(66 - length),
                r.to_vec(),
                zeros(66 - length),
                s.to_vec(),
            ]
            .concat(),
        ),
        (
            "the length of the other curve",
            [zeros(16), r.to_vec(), zeros(16), s.to_vec()].concat(),
        ),
        ("each a byte short", [&r[1..], &s[1..]].concat()),
        ("little-endian", {
            let turned = |bytes: &[u8]| bytes.iter().rev().copied().collect::<Vec<u8>>();
            [turned(r), turned(s)].concat()
        }),
        ("a recovery byte behind", [r, s, &[27]].concat()),
        ("a recovery byte before", [&[27], r, s].concat()),
        ("r alone", r.to_vec()),
        ("s alone", s.to_vec()),
    ] {
        signed.bad(name, signature);
    }
    for hash in [&digest::SHA256, &digest::SHA384, &digest::SHA512] {
        let hashed = digest::digest(hash, signed.message.as_bytes());
        let signature = victim.forge.signature(hashed);
        signed.bad(format!("of the message hashed with {hash:?}"), signature);
    }
}

/// A DER INTEGER. It begins with a zero byte if the number would otherwise be negative.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = BigUint::from_bytes_be(bytes).to_bytes_be();
    if bytes[0] > 127 {
        bytes.insert(0, 0);
    }
    [&[2, u8::try_from(bytes.len()).unwrap()], &bytes[..]].concat()
}
