//! Reads access tokens of other issuers, strictly.
//!
//! Other issuers write their tokens in many ways. This module reads the tokens of common products,
//! and judges them as strictly as our own. JSON has no member twice, dates are whole seconds, and
//! base64url has one spelling. `exp` and `iat` are required, because revocations depend on them.
//!
//! The hard part is to tell an access token from another JWT that the same key has signed. Only the
//! type `at+jwt` (RFC 9068) is certain, and few products write it. So gatepass refuses a token with
//! a member that only other kinds of tokens have: see [`Claims::check_kind`].

use std::{fmt, time::Duration};

use memchr::memchr;
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use crate::{
    keys::{algorithm::Algorithm, verifying::VerifyingKey},
    model::{
        authentication::Authentication,
        ids::{AccountId, ClientId, Issuer, Subject, TokenId},
        json::Text,
        refusal::Refusal,
        scopes::Scopes,
    },
    token::{
        access::{Header, Jws, is_access_token_type, parse, parse_text, text},
        base64url,
        claims::{Actor, Audience, NumericDate, custom_claims, once, push, required},
        logout::{self, LogoutToken},
        pass::{CustomClaims, Foreign, Origin, Pass, PassClaims},
    },
};

/// The rules for the tokens of one issuer.
#[derive(Clone, Debug)]
pub(crate) struct ForeignRules {
    /// A token must be for one of these audiences.
    pub(crate) audiences: Vec<String>,
    /// The clients whose tokens may lack an audience.
    pub(crate) clients: Vec<String>,
    /// The clients whose logout tokens gatepass accepts.
    pub(crate) login_clients: Vec<String>,
    /// The longest time for which a token is valid after its `iat`.
    pub(crate) max_lifetime: Duration,
    /// Whether a token must have the type of RFC 9068.
    pub(crate) only_at_jwt: bool,
}

impl ForeignRules {
    /// Whether gatepass accepts any access tokens of the issuer.
    pub(crate) fn accepts_access_tokens(&self) -> bool {
        !(self.audiences.is_empty() && self.clients.is_empty())
    }
}

/// The first characters of the payload of every token that gatepass issues as one issuer. A token
/// that begins like this needs no parsing of its `iss`.
pub(crate) struct OwnStart(String);

impl OwnStart {
    pub(crate) fn new(issuer: &Issuer) -> Self {
        let start = format!(r#"{{"iss":{},""#, Value::from(issuer.as_str()));
        // Whole groups of base64url, so that they don't depend on the next characters. This drops
        // at most two characters, which are after the issuer.
        let whole = start.len() / 3 * 3;
        let mut encoded = String::new();
        base64url::encode(
            start.as_bytes().get(..whole).unwrap_or_default(),
            &mut encoded,
        );
        Self(encoded)
    }

    /// Whether the payload of `token` begins with these characters.
    pub(crate) fn begins(&self, token: &str) -> bool {
        let dot = memchr(b'.', token.as_bytes());
        let payload = dot.and_then(|dot| token.get(dot + 1..));
        payload.is_some_and(|payload| payload.starts_with(&self.0))
    }
}

/// A token, and the issuer that it names. Nothing is verified yet.
pub(crate) struct ForeignToken<'a> {
    jws: Jws<'a>,
    /// The issuer that the token names.
    issuer: String,
}

impl<'a> ForeignToken<'a> {
    /// Reads the issuer that `token` names.
    pub(crate) fn new(token: &'a str) -> Result<Self, Refusal> {
        let jws = Jws::split(token)?;
        let mut payload = Vec::new();
        base64url::decode(jws.payload, &mut payload)?;
        let NamedIssuer(issuer) = parse(&payload)?;
        Ok(Self { jws, issuer })
    }

    /// The issuer that the token names.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The header, if it can belong to an access token.
    pub(crate) fn header(&self) -> Result<ForeignHeader, Refusal> {
        self.header_of(is_access_token_type)
    }

    /// The header, if it can belong to a logout token.
    pub(crate) fn logout_header(&self) -> Result<ForeignHeader, Refusal> {
        self.header_of(logout::is_logout_token_type)
    }

    /// The header, if its type is `JWT`, missing, or one that `is_own` accepts.
    fn header_of(&self, is_own: impl Fn(&str) -> bool) -> Result<ForeignHeader, Refusal> {
        let mut header = Vec::new();
        base64url::decode(self.jws.header, &mut header)?;
        let header: Header<'_> = parse(&header)?;
        let algorithm = header.alg.0.parse::<Algorithm>();
        let algorithm = algorithm.map_err(|_| Refusal::UnknownKey)?;
        let kid = header.kid.ok_or(Refusal::UnknownKey)?.0.into_owned();
        let has_own_type = match &header.typ {
            None => false,
            Some(typ) if is_own(&typ.0) => true,
            Some(typ) if typ.0.eq_ignore_ascii_case("JWT") => false,
            // For example, `dpop+jwt`.
            Some(_) => return Err(Refusal::WrongType),
        };
        Ok(ForeignHeader {
            kid,
            algorithm,
            has_own_type,
        })
    }

