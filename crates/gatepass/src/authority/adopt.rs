//! The configuration of a move: the tokens of the old system, and until when they are good.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    authority::{authenticator::AuthenticationError, old_tokens_seen::OldTokensSeen},
    config::BuildError,
    env::clock::Timestamp,
    model::{
        identity::Identity,
        ids::{Audience, Issuer, TokenId},
    },
};

/// Accepts the tokens of the system that gatepass replaces, until a date, so that the move logs no
/// user out. Pass it to [`AuthorityBuilder::adopt`](crate::AuthorityBuilder::adopt).
///
/// * A gate with [`adopt`](crate::wire::Gate::adopt) accepts an old token where it accepts access
///   tokens. If the old token is in the [cookie](Self::cookie) of a browser, the gate exchanges it
///   at once, and the response sets gatepass's cookies.
/// * A client exchanges its old token once for a session, by
///   [`Endpoint::Adopt`](crate::wire::Endpoint::Adopt) or [`Authority::adopt`]. From then on the
///   old token is the first refresh token of that session, and no longer gives access. So two tabs
///   get the same session, a client whose answer was lost can ask again, and gatepass notices a
///   thief.
/// * You can revoke an old token like any other. A logout ends it, and
///   [`logout_all`](crate::Authority::logout_all) ends all old tokens that its user got before.
/// * [`Authority::health`](crate::Authority::health) says how many old tokens are still in use, and
///   when you can remove this configuration.
///
/// The page [`docs::moving_in`](crate::docs::moving_in) has the steps of a move, and recipes for a
/// hand-made JWT, a session table and Supabase.
///
/// ```
/// use gatepass::{Adopt, AuthenticationError, Identity, OldToken, OldTokens, Timestamp, async_trait};
///
/// /// The table of sessions of the old system.
/// struct OldSessions;
///
/// # impl OldSessions { async fn owner(&self, key: &str) -> Result<Option<String>, std::io::Error> { Ok(None) } }
/// #[async_trait]
/// impl OldTokens for OldSessions {
///     async fn identify(&self, token: &str) -> Result<Option<OldToken>, AuthenticationError> {
///         let owner = self.owner(token).await.map_err(AuthenticationError::unavailable)?;
///         let Some(owner) = owner else { return Ok(None) };
///         Ok(Some(OldToken::new(Identity::new(owner)?)))
///     }
/// }
///
/// // Until the first of July 2027, in the cookie that the old system has set.
/// let until = Timestamp::from_unix_secs(1_814_400_000);
/// let adopt = Adopt::new("old:shop", until, OldSessions).cookie("sessionid");
/// ```
///
/// [`Authority::adopt`]: crate::Authority::adopt
#[derive(Clone)]
#[must_use]
pub struct Adopt {
    name: String,
    until: Timestamp,
    tokens: Arc<dyn OldTokens>,
    cookie: Option<String>,
}

/// Your code that knows the tokens of the system that gatepass replaces. [`Adopt`] has an example.
#[async_trait]
pub trait OldTokens: Send + Sync + 'static {
    /// Finds out whose token this is, as the old system would: check its signature or look it up,
    /// check that it has not expired, and that the user may still log in. `None` if it isn't a good
    /// token of the old system.
    ///
    /// gatepass asks for each request with an old token, and keeps nothing of the answer. So a
    /// logout in the old system counts at once. The token is at most 8 KiB long. gatepass
    /// never asks about a token that one of its own keys has signed.
    ///
    /// # Errors
    ///
    /// [`AuthenticationError::Unavailable`] if you can't find out now, for example because the
    /// database is down. gatepass then tells the client to try again (503), and not that its token
    /// is bad. `BadCredentials` means the same as `None`. `Identity` is a mistake in your code, for
    /// example a subject that is too long: the client gets a 500.
    async fn identify(&self, token: &str) -> Result<Option<OldToken>, AuthenticationError>;
}

/// A good token of the old system: whose it is, and what it allows.
///
/// ```
/// use gatepass::{Identity, OldToken, Scopes, Timestamp};
///
/// # fn claims() -> (&'static str, i64, i64) { ("alice", 1_800_000_000, 1_800_600_000) }
/// // Of a JWT whose signature was checked.
/// let (sub, iat, exp) = claims();
/// let identity = Identity::new(sub)?.scopes(Scopes::parse("orders")?);
/// let token = OldToken::new(identity)
///     .issued_at(Timestamp::from_unix_secs(iat))
///     .expires_at(Timestamp::from_unix_secs(exp));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct OldToken {
    pub(super) identity: Identity,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) id: Option<String>,
}

