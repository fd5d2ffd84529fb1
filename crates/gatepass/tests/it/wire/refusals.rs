//! Each refusal and each failure on the wire.

use super::*;

/// A refusal, and where it refuses access: status, `error`, what follows the realm, `Retry-After`.
type Row = (
    Refusal,
    u16,
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
);

fn rows() -> Vec<Row> {
    let invalid = |refusal, challenge| (refusal, 401, "invalid_token", Some(challenge), None);
    vec![
        (Refusal::Missing, 401, "missing_token", Some(""), None),
        (
            Refusal::Ambiguous,
            400,
            "invalid_request",
            Some(
                r#", error="invalid_request", error_description="the credentials are ambiguous or not well-formed""#,
            ),
            None,
        ),
        invalid(
            Refusal::Malformed,
            r#", error="invalid_token", error_description="the token is malformed""#,
        ),
        invalid(
            Refusal::BadSignature,
            r#", error="invalid_token", error_description="the signature of the token is not valid""#,
        ),
        invalid(
            Refusal::UnknownKey,
            r#", error="invalid_token", error_description="the token names no key that is trusted here""#,
        ),
        invalid(
            Refusal::WrongType,
            r#", error="invalid_token", error_description="the token is of another type""#,
        ),
        invalid(
            Refusal::WrongIssuer,
            r#", error="invalid_token", error_description="the token is from another issuer""#,
        ),
        invalid(
            Refusal::WrongAudience,
            r#", error="invalid_token", error_description="the token is for another audience""#,
        ),
        invalid(
            Refusal::Expired,
            r#", error="invalid_token", error_description="the token has expired""#,
        ),
        invalid(
            Refusal::NotYetValid,
            r#", error="invalid_token", error_description="the token is not valid yet""#,
        ),
        invalid(
            Refusal::Revoked,
            r#", error="invalid_token", error_description="the token has been revoked""#,
        ),
        invalid(
            Refusal::StaleGrant,
            r#", error="invalid_token", error_description="the rights of the session have changed: refresh the access token""#,
        ),
        invalid(
            Refusal::UnknownSession,
            r#", error="invalid_token", error_description="the session is not known""#,
        ),
        invalid(
            Refusal::SessionEnded,
            r#", error="invalid_token", error_description="the session has ended""#,
        ),
        invalid(
            Refusal::RefreshExpired,
            r#", error="invalid_token", error_description="the refresh token has expired""#,
        ),
        invalid(
            Refusal::Reused,
            r#", error="invalid_token", error_description="the refresh token was used before""#,
        ),
        invalid(
            Refusal::WrongClient,
            r#", error="invalid_token", error_description="the token belongs to another client""#,
        ),
        invalid(
            Refusal::BadCredentials,
            r#", error="invalid_token", error_description="the user name or the password is wrong""#,
        ),
        (
            Refusal::InsufficientScope {
                required: Scopes::parse("b a !#[]~").unwrap(),
            },
            403,
            "insufficient_scope",
            Some(
                r##", error="insufficient_scope", error_description="the token lacks a scope", scope="!#[]~ a b""##,
            ),
            None,
        ),
        (
            Refusal::AuthenticationTooOld {
                max_age: Duration::from_secs(300),
            },
            401,
            "insufficient_user_authentication",
            Some(
                r#", error="insufficient_user_authentication", error_description="a more recent authentication is required", max_age="300""#,
            ),
            None,
        ),
        (
            Refusal::AuthenticationTooWeak {
                amr: vec!["hwk".to_owned(), "user".to_owned()],
                acr: vec!["phr".to_owned(), "urn:x".to_owned()],
            },
            401,
            "insufficient_user_authentication",
            Some(
                r#", error="insufficient_user_authentication", error_description="another kind of authentication is required", acr_values="phr urn:x", amr_values="hwk user""#,
            ),
            None,
        ),
        (Refusal::ScopeNotGranted, 400, "invalid_scope", None, None),
        (Refusal::CrossSite, 403, "cross_site_request", None, None),
        (
            Refusal::InvalidClient,
            401,
            "invalid_client",
            Some(r#"Basic realm="https://shop.example", charset="UTF-8""#),
            None,
        ),
        (
            Refusal::TooManyAttempts {
                retry_after: Duration::from_millis(1001),
            },
            429,
            "slow_down",
            None,
            Some("2"),
        ),
    ]
}

#[test]
fn each_refusal_has_its_status_name_and_challenge() {
    for (refusal, status, error, challenge, retry_after) in rows() {
        let case = refusal.reason();
        let description = refusal.to_string();
        let reply = Reply::of_error(&refusal.clone().into(), REALM, ErrorFormat::Resource);
        assert_well_formed(case, &reply);
        assert_eq!(reply.status(), status, "{case}");
        let challenge = challenge.map(|rest| match rest {
            basic if basic.starts_with("Basic") => basic.to_owned(),
            rest => format!(r#"Bearer realm="https://shop.example"{rest}"#),
        });
        assert_eq!(
            header(&reply, "www-authenticate"),
            challenge.as_deref(),
            "{case}"
        );
        assert_eq!(header(&reply, "retry-after"), retry_after, "{case}");
        let expected = json!({ "error": error, "error_description": description, "reason": case });
        assert_eq!(body(&reply), expected, "{case}");

        // Endpoints that give tokens answer one error for every fault of a token: only the reason
        // differs.
        let about_the_request = matches!(
            refusal,
            Refusal::Missing
                | Refusal::Ambiguous
                | Refusal::CrossSite
                | Refusal::ScopeNotGranted
                | Refusal::InvalidClient
                | Refusal::TooManyAttempts { .. }
        );
        let bare = r#"Bearer realm="https://shop.example""#.to_owned();
        let (identity, oauth) = if about_the_request {
            let usual = (status, error, challenge);
            let oauth = match refusal {
                // There, no token is expected in a header.
                Refusal::Missing => (400, "invalid_grant", None),
                Refusal::Ambiguous => (400, "invalid_request", None),
                _ => usual.clone(),
            };
            (usual, oauth)
        } else {
            let identity = (401, "invalid_grant", Some(bare));
            (identity, (400, "invalid_grant", None))
        };
        for (format, (status, error, challenge)) in
            [(ErrorFormat::Login, identity), (ErrorFormat::OAuth, oauth)]
        {
            let reply = Reply::of_error(&refusal.clone().into(), REALM, format);
            let case = format!("{case}, {format:?}");
            assert_well_formed(&case, &reply);
            assert_eq!(reply.status(), status, "{case}");
            let shown = header(&reply, "www-authenticate");
            assert_eq!(shown, challenge.as_deref(), "{case}");
            assert_eq!(header(&reply, "retry-after"), retry_after, "{case}");
            let expected = json!({ "error": error, "error_description": description, "reason": refusal.reason() });
            assert_eq!(body(&reply), expected, "{case}");
        }
    }
}

#[test]
fn a_wait_is_rounded_up_and_never_absurd() {
    for (wait, secs) in [
        (Duration::ZERO, "0"),
        (Duration::from_nanos(1), "1"),
        (Duration::from_secs(60), "60"),
        (Duration::MAX, "18446744073709551615"),
    ] {
        let refusal = Refusal::TooManyAttempts { retry_after: wait };
        let reply = Reply::of_error(&refusal.into(), REALM, ErrorFormat::Login);
        assert_eq!(header(&reply, "retry-after"), Some(secs), "{wait:?}");
    }
}

/// The variants of `pub enum name` in this source text.
fn variants<'s>(source: &'s str, name: &str) -> BTreeSet<&'s str> {
    let (_, rest) = source.split_once(&format!("pub enum {name} {{\n")).unwrap();
    let (inside, _) = rest.split_once("\n}").unwrap();
    inside
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        .map(|line| line.split([' ', ',', '(']).next().unwrap())
        .collect()
}