    /// Checks everything that needs neither a clock nor revocations. `key` is the key of `issuer`
    /// that `header` names.
    pub(crate) fn verify(
        &self,
        header: &ForeignHeader,
        key: &VerifyingKey,
        issuer: &Issuer,
        rules: &ForeignRules,
    ) -> Result<Pass, Refusal> {
        let payload = self.payload(header, key)?;
        let claims: Claims<'_> = parse_text(text(&payload)?)?;
        claims.check_kind(header.has_own_type, rules)?;
        if claims.text(claims.iss)?.as_deref() != Some(issuer.as_str()) {
            return Err(Refusal::WrongIssuer);
        }
        claims.into_pass(issuer, rules, self.jws.message)
    }

    /// As [`verify`](Self::verify), for a logout token.
    pub(crate) fn verify_logout(
        &self,
        header: &ForeignHeader,
        key: &VerifyingKey,
        issuer: &Issuer,
        rules: &ForeignRules,
    ) -> Result<LogoutToken, Refusal> {
        let payload = self.payload(header, key)?;
        LogoutToken::read(text(&payload)?, issuer, &rules.login_clients)
    }

    /// The payload, if `key` signed it by the algorithm that `header` names.
    fn payload(&self, header: &ForeignHeader, key: &VerifyingKey) -> Result<Vec<u8>, Refusal> {
        if header.algorithm != key.algorithm() {
            return Err(Refusal::UnknownKey);
        }
        self.jws.authenticated(key)
    }
}

/// The signed part of `token` if it is a JWS, and otherwise all of it. The signature doesn't
/// identify a token, since each ECDSA signature has a second valid form.
pub(crate) fn signed_part(token: &str) -> &str {
    let signed = || {
        let jws = Jws::split(token).ok()?;
        let mut header = Vec::new();
        base64url::decode(jws.header, &mut header).ok()?;
        parse::<Header<'_>>(&header).ok()?;
        Some(jws.message)
    };
    signed().unwrap_or(token)
}

/// The members of a header that gatepass reads.
pub(crate) struct ForeignHeader {
    kid: String,
    algorithm: Algorithm,
    /// Whether its type names the kind of the token.
    has_own_type: bool,
}

impl ForeignHeader {
    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }
}

/// The issuer in a claims set. Nothing else is read.
struct NamedIssuer(String);

impl<'de> Deserialize<'de> for NamedIssuer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IssuerVisitor;

        impl<'de> Visitor<'de> for IssuerVisitor {
            type Value = NamedIssuer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a claims set")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NamedIssuer, A::Error> {
                let mut iss = None;
                while let Some(name) = map.next_key::<Text<'de>>()? {
                    if name.0 == "iss" {
                        once(&mut iss, &mut map)?;
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                let iss: Text<'_> = required(iss)?;
                Ok(NamedIssuer(iss.0.into_owned()))
            }
        }

        deserializer.deserialize_map(IssuerVisitor)
    }
}

