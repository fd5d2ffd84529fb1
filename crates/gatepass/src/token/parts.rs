//! The parts of an access token, for tools that show it to people.
//!
//! Gates stop at the first fault and say little. When you debug a token, you want all its faults.
//! So this module reads each member by itself, with the same types and rules as [`access`], and
//! goes on after a fault.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    env::clock::Timestamp,
    keys::algorithm::Algorithm,
    model::json::Text,
    token::{
        access::{self, MAX_TOKEN},
        base64url, claims,
    },
};

/// The parts of an access token, and every fault for which gates refuse its form.
///
/// For tools that show tokens to people. Nothing is verified: an attacker can write all of it,
/// including control characters in [`Member::name`], [`Member::json`] and [`Part::Text`]. Gates use
/// [`Verifier`](crate::Verifier).
///
/// [`TokenForm::of`](super::inspect::TokenForm::of) returns `TokenForm::Access` exactly when
/// [`faults`](Self::faults) is empty.
///
/// ```
/// use gatepass::inspect::{AccessTokenParts, Part};
///
/// // {"alg":"none"} and {}, without a signature.
/// let parts = AccessTokenParts::of("eyJhbGciOiJub25lIn0.e30.");
/// let Part::Members(header) = &parts.header else { panic!() };
/// assert_eq!((&*header[0].name, &*header[0].json), ("alg", r#""none""#));
/// let faults = Vec::from_iter(parts.faults.iter().map(ToString::to_string));
/// assert!(faults.contains(&"alg is none: the token is not signed".to_owned()));
/// assert!(faults.contains(&"the claims have no sub".to_owned()));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct AccessTokenParts {
    /// The JOSE header (RFC 7515 §4).
    pub header: Part,
    /// The claims set (RFC 9068 §2.2).
    pub claims: Part,
    /// The length of the signature in bytes, if it is base64url.
    pub signature: Option<usize>,
    /// Every reason why gates call the token malformed, of another type, or without a known key, in
    /// the order of the token's parts.
    pub faults: Vec<Fault>,
}

/// A segment of a token that should be a JSON object.
#[derive(Clone)]
#[non_exhaustive]
pub enum Part {
    /// The segment is a JSON object with these members, in their order in the text. A member that
    /// is there twice is here twice.
    Members(Vec<Member>),
    /// The segment is not a JSON object. This is its text, decoded as far as possible.
    Text(String),
}

/// A member of the header or the claims.
#[derive(Clone)]
#[non_exhaustive]
pub struct Member {
    /// The name of the member.
    pub name: String,
    /// The value, as the token has it.
    pub json: String,
    /// The value as a date, if it is a date that gates read.
    pub date: Option<Timestamp>,
}

/// One reason why gates refuse the form of an access token. Its `Display` names the part, and is
/// for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The token is longer than any that gates read.
    #[error("the token has {0} bytes, and gates read {MAX_TOKEN} at most")]
    TooLong(usize),
    /// The token has five segments, like an encrypted JWT (RFC 7516 §3.1).
    #[error("five segments: this is an encrypted token (JWE), which gatepass does not read")]
    Encrypted,
    /// The token does not have three segments with dots between them (RFC 7515 §3.1).
    #[error("{}", segments(.0))]
    Segments(usize),
    /// A segment is not base64url without padding (RFC 7515 §2), in its one spelling.
    #[error("{} not canonical base64url without padding", is(.0))]
    Base64(&'static str),
    /// A segment is not a JSON object in UTF-8.
    #[error("{} not a JSON object in UTF-8", is(.0))]
    Object(&'static str),
    /// A part has a member twice (RFC 7515 §4, RFC 7519 §4).
    #[error("{} {name:?} twice", has(.part))]
    Twice {
        /// `"header"` or `"claims"`.
        part: &'static str,
        /// The member.
        name: String,
    },
    /// A part lacks a member.
    #[error("{} no {name}", has(.part))]
    Missing {
        /// `"header"` or `"claims"`.
        part: &'static str,
        /// The member.
        name: &'static str,
    },
    /// A member has a value that gates don't accept.
    #[error("{}: {reason}", .name.escape_debug())]
    Value {
        /// The member.
        name: String,
        /// A reason for people.
        reason: String,
    },
    /// The header's `alg` is `none` (RFC 8725 §3.2).
    #[error("alg is none: the token is not signed")]
    Unsigned,
    /// The header's `alg` is one that gatepass doesn't support.
    #[error("{}", unknown(.0))]
    Algorithm(String),
    /// The header's `typ` is not the type of an access token (RFC 9068 §4).
    #[error(
        "typ is {0:?}, but an access token has \"at+jwt\" (RFC 9068): this is a JWT of another \
         kind"
    )]
    Type(String),
    /// The header has a member for an extension, which gatepass doesn't support (RFC 7515 §4.1.11,
    /// RFC 7797).
    #[error("the header has {0}: gatepass supports no extensions")]
    Extension(String),
}

