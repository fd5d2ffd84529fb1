//! The reasons to refuse a request.

use std::time::Duration;

use crate::model::scopes::Scopes;

/// A reason to refuse a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The request has no credentials, but needs some.
    #[error("no credentials were presented")]
    Missing,
    /// The request doesn't have exactly one token in one place with the grammar of RFC 6750 §2.1,
    /// or it has two tokens that don't belong together.
    #[error("the credentials are ambiguous or not well-formed")]
    Ambiguous,
    /// The token does not have the form or the content of the expected kind.
    #[error("the token is malformed")]
    Malformed,
    /// The signature or authentication tag does not fit.
    #[error("the signature of the token is not valid")]
    BadSignature,
    /// No key has the token's `kid`, or that key is not for the token's `alg`.
    #[error("the token names no key that is trusted here")]
    UnknownKey,
    /// A token of another kind, such as a refresh token in place of an access token.
    #[error("the token is of another type")]
    WrongType,
    /// Another issuer issued the token (`iss`).
    #[error("the token is from another issuer")]
    WrongIssuer,
    /// The token was issued for another audience (`aud`).
    #[error("the token is for another audience")]
    WrongAudience,
    /// Past its `exp` by more than the leeway.
    #[error("the token has expired")]
    Expired,
    /// Before its `nbf` or `iat` by more than the leeway.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// The token, or its session, was revoked.
    #[error("the token has been revoked")]
    Revoked,
    /// The session's rights have changed since the token was issued. The client gets a valid token
    /// by a refresh.
    #[error("the rights of the session have changed: refresh the access token")]
    StaleGrant,
    /// The store does not know the session. gatepass finds this only where it asks the store, for
    /// example under [`Staleness::Strict`](crate::Staleness::Strict).
    #[error("the session is not known")]
    UnknownSession,
    /// The token lacks a scope that the route requires.
    #[error("the token lacks a scope")]
    InsufficientScope {
        /// The scopes that the route requires.
        required: Scopes,
    },
    /// The user authenticated too long ago for this route (RFC 9470).
    #[error("a more recent authentication is required")]
    AuthenticationTooOld {
        /// The maximum age of an authentication on this route.
        max_age: Duration,
    },
    /// The user was authenticated in another way than this route requires (RFC 9470).
    #[error("another kind of authentication is required")]
    AuthenticationTooWeak {
        /// The methods that the route requires, all of them.
        amr: Vec<String>,
        /// The classes that the route accepts. Empty if it requires no class, or if no class
        /// satisfies it.
        acr: Vec<String>,
    },
    /// The refresh token's session has ended, by logout or by its absolute lifetime, or never
    /// existed.
    #[error("the session has ended")]
    SessionEnded,
    /// The refresh token was not used for longer than the idle lifetime.
    #[error("the refresh token has expired")]
    RefreshExpired,
    /// The refresh token was already spent. It was stolen, or a client is broken.
    #[error("the refresh token was used before")]
    Reused,
    /// The token belongs to another client's session.
    #[error("the token belongs to another client")]
    WrongClient,
    /// The client asked for more scopes than the session has (RFC 6749 §5.2).
    #[error("more scopes were asked for than were granted")]
    ScopeNotGranted,
    /// The OAuth client is unknown or failed to authenticate (RFC 6749 §5.2).
    #[error("the client could not be authenticated")]
    InvalidClient,
    /// A browser sent the user's cookies with a request from another site.
    #[error("a request from another site may not use cookies")]
    CrossSite,
    /// The user is unknown or the password is wrong. The answer doesn't say which.
    #[error("the user name or the password is wrong")]
    BadCredentials,
    /// Too many attempts to log in, as counted by [`LoginThrottle`](crate::LoginThrottle) or by the
    /// application's authenticator.
    #[error("too many attempts")]
    TooManyAttempts {
        /// How long to wait before the next attempt.
        retry_after: Duration,
    },
}

impl Refusal {
    /// Whether the token may belong to another system, since no key of this service has signed it.
    /// gatepass finds all other reasons after it has verified the signature.
    pub(crate) const fn is_of_no_token_of_ours(&self) -> bool {
        matches!(
            self,
            Self::Malformed | Self::BadSignature | Self::UnknownKey
        )
    }

    /// The stable name of this refusal, as clients and logs see it.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Ambiguous => "ambiguous",
            Self::Malformed => "malformed",
            Self::BadSignature => "bad_signature",
            Self::UnknownKey => "unknown_key",
            Self::WrongType => "wrong_type",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Revoked => "revoked",
            Self::StaleGrant => "stale_grant",
            Self::UnknownSession => "unknown_session",
            Self::InsufficientScope { .. } => "insufficient_scope",
            Self::AuthenticationTooOld { .. } => "authentication_too_old",
            Self::AuthenticationTooWeak { .. } => "authentication_too_weak",
            Self::SessionEnded => "session_ended",
            Self::RefreshExpired => "refresh_expired",
            Self::Reused => "reused",
            Self::WrongClient => "wrong_client",
            Self::ScopeNotGranted => "invalid_scope",
            Self::InvalidClient => "invalid_client",
            Self::CrossSite => "cross_site",
            Self::BadCredentials => "bad_credentials",
            Self::TooManyAttempts { .. } => "too_many_attempts",
        }
    }
}
