//! The check of an access token's signature with the given keys.

use gatepass::{Refusal, inspect::verify_jws, keys::VerifyingKey};

use super::Report;
use crate::key_file::TokenKeys;

/// Checks the signature of `token`, whose header names `algorithm` and the key `kid`.
pub(super) fn check(
    report: &mut Report,
    token: &str,
    algorithm: Option<&str>,
    kid: Option<&str>,
    keys: &TokenKeys,
) {
    let (keys, is_set) = match keys {
        TokenKeys::One(keys) | TokenKeys::Secret { keys, .. } => (keys, false),
        TokenKeys::Set(keys) => (keys, true),
    };
    // Gates do the same: they take only the key of a set that the token names.
    let named = |key: &&VerifyingKey| !is_set || Some(key.id()) == kid;
    let candidates: Vec<&VerifyingKey> = keys.iter().filter(named).collect();
    if candidates.is_empty() {
        let ids: Vec<&str> = keys.iter().map(VerifyingKey::id).collect();
        let ids = ids.join(", ");
        report.wrong(format!(
            "the set has no key that the token names (kid); it has: {ids}"
        ));
        return;
    }
    let mut fits_algorithm = false;
    for key in &candidates {
        match verify_jws(key, token) {
            Ok(_) => return good(report, key, kid),
            Err(Refusal::UnknownKey) => {}
            Err(_) => fits_algorithm = true,
        }
    }
    if fits_algorithm {
        report.wrong("the signature is not by the given key, or the token was changed since");
    } else {
        let mut names: Vec<&str> = candidates
            .iter()
            .map(|key| key.algorithm().name())
            .collect();
        names.dedup();
        let (says, is) = (algorithm.unwrap_or("nothing"), names.join(", "));
        report.wrong(format!(
            "the token says alg {says:?}, and the given key is for {is}"
        ));
    }
}

fn good(report: &mut Report, key: &VerifyingKey, kid: Option<&str>) {
    report.signed = true;
    let (algorithm, id) = (key.algorithm(), key.id());
    report.show(format!("signature: good, {algorithm}, by the key {id}"));
    if let Some(kid) = kid
        && kid != id
    {
        report.show(format!(
            "  The token calls that key {kid:?}. Gates find it only under that id."
        ));
    }
}
