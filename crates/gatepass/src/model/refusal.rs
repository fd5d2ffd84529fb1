//! The decisions against a client.

use std::time::Duration;

use crate::model::scopes::Scopes;

/// A decision against the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No credentials where some are needed.
    #[error("no credentials were presented")]
    Missing,
    /// Not exactly one token in one place and of the grammar of RFC 6750 §2.1, or two that do not
    /// belong together.
    #[error("the credentials are ambiguous or not well-formed")]
    Ambiguous,
    /// Not a token of the kind expected here, in form or in content.
    #[error("the token is malformed")]
    Malformed,
    /// The signature or authentication tag does not fit.
    #[error("the signature of the token is not valid")]
    BadSignature,
    /// No key has the token's `kid`, or that key is not for the token's `alg`.
    #[error("the token names no key that is trusted here")]
    UnknownKey,
    /// A token of another kind, such as a refresh token where an access token is due.
    #[error("the token is of another type")]
    WrongType,
    /// Issued by someone else (`iss`).
    #[error("the token is from another issuer")]
    WrongIssuer,
    /// Issued for someone else (`aud`).
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
    /// The session's rights have changed since the token was issued. A refresh brings a good one.
    #[error("the rights of the session have changed: refresh the access token")]
    StaleGrant,
    /// The store, asked strictly, does not know the session.
    #[error("the session is not known")]
    UnknownSession,
    /// The token lacks a scope that the route requires.
    #[error("the token lacks a scope")]
    InsufficientScope {
        /// The scopes that the route requires.
        required: Scopes,
    },
    /// The password was entered too long ago for this route (RFC 9470).
    #[error("a more recent authentication is required")]
    AuthenticationTooOld {
        /// How long ago an authentication may be on this route.
        max_age: Duration,
    },
    /// The user was authenticated in another way than this route requires (RFC 9470).
    #[error("another kind of authentication is required")]
    AuthenticationTooWeak {
        /// The methods that the route requires, all of them.
        amr: Vec<String>,
        /// The classes of which the route requires one. Empty if it requires none, or if none will
        /// do.
        acr: Vec<String>,
    },
    /// The refresh token's session has ended, by logout or by its absolute lifetime, or never was.
    #[error("the session has ended")]
    SessionEnded,
    /// The refresh token was not used for longer than the idle lifetime.
    #[error("the refresh token has expired")]
    RefreshExpired,
    /// The refresh token was already spent: a theft, unless a client is broken.
    #[error("the refresh token was used before")]
    Reused,
    /// The token belongs to another client's session.
    #[error("the token belongs to another client")]
    WrongClient,
    /// More scopes were asked for than the session has (RFC 6749 §5.2).
    #[error("more scopes were asked for than were granted")]
    ScopeNotGranted,
    /// The OAuth client is unknown, or did not prove that it is itself (RFC 6749 §5.2).
    #[error("the client could not be authenticated")]
    InvalidClient,
    /// A request from another site that a browser put the user's cookies on.
    #[error("a request from another site may not use cookies")]
    CrossSite,
    /// Unknown user or wrong password; which of the two is not told.
    #[error("the user name or the password is wrong")]
    BadCredentials,
    /// Too many attempts to log in, by [`LoginThrottle`](crate::LoginThrottle) or by a count of the
    /// application's authenticator.
    #[error("too many attempts")]
    TooManyAttempts {
        /// When to try again.
        retry_after: Duration,
    },
}

impl Refusal {
    /// Whether no key of this service has signed a token that is refused so, so that it may be
    /// another system's. All else is found out after the signature was verified.
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
