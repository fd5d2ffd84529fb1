//! The verifier ignores the keys that a token contains or points to.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::STANDARD};
use gatepass::Refusal::{BadSignature, UnknownKey};

use super::{Table, Victim, quoted};
use crate::forge::base64url;

pub(super) fn attacks(table: &mut Table, victim: &Victim) {
    let stranger = &victim.stranger;
    let certificate = stranger.strangers_certificate();
    let thumb = |of| base64url(digest::digest(of, &certificate));
    let (sha1, sha256) = (
        thumb(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        thumb(&digest::SHA256),
    );
    let chain = STANDARD.encode(&certificate);
    let set = format!(r#"{{"keys":[{}]}}"#, stranger.jwk());
    let in_text = base64url(&set);
    let own_id = stranger.jwk().replace(&stranger.kid, &victim.forge.kid);
    let brought = [
        ("jwk", "jwk", stranger.jwk()),
        ("jwk of our id", "jwk", own_id),
        (
            "jwk as text",
            "jwk",
            serde_json::to_string(&stranger.jwk()).unwrap(),
        ),
        (
            "jwk of a weak secret",
            "jwk",
            r#"{"kty":"oct","k":""}"#.into(),
        ),
        ("jwks", "jwks", set),
        ("jku", "jku", quoted("https://evil.example/jwks.json")),
        (
            "jku at the issuer",
            "jku",
            quoted("https://shop.example@evil.example/jwks.json"),
        ),
        ("jku of a file", "jku", quoted("file:///tmp/jwks.json")),
        ("jku of here", "jku", quoted("http://127.0.0.1/jwks.json")),
        (
            "jku of data",
            "jku",
            quoted(format!("data:application/json;base64,{in_text}")),
        ),
        ("x5u", "x5u", quoted("https://evil.example/chain.pem")),
        ("x5c", "x5c", format!(r#"["{chain}"]"#)),
        ("x5c of junk", "x5c", r#"["MIIB"]"#.into()),
        ("x5t", "x5t", quoted(sha1)),
        ("x5t#S256", "x5t#S256", quoted(sha256)),
        ("a key", "key", stranger.jwk()),
        ("an epk", "epk", stranger.jwk()),
    ];
    let claims = victim.claims().to_string();
    for (name, member, raw) in brought {
        let ours = victim.header().and(member, &raw);
        table.accepted(
            format!("{name}, and signed by us"),
            victim.with_header(&ours),
        );
        let mut add = |reason, how: &str, header: String| {
            let forged = stranger.token(header, &claims);
            table.refused(reason, format!("{name} {how}"), forged);
        };
        add(BadSignature, "under our key id", ours.to_string());
        let first = victim.header().after(member, &raw);
        add(BadSignature, "first, under our key id", first.to_string());
        let theirs = stranger.header().and(member, &raw);
        add(UnknownKey, "under its own key id", theirs.to_string());
        add(
            UnknownKey,
            "under no key id",
            theirs.without("kid").to_string(),
        );
    }
}
