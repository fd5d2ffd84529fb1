//! Access tokens to claims and back, strictly.
//!
//! An access token is a JWT in the profile of RFC 9068. This module checks, in this order, cheapest
//! first: length, three segments, header, key, signature, claims, type, issuer, audience. Each step
//! can refuse the token. Time and revocation are the [`Verifier`](crate::Verifier)'s.

use std::{borrow::Cow, convert::Infallible, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    env::{clock::Timestamp, internal_error::InternalError},
    keys::{algorithm::Algorithm, set::KeySet, signing::SigningKey, verifying::VerifyingKey},
    model::{
        ids::{ClientId, SessionId, SessionNumber, Subject, TokenId},
        json::{Names, Text, strict_value},
        refusal::Refusal,
        scopes::Scopes,
    },
    token::{
        base64url,
        pass::{Pass, PassClaims},
        refresh,
    },
};

/// Longest access token in bytes: what a request header may have on common servers.
pub(crate) const MAX_TOKEN: usize = 8 * 1024;

/// The claims of an access token to be issued (RFC 9068 §2.2).
#[derive(Serialize)]
pub(crate) struct NewClaims<'a> {
    pub(crate) iss: &'a str,
    pub(crate) sub: &'a str,
    pub(crate) aud: &'a str,
    pub(crate) exp: i64,
    pub(crate) iat: i64,
    pub(crate) jti: String,
    pub(crate) sid: String,
    pub(crate) sn: i64,
    pub(crate) auth_time: i64,
    pub(crate) client_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) scope: &'a str,
    #[serde(flatten)]
    pub(crate) custom: &'a Map<String, Value>,
}

/// An access token that lacks its signature: what a key is to sign.
pub(crate) struct Unsigned(String);

impl Unsigned {
    /// The header that `key` writes, and `claims`.
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

    /// The access token, signed by the key that it was made for.
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

/// An access token whose key is known, and that nothing else is known of.
pub(crate) struct Unverified<'a> {
    jws: Jws<'a>,
    key: &'a VerifyingKey,
    is_access_token: bool,
}

impl<'a> Unverified<'a> {
    /// Finds the key that `token` says it was signed with.
    pub(crate) fn new(token: &'a str, keys: &'a KeySet, now: Timestamp) -> Result<Self, Refusal> {
        let jws = Jws::split(token)?;
        // A header that one of our keys writes need not be read again.
        let (key, is_access_token) = match keys.find_by_header(jws.header, now) {
            Some(key) => (key, true),
            None => {
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
            jws,
            key,
            is_access_token,
        })
    }

    /// The key that the token says it was signed with, and that may verify now.
    pub(crate) fn key(&self) -> &VerifyingKey {
        self.key
    }

