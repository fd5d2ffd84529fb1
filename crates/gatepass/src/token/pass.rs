//! The view that a handler has of a verified access token.

use std::{fmt, sync::Arc};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    env::clock::Timestamp,
    model::{
        ids::{ClientId, SessionId, SessionNumber, Subject, TokenId},
        scopes::Scopes,
    },
};

/// An access token that has been verified: the only thing that a handler ever sees of one.
///
/// Cheap to clone. Its existence means that the signature, the claims, the time and the revocations
/// were checked; it says nothing about what happens afterwards, so do not keep it longer than the
/// request. `Debug` shows ids and times, never the token.
#[derive(Clone, PartialEq)]
pub struct Pass(Arc<PassClaims>);

#[derive(PartialEq)]
pub(crate) struct PassClaims {
    pub(crate) subject: Subject,
    pub(crate) session: SessionId,
    pub(crate) number: SessionNumber,
    pub(crate) token: TokenId,
    pub(crate) client: ClientId,
    pub(crate) scopes: Scopes,
    pub(crate) issued_at: Timestamp,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) expires_at: Timestamp,
    pub(crate) authenticated_at: Timestamp,
    pub(crate) custom: Map<String, Value>,
}

impl Pass {
    pub(crate) fn new(claims: PassClaims) -> Self {
        Self(Arc::new(claims))
    }

    /// The user who is logged in (`sub`).
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.0.subject
    }

    /// The session that the token belongs to (`sid`).
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.0.session
    }

    /// The place of the session among those of its account (`sn`).
    #[must_use]
    pub fn session_number(&self) -> SessionNumber {
        self.0.number
    }

    /// The token's own id (`jti`).
    #[must_use]
    pub fn token_id(&self) -> TokenId {
        self.0.token
    }

    /// The OAuth client that the token was issued to (`client_id`).
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        &self.0.client
    }

    /// The scopes that the token allows (`scope`).
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.0.scopes
    }

    /// When the token was issued (`iat`).
    #[must_use]
    pub fn issued_at(&self) -> Timestamp {
        self.0.issued_at
    }

    /// When the token expires (`exp`).
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.0.expires_at
    }

    /// When the user last proved who they are (`auth_time`).
    #[must_use]
    pub fn authenticated_at(&self) -> Timestamp {
        self.0.authenticated_at
    }

    /// The custom claims of the identity as a type of the application's.
    ///
    /// # Errors
    ///
    /// The error of serde if the claims do not fit the type.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(&self.0.custom)
    }

    pub(crate) fn custom(&self) -> &Map<String, Value> {
        &self.0.custom
    }

    pub(crate) fn not_before(&self) -> Option<Timestamp> {
        self.0.not_before
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass")
            .field("subject", &self.0.subject)
            .field("session", &self.0.session)
            .field("jti", &self.0.token)
            .field("scopes", &self.0.scopes)
            .field("expires_at", &self.0.expires_at)
            .finish_non_exhaustive()
    }
}