/// The claims of a token of another issuer, each as its text.
#[derive(Default)]
struct Claims<'a> {
    iss: Option<&'a RawValue>,
    sub: Option<&'a RawValue>,
    aud: Option<&'a RawValue>,
    exp: Option<&'a RawValue>,
    nbf: Option<&'a RawValue>,
    iat: Option<&'a RawValue>,
    jti: Option<&'a RawValue>,
    /// The `jti` of Entra.
    uti: Option<&'a RawValue>,
    auth_time: Option<&'a RawValue>,
    scope: Option<&'a RawValue>,
    /// The scopes of Okta and Entra.
    scp: Option<&'a RawValue>,
    client_id: Option<&'a RawValue>,
    /// The client of Auth0, Keycloak and Entra.
    azp: Option<&'a RawValue>,
    /// The client of Okta.
    cid: Option<&'a RawValue>,
    /// The client of Entra, in tokens of version 1.
    appid: Option<&'a RawValue>,
    act: Option<&'a RawValue>,
    amr: Option<&'a RawValue>,
    acr: Option<&'a RawValue>,
    /// The kind of the token, as Keycloak names it.
    typ: Option<&'a RawValue>,
    /// The kind of the token, as Cognito names it.
    token_use: Option<&'a RawValue>,
    nonce: Option<&'a RawValue>,
    /// Whether there is a member that only ID tokens (OpenID Connect Core §3.3.2.11) or only
    /// security events (RFC 8417 §2.2) have.
    of_another_kind: bool,
    /// Whether the token is bound to a key of its client (RFC 7800).
    is_bound: bool,
    custom: CustomClaims,
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
                let mut claims = Claims::default();
                let mut custom = String::new();
                while let Some(Text(name)) = map.next_key::<Text<'de>>()? {
                    let slot = match &*name {
                        "iss" => &mut claims.iss,
                        "sub" => &mut claims.sub,
                        "aud" => &mut claims.aud,
                        "exp" => &mut claims.exp,
                        "nbf" => &mut claims.nbf,
                        "iat" => &mut claims.iat,
                        "jti" => &mut claims.jti,
                        "auth_time" => &mut claims.auth_time,
                        "scope" => &mut claims.scope,
                        "act" => &mut claims.act,
                        // The application also gets the others.
                        _ => {
                            let value: &RawValue = map.next_value()?;
                            push(&mut custom, &name, value);
                            claims.note(&name, value);
                            continue;
                        }
                    };
                    once(slot, &mut map)?;
                }
                claims.custom = custom_claims(custom)?;
                Ok(claims)
            }
        }

        deserializer.deserialize_map(ClaimsVisitor)
    }
}

impl<'a> Claims<'a> {
    /// Notes a member that is also a custom claim. [`CustomClaims`] refuses a member that is there
    /// twice.
    fn note(&mut self, name: &str, value: &'a RawValue) {
        match name {
            "uti" => self.uti = Some(value),
            "scp" => self.scp = Some(value),
            "client_id" => self.client_id = Some(value),
            "azp" => self.azp = Some(value),
            "cid" => self.cid = Some(value),
            "appid" => self.appid = Some(value),
            "typ" => self.typ = Some(value),
            "token_use" => self.token_use = Some(value),
            "amr" => self.amr = Some(value),
            "acr" => self.acr = Some(value),
            "nonce" => self.nonce = Some(value),
            "at_hash" | "c_hash" | "s_hash" | "events" => self.of_another_kind = true,
            "cnf" => self.is_bound = true,
            _ => {}
        }
    }

    /// Refuses tokens that aren't access tokens, and tokens that only the holder of a key may use:
    ///
    /// * an ID token. It has `at_hash`, `c_hash` or `nonce`, or says `"typ": "ID"` (Keycloak) or
    ///   `"token_use": "id"` (Cognito). Old releases of Keycloak also write `nonce` into access
    ///   tokens, which say `"typ": "Bearer"`;
    /// * a refresh token or a logout token of Keycloak, by its `typ`;
    /// * a security event or a logout token of OpenID Connect, by its `events`;
    /// * a token that is bound to a key (`cnf`; DPoP, mTLS). gatepass asks for no proof of the key,
    ///   so a thief could use it as a bearer token.
    fn check_kind(&self, is_at_jwt: bool, rules: &ForeignRules) -> Result<(), Refusal> {
        let typ = self.text(self.typ)?;
        let token_use = self.text(self.token_use)?;
        let says_access =
            typ.as_deref() == Some("Bearer") || token_use.as_deref() == Some("access") || is_at_jwt;
        let says_other = typ.is_some_and(|typ| typ != "Bearer")
            || token_use.is_some_and(|token_use| token_use != "access")
            || self.of_another_kind
            || self.is_bound
            || (self.nonce.is_some() && !says_access)
            || (rules.only_at_jwt && !is_at_jwt);
        if says_other {
            Err(Refusal::WrongType)
        } else {
            Ok(())
        }
    }

