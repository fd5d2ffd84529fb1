//! Why an open connection must end.

use std::{error, fmt};

use crate::{
    error::Error,
    model::refusal::Refusal,
    store::{
        TokenStatus,
        error::{StoreError, StoreErrorKind},
    },
};

/// Why an open connection must end.
///
/// The first three concern the client, as a refusal does. `Unknown` is a fault of the server, as a
/// 503 is: the client keeps its tokens and connects again.
///
/// ```
/// use gatepass::Ended;
///
/// assert_eq!((Ended::Revoked.reason(), Ended::Revoked.close_code()), ("revoked", 4401));
/// // 1013 is "try again later" of the registry of WebSocket close codes.
/// assert_eq!((Ended::Unknown.reason(), Ended::Unknown.close_code()), ("store_unavailable", 1013));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The session is over, or the access token was revoked. The client logs in.
    Revoked,
    /// An enforced change of the session's rights has made the token stale. The client refreshes
    /// and connects again.
    GrantChanged,
    /// The access token has expired and was not renewed. The client refreshes and connects again.
    Expired,
    /// The node could not find out in time whether the session lives, since its store doesn't
    /// answer. The client connects again after a random pause, with the same tokens.
    Unknown,
}

impl Ended {
    /// The end of a connection whose token has this status, if it ends. No other code maps a status
    /// to an end.
    pub(super) fn by(status: TokenStatus) -> Option<Self> {
        match status {
            TokenStatus::Live => None,
            TokenStatus::Stale => Some(Self::GrantChanged),
            // A store that doesn't know a session has ended and purged it.
            TokenStatus::Revoked | TokenStatus::Unknown => Some(Self::Revoked),
        }
    }

    /// The stable name of this end, as clients and logs see it. The refusal of a request with the
    /// same token has the same `reason`.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::GrantChanged => "stale_grant",
            Self::Expired => "expired",
            Self::Unknown => "store_unavailable",
        }
    }

    /// The error that a request with the same token would meet. An adapter whose protocol has
    /// statuses answers with it. For example, a gRPC stream ends with the status of a refused call.
    #[must_use]
    pub fn error(self) -> Error {
        match self {
            Self::Revoked => Refusal::Revoked.into(),
            Self::GrantChanged => Refusal::StaleGrant.into(),
            Self::Expired => Refusal::Expired.into(),
            Self::Unknown => StoreError::new(StoreErrorKind::Unavailable).into(),
        }
    }
}

/// The description that the client gets.
impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error().description())
    }
}

/// Lets a stream of results be the body of a response.
impl error::Error for Ended {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_ends_for_the_reason_that_a_request_is_refused_for() {
        for ended in [
            Ended::Revoked,
            Ended::GrantChanged,
            Ended::Expired,
            Ended::Unknown,
        ] {
            assert_eq!(ended.reason(), ended.error().reason());
        }
    }
}