/// OIDC Back-Channel Logout §2.8.
#[test]
fn every_logout_token_that_is_refused_is_an_invalid_request() {
    for (refusal, ..) in rows() {
        let reply = Reply::of_error(&refusal.clone().into(), REALM, ErrorFormat::Logout);
        let case = format!("{refusal:?}");
        assert_eq!(reply.status(), 400, "{case}");
        assert_eq!(body(&reply)["error"], "invalid_request", "{case}");
        assert_eq!(body(&reply)["reason"], refusal.reason(), "{case}");
        assert_eq!(header(&reply, "www-authenticate"), None, "{case}");
        assert_well_formed(&case, &reply);
    }
}

#[test]
fn each_reason_is_in_the_table_of_texts() {
    let listed: BTreeSet<_> = Problem::REASONS.iter().collect();
    assert_eq!(listed.len(), Problem::REASONS.len(), "one row for each");
    for (refusal, ..) in rows() {
        let text = refusal.to_string();
        assert!(listed.contains(&(refusal.reason(), &*text)), "{refusal:?}");
    }
    let failures: [Error; 3] = [
        Error::KeysUnavailable {
            issuer: Issuer::new(REALM).unwrap(),
        },
        StoreError::new(StoreErrorKind::Unavailable).into(),
        InternalError::new("a test").into(),
    ];
    for error in failures {
        let text = error.description();
        assert!(listed.contains(&(error.reason(), &*text)), "{error:?}");
    }
}

