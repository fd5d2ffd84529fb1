//! The places of tokens in a request.

use crate::{
    http::head::{HeaderField, RequestHead},
    model::{
        refusal::Refusal,
        transport::{BrowserPolicy, is_token},
    },
    wire::cookie::{self, Kind},
};

/// The place of a token in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A place where only a client that knows the token can put it.
    Bearer,
    /// A cookie, which a browser sends by itself.
    Cookie,
}

/// The access token of a request to a route behind a gate. If gatepass's own cookie isn't there,
/// the token may also be in the application's cookie. A browser sends all its cookies, so having
/// both is no error.
pub(super) fn of_gated<'a>(
    head: &RequestHead<'a>,
    policy: &BrowserPolicy,
) -> (Source, Result<Option<&'a str>, Refusal>) {
    match (access_token(head, policy), &policy.places.cookie) {
        ((source, Ok(None)), Some(own)) => (source, cookie::named(own, head, policy)),
        (found, _) => found,
    }
}

/// The access token of a request. If there is a token in a header, only the header counts.
pub(super) fn access_token<'a>(
    head: &RequestHead<'a>,
    policy: &BrowserPolicy,
) -> (Source, Result<Option<&'a str>, Refusal>) {
    match in_header(head, policy) {
        Ok(None) => (Source::Cookie, cookie::token(Kind::Access, head, policy)),
        found => (Source::Bearer, found),
    }
}

/// The token of an old system, in a request without a valid token of gatepass. It is in the header
/// for access tokens, or in the old system's cookie if the request has no cookie of gatepass. A
/// browser that has gatepass's cookies has already moved.
pub(super) fn old_token<'a>(
    head: &RequestHead<'a>,
    policy: &BrowserPolicy,
) -> Result<Option<(Source, &'a str)>, Refusal> {
    if let Some(token) = in_header(head, policy)? {
        return Ok(Some((Source::Bearer, token)));
    }
    for kind in Kind::ALL {
        if cookie::token(kind, head, policy)?.is_some() {
            return Ok(None);
        }
    }
    let token = old_cookie(head, policy)?;
    Ok(token.map(|token| (Source::Cookie, token)))
}

/// The token in the cookie of an old system.
pub(super) fn old_cookie<'a>(
    head: &RequestHead<'a>,
    policy: &BrowserPolicy,
) -> Result<Option<&'a str>, Refusal> {
    match &policy.places.old_cookie {
        Some(name) => cookie::named(name, head, policy),
        None => Ok(None),
    }
}

/// The refresh token in a cookie, unless the request has an access token in a header.
pub(super) fn refresh_cookie<'a>(
    head: &RequestHead<'a>,
    policy: &BrowserPolicy,
) -> Result<Option<&'a str>, Refusal> {
    match in_header(head, policy)? {
        Some(_) => Ok(None),
        None => cookie::token(Kind::Refresh, head, policy),
    }
}

/// The token in `Authorization`, or in the configured header field.
pub(super) fn in_header<'a>(
    head: &RequestHead<'a>,
    policy: &BrowserPolicy,
) -> Result<Option<&'a str>, Refusal> {
    let places = &policy.places;
    let authorization = authorization(head, &places.schemes)?;
    let Some(name) = places.header else {
        return Ok(authorization);
    };
    match (authorization, head.field(name)) {
        (found, HeaderField::Absent) => Ok(found),
        (None, HeaderField::Once(value)) => text(value).and_then(one_token).map(Some),
        (Some(_), HeaderField::Once(_)) | (_, HeaderField::Repeated) => Err(Refusal::Ambiguous),
    }
}

