//! The claims: there, of their type, in force.

use super::*;

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
