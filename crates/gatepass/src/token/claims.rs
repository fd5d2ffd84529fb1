//! The claims of an access token, and their rules.

use std::{borrow::Cow, convert::Infallible, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    env::clock::Timestamp,
    model::{
        authentication::Authentication,
        ids::{ClientId, GrantVersion, SessionId, SessionNumber, Subject, TokenId},
        json::{Names, Text},
        scopes::Scopes,
    },
    token::pass::{CustomClaims, Origin, OwnSession, Pass, PassClaims},
};

/// The claims of a new access token (RFC 9068 §2.2).
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
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) gv: u32,
    pub(crate) auth_time: i64,
    pub(crate) client_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) act: Option<NewActor<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(crate) amr: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) acr: Option<&'a str>,
    #[serde(flatten)]
    pub(crate) custom: &'a Map<String, Value>,
}

/// The actor of a new token.
#[derive(Serialize)]
pub(crate) struct NewActor<'a> {
    pub(crate) sub: &'a str,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(version: &u32) -> bool {
    *version == 0
}

/// The claims of an access token that was read.
pub(super) struct Claims<'a> {
    pub(super) iss: Text<'a>,
    pub(super) sub: Text<'a>,
    pub(super) aud: Audience<'a>,
    pub(super) exp: Timestamp,
    pub(super) nbf: Option<Timestamp>,
    pub(super) iat: Timestamp,
    pub(super) jti: Text<'a>,
    pub(super) sid: Text<'a>,
    pub(super) sn: SessionNumber,
    pub(super) gv: GrantVersion,
    pub(super) auth_time: Timestamp,
    pub(super) client_id: Text<'a>,
    pub(super) scope: Option<Text<'a>>,
    pub(super) act: Option<Actor<'a>>,
    /// Empty if the token has none.
    pub(super) amr: Vec<Text<'a>>,
    pub(super) acr: Option<Text<'a>>,
    pub(super) custom: CustomClaims,
}

impl Claims<'_> {
    pub(super) fn into_pass(self) -> Option<Pass> {
        Some(Pass::new(PassClaims {
            subject: Subject::new(self.sub.0).ok()?,
            origin: Origin::Own(OwnSession {
                id: self.sid.0.parse::<SessionId>().ok()?,
                number: self.sn,
                grant: self.gv,
            }),
            token: self.jti.0.parse::<TokenId>().ok()?,
            client: Some(ClientId::new(self.client_id.0).ok()?),
            scopes: self.scope.map_or(Some(Scopes::default()), |scope| {
                Scopes::parse(&scope.0).ok()
            })?,
            actor: match self.act {
                Some(Actor(actor)) => Some(Subject::new(actor.0).ok()?),
                None => None,
            },
            authentication: Authentication {
                amr: Vec::from_iter(self.amr.into_iter().map(|method| method.0.into_owned())),
                acr: self.acr.map(|class| class.0.into_owned()),
            },
            issued_at: self.iat,
            not_before: self.nbf,
            expires_at: self.exp,
            authenticated_at: Some(self.auth_time),
            custom: self.custom,
        }))
    }
}

/// One audience or several (RFC 7519 §4.1.3).
pub(super) enum Audience<'a> {
    One(Text<'a>),
    Several(Vec<Text<'a>>),
}

impl Audience<'_> {
    pub(super) fn names(&self, audience: &str) -> bool {
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

/// The actor that a token names (RFC 8693 §4.1). gatepass ignores its other members, for example an
/// earlier actor.
pub(super) struct Actor<'a>(pub(super) Text<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Actor<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ActorVisitor;

        impl<'de> Visitor<'de> for ActorVisitor {
            type Value = Actor<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an actor")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Actor<'de>, A::Error> {
                let (mut sub, mut others) = (None, Names::default());
                while let Some(name) = map.next_key::<Text<'de>>()? {
                    if name.0 == "sub" {
                        once(&mut sub, &mut map)?;
                    } else {
                        map.next_value::<IgnoredAny>()?;
                        if !others.insert(name.0) {
                            return Err(de::Error::custom("a member twice"));
                        }
                    }
                }
                required(sub).map(Actor)
            }
        }

        deserializer.deserialize_map(ActorVisitor)
    }
}

/// A `NumericDate` as gatepass accepts it: whole seconds from 1970 to 9999, no fraction, no sign.
pub(super) struct NumericDate(pub(super) Timestamp);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let date = date(u64::deserialize(deserializer)?);
        let date = date.ok_or_else(|| de::Error::custom("a date after the year 9999"))?;
        Ok(Self(date))
    }
}

pub(super) fn date(secs: u64) -> Option<Timestamp> {
    let secs = i64::try_from(secs).ok()?;
    (secs <= Timestamp::MAX.unix_secs()).then(|| Timestamp::from_unix_secs(secs))
}

/// A session number: a whole number that every JSON parser reads exactly.
struct Number(SessionNumber);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = session_number(u64::deserialize(deserializer)?);
        let number = number.ok_or_else(|| de::Error::custom("a number of a session above 2^53"))?;
        Ok(Self(number))
    }
}