fn is(part: &str) -> String {
    let verb = if part == CLAIMS { "are" } else { "is" };
    format!("the {part} {verb}")
}

fn has(part: &str) -> String {
    let verb = if part == CLAIMS { "have" } else { "has" };
    format!("the {part} {verb}")
}

fn unknown(algorithm: &str) -> String {
    let known = Algorithm::ALL.map(Algorithm::name).join(", ");
    format!("alg is {algorithm:?}, which gatepass does not support; it supports: {known}")
}

fn segments(number: &usize) -> String {
    match number {
        1 => "not a token: neither three segments with dots between them (an access token), nor \
              gpr_ at the beginning (a refresh token)"
            .to_owned(),
        _ => format!(
            "not a token: {number} segments with dots between them, and an access token has three"
        ),
    }
}

const HEADER: &str = "header";
const CLAIMS: &str = "claims";

impl AccessTokenParts {
    /// Takes `token` apart, which may be any text. A refresh token has no parts: see
    /// [`TokenForm`](super::inspect::TokenForm).
    #[must_use]
    pub fn of(token: &str) -> Self {
        let mut faults = Vec::new();
        if token.len() > MAX_TOKEN {
            faults.push(Fault::TooLong(token.len()));
        }
        let segments = Vec::from_iter(token.split('.'));
        let [header, claims, signature] = *segments.as_slice() else {
            faults.push(match segments.len() {
                5 => Fault::Encrypted,
                other => Fault::Segments(other),
            });
            let none = || Part::Members(Vec::new());
            return Self {
                header: none(),
                claims: none(),
                signature: None,
                faults,
            };
        };
        let header = part(HEADER, header, &access::HEADER, &mut faults, header_member);
        let claims = part(
            CLAIMS,
            claims,
            &claims::CLAIMS,
            &mut faults,
            |name, json| {
                claims::claim(name, json).map_err(|reason| Fault::Value {
                    name: name.to_owned(),
                    reason,
                })
            },
        );
        let mut bytes = Vec::new();
        let signature = base64url::decode(signature, &mut bytes).map(|()| bytes.len());
        if signature.is_err() {
            faults.push(Fault::Base64("signature"));
        }
        Self {
            header,
            claims,
            signature: signature.ok(),
            faults,
        }
    }
}

impl Part {
    /// The first member called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Member> {
        let Self::Members(members) = self else {
            return None;
        };
        members.iter().find(|member| member.name == name)
    }
}

impl Member {
    /// The value, if it is a string.
    #[must_use]
    pub fn as_text(&self) -> Option<String> {
        serde_json::from_str(&self.json).ok()
    }
}

/// Reads each member of a segment with `read`, and checks that all `required` members are there.
fn part(
    part: &'static str,
    segment: &str,
    required: &[&'static str],
    faults: &mut Vec<Fault>,
    read: impl Fn(&str, &str) -> Result<Option<Timestamp>, Fault>,
) -> Part {
    let mut bytes = Vec::new();
    if base64url::decode(segment, &mut bytes).is_err() {
        faults.push(Fault::Base64(part));
        return Part::Text(segment.to_owned());
    }
    let json = str::from_utf8(&bytes).ok();
    let Some(Members(found)) = json.and_then(|json| serde_json::from_str(json).ok()) else {
        faults.push(Fault::Object(part));
        return Part::Text(String::from_utf8_lossy(&bytes).into_owned());
    };
    let mut names = HashSet::new();
    let mut members = Vec::with_capacity(found.len());
    for (name, json) in found {
        let date = read(&name, json.get()).unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        if !names.insert(name.clone()) {
            let name = name.clone().into_owned();
            faults.push(Fault::Twice { part, name });
        }
        members.push(Member {
            name: name.into_owned(),
            json: json.get().to_owned(),
            date,
        });
    }
    let missing = required.iter().filter(|name| !names.contains(**name));
    faults.extend(missing.map(|name| Fault::Missing { part, name }));
    Part::Members(members)
}

fn header_member(name: &str, json: &str) -> Result<Option<Timestamp>, Fault> {
    let text = || {
        let text = serde_json::from_str::<Text<'_>>(json).map_err(|_| Fault::Value {
            name: name.to_owned(),
            reason: "not a string".to_owned(),
        });
        text.map(|Text(text)| text.into_owned())
    };
    match name {
        "alg" => {
            let algorithm = text()?;
            if algorithm.eq_ignore_ascii_case("none") {
                return Err(Fault::Unsigned);
            }
            if algorithm.parse::<Algorithm>().is_err() {
                return Err(Fault::Algorithm(algorithm));
            }
        }
        "typ" => {
            let typ = text()?;
            if !access::is_access_token_type(&typ) {
                return Err(Fault::Type(typ));
            }
        }
        "kid" => drop(text()?),
        _ if access::is_extension(name) => return Err(Fault::Extension(name.to_owned())),
        _ => {}
    }
    Ok(None)
}

/// The members of a JSON object, in their order in the text.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(Text(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

