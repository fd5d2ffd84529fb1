use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_unix_secs(1_795_000_000);

const HEADER: &str = r#"{"typ":"at+jwt","alg":"HS256","kid":"a"}"#;

const CLAIMS: [(&str, &str); 12] = [
    ("iss", r#""https://shop.example""#),
    ("sub", r#""alice""#),
    ("aud", r#""shop-api""#),
    ("exp", "1795000900"),
    ("iat", "1795000000"),
    ("jti", r#""AAAAAAAAAAAAAAAAAAAAAA""#),
    ("sid", r#""AAAAAAAAAAAAAAAAAAAAAAAA""#),
    ("sn", "1795000000123"),
    ("auth_time", "1794999000"),
    ("client_id", r#""web""#),
    ("scope", r#""read write""#),
    ("cart", r#"{"items":[1,2]}"#),
];

/// Claims with these changes.
fn claims(changed: &[(&str, Option<&str>)]) -> String {
    let kept = CLAIMS.iter().map(|(name, value)| (*name, Some(*value)));
    let others = kept.filter(|(name, _)| !changed.iter().any(|(is, _)| is == name));
    let members: Vec<String> = others
        .chain(changed.iter().copied())
        .filter_map(|(name, value)| Some(format!(r#""{name}":{}"#, value?)))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn token(header: &str, claims: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signature = URL_SAFE_NO_PAD.encode([7; 32]);
    format!("{}.{}.{signature}", encode(header), encode(claims))
}

fn shown(token: &str) -> String {
    inspect(token, None, None, NOW).to_string()
}

#[test]
fn a_good_token_is_shown_with_readable_times_and_never_as_trusted() {
    let token = token(HEADER, &claims(&[]));
    for given in [
        token.clone(),
        format!("Bearer {token}\n"),
        format!("  {token} "),
    ] {
        let report = inspect(&given, None, None, NOW);
        assert!(report.is_good(), "{report}");
        let shown = report.to_string();
        assert!(shown.starts_with("NOT TO BE TRUSTED"), "{shown}");
        for line in [
            "  kid  \"a\"\n",
            "  sub        \"alice\"\n",
            "  exp        1795000900   2026-11-18T11:21:40Z, in 15m\n",
            "  auth_time  1794999000   2026-11-18T10:50:00Z, 16m 40s ago\n",
            "  cart       {\"items\":[1,2]}\n",
            "signature: not checked",
            "nothing found wrong",
        ] {
            assert!(shown.contains(line), "{line}\n{shown}");
        }
    }
}

#[test]
fn everything_that_is_wrong_is_found_at_once() {
    let header = r#"{"typ":"JWT","alg":"none","crit":["x"]}"#;
    let changed = [
        ("exp", Some("1794900000")),
        ("iat", Some("1795000001.5")),
        ("nbf", Some("1795000001")),
        ("sid", Some("\"short\"")),
        ("sn", Some("9007199254740992")),
        ("sub", None),
        ("aud", Some("[1]")),
    ];
    let shown = shown(&token(header, &claims(&changed)));
    for wrong in [
        "alg is none",
        "typ is \"JWT\"",
        "the header has no kid",
        "the header has crit",
        "it expired 1day 3h ago",
        "iat: not a whole number",
        "not valid yet (nbf)",
        "sid: not an identifier",
        "sn: not a whole number",
        "the claims have no sub",
        "aud: neither",
    ] {
        assert!(shown.contains(wrong), "{wrong}\n{shown}");
    }
}

#[test]
fn what_is_no_token_is_told_apart() {
    let jwe = "a.b.c.d.e";
    for (text, said) in [
        ("", "no token"),
        (" \n", "no token"),
        ("hunter2", "neither three segments"),
        ("a.b", "2 segments"),
        (jwe, "encrypted"),
        ("gpr_", "cut off"),
        ("!.!.!", "the header is not canonical base64url"),
        ("bnVsbA.W10.", "the header is not a JSON object"),
        (
            &token(r#"{"alg":"HS256","alg":"HS256"}"#, "{}"),
            "the header has \"alg\" twice",
        ),
        (
            &token(HEADER, &claims(&[("cart", Some(r#"{"a":1,"a":2}"#))])),
            "a member twice",
        ),
    ] {
        let report = inspect(text, None, None, NOW);
        assert!(!report.is_good());
        let shown = report.to_string();
        assert!(shown.starts_with("NOT TO BE TRUSTED"), "{shown}");
        assert!(shown.contains(said), "{said}\n{shown}");
    }
}

#[test]
fn the_writer_of_a_token_does_not_write_to_the_terminal() {
    let evil = r#""\u001b[2Jnothing found wrong\n\u009b2J\u202e""#;
    let header = format!(r#"{{"typ":{evil},"alg":{evil},"kid":{evil}}}"#);
    for claims in [claims(&[("sub", Some(evil))]), "\x1b[2J".to_owned()] {
        let shown = shown(&token(&header, &claims));
        let lines_only = |c: char| !c.is_control() || c == '\n';
        assert!(shown.chars().all(lines_only), "{shown:?}");
        assert!(!shown.contains('\u{202e}'), "{shown:?}");
    }
}

/// A key in each form that the program reads.
static EACH_KIND_OF_KEYS: LazyLock<Vec<TokenKeys>> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let pem = include_bytes!("../../../gatepass/tests/keys/rsa.pem");
    let jwk = gatepass::keys::SigningKey::from_any_pem(pem).unwrap();
    let jwk = jwk.verifying_key().clone().with_id("a").unwrap();
    let jwk = jwk.to_jwk().unwrap();
    [&pem[..], jwk.as_bytes(), &[b'x'; 64]]
        .map(|content| {
            let path = directory.path().join("key");
            std::fs::write(&path, content).unwrap();
            TokenKeys::read(&path.into_os_string().into()).unwrap()
        })
        .into()
});

proptest! {
    #[test]
    fn no_text_makes_it_panic_or_be_trusted(text in any::<String>(), dots in "[A-Za-z0-9_.-]{0,200}") {
        let keys = &*EACH_KIND_OF_KEYS;
        for text in [text, dots.clone(), format!("gpr_{dots}"), format!("{}.{dots}", token(HEADER, "{}"))] {
            for keys in [None].into_iter().chain(keys.iter().map(Some)) {
                let report = inspect(&text, keys, None, NOW);
                prop_assert!(!report.is_good());
                prop_assert!(report.to_string().starts_with("NOT TO BE TRUSTED:"));
            }
        }
    }

    #[test]
    fn no_segments_make_it_panic(header in any::<Vec<u8>>(), claims in any::<Vec<u8>>()) {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let keys = &*EACH_KIND_OF_KEYS;
        for keys in [None].into_iter().chain(keys.iter().map(Some)) {
            let token = format!("{}.{}.", encode(&header), encode(&claims));
            prop_assert!(!inspect(&token, keys, None, NOW).is_good());
            let token = format!("{}.{}.{}", encode(HEADER.as_bytes()), encode(&claims), encode(&header));
            prop_assert!(!inspect(&token, keys, None, NOW).is_good());
        }
    }
}
