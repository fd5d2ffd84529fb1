//! The header: algorithm, key, type.

use super::*;

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