/// The token of `Authorization: Bearer` (RFC 6750 §2.1), or of one of the further schemes, if the
/// request has one.
///
/// Schemes are case-insensitive (RFC 9110 §11.1). Other schemes are ignored.
fn authorization<'a>(
    head: &RequestHead<'a>,
    further: &[String],
) -> Result<Option<&'a str>, Refusal> {
    let value = match head.field("authorization") {
        HeaderField::Absent => return Ok(None),
        HeaderField::Once(value) => text(value)?,
        // Frameworks and proxies differ on which of several headers counts.
        HeaderField::Repeated => return Err(Refusal::Ambiguous),
    };
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !is_token(scheme) {
        return Err(Refusal::Ambiguous);
    }
    let is = |known: &str| scheme.eq_ignore_ascii_case(known);
    if !is("bearer") && !further.iter().any(|known| is(known)) {
        return Ok(None);
    }
    one_token(token.trim_start_matches(' ')).map(Some)
}

/// The text of a header's value.
fn text(value: &[u8]) -> Result<&str, Refusal> {
    let text = str::from_utf8(value).map_err(|_| Refusal::Ambiguous)?;
    Ok(text.trim_matches([' ', '\t']))
}

fn one_token(text: &str) -> Result<&str, Refusal> {
    if is_b64token(text) {
        Ok(text)
    } else {
        Err(Refusal::Ambiguous)
    }
}

/// `b64token` of RFC 6750 §2.1.
fn is_b64token(token: &str) -> bool {
    let unpadded = token.trim_end_matches('=');
    // No early exit within a part, so the compiler can vectorize the loop.
    let mut parts = unpadded.as_bytes().chunks(64);
    !unpadded.is_empty()
        && parts.all(|part| part.iter().fold(true, |all, byte| all & is_b64(*byte)))
}

/// Whether RFC 6750 §2.1 allows the character. Without branches, so that the loop vectorizes.
const fn is_b64(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    // The characters minus, point, slash and the digits are contiguous.
    let from_minus = byte.wrapping_sub(b'-') < 13;
    letter | from_minus | (byte == b'_') | (byte == b'~') | (byte == b'+')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer_of(values: &[&[u8]]) -> Result<Option<String>, Refusal> {
        let head = RequestHead::new("GET", "/", |name| {
            values
                .iter()
                .copied()
                .filter(move |_| name == "authorization")
        });
        authorization(&head, &[]).map(|token| token.map(str::to_owned))
    }

    #[test]
    fn the_scheme_knows_no_case() {
        for value in [
            "Bearer a.b.c",
            "bearer a.b.c",
            "BEARER a.b.c",
            "bEaReR   a.b.c",
            " Bearer a.b.c ",
        ] {
            assert_eq!(
                bearer_of(&[value.as_bytes()]),
                Ok(Some("a.b.c".into())),
                "{value}"
            );
        }
    }

    #[test]
    fn other_schemes_and_no_header_are_no_credentials() {
        for values in [
            &[] as &[&[u8]],
            &[b"Basic YTpi"],
            &[b"Bearerx abc"],
            &[b"Digest a=\"b\""],
        ] {
            assert_eq!(bearer_of(values), Ok(None));
        }
    }

    #[test]
    fn what_is_not_exactly_one_token_is_ambiguous() {
        let bad: [&[&[u8]]; 13] = [
            &[b"Bearer a", b"Bearer a"],
            &[b"Basic YTpi", b"Bearer a"],
            &[b""],
            &[b"Bearer"],
            &[b"Bearer "],
            &[b"Bearer a b"],
            &[b"Bearer a, Bearer b"],
            &[b"Bearer a\tb"],
            &[b"Bearer \"a\""],
            &[b"Bearer \xff"],
            &[b"Bearer ="],
            &[b"Bearer a=b"],
            &[b"\"Bearer\" a"],
        ];
        for values in bad {
            assert_eq!(bearer_of(values), Err(Refusal::Ambiguous), "{values:?}");
        }
    }

    #[test]
    fn a_character_is_one_of_the_grammar() {
        for byte in 0..=u8::MAX {
            let listed = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(is_b64(byte), listed, "{:?}", char::from(byte));
        }
        let mut token = "x".repeat(130);
        assert!(is_b64token(&token));
        for place in 0..token.len() {
            token.replace_range(place..=place, "*");
            assert!(!is_b64token(&token), "at {place}");
            token.replace_range(place..=place, "x");
        }
    }
}
