//! The caller of a request: a person, or a machine with a key of a person.

use gatepass::{
    RequiredScopes,
    wire::{AuthRejection, AuthRequest},
};
use gatepass_warp::FromAuthRequest;
use serde::{Deserialize, Serialize};

/// gatepass's name for the issuer of the keys.
pub(crate) const KEYS: &str = "api-key";

/// The custom claim of a key's owner: the name of the key.
#[derive(Deserialize, Serialize)]
pub(crate) struct KeyClaims {
    pub(crate) key: String,
}

#[derive(Serialize)]
pub(crate) struct Caller {
    user: String,
    /// The name of the key; `None` for a session.
    key: Option<String>,
}

impl Caller {
    /// A description of the caller for the history of a part.
    pub(crate) fn described(&self) -> String {
        match &self.key {
            Some(key) => format!("{key} of {}", self.user),
            None => self.user.clone(),
        }
    }
}

impl FromAuthRequest for Caller {
    fn from_auth_request(request: &AuthRequest<'_, '_>) -> Result<Self, AuthRejection> {
        let pass = request.pass()?;
        let issuer = pass.foreign_issuer().map(|issuer| issuer.as_str());
        let key = match issuer {
            Some(KEYS) => Some(request.claims::<KeyClaims>()?.key),
            _ => None,
        };
        Ok(Self {
            user: pass.subject().to_string(),
            key,
        })
    }
}

pub(crate) struct Read;

impl RequiredScopes for Read {
    const SCOPES: &'static [&'static str] = &["parts:read"];
}

pub(crate) struct Write;

impl RequiredScopes for Write {
    const SCOPES: &'static [&'static str] = &["parts:write"];
}
