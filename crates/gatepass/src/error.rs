//! The error of all calls, with a variant for each party at fault.

use std::borrow::Cow;

use crate::{
    env::internal_error::InternalError,
    model::{identity::IdentityError, ids::Issuer, refusal::Refusal},
    store::error::StoreError,
};

/// The reason why a call of gatepass failed.
///
/// Each variant says who is at fault, and that decides the HTTP status. A refusal is the client's
/// fault (4xx). All else is the fault of the server or the application (5xx), and the response
/// reveals no details.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// gatepass refused the request. Tell the client why: responses carry [`Refusal::reason`].
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The store, or the source of users, did not answer in time or at all. This is not a refusal:
    /// the client should try again, and the operator should look at the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The token names an unknown key, and gatepass can't fetch the keys of its
    /// [issuer](crate::issuers::Issuers). This is not a refusal: the client should try again, and
    /// the operator should look at `issuer.unavailable` in the log.
    #[error("the keys of the issuer {issuer} can't be fetched")]
    KeysUnavailable {
        /// The issuer.
        issuer: Issuer,
    },
    /// The application gave an identity that gatepass can't issue. This is a mistake in its code.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A failure that doesn't happen while the machine and its clock are sound.
    #[error(transparent)]
    Internal(#[from] InternalError),
}

impl Error {
    /// The stable name of this error, as clients see it: [`Refusal::reason`], or a name that says
    /// only that the server failed.
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