    /// Checks all that can be checked without looking at a clock or at revocations.
    pub(crate) fn verify(&self, issuer: &str, audience: &str) -> Result<Pass, Refusal> {
        let payload = self.jws.authenticated(self.key)?;
        let claims: Claims<'_> = parse(&payload)?;
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

/// The payload, of any content, of a JWS that `key` signed. Its header must be a valid one with the
/// key's `alg`, and need not be that of an access token.
pub(crate) fn open_jws(jws: &str, key: &VerifyingKey) -> Result<Vec<u8>, Refusal> {
    let jws = Jws::split(jws)?;
    let mut header = Vec::new();
    base64url::decode(jws.header, &mut header)?;
    parse::<Header<'_>>(&header)?.check_algorithm(key)?;
    jws.authenticated(key)
}

/// Whether `token` has the form of an access token that some key could have signed. None is asked
/// for.
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

/// The parts of a JWS in compact serialization (RFC 7515 §7.1), none of which has been believed
/// yet.
struct Jws<'a> {
    header: &'a str,
    payload: &'a str,
    /// The two above, with the dot between them: what is signed.
    message: &'a str,
    signature: &'a str,
}

impl<'a> Jws<'a> {
    fn split(token: &'a str) -> Result<Self, Refusal> {
        if token.len() > MAX_TOKEN {
            return Err(Refusal::Malformed);
        }
        if token.starts_with(refresh::PREFIX) {
            return Err(Refusal::WrongType);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(Refusal::Malformed)?;
        if payload.contains('.') {
            return Err(Refusal::Malformed);
        }
        Ok(Self {
            header,
            payload,
            message,
            signature,
        })
    }

    /// The payload, if `key` signed it.
    fn authenticated(&self, key: &VerifyingKey) -> Result<Vec<u8>, Refusal> {
        // For both, one after the other.
        let mut bytes = Vec::with_capacity(self.payload.len().max(self.signature.len()));
        base64url::decode(self.signature, &mut bytes)?;
        if !key.verify(self.message.as_bytes(), &bytes) {
            return Err(Refusal::BadSignature);
        }
        base64url::decode(self.payload, &mut bytes)?;
        Ok(bytes)
    }
}

fn parse<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, Refusal> {
    // All of it must be UTF-8 (RFC 7515 §5.2), also the members that are skipped unread.
    let json = str::from_utf8(json).map_err(|_| Refusal::Malformed)?;
    serde_json::from_str(json).map_err(|_| Refusal::Malformed)
}

/// RFC 9068 §4: `at+jwt` or `application/at+jwt`; media types know no case (RFC 7515 §4.1.9).
pub(super) fn is_access_token_type(typ: &str) -> bool {
    typ.eq_ignore_ascii_case("at+jwt") || typ.eq_ignore_ascii_case("application/at+jwt")
}

/// Whether a header with this member requires more of its reader than gatepass knows.
pub(super) fn is_extension(name: &str) -> bool {
    matches!(name, "crit" | "b64")
}

/// The members that a header has.
pub(super) const HEADER: [&str; 3] = ["alg", "typ", "kid"];

/// The claims that a token has.
pub(super) const CLAIMS: [&str; 10] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "jti",
    "sid",
    "sn",
    "auth_time",
    "client_id",
];

/// Reads the claim `name` alone, by the types and rules of [`Claims`]. Returns its value if that is
/// a date.
pub(super) fn claim(name: &str, json: &str) -> Result<Option<Timestamp>, String> {
    fn text<T, E: fmt::Display>(
        json: &str,
        rule: impl FnOnce(String) -> Result<T, E>,
    ) -> Result<Option<Timestamp>, String> {
        let Text(text) = serde_json::from_str(json).map_err(|_| "not a string".to_owned())?;
        match rule(text.into_owned()) {
            Ok(_) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
    let wrong = |reason: &str| Err(reason.to_owned());
    match name {
        "iss" => text(json, Ok::<_, Infallible>),
        "sub" => text(json, Subject::new),
        "client_id" => text(json, ClientId::new),
        "scope" => text(json, |text| Scopes::parse(&text)),
        "jti" => text(json, |text| text.parse::<TokenId>()),
        "sid" => text(json, |text| text.parse::<SessionId>()),
        "aud" => match serde_json::from_str::<Audience<'_>>(json) {
            Ok(_) => Ok(None),
            Err(_) => wrong("neither a string nor an array of strings"),
        },
        "exp" | "nbf" | "iat" | "auth_time" => match serde_json::from_str(json) {
            Ok(NumericDate(date)) => Ok(Some(date)),
            Err(_) => wrong("not a whole number of seconds from 1970 to 9999"),
        },
        "sn" => match serde_json::from_str::<Number>(json) {
            Ok(_) => Ok(None),
            Err(_) => wrong("not a whole number from 0 to 2^53 - 1"),
        },
        _ => match strict_value(json) {
            Some(_) => Ok(None),
            None => wrong("it has a member twice, or a number that is out of range"),
        },
    }
}

/// The members of a header that are looked at. Keys that a token brings along (`jwk`, `jku`, `x5u`,
/// `x5c`) are never looked at, extensions that must be understood (`crit`, `b64`) are refused.
struct Header<'a> {
    alg: Text<'a>,
    typ: Option<Text<'a>>,
    kid: Option<Text<'a>>,
}

impl Header<'_> {
    /// The algorithm is the key's own; a token can only repeat it.
    fn check_algorithm(&self, key: &VerifyingKey) -> Result<(), Refusal> {
        if self.alg.0 == key.algorithm().name() {
            Ok(())
        } else {
            Err(Refusal::UnknownKey)
        }
    }
}

struct Claims<'a> {
    iss: Text<'a>,
    sub: Text<'a>,
    aud: Audience<'a>,
    exp: Timestamp,
    nbf: Option<Timestamp>,
    iat: Timestamp,
    jti: Text<'a>,
    sid: Text<'a>,
    sn: SessionNumber,
    auth_time: Timestamp,
    client_id: Text<'a>,
    scope: Option<Text<'a>>,
    custom: Map<String, Value>,
}

impl Claims<'_> {
    fn into_pass(self) -> Option<Pass> {
        Some(Pass::new(PassClaims {
            subject: Subject::new(self.sub.0).ok()?,
            session: self.sid.0.parse::<SessionId>().ok()?,
            number: self.sn,
            token: self.jti.0.parse::<TokenId>().ok()?,
            client: ClientId::new(self.client_id.0).ok()?,
            scopes: self.scope.map_or(Some(Scopes::default()), |scope| {
                Scopes::parse(&scope.0).ok()
            })?,
            issued_at: self.iat,
            not_before: self.nbf,
            expires_at: self.exp,
            authenticated_at: self.auth_time,
            custom: self.custom,
        }))
    }
}