#[test]
fn no_variant_is_without_a_row() {
    let refusals = include_str!("../../../src/model/refusal.rs");
    let shown: Vec<String> = rows().iter().map(|row| format!("{:?}", row.0)).collect();
    let of_rows: BTreeSet<&str> = shown
        .iter()
        .map(|row| row.split(' ').next().unwrap())
        .collect();
    assert_eq!(of_rows, variants(refusals, "Refusal"));
    let reasons: BTreeSet<_> = rows().iter().map(|row| row.0.reason()).collect();
    assert_eq!(reasons.len(), rows().len(), "one reason for each refusal");
    for reason in reasons {
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(
            !reason.is_empty() && reason.chars().all(plain),
            "{reason:?}"
        );
    }

    let documented = include_str!("../../../docs/wire.md");
    for (refusal, ..) in rows() {
        let name = format!("`{}`", refusal.reason());
        assert!(documented.contains(&name), "{name} is not documented");
    }

    let errors = include_str!("../../../src/error.rs");
    let failures: BTreeSet<_> = [
        "Refused",
        "Store",
        "KeysUnavailable",
        "Identity",
        "Internal",
    ]
    .into();
    assert_eq!(
        variants(errors, "Error"),
        failures,
        "see the failures below"
    );
    let formats = include_str!("../../../src/wire/refusal.rs");
    let all: BTreeSet<_> = ["Resource", "Login", "OAuth", "Logout"].into();
    assert_eq!(variants(formats, "ErrorFormat"), all);
}