/// Hides the id, which may be the token itself.
impl fmt::Debug for OldToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OldToken")
            .field("identity", &self.identity)
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl OldToken {
    /// A token that allows what `identity` says: the identity that a login would give the user now.
    /// Its time of issue is unknown, so any [`logout_all`](crate::Authority::logout_all) of its
    /// user ends it.
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            issued_at: Timestamp::EPOCH,
            expires_at: None,
            id: None,
        }
    }

    /// Sets the time at which the old system issued the token, for example the `iat` of a JWT. With
    /// it, a user who logs out everywhere, and logs in to the old system again, can use the new
    /// token.
    pub fn issued_at(mut self, at: Timestamp) -> Self {
        self.issued_at = at;
        self
    }

    /// Sets the time at which the token expires. Default: `until` of [`Adopt::new`].
    pub fn expires_at(mut self, at: Timestamp) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// Sets the name of the token, which no other token of the old system has. Default: its text,
    /// and for a JWT the part of it that is signed.
    ///
    /// Set it if your code accepts one token in several spellings. For example, MySQL finds a
    /// session key in upper and in lower case: set the key as the table has it. Otherwise another
    /// spelling of a revoked token would be good.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }
}

impl Adopt {
    /// Accepts the old tokens that `tokens` knows until the instant `until`. `name` is the old
    /// system's name in revocations and in the log, for example `old:django`. It must differ from
    /// your issuer and the issuers that you trust, and must not change until the move is over.
    ///
    /// After `until`, gatepass refuses old tokens, and the sessions that they were exchanged for go
    /// on. You may set a later date while the move goes on, by at most 90 days in all: 90 days
    /// after the date, gatepass forgets which tokens were exchanged or revoked.
    pub fn new(name: impl Into<String>, until: Timestamp, tokens: impl OldTokens) -> Self {
        Self {
            name: name.into(),
            until,
            tokens: Arc::new(tokens),
            cookie: None,
        }
    }

    /// Also accepts old tokens in a cookie of this name, such as `sessionid`. Default: only in the
    /// headers that carry access tokens.
    ///
    /// If a request also has one of gatepass's own cookies, gatepass ignores the old one. gatepass
    /// judges where the request comes from, as it does for its own cookies. It doesn't clear the
    /// old cookie.
    pub fn cookie(mut self, name: impl Into<String>) -> Self {
        self.cookie = Some(name.into());
        self
    }

    /// The name of the cookie.
    pub(super) fn cookie_name(&self) -> Option<String> {
        self.cookie.clone()
    }

    /// The configuration, if it is good. `own` is this service.
    pub(super) fn check(&self, own: &Issuer, now: Timestamp) -> Result<Adoption, BuildError> {
        let fault = |must| BuildError::Adopt {
            name: self.name.clone(),
            must,
        };
        let issuer = Issuer::new(self.name.as_str());
        let issuer = issuer.map_err(|_| {
            fault("must be 1 to 255 bytes of text without control characters, such as old:django")
        })?;
        if issuer == *own {
            return Err(fault(
                "is the issuer of this service: choose another, such as old:django",
            ));
        }
        Ok(Adoption {
            issuer,
            until: self.until,
            tokens: Arc::clone(&self.tokens),
            seen: OldTokensSeen::new(now),
        })
    }
}

/// Hides `tokens`, which may hold old tokens.
impl fmt::Debug for Adopt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adopt")
            .field("name", &self.name)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// A move whose configuration is good, and its progress.
pub(crate) struct Adoption {
    pub(super) issuer: Issuer,
    pub(super) until: Timestamp,
    pub(super) tokens: Arc<dyn OldTokens>,
    pub(super) seen: OldTokensSeen,
}

impl Adoption {
    /// Until when the log remembers which tokens were exchanged or revoked.
    pub(super) fn kept_until(&self) -> Timestamp {
        self.until + GRACE
    }

    /// The error for a name that a trusted issuer already has.
    pub(super) fn is_trusted(&self) -> BuildError {
        BuildError::Adopt {
            name: self.issuer.as_str().to_owned(),
            must: "is a trusted issuer: choose another, such as old:django",
        }
    }

    /// The id of the token with this name. Each audience exchanges a token once.
    pub(super) fn token_id(&self, audience: &Audience, name: &str) -> TokenId {
        TokenId::of_old(&self.issuer, audience, name)
    }
}

/// How far an operator may postpone the date without making a token good again.
const GRACE: Duration = Duration::from_secs(90 * 86_400);
