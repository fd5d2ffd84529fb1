//! The verifier refuses extensions that it must understand, and ignores other extensions.

use gatepass::Refusal::{BadSignature, Malformed};

use super::{Table, Victim};
use crate::forge::base64url;

pub(super) fn attacks(table: &mut Table, victim: &Victim) {
    let header = victim.header();
    let members = [
        ("crit", "[]"),
        ("crit", r#"["exp"]"#),
        ("crit", r#"["b64"]"#),
        ("crit", r#"["kid"]"#),
        ("crit", r#"["alg","typ","kid"]"#),
        ("crit", r#"["crit"]"#),
        ("crit", r#"["exp","exp"]"#),
        ("crit", r#"["https://example.org/extension"]"#),
        ("crit", r#"[""]"#),
        ("crit", "[1]"),
        ("crit", "[null]"),
        ("crit", "[[]]"),
        ("crit", "null"),
        ("crit", "false"),
        ("crit", "0"),
        ("crit", r#""""#),
        ("crit", r#""exp""#),
        ("crit", "{}"),
        (r"cr\u0069t", r#"["exp"]"#),
        (r"\u0063\u0072\u0069\u0074", "[]"),
        ("b64", "false"),
        ("b64", "true"),
        ("b64", "null"),
        ("b64", "0"),
        ("b64", r#""false""#),
        (r"b\u00364", "false"),
    ];
    for (name, raw) in members {
        let token = victim.with_header(&header.and(name, raw));
        table.refused(Malformed, format!("{name} {raw}"), token);
        let token = victim.with_header(&header.after(name, raw));
        table.refused(Malformed, format!("{name} {raw} before all"), token);
    }
    let understood = header.and("crit", r#"["exp"]"#).and("exp", "4000000000");
    table.refused(
        Malformed,
        "crit and what it names",
        victim.with_header(&understood),
    );
    // RFC 7797 allows an unencoded payload. It may have dots of its own.
    let unencoded = header.and("b64", "false").and("crit", r#"["b64"]"#);
    let unencoded = base64url(unencoded.to_string());
    let claims = victim.claims().to_string();
    for (name, payload) in [
        ("an unencoded payload", claims.as_str()),
        ("an unencoded payload without a dot", "{}"),
        ("no payload, and b64", ""),
    ] {
        let token = victim.forge.sign(&unencoded, payload);
        table.refused(Malformed, name, token);
    }
    let silent = base64url(header.to_string());
    let token = victim.forge.sign(&silent, r#"{"sub":"alice"}"#);
    table.refused(
        Malformed,
        "an unencoded payload, and nothing said of it",
        token,
    );

    // RFC 7516 has `zip`, but RFC 7515 doesn't: a compressed payload isn't JSON.
    let zipped = header.and("zip", r#""DEF""#).to_string();
    let token = victim.forge.token(&zipped, stored(claims.as_bytes()));
    table.refused(Malformed, "a compressed payload", token);
    let silent = header.to_string();
    let token = victim.forge.token(silent, stored(claims.as_bytes()));
    table.refused(
        Malformed,
        "a compressed payload, and nothing said of it",
        token,
    );
    let (message, _) = victim.good().rsplit_once('.').unwrap();
    let (_, payload) = message.split_once('.').unwrap();
    let zipped = base64url(zipped);
    let token = format!("{zipped}.{payload}.{}", victim.segments()[2]);
    table.refused(BadSignature, "zip, added to a good token", token);

    for (name, raw) in [
        ("zip", r#""DEF""#),
        ("enc", r#""A256GCM""#),
        ("cty", r#""JWT""#),
        ("nonce", r#""n""#),
        ("url", r#""https://evil.example""#),
        ("iat", "1"),
        ("exp", "1"),
        ("iss", r#""https://evil.example""#),
        ("CRIT", r#"["exp"]"#),
        ("x", r#"{"crit":["exp"],"alg":"none","b64":false}"#),
    ] {
        let token = victim.with_header(&header.and(name, raw));
        table.accepted(format!("{name} {raw}"), token);
    }
    let claims = victim
        .claims()
        .and("crit", r#"["exp"]"#)
        .and("b64", "false");
    table.accepted("claims of that name", victim.with_claims(&claims));
}

/// `bytes` as DEFLATE stores them (RFC 1951 §3.2.4).
fn stored(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    let head = [&[1][..], &length.to_le_bytes(), &(!length).to_le_bytes()];
    [&head.concat(), bytes].concat()
}