impl fmt::Debug for AccessTokenParts {
    /// Shows only the number of faults: the parts may belong to a live token of a user.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokenParts")
            .field("faults", &self.faults.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Members(members) => write!(f, "Members({})", members.len()),
            Self::Text(_) => f.write_str("Text(..)"),
        }
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::token::inspect::TokenForm;

    const GOOD_HEADER: [(&str, &str); 3] = [
        ("typ", r#""at+jwt""#),
        ("alg", r#""HS256""#),
        ("kid", r#""a""#),
    ];

    const GOOD_CLAIMS: [(&str, &str); 10] = [
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
    ];

    type Changes = [(&'static str, Option<String>)];

    /// The `good` members with some of them changed. `None` leaves a member out. A member that is
    /// changed twice is there twice.
    fn object(good: &[(&str, &str)], changed: &Changes) -> String {
        let is_changed = |name: &str| changed.iter().any(|(is, _)| *is == name);
        let kept = good.iter().filter(|(name, _)| !is_changed(name));
        let kept = kept.map(|(name, value)| format!(r#""{name}":{value}"#));
        let changed = changed.iter();
        let changed = changed.filter_map(|(name, value)| {
            let value = value.as_ref()?;
            Some(format!(r#""{name}":{value}"#))
        });
        format!("{{{}}}", Vec::from_iter(kept.chain(changed)).join(","))
    }

    fn token(header: &str, claims: &str) -> String {
        let mut token = String::new();
        base64url::encode(header, &mut token);
        token.push('.');
        base64url::encode(claims, &mut token);
        token.push('.');
        base64url::encode([7; 32], &mut token);
        token
    }

    /// Values, some of which are valid for some members.
    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            prop::sample::select(vec![
                "null",
                "true",
                "0",
                "-1",
                "1.5",
                "1e3",
                "253402300799",
                "253402300800",
                "18446744073709551616",
                r#""""#,
                r#""a""#,
                r#""a  b""#,
                r#""\u0000""#,
                r#"["a"]"#,
                r#"["a",1]"#,
                "[]",
                "{}",
                r#""AAAAAAAAAAAAAAAAAAAAAA""#,
                r#""AAAAAAAAAAAAAAAAAAAAAAAA""#,
                r#""at+jwt""#,
                r#""application/AT+JWT""#,
                r#""ES256""#,
                r#"{"a":1,"a":2}"#,
                "1e999",
                r#""\ud800""#,
            ])
            .prop_map(str::to_owned),
            any::<String>().prop_map(|text| serde_json::Value::String(text).to_string()),
        ]
    }

    fn changes(
        names: &'static [&'static str],
    ) -> impl Strategy<Value = Vec<(&'static str, Option<String>)>> {
        let name = prop::sample::select(names);
        prop::collection::vec((name, prop::option::of(value())), 0..3)
    }

    proptest! {
        /// Both readers, for gates and for people, judge every token alike.
        #[test]
        fn a_token_has_faults_where_gates_refuse_its_form(
            header in changes(&["typ", "alg", "kid", "crit", "b64", "jwk"]),
            claims in changes(&[
                "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "sn", "auth_time",
                "client_id", "scope", "cart",
            ]),
        ) {
            let token = token(&object(&GOOD_HEADER, &header), &object(&GOOD_CLAIMS, &claims));
            let faults = AccessTokenParts::of(&token).faults;
            prop_assert_eq!(faults.is_empty(), TokenForm::of(&token).is_ok(), "{:?}", faults);
            for fault in faults {
                prop_assert!(!fault.to_string().contains(char::is_control));
            }
        }

        #[test]
        fn any_text_has_faults_where_gates_refuse_its_form(
            text in "(gpr_)?[A-Za-z0-9_.-]{0,80}|\\PC{0,40}",
            header in any::<Vec<u8>>(),
        ) {
            for text in [text, token(&String::from_utf8_lossy(&header), "{}")] {
                let form = TokenForm::of(&text);
                let is_access = matches!(form, Ok(TokenForm::Access));
                let faults = AccessTokenParts::of(&text).faults;
                prop_assert_eq!(faults.is_empty(), is_access, "{:?}", faults);
            }
        }
    }

    #[test]
    fn a_token_that_is_too_long_has_that_fault() {
        let cart = format!("\"{}\"", "x".repeat(MAX_TOKEN));
        let long = token(
            &object(&GOOD_HEADER, &[]),
            &object(&GOOD_CLAIMS, &[("cart", Some(cart))]),
        );
        let faults = AccessTokenParts::of(&long).faults;
        assert_eq!(faults, [Fault::TooLong(long.len())]);
        assert!(TokenForm::of(&long).is_err());
    }

    #[test]
    fn a_debug_text_shows_no_part_of_a_token() {
        let parts = AccessTokenParts::of(&token(
            &object(&GOOD_HEADER, &[]),
            &object(&GOOD_CLAIMS, &[]),
        ));
        let shown = format!("{parts:?} {:?} {:?}", parts.header, parts.claims.get("sub"));
        assert!(!shown.contains("alice"), "{shown}");
    }
}
