//! Reads and writes access tokens, strictly.
//!
//! An access token is a JWT in the profile of RFC 9068. This module checks, in this order, cheapest
//! first: length, three segments, header, key, signature, claims, type, issuer, audience. Each step
//! can refuse the token. The [`Verifier`](crate::Verifier) checks time and revocation.

use std::fmt;

use memchr::memchr;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, IgnoredAny, MapAccess, Visitor},
};

use crate::{
    env::{clock::Timestamp, internal_error::InternalError},
    keys::{algorithm::Algorithm, set::KeySet, signing::SigningKey, verifying::VerifyingKey},
    model::{
        json::{Names, Text},
        refusal::Refusal,
    },
    token::{
        base64url,
        claims::{Claims, once, required},
        layout,
        pass::Pass,
        refresh,
    },
};

/// Longest access token in bytes: the limit of common servers for a request header.
pub(crate) const MAX_TOKEN: usize = 8 * 1024;

/// An access token before a key has signed it.
#[derive(Clone)]
pub(crate) struct Unsigned(String);

impl Unsigned {
    /// A token with the header of `key`, and with `claims`.
    pub(crate) fn new(key: &SigningKey, claims: &impl Serialize) -> Result<Self, InternalError> {
        let mut payload = Vec::with_capacity(512);
        serde_json::to_writer(&mut payload, claims)
            .map_err(|_| InternalError::new("claims without a JSON form"))?;
        let header = key.verifying_key().header();
        let mut token = String::with_capacity(header.len() + payload.len() * 4 / 3 + 100);
        token.push_str(header);
        token.push('.');
        base64url::encode(payload, &mut token);
        Ok(Self(token))
    }

    /// The access token, signed by `key`, which must be the key of its header.
    pub(crate) fn signed_by(self, key: &SigningKey) -> Result<String, InternalError> {
        let Self(mut token) = self;
        let signature = key
            .sign(token.as_bytes())
            .ok_or(InternalError::new("a token could not be signed"))?;
        token.push('.');
        base64url::encode(signature, &mut token);
        Ok(token)
    }
}

/// An access token whose key has been found, and nothing else checked.
pub(crate) struct Unverified<'a> {
    token: &'a str,
    key: &'a VerifyingKey,
    is_access_token: bool,
}

impl<'a> Unverified<'a> {
    /// Finds the key that `token` says it was signed with.
    pub(crate) fn new(token: &'a str, keys: &'a KeySet, now: Timestamp) -> Result<Self, Refusal> {
        let (header, _) = split_header(token)?;
        // If one of our keys writes this very header, there is no need to parse it.
        let (key, is_access_token) = match keys.find_by_header(header, now) {
            Some(key) => (key, true),
            None => {
                let jws = Jws::split(token)?;
                let mut header = Vec::new();
                base64url::decode(jws.header, &mut header)?;
                let header: Header<'_> = parse(&header)?;
                let key = header.kid.as_ref().and_then(|kid| keys.find(&kid.0, now));
                let key = key.ok_or(Refusal::UnknownKey)?;
                header.check_algorithm(key)?;
                let typ = header.typ;
                (key, typ.is_some_and(|typ| is_access_token_type(&typ.0)))
            }
        };
        Ok(Self {
            token,
            key,
            is_access_token,
        })
    }

    /// The key that the token names, which may verify now.
    pub(crate) fn key(&self) -> &VerifyingKey {
        self.key
    }

    /// Checks everything that needs neither a clock nor revocations.
    pub(crate) fn verify(&self, issuer: &str, audience: &str) -> Result<Pass, Refusal> {
        let payload = Jws::split(self.token)?.authenticated(self.key)?;
        let json = text(&payload)?;
        let claims = match layout::read(json) {
            Some(claims) => claims,
            None => parse_text(json)?,
        };
        if !self.is_access_token {
            return Err(Refusal::WrongType);
        }
        if claims.iss.0 != issuer {
            return Err(Refusal::WrongIssuer);
        }
        if !claims.aud.names(audience) {
            return Err(Refusal::WrongAudience);
        }
        claims.into_pass().ok_or(Refusal::Malformed)
    }
}

/// The payload, of any content, of a JWS that `key` signed. Its header must be valid and have the
/// key's `alg`. It need not be the header of an access token.
pub(crate) fn open_jws(jws: &str, key: &VerifyingKey) -> Result<Vec<u8>, Refusal> {
    let jws = Jws::split(jws)?;
    let mut header = Vec::new();
    base64url::decode(jws.header, &mut header)?;
    parse::<Header<'_>>(&header)?.check_algorithm(key)?;
    jws.authenticated(key)
}

/// Checks that `token` has the form of an access token that some key could have signed. It needs no
/// key.
pub(crate) fn check_form(token: &str) -> Result<(), Refusal> {
    let jws = Jws::split(token)?;
    let (mut header, mut signature, mut payload) = (Vec::new(), Vec::new(), Vec::new());
    base64url::decode(jws.header, &mut header)?;
    let header: Header<'_> = parse(&header)?;
    base64url::decode(jws.signature, &mut signature)?;
    base64url::decode(jws.payload, &mut payload)?;
    if header.kid.is_none() || header.alg.0.parse::<Algorithm>().is_err() {
        return Err(Refusal::UnknownKey);
    }
    if !header.typ.is_some_and(|typ| is_access_token_type(&typ.0)) {
        return Err(Refusal::WrongType);
    }
    let claims: Claims<'_> = parse(&payload)?;
    claims.into_pass().map(drop).ok_or(Refusal::Malformed)
}

