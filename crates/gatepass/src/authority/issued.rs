//! The tokens that a client gets for its login or its refresh.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    env::clock::Timestamp,
    model::{
        ids::{SessionId, TokenId},
        scopes::Scopes,
    },
};

macro_rules! token {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// `Debug` doesn't show the token, comparisons take constant time, and a drop overwrites
        /// its memory.
        #[derive(Clone)]
        pub struct $name(Zeroizing<String>);

        impl $name {
            pub(crate) fn new(token: String) -> Self {
                Self(Zeroizing::new(token))
            }

            /// The text that the client gets.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
            }
        }

        impl Eq for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    };
}

token! {
    /// An access token (RFC 9068).
    AccessToken
}
token! {
    /// A refresh token (RFC 6749 §1.5), opaque to clients.
    RefreshToken
}
/// The tokens that a login or a refresh gives to the client.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Issued {
    /// The access token, which the client sends with every request.
    pub access_token: AccessToken,
    /// The refresh token, for the next refresh. Empty if the session is
    /// [access-only](crate::Identity::access_only).
    pub refresh_token: RefreshToken,
    /// When the access token expires, in whole seconds.
    pub expires_at: Timestamp,
    /// When the client should refresh: before the expiry, at a time that differs from client to
    /// client.
    pub refresh_at: Timestamp,
    /// The time of this server, for clients whose clock is wrong.
    pub server_time: Timestamp,
    /// The scopes of the access token.
    pub scopes: Scopes,
    /// The session.
    pub session_id: SessionId,
    /// When the refresh token expires, unless it is used before. If there is none, when the access
    /// token expires.
    pub refresh_expires_at: Timestamp,
    /// Whether a browser forgets the cookies when it is closed.
    pub(crate) session_cookies: bool,
}

impl RefreshToken {
    /// Whether there is no refresh token, because the session is
    /// [access-only](crate::Identity::access_only).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The result of [`Authority::renew`](crate::Authority::renew), for the client: an access token,
/// and never a refresh token.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Renewed {
    /// The access token, which the client sends with every request.
    pub access_token: AccessToken,
    /// When the access token expires, in whole seconds.
    pub expires_at: Timestamp,
    /// When the client should renew it: before the expiry, at a time that differs from client to
    /// client.
    pub refresh_at: Timestamp,
    /// The time of this server, for clients whose clock is wrong.
    pub server_time: Timestamp,
    /// The scopes of the access token.
    pub scopes: Scopes,
    /// The session.
    pub session_id: SessionId,
    /// The token's own id, for the log.
    pub(super) token_id: TokenId,
    /// Until when a browser has use for the token, even if only to show that it has expired.
    pub(crate) useful_until: Timestamp,
    /// Whether a browser forgets the cookie when it is closed.
    pub(crate) session_cookies: bool,
}