pub(super) fn session_number(number: u64) -> Option<SessionNumber> {
    let number = i64::try_from(number).ok()?;
    (number <= SessionNumber::MAX.get()).then(|| SessionNumber::new(number))
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
                let (mut sn, mut gv, mut act) = (None, None, None);
                let (mut amr, mut acr) = (None, None);
                let mut custom = String::new();
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
                        "gv" => once(&mut gv, &mut map)?,
                        "act" => once(&mut act, &mut map)?,
                        "amr" => once(&mut amr, &mut map)?,
                        "acr" => once(&mut acr, &mut map)?,
                        "auth_time" => once(&mut auth_time, &mut map)?,
                        "client_id" => once(&mut client_id, &mut map)?,
                        "scope" => once(&mut scope, &mut map)?,
                        _ => append(&mut custom, &name.0, &mut map)?,
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
                    gv: gv.map_or(GrantVersion::FIRST, GrantVersion::new),
                    auth_time: required(auth_time.map(date))?,
                    client_id: required(client_id)?,
                    scope,
                    act,
                    amr: amr.unwrap_or_default(),
                    acr,
                    custom: custom_claims(custom)?,
                })
            }
        }

        deserializer.deserialize_map(ClaimsVisitor)
    }
}

/// Adds the next value of `map` to `object`, as [`push`] does.
fn append<'de, A: MapAccess<'de>>(
    object: &mut String,
    name: &str,
    map: &mut A,
) -> Result<(), A::Error> {
    push(object, name, map.next_value()?);
    Ok(())
}

/// Adds a member to `object`: the text of an object without its closing brace, or an empty text.
pub(super) fn push(object: &mut String, name: &str, value: &RawValue) {
    object.push(if object.is_empty() { '{' } else { ',' });
    object.push_str(&Value::from(name).to_string());
    object.push(':');
    object.push_str(value.get());
}

/// The claims in an object that [`push`] built.
pub(super) fn custom_claims<E: de::Error>(mut object: String) -> Result<CustomClaims, E> {
    if object.is_empty() {
        return Ok(CustomClaims::default());
    }
    object.push('}');
    CustomClaims::parse(object, |_| true)
        .ok_or_else(|| E::custom("a member twice, or a number out of range"))
}

/// Fills the empty `slot` with the next value of `map`. A second value is an error.
pub(super) fn once<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    slot: &mut Option<T>,
    map: &mut A,
) -> Result<(), A::Error> {
    match slot.replace(map.next_value()?) {
        None => Ok(()),
        Some(_) => Err(de::Error::custom("a member twice")),
    }
}

pub(super) fn required<T, E: de::Error>(slot: Option<T>) -> Result<T, E> {
    slot.ok_or_else(|| E::custom("a member is missing"))
}

/// The claims that every token has.
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

/// The optional claims that gatepass reads.
pub(super) const OPTIONAL_CLAIMS: [&str; 6] = ["nbf", "scope", "gv", "act", "amr", "acr"];

/// Reads only the claim `name`, by the types and rules of [`Claims`]. Returns its value if it is a
/// date.
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
        "acr" => text(json, Ok::<_, Infallible>),
        "amr" => match serde_json::from_str::<Vec<Text<'_>>>(json) {
            Ok(_) => Ok(None),
            Err(_) => wrong("not an array of strings"),
        },
        "aud" => match serde_json::from_str::<Audience<'_>>(json) {
            Ok(_) => Ok(None),
            Err(_) => wrong("neither a string nor an array of strings"),
        },
        "exp" | "nbf" | "iat" | "auth_time" => match serde_json::from_str(json) {
            Ok(NumericDate(date)) => Ok(Some(date)),
            Err(_) => wrong("not a whole number of seconds from 1970 to 9999"),
        },
        "gv" => match serde_json::from_str::<u32>(json) {
            Ok(_) => Ok(None),
            Err(_) => wrong("not a whole number from 0 to 2^32 - 1"),
        },
        "act" => match serde_json::from_str::<Actor<'_>>(json) {
            Ok(Actor(actor)) => Subject::new(actor.0)
                .map(|_| None)
                .map_err(|error| error.to_string()),
            Err(_) => wrong("not an object with a subject"),
        },
        "sn" => match serde_json::from_str::<Number>(json) {
            Ok(_) => Ok(None),
            Err(_) => wrong("not a whole number from 0 to 2^53 - 1"),
        },
        _ => match CustomClaims::parse(format!("{{{}:{json}}}", Value::from(name)), |_| true) {
            Some(_) => Ok(None),
            None => wrong("it has a member twice, or a number that is out of range"),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::identity::Identity;

    /// Otherwise a token would have the claim twice, or an application could set it.
    #[test]
    fn no_identity_has_a_custom_claim_with_the_name_of_one_of_ours() {
        let claims_of = |name: &str| Identity::new("alice").unwrap().claims(&json!({ name: 1 }));
        for name in CLAIMS.iter().chain(&OPTIONAL_CLAIMS) {
            assert!(claims_of(name).is_err(), "{name}");
        }
        assert!(claims_of("tenant").is_ok());
    }
}
