//! Logout tokens of OpenID Connect providers (OIDC Back-Channel Logout §2.4 and §2.6), strictly.
//!
//! A provider signs them with the same keys as its ID tokens and access tokens. A logout token must
//! have the right `events`, and no member that only the other kinds have.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    env::clock::Timestamp,
    model::{
        ids::{Issuer, ProviderSession, Subject},
        json::strict_object,
        provider_login::{LoggedOut, ProviderLogout},
        refusal::Refusal,
    },
    token::claims::NumericDate,
};

/// The member of `events` that marks a back-channel logout.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The longest time for which gatepass accepts a logout token after its `iat`, even if its `exp` is
/// later. Providers send it at once, with a lifetime of two minutes.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Whether this type is the type of a logout token.
pub(super) fn is_logout_token_type(typ: &str) -> bool {
    typ.eq_ignore_ascii_case("logout+jwt") || typ.eq_ignore_ascii_case("application/logout+jwt")
}

/// A logout token that the provider signed, with valid claims.
pub(crate) struct LogoutToken {
    pub(crate) logout: ProviderLogout,
    expires_at: Timestamp,
}

impl LogoutToken {
    /// Reads the claims of a token of `issuer`, which must be for one of `clients`.
    pub(super) fn read(json: &str, issuer: &Issuer, clients: &[String]) -> Result<Self, Refusal> {
        let claims = strict_object(json.as_bytes()).ok_or(Refusal::Malformed)?;
        let claims = Claims(claims);
        claims.check_kind()?;
        if claims.required::<String>("iss")? != issuer.as_str() {
            return Err(Refusal::WrongIssuer);
        }
        claims.check_audience(clients)?;
        // gatepass keeps no record of `jti`s, since a token that is sent again ends nothing more.
        if claims.required::<String>("jti")?.is_empty() {
            return Err(Refusal::Malformed);
        }
        let subject: Option<Subject> = claims.optional("sub")?;
        let sid: Option<ProviderSession> = claims.optional("sid")?;
        let whose = match (sid, subject) {
            (Some(sid), subject) => LoggedOut::Session(sid, subject),
            (None, Some(subject)) => LoggedOut::User(subject),
            (None, None) => return Err(Refusal::Malformed),
        };
        let NumericDate(issued_at) = claims.required("iat")?;
        let NumericDate(expires_at) = claims.required("exp")?;
        Ok(Self {
            logout: ProviderLogout {
                issuer: issuer.clone(),
                whose,
                issued_at,
            },
            expires_at,
        })
    }

    /// Checks that the token is current, by clocks that may differ by `leeway`.
    pub(crate) fn check_time(&self, now: Timestamp, leeway: Duration) -> Result<(), Refusal> {
        let issued_at = self.logout.issued_at;
        if now >= self.expires_at.min(issued_at + MAX_AGE) + leeway {
            return Err(Refusal::Expired);
        }
        if now + leeway < issued_at {
            return Err(Refusal::NotYetValid);
        }
        Ok(())
    }
}

struct Claims(Map<String, Value>);

impl Claims {
    /// Refuses all other kinds of tokens that the provider signs. These are tokens without the
    /// event, and ID tokens to which the provider's administrator has added the event with a
    /// mapper. Keycloak names the kind in the claim `typ`, Cognito in `token_use`.
    fn check_kind(&self) -> Result<(), Refusal> {
        let event = self.0.get("events").and_then(|events| events.get(EVENT));
        let is_of_another_kind = ["nonce", "at_hash", "c_hash", "s_hash", "token_use", "scope"]
            .iter()
            .any(|name| self.0.contains_key(*name));
        let says_other = self.0.get("typ").is_some_and(|typ| typ != "Logout");
        match event {
            Some(Value::Object(_)) if !is_of_another_kind && !says_other => Ok(()),
            _ => Err(Refusal::WrongType),
        }
    }

    /// Checks that all audiences are clients of ours (OIDC Core §3.1.3.7).
    fn check_audience(&self, clients: &[String]) -> Result<(), Refusal> {
        let audience: Vec<String> = match self.0.get("aud") {
            Some(Value::String(one)) => vec![one.clone()],
            _ => self.required("aud")?,
        };
        let is_ours = |one: &String| clients.contains(one);
        match audience.iter().all(is_ours) && !audience.is_empty() {
            true => Ok(()),
            false => Err(Refusal::WrongAudience),
        }
    }

    fn required<T: DeserializeOwned>(&self, name: &str) -> Result<T, Refusal> {
        self.optional(name)?.ok_or(Refusal::Malformed)
    }

    fn optional<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Refusal> {
        let claim = self.0.get(name).cloned();
        let claim = claim.map(serde_json::from_value).transpose();
        claim.map_err(|_| Refusal::Malformed)
    }
}
