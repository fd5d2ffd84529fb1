//! The content of a JWT, and the reasons why gates refuse it.

use gatepass::{
    Timestamp,
    inspect::{AccessTokenParts, Member, Part},
};

use super::{Report, signature};
use crate::{key_file::TokenKeys, text};

/// Shows `token`, and says why gates refuse it.
pub(super) fn look(report: &mut Report, token: &str, keys: Option<&TokenKeys>, now: Timestamp) {
    let parts = AccessTokenParts::of(token);
    for fault in &parts.faults {
        report.wrong(fault.to_string());
    }
    if token.split('.').count() != 3 {
        return;
    }
    show(report, "header", &parts.header, now);
    for key in ["jwk", "jku", "x5u", "x5c"] {
        if parts.header.get(key).is_some() {
            report.show(format!(
                "  {key} is ignored: a token does not say which key to trust"
            ));
        }
    }
    show(report, "claims", &parts.claims, now);
    check_times(report, &parts.claims, now);
    let header = |name| parts.header.get(name).and_then(Member::as_text);
    let (alg, kid) = (header("alg"), header("kid"));
    if let Some(bytes) = parts.signature {
        check_length(report, bytes, alg.as_deref());
    }
    match keys {
        Some(keys) => signature::check(report, token, alg.as_deref(), kid.as_deref(), keys),
        None => report.show("signature: not checked; give the file of the key with --key"),
    }
}

fn show(report: &mut Report, name: &str, part: &Part, now: Timestamp) {
    report.show(name);
    match part {
        Part::Members(members) => {
            let width = members.iter().map(|member| member.name.chars().count());
            // A name of absurd length must not push all others away.
            let width = width.max().unwrap_or_default().min(16);
            for Member {
                name, json, date, ..
            } in members
            {
                let date = date.map(|at| format!("   {}", text::instant(at, now)));
                let date = date.unwrap_or_default();
                report.show(format!("  {name:width$}  {json}{date}"));
            }
        }
        Part::Text(text) => report.show(format!("  {text}")),
        _ => {}
    }
}

fn check_times(report: &mut Report, claims: &Part, now: Timestamp) {
    let at = |name| claims.get(name)?.date;
    if let Some(exp) = at("exp").filter(|exp| *exp <= now) {
        let ago = text::roughly(now.truncated_to_secs().since(exp));
        report.wrong(format!("it expired {ago} ago (exp)"));
    }
    for (name, fault) in [
        ("nbf", "it is not valid yet"),
        ("iat", "it was issued in the future"),
    ] {
        if at(name).is_some_and(|at| now < at) {
            report.wrong(format!("{fault} ({name}): is a clock wrong?"));
        }
    }
}

/// Checks the length of a signature, except with RSA, where it depends on the key.
fn check_length(report: &mut Report, bytes: usize, algorithm: Option<&str>) {
    let expected = match algorithm {
        Some("HS256") => 32,
        Some("HS384") => 48,
        Some("HS512" | "ES256" | "EdDSA") => 64,
        Some("ES384") => 96,
        _ if bytes == 0 => {
            report.wrong("it has no signature");
            return;
        }
        _ => return,
    };
    if bytes != expected {
        let algorithm = algorithm.unwrap_or_default();
        report.wrong(format!(
            "the signature has {bytes} bytes, and one of {algorithm} has {expected}"
        ));
    }
}
