//! The text: segments, base64url, JSON.

use super::*;

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
