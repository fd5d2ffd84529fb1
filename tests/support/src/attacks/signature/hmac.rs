//! Tags that are shorter or longer than the hash, or that use another hash.

use aws_lc_rs::{digest, hmac};

use super::{Signed, Table, Victim};

pub(super) fn attacks(table: &mut Table, victim: &Victim) {
    let secret = &victim.forge.material;
    let mut signed = Signed::new(table, victim);
    let message = signed.message.as_bytes();
    let good = victim.forge.signature(message);
    for length in [1, 2, 4, 8, 10, 12, 16, 20, 24, 31] {
        signed.bad(format!("of {length} bytes"), &good[..length]);
    }
    for more in [8, 16, 32] {
        let longer = [&good[..], &vec![0; more]].concat();
        signed.bad(format!("{more} zero bytes longer"), longer);
    }
    for (name, hash) in [
        ("SHA-1", hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        ("SHA-224", hmac::HMAC_SHA224),
        ("SHA-256", hmac::HMAC_SHA256),
        ("SHA-384", hmac::HMAC_SHA384),
        ("SHA-512", hmac::HMAC_SHA512),
    ] {
        let tag = hmac::sign(&hmac::Key::new(hash, secret), message);
        if tag.as_ref() == good {
            continue;
        }
        signed.bad(format!("by HMAC with {name}"), tag.as_ref());
        let cut = tag.as_ref().len().min(good.len());
        signed.bad(
            format!("by HMAC with {name}, cut to fit"),
            &tag.as_ref()[..cut],
        );
    }
    // A plain hash instead of a MAC. Any reader can compute or extend it.
    for (name, text) in [
        ("the message", message.to_vec()),
        ("secret and message", [secret, message].concat()),
        ("message and secret", [message, secret].concat()),
    ] {
        for hash in [&digest::SHA256, &digest::SHA384, &digest::SHA512] {
            let name = format!("{hash:?} of {name}");
            signed.bad(name, digest::digest(hash, &text));
        }
    }
    let mirrored = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, message), secret);
    signed.bad("with secret and message swapped", mirrored);
}
