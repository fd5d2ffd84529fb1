//! What can go wrong, and whose fault it is.

use std::{borrow::Cow, error::Error as StdError, fmt, sync::Arc, time::Duration};

use crate::{InvalidName, InvalidScope, Scopes};

/// Why gatepass did not do what it was asked.
///
/// The variants differ in whose fault it is, and that decides the HTTP status: a refusal is the
/// client's (4xx), all else is ours or the application's (5xx) and reveals nothing on the wire.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The client may not. Tell it why; [`Refusal::reason`] is what it gets.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The store, or the source of users, did not answer in time or at all. Nobody was refused;
    /// the client should try again, and the operator look at the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The application granted something that cannot be issued. A mistake in its code.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// Something that does not happen while the machine and its clock are sound.
    #[error(transparent)]
    Internal(#[from] InternalError),
}

impl Error {
    /// The stable name of this error, as clients see it: [`Refusal::reason`], or that we failed, and no more.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.reason(),
            Self::Store(_) => "store_unavailable",
            Self::Grant(_) | Self::Internal(_) => "internal",
        }
    }

    /// What clients are told of this error. Its `Display` is for the operator, and may say more.
    #[must_use]
    pub fn description(&self) -> Cow<'static, str> {
        match self {
            Self::Refused(refusal) => refusal.to_string().into(),
            Self::Store(_) => "the service is temporarily unavailable, try again".into(),
            Self::Grant(_) | Self::Internal(_) => "the server failed".into(),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

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
    /// The store, asked strictly, does not know the session.
    #[error("the session is not known")]
    UnknownSession,
    /// The token lacks a scope that the route demands.
    #[error("the token lacks a scope")]
    InsufficientScope {
        /// The scopes that the route demands.
        required: Scopes,
    },
    /// The password was entered too long ago for this route (RFC 9470).
    #[error("a more recent authentication is required")]
    AuthenticationTooOld {
        /// How long ago an authentication may be on this route.
        max_age: Duration,
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
    /// The application's authenticator counted too many attempts.
    #[error("too many attempts")]
    TooManyAttempts {
        /// When to try again.
        retry_after: Duration,
    },
}

impl Refusal {
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
            Self::UnknownSession => "unknown_session",
            Self::InsufficientScope { .. } => "insufficient_scope",
            Self::AuthenticationTooOld { .. } => "authentication_too_old",
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

type Source = Arc<dyn StdError + Send + Sync>;

/// A store that did not do what it was asked. Never a statement about the client.
#[derive(Clone, Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<Source>,
}

/// How a store failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// It cannot be reached, or answered with an error.
    Unavailable,
    /// It gave no answer within the time it has.
    TimedOut,
    /// It has more to do than it can queue.
    Busy,
    /// What it holds is not what gatepass wrote.
    Corrupt,
}

impl StoreError {
    /// An error of `kind` without a cause to name.
    #[must_use]
    pub const fn new(kind: StoreErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// The store failed with `source`, whose text must hold no secret.
    pub fn unavailable(source: impl StdError + Send + Sync + 'static) -> Self {
        Self {
            kind: StoreErrorKind::Unavailable,
            source: Some(Arc::new(source)),
        }
    }

    /// The store holds something unreadable, found out by `source`, whose text must hold no secret.
    pub fn corrupt(source: impl StdError + Send + Sync + 'static) -> Self {
        Self {
            kind: StoreErrorKind::Corrupt,
            source: Some(Arc::new(source)),
        }
    }

    /// How it failed.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            StoreErrorKind::Unavailable => "the store is unavailable",
            StoreErrorKind::TimedOut => "the store did not answer in time",
            StoreErrorKind::Busy => "the store is overloaded",
            StoreErrorKind::Corrupt => "the store holds unreadable data",
        })
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// A grant that cannot become a token. The application's mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// The subject cannot be used as one.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A scope cannot be used as one.
    #[error(transparent)]
    Scope(#[from] InvalidScope),
    /// Custom claims must serialise to a JSON object.
    #[error("custom claims must serialise to a JSON object")]
    NotAnObject,
    /// A custom claim has the name of one that gatepass sets.
    #[error("the claim {0:?} is set by gatepass and cannot be a custom one")]
    ReservedClaim(String),
    /// Subject, scopes and custom claims do not fit into an access token of 8 KiB.
    #[error("subject, scopes and custom claims make the access token longer than 8 KiB")]
    TooLarge,
    /// The access token is longer than the cookies that browsers keep (4096 bytes with the name and the
    /// attributes). A login is refused with this before its session is stored.
    #[error("subject, scopes and custom claims make the access token longer than a cookie may be")]
    TooLargeForCookie,
    /// The access-token lifetime is shorter than the overlap or longer than the session.
    #[error(
        "the access-token lifetime of the grant must be between the overlap and the absolute lifetime"
    )]
    AccessTtl,
    /// A user that was re-read came back under another subject.
    #[error("a re-read user must keep its subject")]
    SubjectChanged,
}

/// An impossible state. Report it as a bug if the machine is sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("internal error: {what}")]
#[non_exhaustive]
pub struct InternalError {
    what: &'static str,
}

impl InternalError {
    /// Something failed that does not fail; `what` is fixed text, so that it can hold no secret.
    #[must_use]
    pub const fn new(what: &'static str) -> Self {
        Self { what }
    }
}