    fn into_pass(
        self,
        issuer: &Issuer,
        rules: &ForeignRules,
        signed: &str,
    ) -> Result<Pass, Refusal> {
        let malformed = || Refusal::Malformed;
        let client = self.client()?;
        self.check_audience(client.as_ref(), rules)?;
        let subject = self.text(self.sub)?.ok_or_else(malformed)?;
        let subject = Subject::new(subject).map_err(|_| Refusal::Malformed)?;
        let date = |claim| self.value::<NumericDate>(claim);
        let issued_at = date(self.iat)?.ok_or_else(malformed)?.0;
        let expires_at = date(self.exp)?.ok_or_else(malformed)?.0;
        let jti = match self.text(self.jti)? {
            None => self.text(self.uti)?,
            jti => jti,
        };
        let token = match jti.filter(|jti| !jti.is_empty()) {
            Some(jti) => TokenId::of_foreign_jti(issuer, &subject, &jti),
            None => TokenId::of_foreign_text(issuer, signed),
        };
        let scopes = match self.value::<ScopeList>(self.scope)? {
            None => self.value::<ScopeList>(self.scp)?,
            scopes => scopes,
        };
        let actor = match self.value::<Actor<'_>>(self.act)? {
            Some(Actor(actor)) => Some(Subject::new(actor.0).map_err(|_| Refusal::Malformed)?),
            None => None,
        };
        let not_before = date(self.nbf)?.map(|NumericDate(date)| date);
        let authenticated_at = date(self.auth_time)?.map(|NumericDate(date)| date);
        Ok(Pass::new(PassClaims {
            origin: Origin::Foreign(Foreign {
                account: AccountId::of_foreign(issuer, &subject),
                issuer: issuer.clone(),
                is_adopted: false,
            }),
            subject,
            token,
            client,
            scopes: scopes.map_or_else(Scopes::default, |ScopeList(scopes)| scopes),
            actor,
            issued_at,
            not_before,
            expires_at: expires_at.min(issued_at + rules.max_lifetime),
            authenticated_at,
            authentication: self.authentication(),
            custom: self.custom,
        }))
    }

    /// How the user was authenticated. gatepass ignores a claim that doesn't have the form of OIDC
    /// Core §2. A route that requires `amr` or `acr` then refuses the token.
    fn authentication(&self) -> Authentication {
        let amr = self
            .amr
            .and_then(|json| serde_json::from_str(json.get()).ok());
        let acr = self
            .acr
            .and_then(|json| serde_json::from_str(json.get()).ok());
        Authentication {
            amr: amr.unwrap_or_default(),
            acr,
        }
    }

    fn check_audience(
        &self,
        client: Option<&ClientId>,
        rules: &ForeignRules,
    ) -> Result<(), Refusal> {
        let is_for_us = match self.value::<Audience<'_>>(self.aud)? {
            Some(audience) => rules.audiences.iter().any(|one| audience.names(one)),
            None => client.is_some_and(|client| {
                let mut clients = rules.clients.iter();
                clients.any(|one| one == client.as_str())
            }),
        };
        is_for_us.then_some(()).ok_or(Refusal::WrongAudience)
    }

    /// The client, from the first of its claims that is there.
    fn client(&self) -> Result<Option<ClientId>, Refusal> {
        let names = [self.client_id, self.azp, self.cid, self.appid];
        let Some(named) = names.into_iter().flatten().next() else {
            return Ok(None);
        };
        let client = self.text(Some(named))?.unwrap_or_default();
        ClientId::new(client)
            .map(Some)
            .map_err(|_| Refusal::Malformed)
    }

    fn text(&self, claim: Option<&RawValue>) -> Result<Option<String>, Refusal> {
        let text = self.value::<Text<'_>>(claim)?;
        Ok(text.map(|Text(text)| text.into_owned()))
    }

    fn value<'v, T: Deserialize<'v>>(
        &self,
        claim: Option<&'v RawValue>,
    ) -> Result<Option<T>, Refusal> {
        claim.map(|claim| parse_text(claim.get())).transpose()
    }
}

/// Scopes as a space-separated list (RFC 6749 §3.3), or as an array of strings.
struct ScopeList(Scopes);

impl<'de> Deserialize<'de> for ScopeList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScopeVisitor;

        impl<'de> Visitor<'de> for ScopeVisitor {
            type Value = ScopeList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("scopes")
            }

            fn visit_str<E: de::Error>(self, list: &str) -> Result<ScopeList, E> {
                Scopes::parse(list).map(ScopeList).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ScopeList, A::Error> {
                let mut scopes = Vec::new();
                while let Some(Text(scope)) = seq.next_element::<Text<'de>>()? {
                    scopes.push(scope);
                }
                Scopes::new(scopes)
                    .map(ScopeList)
                    .map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_any(ScopeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_our_own_payload_names_no_other_issuer() {
        for issuer in [
            "a",
            "https://shop.example",
            "https://shop.example/",
            r#"a"b\c"#,
            "ü",
        ] {
            let start = OwnStart::new(&Issuer::new(issuer).unwrap());
            let begins = |payload: String| {
                let mut token = "header.".to_owned();
                base64url::encode(payload.as_bytes(), &mut token);
                start.begins(&token)
            };
            let payload = |issuer: &str| format!(r#"{{"iss":{},"sub":"x"}}"#, Value::from(issuer));
            assert!(begins(payload(issuer)), "{issuer}");
            for more in ["", "a", "/", ",", "\""] {
                let other = format!("{issuer}{more}x");
                assert!(!begins(payload(&other)), "{issuer} and {other}");
            }
        }
    }
}
