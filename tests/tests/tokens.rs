//! What is no good access token is refused for what is wrong with it, and before the store is asked.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod forge;

use std::time::Duration;

use forge::{ED25519, ED25519_PUBLIC, Forge, Members, Rig, base64url, master, unbase64url};
use gatepass::{Authority, Clock, Error, KeySet, MemoryStore, Refusal, SigningKey, VerifyingKey};
use gatepass_testkit::{CountingStore, ManualClock};
use proptest::{collection::vec, prelude::*, sample::Index};

const LIMIT: usize = 8 * 1024;
const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[tokio::test]
async fn a_rightly_forged_token_is_accepted() {
    // Without this, all the refusals below could have another reason than the one they claim.
    for rig in Rig::both().await {
        let pass = rig.accepts("issued", rig.good()).await;
        assert_eq!(pass.subject().as_str(), "alice");
        let forged = rig.with_claims(&rig.claims());
        assert_eq!(
            rig.accepts("forged", &forged).await.token_id(),
            pass.token_id()
        );
    }
}

#[tokio::test]
async fn the_algorithm_is_the_keys_and_not_the_tokens() {
    let cases = [
        (r#""none""#, Refusal::UnknownKey),
        (r#""None""#, Refusal::UnknownKey),
        (r#""NONE""#, Refusal::UnknownKey),
        (r#""nOnE""#, Refusal::UnknownKey),
        (r#""""#, Refusal::UnknownKey),
        (r#""hs256""#, Refusal::UnknownKey),
        (r#""Hs256""#, Refusal::UnknownKey),
        (r#""HS256 ""#, Refusal::UnknownKey),
        (r#""HS256\u0000""#, Refusal::UnknownKey),
        (r#""HS384""#, Refusal::UnknownKey),
        (r#""HS512""#, Refusal::UnknownKey),
        (r#""RS256""#, Refusal::UnknownKey),
        (r#""PS256""#, Refusal::UnknownKey),
        (r#""ES256""#, Refusal::UnknownKey),
        (r#""ES256K""#, Refusal::UnknownKey),
        (r#""EDDSA""#, Refusal::UnknownKey),
        (r#""eddsa""#, Refusal::UnknownKey),
        (r#""Ed25519""#, Refusal::UnknownKey),
        (r#""Ed448""#, Refusal::UnknownKey),
        (r#""A256GCM""#, Refusal::UnknownKey),
        ("null", Refusal::Malformed),
        ("256", Refusal::Malformed),
        ("true", Refusal::Malformed),
        (r#"["HS256","EdDSA"]"#, Refusal::Malformed),
        (r#"{"alg":"HS256"}"#, Refusal::Malformed),
    ];
    for rig in Rig::both().await {
        for (alg, expected) in &cases {
            let token = rig.with_header(&rig.header().with("alg", alg));
            rig.refuses(alg, &token, expected.clone()).await;
            let (message, _) = token.rsplit_once('.').unwrap();
            let case = format!("{alg} without a signature");
            rig.refuses(&case, &format!("{message}."), expected.clone())
                .await;
        }
        let other = if rig.forge.alg() == "HS256" {
            r#""EdDSA""#
        } else {
            r#""HS256""#
        };
        let token = rig.with_header(&rig.header().with("alg", other));
        rig.refuses("the other algorithm", &token, Refusal::UnknownKey)
            .await;
        let token = rig.with_header(&rig.header().without("alg"));
        rig.refuses("no algorithm", &token, Refusal::Malformed)
            .await;
    }
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    let [hmac, eddsa] = Forge::both();
    let rig = Rig::new(Forge::EdDsa(ED25519.to_vec())).await;
    let text = str::from_utf8(ED25519_PUBLIC).unwrap();
    let der: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, der).unwrap();
    let raw = der[der.len() - 32..].to_vec();
    let secrets = [
        ("the PEM text", ED25519_PUBLIC.to_vec()),
        ("the PEM text, trimmed", text.trim().as_bytes().to_vec()),
        ("the DER", der),
        ("the raw key", raw.clone()),
        ("the raw key in base64url", base64url(raw).into_bytes()),
        ("the key id", rig.forge.kid().into_bytes()),
        ("nothing", Vec::new()),
    ];
    // With the HS256 key trusted beside the Ed25519 one, so that both algorithms are at home here.
    let keys = KeySet::signing(eddsa.key()).announce(hmac.key().verifying_key().clone());
    rig.authority.replace_keys(keys).unwrap();
    let claims = rig.claims().to_string();
    for (secret_is, secret) in secrets {
        let forger = Forge::Hs256(secret);
        let as_hmac = rig.header().with("alg", r#""HS256""#).to_string();
        rig.refuses(
            secret_is,
            &forger.token(as_hmac, &claims),
            Refusal::UnknownKey,
        )
        .await;
        for header in [rig.header(), hmac.header()] {
            let token = forger.token(header.to_string(), &claims);
            rig.refuses(secret_is, &token, Refusal::BadSignature).await;
        }
    }
    let crossed = [
        (
            "Ed25519 by the HS256 key's id",
            eddsa.token(hmac.header().with("alg", r#""EdDSA""#).to_string(), &claims),
            Refusal::UnknownKey,
        ),
        (
            "an Ed25519 signature under HS256",
            eddsa.token(hmac.header().to_string(), &claims),
            Refusal::BadSignature,
        ),
        (
            "a MAC under EdDSA",
            hmac.token(eddsa.header().to_string(), &claims),
            Refusal::BadSignature,
        ),
    ];
    for (case, token, expected) in crossed {
        rig.refuses(case, &token, expected).await;
    }
    let token = hmac.token(hmac.header().to_string(), &claims);
    rig.accepts("the announced key itself", &token).await;
}

#[tokio::test]
async fn a_key_id_is_looked_up_and_nothing_else() {
    for rig in Rig::both().await {
        let kid = rig.forge.kid();
        let long = format!(r#""{}""#, "k".repeat(3000));
        let upper = format!(r#""{}""#, kid.to_uppercase());
        let spaced = format!(r#"" {kid}""#);
        let ended = format!(r#""{kid}\u0000""#);
        let listed = format!(r#"["{kid}"]"#);
        let cases = [
            ("empty", r#""""#, Refusal::UnknownKey),
            ("unknown", r#""another""#, Refusal::UnknownKey),
            (
                "a path",
                r#""../../../../../dev/null""#,
                Refusal::UnknownKey,
            ),
            ("a file", r#""file:///etc/passwd""#, Refusal::UnknownKey),
            ("SQL", r#""x' OR '1'='1' --""#, Refusal::UnknownKey),
            (
                "a union",
                r#""x' UNION SELECT 'AAAA' --""#,
                Refusal::UnknownKey,
            ),
            ("a command", r#""| cat /etc/passwd""#, Refusal::UnknownKey),
            ("a URL", r#""https://evil.example/k""#, Refusal::UnknownKey),
            ("NUL", r#""\u0000""#, Refusal::UnknownKey),
            ("very long", &long, Refusal::UnknownKey),
            ("upper case", &upper, Refusal::UnknownKey),
            ("a space before", &spaced, Refusal::UnknownKey),
            ("NUL behind", &ended, Refusal::UnknownKey),
            ("null", "null", Refusal::Malformed),
            ("a number", "0", Refusal::Malformed),
            ("a bool", "true", Refusal::Malformed),
            ("an array", &listed, Refusal::Malformed),
            ("an object", "{}", Refusal::Malformed),
        ];
        for (case, raw, expected) in cases {
            let token = rig.with_header(&rig.header().with("kid", raw));
            rig.refuses(case, &token, expected).await;
        }
        let token = rig.with_header(&rig.header().without("kid"));
        rig.refuses("no key id", &token, Refusal::UnknownKey).await;
    }
}

#[tokio::test]
async fn keys_that_a_token_brings_along_are_not_looked_at() {
    for rig in Rig::both().await {
        let stranger = rig.forge.stranger();
        let jwk = match &stranger {
            Forge::Hs256(secret) => format!(r#"{{"kty":"oct","k":"{}"}}"#, base64url(secret)),
            Forge::EdDsa(_) => {
                let text = str::from_utf8(forge::OTHER_ED25519_PUBLIC).unwrap();
                let der: String = text.lines().filter(|line| !line.starts_with('-')).collect();
                let x = der
                    .trim_end_matches('=')
                    .replace('+', "-")
                    .replace('/', "_");
                format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#)
            }
        };
        let brought = [
            ("jwk", jwk.as_str()),
            ("jku", r#""https://evil.example/jwks.json""#),
            ("x5u", r#""https://evil.example/chain.pem""#),
            ("x5c", r#"["MIIB"]"#),
            ("x5t", r#""AAAA""#),
            ("x5t#S256", r#""AAAA""#),
        ];
        let claims = rig.claims().to_string();
        for (name, raw) in brought {
            let ours = rig.header().and(name, raw);
            rig.accepts(name, &rig.with_header(&ours)).await;
            let forged = stranger.token(ours.to_string(), &claims);
            rig.refuses(name, &forged, Refusal::BadSignature).await;
            let theirs = stranger.header().and(name, raw).to_string();
            rig.refuses(name, &stranger.token(theirs, &claims), Refusal::UnknownKey)
                .await;
            let nameless = stranger.header().without("kid").and(name, raw).to_string();
            let forged = stranger.token(nameless, &claims);
            rig.refuses(name, &forged, Refusal::UnknownKey).await;
        }
    }
}

#[tokio::test]
async fn an_extension_that_must_be_understood_is_refused() {
    let cases = [
        ("crit", "[]"),
        ("crit", r#"["exp"]"#),
        ("crit", r#"["b64"]"#),
        ("crit", r#"["kid"]"#),
        ("crit", r#"["https://example.org/extension"]"#),
        ("crit", "null"),
        ("crit", "false"),
        ("crit", r#""""#),
        (r"cr\u0069t", r#"["exp"]"#),
        ("b64", "false"),
        ("b64", "true"),
        ("b64", "null"),
        (r"b\u00364", "false"),
    ];
    for rig in Rig::both().await {
        for (name, raw) in cases {
            let case = format!("{name}: {raw}");
            let header = rig.header().and(name, raw);
            rig.refuses(&case, &rig.with_header(&header), Refusal::Malformed)
                .await;
        }
        // RFC 7797: the payload as it is. It has dots of its own, and none where there are none.
        let header = rig.header().and("b64", "false").and("crit", r#"["b64"]"#);
        let header = base64url(header.to_string());
        for payload in ["{}", &rig.claims().to_string()] {
            let token = rig.forge.sign(&header, payload);
            rig.refuses("an unencoded payload", &token, Refusal::Malformed)
                .await;
        }
        let claims = rig.claims().and("crit", r#"["exp"]"#).and("b64", "false");
        rig.accepts("claims of that name", &rig.with_claims(&claims))
            .await;
    }
}

#[tokio::test]
async fn only_the_type_of_access_tokens_is_accepted() {
    let accepted = [
        "at+jwt",
        "AT+JWT",
        "At+Jwt",
        "application/at+jwt",
        "APPLICATION/AT+JWT",
        r"at\u002bjwt",
    ];
    let refused = [
        "",
        "JWT",
        "jwt",
        "at",
        "at+jwt ",
        " at+jwt",
        r"at+jwt\u0000",
        "at+jws",
        "at-jwt",
        "rt+jwt",
        "id_token",
        "ID+JWT",
        "logout+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "application/jwt",
        "application/application/at+jwt",
        "application/at+jwt;v=1",
        "text/at+jwt",
    ];
    for rig in Rig::both().await {
        let with = |raw: String| rig.with_header(&rig.header().with("typ", raw));
        for typ in accepted {
            rig.accepts(typ, &with(format!(r#""{typ}""#))).await;
        }
        for typ in refused {
            rig.refuses(typ, &with(format!(r#""{typ}""#)), Refusal::WrongType)
                .await;
        }
        let without = rig.with_header(&rig.header().without("typ"));
        rig.refuses("no type", &without, Refusal::WrongType).await;
        for raw in ["null", "1", r#"["at+jwt"]"#] {
            rig.refuses(raw, &with(raw.into()), Refusal::Malformed)
                .await;
        }
        // What an OpenID provider that signs with the same key would hand out.
        let id_token = rig.claims().and("nonce", r#""n""#).and("azp", r#""app""#);
        let header = rig.header().with("typ", r#""JWT""#).to_string();
        let token = rig.forge.token(&header, id_token.to_string());
        rig.refuses("an ID token", &token, Refusal::WrongType).await;
        let usual = id_token.without("client_id").without("jti");
        let token = rig.forge.token(&header, usual.to_string());
        rig.refuses("a usual ID token", &token, Refusal::Malformed)
            .await;
    }
}

#[tokio::test]
async fn no_member_may_stand_twice() {
    for rig in Rig::both().await {
        for name in ["alg", "typ", "kid"] {
            let raw = rig.header().raw(name).to_owned();
            for again in [raw.as_str(), r#""x""#, "null"] {
                let token = rig.with_header(&rig.header().and(name, again));
                rig.refuses(
                    &format!("{name} again: {again}"),
                    &token,
                    Refusal::Malformed,
                )
                .await;
            }
        }
        let headers = [
            rig.header().and("x", "1").and("x", "1"),
            rig.header().and("jwk", "{}").and("jwk", "{}"),
            rig.header()
                .and(r"al\u0067", format!(r#""{}""#, rig.forge.alg())),
            rig.header()
                .and(r"\u006bid", format!(r#""{}""#, rig.forge.kid())),
            rig.header().and("x", "1").and(r"\u0078", "1"),
        ];
        for header in headers {
            rig.refuses(
                &header.to_string(),
                &rig.with_header(&header),
                Refusal::Malformed,
            )
            .await;
        }

        for name in rig.claims().names() {
            let raw = rig.claims().raw(name).to_owned();
            let escaped = format!(r"\u{:04x}{}", name.as_bytes()[0], &name[1..]);
            for again in [name.to_owned(), escaped] {
                let token = rig.with_claims(&rig.claims().and(&again, &raw));
                rig.refuses(&format!("claim {again}"), &token, Refusal::Malformed)
                    .await;
            }
        }
        let claims = [
            ("nbf, which is optional", "nbf", "1", "nbf", "1"),
            (
                "a later expiry, escaped",
                "x",
                "1",
                r"\u0065xp",
                "4000000000",
            ),
            ("custom", "x", "1", "x", "2"),
            ("custom, escaped", "x", "1", r"\u0078", "2"),
            ("nested", "x", r#"{"a":1,"a":2}"#, "y", "1"),
            ("nested, escaped", "x", r#"{"a":1,"\u0061":2}"#, "y", "1"),
            ("in an array", "x", r#"[[{"a":{"b":1,"b":1}}]]"#, "y", "1"),
        ];
        for (case, name, raw, second, second_raw) in claims {
            let claims = rig.claims().and(name, raw).and(second, second_raw);
            rig.refuses(case, &rig.with_claims(&claims), Refusal::Malformed)
                .await;
        }
        let apart = rig
            .claims()
            .and("x", r#"{"a":{"a":1},"b":[{"a":1},{"a":1}],"exp":1}"#);
        rig.accepts("one name in several objects", &rig.with_claims(&apart))
            .await;
    }
}

#[tokio::test]
async fn every_claim_is_there_and_of_its_type() {
    use Refusal::{Malformed, WrongAudience, WrongIssuer};
    let texts = [
        ("iss", WrongIssuer),
        ("sub", Malformed),
        ("aud", WrongAudience),
        ("jti", Malformed),
        ("sid", Malformed),
        ("client_id", Malformed),
    ];
    let no_text = ["null", "1", "true", "{}", r#"{"a":"b"}"#, "[1]", "[null]"];
    for rig in Rig::both().await {
        let with = |name, raw| rig.with_claims(&rig.claims().with(name, raw));
        for (name, of_empty) in &texts {
            let missing = rig.with_claims(&rig.claims().without(name));
            rig.refuses(&format!("no {name}"), &missing, Malformed)
                .await;
            rig.refuses(
                &format!("empty {name}"),
                &with(name, r#""""#),
                of_empty.clone(),
            )
            .await;
            for raw in no_text {
                rig.refuses(&format!("{name}: {raw}"), &with(name, raw), Malformed)
                    .await;
            }
        }
        for name in ["exp", "iat", "auth_time"] {
            let missing = rig.with_claims(&rig.claims().without(name));
            rig.refuses(&format!("no {name}"), &missing, Malformed)
                .await;
        }
        for raw in no_text.into_iter().chain([r#"["profile"]"#]) {
            rig.refuses(&format!("scope: {raw}"), &with("scope", raw), Malformed)
                .await;
        }
        let without = rig.with_claims(&rig.claims().without("scope"));
        assert!(rig.accepts("no scope", &without).await.scopes().is_empty());
        let empty = rig.accepts("an empty scope", &with("scope", r#""""#)).await;
        assert!(empty.scopes().is_empty());
        for scope in [
            r#""a\"b""#,
            r#""a\\b""#,
            r#""a\tb""#,
            r#""ä""#,
            r#""a\u0000""#,
            r#""a\nb""#,
        ] {
            rig.refuses(&format!("scope {scope}"), &with("scope", scope), Malformed)
                .await;
        }
        for sub in [
            r#""a\u0000""#,
            r#""a\nb""#,
            &format!(r#""{}""#, "x".repeat(256)),
        ] {
            rig.refuses(&format!("sub {sub}"), &with("sub", sub), Malformed)
                .await;
            rig.refuses(&format!("client {sub}"), &with("client_id", sub), Malformed)
                .await;
        }
    }
}

#[tokio::test]
async fn a_date_is_whole_seconds_up_to_the_year_9999() {
    let bad = [
        r#""1893456900""#,
        r#""""#,
        "null",
        "true",
        "[1893456900]",
        "{}",
        "1893456900.0",
        "1893456900.5",
        "1e10",
        "1E9",
        "1.9e9",
        "1e400",
        "-1",
        "-0",
        "-1893456900",
        "01893456900",
        "+1893456900",
        "0x70DBD884",
        "NaN",
        "Infinity",
        "253402300800",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "100000000000000000000000000000000000000",
    ];
    for rig in Rig::both().await {
        let with = |name, raw| rig.with_claims(&rig.claims().with(name, raw));
        for name in ["exp", "nbf", "iat", "auth_time"] {
            for raw in bad {
                rig.refuses(
                    &format!("{name}: {raw}"),
                    &with(name, raw),
                    Refusal::Malformed,
                )
                .await;
            }
        }
        rig.accepts("the last second", &with("exp", "253402300799"))
            .await;
        rig.refuses("expired in 1970", &with("exp", "0"), Refusal::Expired)
            .await;
        rig.refuses(
            "from 9999",
            &with("iat", "253402300799"),
            Refusal::NotYetValid,
        )
        .await;
        rig.accepts("from 1970", &with("iat", "0")).await;
    }
}

#[tokio::test]
async fn issuer_and_audience_are_compared_exactly() {
    use Refusal::{Malformed, WrongAudience, WrongIssuer};
    let issuers = [
        r#""https://shop.example/""#,
        r#""https://SHOP.example""#,
        r#""http://shop.example""#,
        r#""https://shop.example.evil.example""#,
        r#""https://shop.exampl""#,
        r#"" https://shop.example""#,
        r#""https://shop.example\u0000""#,
    ];
    let audiences = [
        (r#""shop-api""#, None),
        (r#"["shop-api"]"#, None),
        (r#"["other","shop-api","third"]"#, None),
        (r#"["shop-api","shop-api"]"#, None),
        (r#""other""#, Some(WrongAudience)),
        (r#""SHOP-API""#, Some(WrongAudience)),
        (r#""shop-api ""#, Some(WrongAudience)),
        (r#""shop-api,other""#, Some(WrongAudience)),
        (r#""shop-api other""#, Some(WrongAudience)),
        (r#""*""#, Some(WrongAudience)),
        ("[]", Some(WrongAudience)),
        (r#"[""]"#, Some(WrongAudience)),
        (r#"["other","third"]"#, Some(WrongAudience)),
        ("5", Some(Malformed)),
        (r#"[["shop-api"]]"#, Some(Malformed)),
        (r#"["shop-api",5]"#, Some(Malformed)),
        (r#"["shop-api",null]"#, Some(Malformed)),
        (r#"{"shop-api":true}"#, Some(Malformed)),
    ];
    for rig in Rig::both().await {
        for iss in issuers {
            let token = rig.with_claims(&rig.claims().with("iss", iss));
            rig.refuses(iss, &token, WrongIssuer).await;
        }
        for (aud, expected) in &audiences {
            let token = rig.with_claims(&rig.claims().with("aud", aud));
            match expected {
                None => drop(rig.accepts(aud, &token).await),
                Some(expected) => rig.refuses(aud, &token, expected.clone()).await,
            }
        }
    }
}

#[tokio::test]
async fn a_token_lives_from_its_beginning_to_its_end_by_the_millisecond() {
    const LEEWAY: Duration = Duration::from_secs(30);
    const MILLI: Duration = Duration::from_millis(1);
    for rig in Rig::both().await {
        let start = rig.clock.now();
        let in_an_hour = (start + Duration::from_secs(3600)).unix_secs();
        for name in ["nbf", "iat"] {
            let claims = rig.claims().with("exp", in_an_hour + 3600);
            let token = rig.with_claims(&claims.with(name, in_an_hour));
            rig.clock.set_wall(start);
            rig.refuses(name, &token, Refusal::NotYetValid).await;
            rig.clock
                .set_wall(start + (Duration::from_secs(3600) - LEEWAY - MILLI));
            rig.refuses(name, &token, Refusal::NotYetValid).await;
            rig.clock.advance(MILLI);
            rig.accepts(name, &token).await;
        }
        let token = rig.with_claims(&rig.claims().with("exp", in_an_hour));
        rig.clock.set_wall(start);
        rig.clock
            .advance(Duration::from_secs(3600) + LEEWAY - MILLI);
        rig.accepts("the last millisecond", &token).await;
        rig.clock.advance(MILLI);
        rig.refuses("a millisecond later", &token, Refusal::Expired)
            .await;
    }
}

#[tokio::test]
async fn an_id_has_one_spelling() {
    for rig in Rig::both().await {
        for name in ["sid", "jti"] {
            let id = rig.claims().raw(name).trim_matches('"').to_owned();
            let cases = [
                ("one short", id[1..].to_owned()),
                ("one more", format!("{id}A")),
                ("padded", format!("{id}=")),
                ("padded twice", format!("{id}==")),
                ("a space before", format!(" {id}")),
                ("a line behind", format!(r"{id}\n")),
                ("another alphabet", format!("+{}", &id[1..])),
                ("twice", format!("{id}{id}")),
                ("a uuid", "6f9619ff-8b86-d011-b42d-00cf4fc964ff".to_owned()),
            ];
            for (case, text) in cases {
                let token = rig.with_claims(&rig.claims().with(name, format!(r#""{text}""#)));
                rig.refuses(&format!("{name} {case}"), &token, Refusal::Malformed)
                    .await;
            }
        }
        let jti = rig.claims().raw("jti").trim_matches('"').to_owned();
        let jti = non_canonical(&jti).unwrap();
        let token = rig.with_claims(&rig.claims().with("jti", format!(r#""{jti}""#)));
        rig.refuses("jti with trailing bits", &token, Refusal::Malformed)
            .await;
    }
}

#[tokio::test]
async fn a_segment_is_one_json_object_in_utf8() {
    type Spoil = (&'static str, fn(&[u8]) -> Vec<u8>);
    let junk: [Spoil; 24] = [
        ("trailing brace", |json| [json, b"}"].concat()),
        ("a second object", |json| [json, b"{}"].concat()),
        ("a second copy", |json| [json, json].concat()),
        ("trailing text", |json| [json, b"x"].concat()),
        ("NUL behind", |json| [json, b"\0"].concat()),
        ("NUL before", |json| [b"\0", json].concat()),
        ("BOM", |json| [b"\xef\xbb\xbf", json].concat()),
        ("UTF-16", |json| json.iter().flat_map(|b| [*b, 0]).collect()),
        ("no end", |json| json[..json.len() - 1].to_vec()),
        ("trailing comma", |json| {
            [&json[..json.len() - 1], b",}"].concat()
        }),
        ("a comment", |json| [b"/**/", json].concat()),
        ("in an array", |json| [b"[", json, b"]"].concat()),
        ("in a string", |json| {
            serde_json::to_vec(str::from_utf8(json).unwrap()).unwrap()
        }),
        ("single quotes", |json| {
            String::from_utf8_lossy(json).replace('"', "'").into_bytes()
        }),
        ("empty", |_| Vec::new()),
        ("empty object", |_| b"{}".to_vec()),
        ("null", |_| b"null".to_vec()),
        ("a number", |_| b"5".to_vec()),
        ("a bool", |_| b"true".to_vec()),
        ("an array", |_| b"[]".to_vec()),
        ("a string", |_| b"\"x\"".to_vec()),
        ("invalid UTF-8 in a value", |json| {
            [&json[..json.len() - 1], b",\"x\":\"\xff\"}"].concat()
        }),
        ("invalid UTF-8 in a name", |json| {
            [&json[..json.len() - 1], b",\"\xc0\xaf\":1}"].concat()
        }),
        ("a control character in a value", |json| {
            [&json[..json.len() - 1], b",\"x\":\"\x01\"}"].concat()
        }),
    ];
    for rig in Rig::both().await {
        let (header, claims) = (rig.header().to_string(), rig.claims().to_string());
        for (case, spoil) in junk {
            let token = rig.forge.token(spoil(header.as_bytes()), &claims);
            rig.refuses(&format!("header: {case}"), &token, Refusal::Malformed)
                .await;
            let token = rig.forge.token(&header, spoil(claims.as_bytes()));
            rig.refuses(&format!("claims: {case}"), &token, Refusal::Malformed)
                .await;
        }
        let token = rig
            .forge
            .token(format!(" \t\r\n{header} \n"), format!("\n{claims}\r\n"));
        rig.accepts("white space around JSON is JSON", &token).await;
    }
}

#[tokio::test]
async fn depth_is_refused_and_exhausts_no_stack() {
    for rig in Rig::both().await {
        for levels in [200, 1000, 2000, 10_000] {
            let arrays = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
            let objects = format!(r#"{}1{}"#, r#"{"a":"#.repeat(levels), "}".repeat(levels));
            let unclosed = "[".repeat(levels);
            for (case, raw) in [
                ("arrays", arrays),
                ("objects", objects),
                ("unclosed", unclosed),
            ] {
                let case = format!("{levels} {case}");
                let token = rig.with_claims(&rig.claims().and("x", &raw));
                rig.refuses(&case, &token, Refusal::Malformed).await;
                // A header member that nobody looks at is skipped without recursion, or refused.
                let token = rig.with_header(&rig.header().and("x", &raw));
                match rig.verify(&token).await {
                    Ok(_) => assert!(token.len() <= LIMIT, "{case}"),
                    Err(Error::Refused(Refusal::Malformed)) => {}
                    Err(error) => panic!("{case}: {error}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn a_token_has_three_segments() {
    use Refusal::{BadSignature, Malformed};
    for rig in Rig::both().await {
        let good = rig.good();
        let [header, payload, signature] = segments(good);
        let cases = [
            ("nothing", String::new(), Malformed),
            ("a dot", ".".into(), Malformed),
            ("two dots", "..".into(), Malformed),
            ("three dots", "...".into(), Malformed),
            ("one segment", header.into(), Malformed),
            ("no signature", format!("{header}.{payload}"), Malformed),
            ("no payload", format!("{header}.{signature}"), Malformed),
            ("an empty segment behind", format!("{good}."), Malformed),
            ("an empty segment before", format!(".{good}"), Malformed),
            ("four segments", format!("{good}.{signature}"), Malformed),
            (
                "a fourth inside",
                format!("{header}.{payload}.{payload}.{signature}"),
                Malformed,
            ),
            (
                "five segments, as JWE has",
                format!("{header}.{payload}.{signature}.{payload}.{signature}"),
                Malformed,
            ),
            (
                "an empty header",
                format!(".{payload}.{signature}"),
                Malformed,
            ),
            (
                "an empty payload",
                format!("{header}..{signature}"),
                BadSignature,
            ),
            (
                "an empty signature",
                format!("{header}.{payload}."),
                BadSignature,
            ),
            (
                "swapped",
                format!("{payload}.{header}.{signature}"),
                Malformed,
            ),
            ("a comma for a dot", good.replacen('.', ",", 1), Malformed),
            ("an encoded dot", good.replacen('.', "%2E", 1), Malformed),
            ("two tokens", format!("{good}{good}"), Malformed),
            ("Bearer", format!("Bearer {good}"), Malformed),
            ("quoted", format!("\"{good}\""), Malformed),
        ];
        for (case, token, expected) in cases {
            rig.refuses(case, &token, expected).await;
        }
        for (case, header, payload) in [("header", "", payload), ("payload", header, "")] {
            let token = rig.forge.sign(header, payload);
            rig.refuses(&format!("a signed empty {case}"), &token, Malformed)
                .await;
        }
        let flattened = format!(
            r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#
        );
        rig.refuses("JSON serialisation", &flattened, Malformed)
            .await;
    }
}

#[tokio::test]
async fn base64url_has_one_spelling() {
    type Misspell = (&'static str, fn(&str) -> String);
    let edits: [Misspell; 11] = [
        ("padding", |s| format!("{s}=")),
        ("more padding", |s| format!("{s}==")),
        ("a space before", |s| format!(" {s}")),
        ("a space behind", |s| format!("{s} ")),
        ("a line feed behind", |s| format!("{s}\n")),
        ("CRLF inside", |s| format!("{}\r\n{}", &s[..4], &s[4..])),
        ("a tab inside", |s| format!("{}\t{}", &s[..4], &s[4..])),
        ("NUL behind", |s| format!("{s}\0")),
        ("a plus", |s| format!("{}++++", s)),
        ("a slash", |s| format!("{}////", s)),
        ("beyond ASCII", |s| format!("{s}ä")),
    ];
    for rig in Rig::both().await {
        // Padded with white space until a segment has bits to spare.
        let spare = |json: String| {
            let texts = (0..3).map(|n| base64url(format!("{json}{}", " ".repeat(n))));
            let (mut spare, mut full) = (Vec::new(), Vec::new());
            for text in texts {
                match non_canonical(&text) {
                    Some(_) => spare.push(text),
                    None => full.push(text),
                }
            }
            assert_eq!((spare.len(), full.len()), (2, 1));
            [spare, full].concat()
        };
        for header in spare(rig.header().to_string()) {
            for payload in spare(rig.claims().to_string()) {
                let token = rig.forge.sign(&header, &payload);
                rig.accepts("well spelled", &token).await;
                let signature = token.rsplit('.').next().unwrap();
                if let Some(bad) = non_canonical(&header) {
                    rig.refuses(
                        "bits in the header",
                        &rig.forge.sign(&bad, &payload),
                        Refusal::Malformed,
                    )
                    .await;
                }
                if let Some(bad) = non_canonical(&payload) {
                    rig.refuses(
                        "bits in the payload",
                        &rig.forge.sign(&header, &bad),
                        Refusal::Malformed,
                    )
                    .await;
                }
                let bad = non_canonical(signature).unwrap();
                rig.refuses(
                    "bits in the signature",
                    &format!("{header}.{payload}.{bad}"),
                    Refusal::Malformed,
                )
                .await;
            }
        }
        let [header, payload, signature] = segments(rig.good());
        for (case, edit) in edits {
            let cases = [
                ("header", rig.forge.sign(&edit(header), payload)),
                ("payload", rig.forge.sign(header, &edit(payload))),
                (
                    "signature",
                    format!("{header}.{payload}.{}", edit(signature)),
                ),
            ];
            for (segment, token) in cases {
                rig.refuses(
                    &format!("{case} in the {segment}"),
                    &token,
                    Refusal::Malformed,
                )
                .await;
            }
        }
        for (case, token) in [
            ("a space before", format!(" {}", rig.good())),
            ("a line behind", format!("{}\n", rig.good())),
        ] {
            rig.refuses(case, &token, Refusal::Malformed).await;
        }
    }
}

#[tokio::test]
async fn a_signature_is_exactly_the_one() {
    for rig in Rig::both().await {
        let good = rig.good();
        let (message, signature) = good.rsplit_once('.').unwrap();
        let bytes = unbase64url(signature);
        let other = rig.forge.signature("another.message");
        let strangers = rig.forge.stranger().signature(message);
        let mut cases = vec![
            ("none".to_owned(), Vec::new()),
            ("one byte more".to_owned(), [&bytes[..], b"\0"].concat()),
            ("twice".to_owned(), [&bytes[..], &bytes[..]].concat()),
            ("zeros".to_owned(), vec![0; bytes.len()]),
            ("ones".to_owned(), vec![255; bytes.len()]),
            ("of another message".to_owned(), unbase64url(&other)),
            ("of a stranger".to_owned(), unbase64url(&strangers)),
        ];
        for length in 1..bytes.len() {
            cases.push((format!("{length} bytes"), bytes[..length].to_vec()));
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            cases.push((format!("bit {bit} flipped"), flipped));
        }
        for (case, bytes) in cases {
            let token = format!("{message}.{}", base64url(bytes));
            rig.refuses(&case, &token, Refusal::BadSignature).await;
        }
    }
}

#[tokio::test]
async fn a_token_may_have_8_kib_and_not_a_byte_more() {
    for rig in Rig::both().await {
        let of_length = |length: usize| {
            (0..4).find_map(|spaces| {
                let header = format!("{}{}", rig.header(), " ".repeat(spaces));
                let empty = rig
                    .forge
                    .token(&header, rig.claims().and("x", r#""""#).to_string());
                let least = (length - empty.len()) * 3 / 4;
                (least.saturating_sub(3)..least + 3)
                    .map(|n| {
                        let x = format!(r#""{}""#, "x".repeat(n));
                        rig.forge
                            .token(&header, rig.claims().and("x", x).to_string())
                    })
                    .find(|token| token.len() == length)
            })
        };
        let full = of_length(LIMIT).unwrap();
        rig.accepts("8192 bytes", &full).await;
        for length in [LIMIT + 1, LIMIT + 2, LIMIT + 3, 2 * LIMIT] {
            let Some(token) = of_length(length) else {
                panic!("no token of {length} bytes was found");
            };
            rig.refuses(&format!("{length} bytes"), &token, Refusal::Malformed)
                .await;
        }
        rig.refuses("1 MiB of text", &"a".repeat(1 << 20), Refusal::Malformed)
            .await;
        rig.refuses("1 MiB of dots", &".".repeat(1 << 20), Refusal::Malformed)
            .await;
        rig.refuses(
            "a long refresh token",
            &format!("gpr_{}", "A".repeat(LIMIT)),
            Refusal::Malformed,
        )
        .await;
    }
}

#[tokio::test]
async fn each_kind_of_token_is_refused_as_the_other() {
    for rig in Rig::both().await {
        let refresh = rig.issued.refresh_token.as_str();
        rig.refuses("a refresh token", refresh, Refusal::WrongType)
            .await;
        rig.refuses("its prefix", "gpr_", Refusal::WrongType).await;
        for token in [rig.good().to_owned(), format!("gpr_{}", rig.good())] {
            let refused = rig.authority.refresh(&token).await;
            let expected = if token.starts_with("gpr_") {
                Refusal::Malformed
            } else {
                Refusal::WrongType
            };
            assert!(
                matches!(&refused, Err(Error::Refused(refusal)) if *refusal == expected),
                "{refused:?}"
            );
        }
        assert_eq!(rig.counts.total(), 0, "the store was asked");
        rig.authority.refresh(refresh).await.unwrap();
    }
}

#[tokio::test]
async fn every_changed_character_is_refused() {
    for rig in Rig::both().await {
        rig.counts.reset();
        let good = rig.good();
        for at in 0..good.len() {
            let mut changed = good.as_bytes().to_vec();
            for with in ALPHABET.iter().chain(b".=+/ ~%\n\0") {
                changed[at] = *with;
                let changed = str::from_utf8(&changed).unwrap();
                if changed != good {
                    let verified = rig.verify(changed).await;
                    assert!(
                        matches!(verified, Err(Error::Refused(_))),
                        "{} at {at} in {good}",
                        char::from(*with)
                    );
                }
            }
            let (before, behind) = good.split_at(at);
            for edited in [
                before.to_owned(),
                format!("{before}{}", &behind[1..]),
                format!("{before}A{behind}"),
            ] {
                let verified = rig.verify(&edited).await;
                assert!(matches!(verified, Err(Error::Refused(_))), "{edited}");
            }
        }
        assert_eq!(rig.counts.total(), 0, "the store was asked");
        rig.accepts("unchanged", good).await;
    }
}

#[tokio::test]
async fn every_changed_character_of_a_refresh_token_is_refused() {
    let rig = Rig::new(Forge::Hs256(forge::SECRET.to_vec())).await;
    let good = rig.issued.refresh_token.as_str();
    for at in 0..good.len() {
        let mut changed = good.as_bytes().to_vec();
        for with in ALPHABET.iter().chain(b".=+/ ~%\n\0") {
            changed[at] = *with;
            let changed = str::from_utf8(&changed).unwrap();
            if changed != good {
                for refused in [
                    rig.authority.refresh(changed).await.map(drop),
                    rig.authority.logout(changed).await,
                ] {
                    assert!(
                        matches!(refused, Err(Error::Refused(_))),
                        "{} at {at}",
                        char::from(*with)
                    );
                }
            }
        }
    }
    assert_eq!(rig.counts.total(), 0, "the store was asked");
    rig.authority.refresh(good).await.unwrap();
}

#[tokio::test]
async fn a_revoked_token_is_revoked_in_every_spelling() {
    for rig in Rig::both().await {
        let (header, claims) = (rig.header(), rig.claims());
        let reversed = |members: &Members| {
            let names: Vec<_> = members.names().map(str::to_owned).collect();
            let empty = Members::parse(b"{}");
            let names = names.iter().rev();
            names.fold(empty, |all, name| all.and(name, members.raw(name)))
        };
        let array = claims.with("aud", r#"["x","shop-api"]"#);
        let texts = [
            ("as issued", rig.good().to_owned()),
            (
                "with spaces",
                rig.forge
                    .token(format!(" {header} "), format!("{claims}\n")),
            ),
            (
                "in another order",
                rig.forge
                    .token(reversed(&header).to_string(), reversed(&claims).to_string()),
            ),
            (
                "in capitals",
                rig.with_header(&header.with("typ", r#""APPLICATION/AT+JWT""#)),
            ),
            (
                "with a longer header",
                rig.with_header(&header.and("jku", r#""x""#)),
            ),
            ("for more audiences", rig.with_claims(&array)),
            (
                "with a later end",
                rig.with_claims(&claims.with("exp", "253402300799")),
            ),
            (
                "with an escaped jti",
                rig.with_claims(&claims.without("jti").and(r"\u006ati", claims.raw("jti"))),
            ),
        ];
        let mut pass = None;
        for (case, text) in &texts {
            pass = Some(rig.accepts(case, text).await);
        }
        rig.authority.revoke_token(&pass.unwrap()).await.unwrap();
        for (case, text) in &texts {
            let verified = rig.verify(text).await;
            assert!(
                matches!(verified, Err(Error::Refused(Refusal::Revoked))),
                "{case}: {verified:?}"
            );
        }
        let next = rig
            .authority
            .refresh(rig.issued.refresh_token.as_str())
            .await
            .unwrap();
        let claims = Members::parse(&unbase64url(segments(next.access_token.as_str())[1]));
        let spaced = rig.forge.token(format!("{header} "), claims.to_string());
        rig.accepts("the next one", &spaced).await;
        rig.authority.logout(&spaced).await.unwrap();
        for text in [next.access_token.as_str(), &spaced] {
            let verified = rig.verify(text).await;
            assert!(
                matches!(verified, Err(Error::Refused(Refusal::Revoked))),
                "after logout: {verified:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_forged_token_logs_nobody_out() {
    for rig in Rig::both().await {
        let stranger = rig.forge.stranger();
        let claims = rig.claims().to_string();
        let forged = [
            stranger.token(rig.header().to_string(), &claims),
            stranger.token(stranger.header().to_string(), &claims),
            rig.with_claims(&rig.claims().with("iss", r#""https://evil.example""#)),
            rig.with_claims(&rig.claims().with("aud", r#""other""#)),
            rig.with_header(&rig.header().with("typ", r#""JWT""#)),
        ];
        for token in forged {
            rig.counts.reset();
            let refused = rig.authority.logout(&token).await;
            assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
            assert_eq!(rig.counts.total(), 0, "the store was asked about {token}");
        }
        rig.accepts("afterwards", rig.good()).await;
    }
}

#[derive(Clone, Debug)]
enum Edit {
    Replace(Index, char),
    Insert(Index, char),
    Remove(Index),
    Swap(Index, Index),
    Cut(Index),
    Repeat(Index, Index),
    Append(String),
}

impl Edit {
    fn apply(&self, text: &mut Vec<char>) {
        let length = text.len();
        if length == 0 {
            return;
        }
        match self {
            Self::Replace(at, with) => text[at.index(length)] = *with,
            Self::Insert(at, with) => text.insert(at.index(length + 1), *with),
            Self::Remove(at) => drop(text.remove(at.index(length))),
            Self::Swap(one, two) => text.swap(one.index(length), two.index(length)),
            Self::Cut(at) => text.truncate(at.index(length)),
            Self::Repeat(from, to) => {
                let (from, to) = (from.index(length), to.index(length));
                let part = text[from.min(to)..from.max(to)].to_vec();
                text.extend(part);
            }
            Self::Append(more) => text.extend(more.chars()),
        }
    }
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = any::<Index>;
    let with = || prop_oneof![8 => "[A-Za-z0-9_-]".prop_map(|s: String| s.chars().next().unwrap()), 1 => any::<char>()];
    let edit = prop_oneof![
        (at(), with()).prop_map(|(at, with)| Edit::Replace(at, with)),
        (at(), with()).prop_map(|(at, with)| Edit::Insert(at, with)),
        at().prop_map(Edit::Remove),
        (at(), at()).prop_map(|(one, two)| Edit::Swap(one, two)),
        at().prop_map(Edit::Cut),
        (at(), at()).prop_map(|(from, to)| Edit::Repeat(from, to)),
        ".{0,20}".prop_map(Edit::Append),
    ];
    vec(edit, 1..6)
}

#[test]
fn no_text_but_a_token_is_accepted() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let rigs = runtime.block_on(Rig::both());
    let text = prop_oneof![
        any::<String>(),
        "[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}",
        "gpr_[A-Za-z0-9_-]{0,90}",
        "gpr_[A-Za-z0-9_-]{79}",
    ];
    proptest!(ProptestConfig::with_cases(512), |(text in text, edits in edits())| {
        for rig in &rigs {
            rig.counts.reset();
            let mutated = |good: &str| {
                let mut chars: Vec<char> = good.chars().collect();
                edits.iter().for_each(|edit| edit.apply(&mut chars));
                chars.into_iter().collect::<String>()
            };
            let access = mutated(rig.good());
            let refresh = mutated(rig.issued.refresh_token.as_str());
            for text in [&text, &access, &refresh] {
                if text == rig.good() || text == rig.issued.refresh_token.as_str() {
                    continue;
                }
                let verified = runtime.block_on(rig.verify(text));
                prop_assert!(matches!(verified, Err(Error::Refused(_))), "verified {}", text);
                let refreshed = runtime.block_on(rig.authority.refresh(text));
                prop_assert!(matches!(refreshed, Err(Error::Refused(_))), "refreshed {}", text);
                let ended = runtime.block_on(rig.authority.logout(text));
                prop_assert!(matches!(ended, Err(Error::Refused(_))), "logged out {}", text);
            }
            prop_assert_eq!(rig.counts.total(), 0, "the store was asked");
        }
    });
}

#[test]
fn no_signed_json_makes_a_verifier_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let rigs = runtime.block_on(Rig::both());
    proptest!(ProptestConfig::with_cases(512), |(edits in edits(), junk in vec(any::<u8>(), 0..200))| {
        for rig in &rigs {
            let mutated = |json: String| {
                let mut chars: Vec<char> = json.chars().collect();
                edits.iter().for_each(|edit| edit.apply(&mut chars));
                chars.into_iter().collect::<String>()
            };
            let (header, claims) = (rig.header().to_string(), rig.claims().to_string());
            for token in [
                rig.forge.token(mutated(header.clone()), &claims),
                rig.forge.token(&header, mutated(claims.clone())),
                rig.forge.token(&junk, &claims),
                rig.forge.token(&header, &junk),
            ] {
                let verified = runtime.block_on(rig.verify(&token));
                prop_assert!(matches!(verified, Ok(_) | Err(Error::Refused(_))), "{}", token);
            }
        }
    });
}

#[tokio::test]
async fn a_refresh_token_of_another_installation_is_of_an_unknown_key() {
    let store = CountingStore::new(MemoryStore::with_clock(ManualClock::new()));
    let counts = store.counts();
    let theirs = Authority::builder(forge::ISSUER, forge::AUDIENCE, master(2), store)
        .build()
        .await
        .unwrap();
    for rig in Rig::both().await {
        counts.reset();
        let token = rig.issued.refresh_token.as_str();
        for refused in [
            theirs.refresh(token).await.map(drop),
            theirs.logout(token).await,
        ] {
            assert!(
                matches!(refused, Err(Error::Refused(Refusal::UnknownKey))),
                "{refused:?}"
            );
        }
        assert_eq!(counts.total(), 0, "the store was asked");
    }
}

#[test]
fn public_and_private_half_have_one_id() {
    let private = SigningKey::ed25519_pem(ED25519).unwrap();
    let public = VerifyingKey::ed25519_pem(ED25519_PUBLIC).unwrap();
    assert_eq!(private.verifying_key().id(), public.id());
}

fn segments(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

/// Another base64url text of the same bytes, if there is one.
fn non_canonical(text: &str) -> Option<String> {
    let (rest, last) = text.split_at(text.len() - 1);
    let spare = match text.len() % 4 {
        2 => 0b1111,
        3 => 0b11,
        _ => return None,
    };
    let last = ALPHABET
        .iter()
        .position(|c| last.as_bytes() == [*c])
        .unwrap();
    assert_eq!(last & spare, 0, "canonical");
    Some(format!("{rest}{}", char::from(ALPHABET[last | 1])))
}