/// The parts of a JWS in compact serialization (RFC 7515 §7.1), before any check.
pub(super) struct Jws<'a> {
    pub(super) header: &'a str,
    pub(super) payload: &'a str,
    /// Header and payload with the dot between them: the text that the key signs.
    pub(super) message: &'a str,
    signature: &'a str,
}

impl<'a> Jws<'a> {
    pub(super) fn split(token: &'a str) -> Result<Self, Refusal> {
        let (header, rest) = split_header(token)?;
        let (payload, signature) = split_at_dot(rest)?;
        if memchr(b'.', signature.as_bytes()).is_some() {
            return Err(Refusal::Malformed);
        }
        let signed = header.len() + 1 + payload.len();
        let message = token.get(..signed).ok_or(Refusal::Malformed)?;
        Ok(Self {
            header,
            payload,
            message,
            signature,
        })
    }

    /// The payload, if `key` signed it.
    pub(super) fn authenticated(&self, key: &VerifyingKey) -> Result<Vec<u8>, Refusal> {
        // First for the signature, then for the payload.
        let mut bytes = Vec::with_capacity(self.payload.len().max(self.signature.len()));
        base64url::decode(self.signature, &mut bytes)?;
        if !key.verify(self.message.as_bytes(), &bytes) {
            return Err(Refusal::BadSignature);
        }
        base64url::decode(self.payload, &mut bytes)?;
        Ok(bytes)
    }
}

/// The first segment of a token, and the rest.
fn split_header(token: &str) -> Result<(&str, &str), Refusal> {
    if token.len() > MAX_TOKEN {
        return Err(Refusal::Malformed);
    }
    if token.starts_with(refresh::PREFIX) {
        return Err(Refusal::WrongType);
    }
    split_at_dot(token)
}

/// Like `str::split_once`, but with SIMD instructions.
fn split_at_dot(text: &str) -> Result<(&str, &str), Refusal> {
    let split = memchr(b'.', text.as_bytes()).and_then(|at| text.split_at_checked(at));
    let split = split.and_then(|(before, rest)| Some((before, rest.strip_prefix('.')?)));
    split.ok_or(Refusal::Malformed)
}

pub(super) fn parse<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, Refusal> {
    parse_text(text(json)?)
}

/// A whole part must be UTF-8 (RFC 7515 §5.2), including members that the parser skips.
pub(super) fn text(json: &[u8]) -> Result<&str, Refusal> {
    str::from_utf8(json).map_err(|_| Refusal::Malformed)
}

pub(super) fn parse_text<'de, T: Deserialize<'de>>(json: &'de str) -> Result<T, Refusal> {
    serde_json::from_str(json).map_err(|_| Refusal::Malformed)
}

/// RFC 9068 §4: `at+jwt` or `application/at+jwt`; media types are case-insensitive (RFC 7515
/// §4.1.9).
pub(super) fn is_access_token_type(typ: &str) -> bool {
    typ.eq_ignore_ascii_case("at+jwt") || typ.eq_ignore_ascii_case("application/at+jwt")
}

/// Whether this member of a header names an extension, which gatepass does not support.
pub(super) fn is_extension(name: &str) -> bool {
    matches!(name, "crit" | "b64")
}

/// The required members of a header.
pub(super) const HEADER: [&str; 3] = ["alg", "typ", "kid"];

/// The members of a header that gatepass reads. It ignores keys in the token (`jwk`, `jku`, `x5u`,
/// `x5c`), and refuses extensions that it would have to understand (`crit`, `b64`).
pub(super) struct Header<'a> {
    pub(super) alg: Text<'a>,
    pub(super) typ: Option<Text<'a>>,
    pub(super) kid: Option<Text<'a>>,
}

impl Header<'_> {
    /// The algorithm belongs to the key. A token can only repeat it.
    fn check_algorithm(&self, key: &VerifyingKey) -> Result<(), Refusal> {
        if self.alg.0 == key.algorithm().name() {
            Ok(())
        } else {
            Err(Refusal::UnknownKey)
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Header<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;

        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = Header<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JOSE header")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header<'de>, A::Error> {
                let (mut alg, mut typ, mut kid) = (None, None, None);
                let mut others = Names::default();
                while let Some(name) = map.next_key::<Text<'de>>()? {
                    match &*name.0 {
                        "alg" => once(&mut alg, &mut map)?,
                        "typ" => once(&mut typ, &mut map)?,
                        "kid" => once(&mut kid, &mut map)?,
                        name if is_extension(name) => {
                            return Err(de::Error::custom("an extension"));
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            if !others.insert(name.0) {
                                return Err(de::Error::custom("a member twice"));
                            }
                        }
                    }
                }
                Ok(Header {
                    alg: required(alg)?,
                    typ,
                    kid,
                })
            }
        }

        deserializer.deserialize_map(HeaderVisitor)
    }
}
