//! The error of every call, by whose fault it is.

use std::borrow::Cow;

use crate::{
    env::internal_error::InternalError,
    model::{identity::IdentityError, ids::Issuer, refusal::Refusal},
    store::error::StoreError,
};

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
    /// The store, or the source of users, did not answer in time or at all. No request was refused:
    /// the client should try again, and the operator should look at the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The token names a key that isn't known here, and the keys of its
    /// [issuer](crate::issuers::Issuers) can't be fetched. No request was refused: the client
    /// should try again, and the operator should look at `issuer.unavailable` in the log.
    #[error("the keys of the issuer {issuer} can't be fetched")]
    KeysUnavailable {
        /// The issuer.
        issuer: Issuer,
    },
    /// The application gave an identity that cannot be issued. A mistake in its code.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Something that does not happen while the machine and its clock are sound.
    #[error(transparent)]
    Internal(#[from] InternalError),
}

impl Error {
    /// The stable name of this error, as clients see it: [`Refusal::reason`], or that we failed,
    /// and no more.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.reason(),
            Self::Store(_) => "store_unavailable",
            Self::KeysUnavailable { .. } => "issuer_unavailable",
            Self::Identity(_) | Self::Internal(_) => "internal",
        }
    }

    /// The description of this error for clients. Its `Display` is for the operator, and may say
    /// more.
    #[must_use]
    pub fn description(&self) -> Cow<'static, str> {
        match self {
            Self::Refused(refusal) => refusal.to_string().into(),
            Self::Store(_) | Self::KeysUnavailable { .. } => {
                "the service is temporarily unavailable, try again".into()
            }
            Self::Identity(_) | Self::Internal(_) => "the server failed".into(),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