#[test]
fn our_own_failures_reveal_nothing() {
    let source = || std::io::Error::other(MARKER);
    let unavailable = json!({
        "error": "temporarily_unavailable",
        "error_description": "the service is temporarily unavailable, try again",
        "reason": "store_unavailable",
    });
    let internal = json!({
        "error": "server_error",
        "error_description": "the server failed",
        "reason": "internal",
    });
    let no_keys = json!({
        "error": "temporarily_unavailable",
        "error_description": "the service is temporarily unavailable, try again",
        "reason": "issuer_unavailable",
    });
    let issuer = Issuer::new(MARKER).unwrap();
    let cases: [(&str, Error, u16, &Value); 10] = [
        ("no keys", Error::KeysUnavailable { issuer }, 503, &no_keys),
        (
            "unavailable",
            StoreError::unavailable(source()).into(),
            503,
            &unavailable,
        ),
        (
            "corrupt",
            StoreError::corrupt(source()).into(),
            503,
            &unavailable,
        ),
        (
            "timed out",
            StoreError::new(StoreErrorKind::TimedOut).into(),
            503,
            &unavailable,
        ),
        (
            "busy",
            StoreError::new(StoreErrorKind::Busy).into(),
            503,
            &unavailable,
        ),
        (
            "a reserved claim",
            IdentityError::ReservedClaim(MARKER.into()).into(),
            500,
            &internal,
        ),
        (
            "a name",
            IdentityError::from(Subject::new("").unwrap_err()).into(),
            500,
            &internal,
        ),
        ("too large", IdentityError::TooLarge.into(), 500, &internal),
        (
            "another subject",
            IdentityError::SubjectChanged.into(),
            500,
            &internal,
        ),
        (
            "internal",
            InternalError::new(MARKER).into(),
            500,
            &internal,
        ),
    ];
    for (case, error, status, expected) in cases {
        for format in [
            ErrorFormat::Resource,
            ErrorFormat::Login,
            ErrorFormat::OAuth,
            ErrorFormat::Logout,
        ] {
            let reply = Reply::of_error(&error, REALM, format);
            assert_well_formed(case, &reply);
            assert_eq!(reply.status(), status, "{case}");
            assert_eq!(body(&reply), *expected, "{case}");
            assert_eq!(
                header(&reply, "retry-after"),
                (status == 503).then_some("2"),
                "{case}"
            );
            assert_eq!(header(&reply, "www-authenticate"), None, "{case}");
            assert_eq!(header(&reply, "set-cookie"), None, "{case}");
            assert!(!format!("{reply:?}").contains("hunter2"), "{case}");
        }
    }
}

/// The parameters of a challenge, or nothing if it breaks the grammar (RFC 9110 §11.6.1).
fn parameters(challenge: &str) -> Option<Vec<(String, String)>> {
    let mut rest = challenge
        .strip_prefix("Bearer ")
        .or_else(|| challenge.strip_prefix("Basic "))?;
    let mut all = Vec::new();
    loop {
        let (name, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        let end = loop {
            match chars.next()? {
                (_, '\\') => value.push(chars.next()?.1),
                (at, '"') => break at,
                (_, c) => value.push(c),
            }
        };
        all.push((name.to_owned(), value));
        rest = quoted.get(end + 1..)?;
        if rest.is_empty() {
            return Some(all);
        }
        rest = rest.strip_prefix(", ")?;
    }
}

#[test]
fn nothing_breaks_out_of_a_quoted_string() {
    let realms = [
        ("plain", "shop", "shop"),
        ("a quote", r#"shop", error="x"#, r#"shop", error="x"#),
        ("a backslash at the end", r"shop\", r"shop\"),
        ("an escaped quote", r#"shop\""#, r#"shop\""#),
        ("a line", "shop\r\nset-cookie: a=b", "shopset-cookie: a=b"),
        ("beyond ASCII", "shöp\u{7f}\0", "shp"),
    ];
    for (case, realm, expected) in realms {
        for (refusal, ..) in rows() {
            for format in [
                ErrorFormat::Resource,
                ErrorFormat::Login,
                ErrorFormat::OAuth,
                ErrorFormat::Logout,
            ] {
                let reply = Reply::of_error(&refusal.clone().into(), realm, format);
                assert_well_formed(case, &reply);
                let Some(challenge) = header(&reply, "www-authenticate") else {
                    continue;
                };
                let parameters = parameters(challenge);
                let parameters = parameters.unwrap_or_else(|| panic!("{case}: {challenge}"));
                let of = |name: &str| {
                    parameters
                        .iter()
                        .find(|(own, _)| own == name)
                        .map(|(_, value)| value.as_str())
                };
                assert_eq!(of("realm"), Some(expected), "{case}: {challenge}");
                if of("error").is_some() {
                    assert_eq!(
                        of("error_description"),
                        Some(&*refusal.to_string()),
                        "{case}"
                    );
                    assert_eq!(of("error"), body(&reply)["error"].as_str(), "{case}");
                }
                let names: BTreeSet<_> = parameters.iter().map(|(name, _)| name).collect();
                assert_eq!(names.len(), parameters.len(), "{case}: {challenge}");
            }
        }
    }
}