/// One audience or several (RFC 7519 §4.1.3).
enum Audience<'a> {
    One(Text<'a>),
    Several(Vec<Text<'a>>),
}

impl Audience<'_> {
    fn names(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one.0 == audience,
            Self::Several(all) => all.iter().any(|one| one.0 == audience),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Audience<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AudienceVisitor;

        impl<'de> Visitor<'de> for AudienceVisitor {
            type Value = Audience<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of strings")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Audience::One(Text(Cow::Borrowed(text))))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Audience::One(Text(Cow::Owned(text.to_owned()))))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = seq.next_element()? {
                    all.push(one);
                }
                Ok(Audience::Several(all))
            }
        }

        deserializer.deserialize_any(AudienceVisitor)
    }
}

/// A `NumericDate` as gatepass accepts it: whole seconds from 1970 to 9999, no fraction, no sign.
struct NumericDate(Timestamp);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let secs = u64::deserialize(deserializer)?;
        let secs = i64::try_from(secs)
            .ok()
            .filter(|secs| *secs <= Timestamp::MAX.unix_secs());
        let secs = secs.ok_or_else(|| de::Error::custom("a date after the year 9999"))?;
        Ok(Self(Timestamp::from_unix_secs(secs)))
    }
}

/// The number of a session: a whole number that every JSON parser reads exactly.
struct Number(SessionNumber);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        let number = i64::try_from(number).ok();
        let number = number.filter(|number| *number <= SessionNumber::MAX.get());
        let number = number.ok_or_else(|| de::Error::custom("a number of a session above 2^53"))?;
        Ok(Self(SessionNumber::new(number)))
    }
}

/// Fills `slot` with the next value of `map`, which must be its first.
fn once<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    slot: &mut Option<T>,
    map: &mut A,
) -> Result<(), A::Error> {
    match slot.replace(map.next_value()?) {
        None => Ok(()),
        Some(_) => Err(de::Error::custom("a member twice")),
    }
}

fn required<T, E: de::Error>(slot: Option<T>) -> Result<T, E> {
    slot.ok_or_else(|| E::custom("a member is missing"))
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

impl<'de: 'a, 'a> Deserialize<'de> for Claims<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ClaimsVisitor;

        impl<'de> Visitor<'de> for ClaimsVisitor {
            type Value = Claims<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a claims set")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Claims<'de>, A::Error> {
                let (mut iss, mut sub, mut aud, mut jti, mut sid) = (None, None, None, None, None);
                let (mut client_id, mut scope) = (None, None);
                let (mut exp, mut nbf, mut iat, mut auth_time) = (None, None, None, None);
                let mut sn = None;
                let mut custom = Map::new();
                while let Some(name) = map.next_key::<Text<'de>>()? {
                    match &*name.0 {
                        "iss" => once(&mut iss, &mut map)?,
                        "sub" => once(&mut sub, &mut map)?,
                        "aud" => once(&mut aud, &mut map)?,
                        "exp" => once(&mut exp, &mut map)?,
                        "nbf" => once(&mut nbf, &mut map)?,
                        "iat" => once(&mut iat, &mut map)?,
                        "jti" => once(&mut jti, &mut map)?,
                        "sid" => once(&mut sid, &mut map)?,
                        "sn" => once(&mut sn, &mut map)?,
                        "auth_time" => once(&mut auth_time, &mut map)?,
                        "client_id" => once(&mut client_id, &mut map)?,
                        "scope" => once(&mut scope, &mut map)?,
                        _ => insert_strictly(&mut custom, name.0.into_owned(), &mut map)?,
                    }
                }
                let date = |NumericDate(date): NumericDate| date;
                Ok(Claims {
                    iss: required(iss)?,
                    sub: required(sub)?,
                    aud: required(aud)?,
                    exp: required(exp.map(date))?,
                    nbf: nbf.map(date),
                    iat: required(iat.map(date))?,
                    jti: required(jti)?,
                    sid: required(sid)?,
                    sn: required(sn.map(|Number(number)| number))?,
                    auth_time: required(auth_time.map(date))?,
                    client_id: required(client_id)?,
                    scope,
                    custom,
                })
            }
        }

        deserializer.deserialize_map(ClaimsVisitor)
    }
}

fn insert_strictly<'de, A: MapAccess<'de>>(
    object: &mut Map<String, Value>,
    name: String,
    map: &mut A,
) -> Result<(), A::Error> {
    let value = map.next_value::<&RawValue>()?;
    let value = strict_value(value.get()).ok_or_else(|| de::Error::custom("a member twice"))?;
    match object.insert(name, value) {
        None => Ok(()),
        Some(_) => Err(de::Error::custom("a member twice")),
    }
}
