//! The first half of a verification: which issuer a token names, and whether a key of that issuer
//! signed it.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::{
    env::clock::{Clock, Timestamp},
    error::Error,
    issuers::{
        known::KnownIssuers,
        remote::{Missing, Remote},
    },
    keys::{set::KeySet, verifying::Fingerprint},
    model::{
        ids::{Audience, Issuer},
        refusal::Refusal,
    },
    observe,
    token::{
        access::Unverified, cache::TokenCache, foreign::ForeignToken, logout::LogoutToken,
        pass::Pass,
    },
};

/// The keys of this service and of the issuers that it trusts, and a cache of the tokens that these
/// keys have signed.
pub(super) struct Opener {
    issuer: Issuer,
    audience: Audience,
    keys: ArcSwap<KeySet>,
    tokens: TokenCache,
    issuers: Option<KnownIssuers>,
    clock: Arc<dyn Clock>,
}

/// An access token that a trusted key signed, with good claims.
pub(super) struct Opened {
    pub(super) pass: Pass,
    /// The key to remember the token by, if it passes all other checks.
    pub(super) to_remember: Option<Fingerprint>,
}

/// A token that could not be opened.
pub(super) enum Unopened {
    Refused(Refusal),
    /// The key that it names may be a new one of this issuer.
    KeyMayBeNew(Arc<Remote>),
    /// The keys of this issuer can't be fetched.
    Unavailable(Issuer),
}

impl From<Refusal> for Unopened {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Opener {
    pub(super) fn new(
        (issuer, audience): (Issuer, Audience),
        keys: KeySet,
        tokens: TokenCache,
        issuers: Option<KnownIssuers>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let keys = ArcSwap::from_pointee(keys);
        Self {
            issuer,
            audience,
            keys,
            tokens,
            issuers,
            clock,
        }
    }

    /// Opens a token of any trusted issuer, without waiting.
    pub(super) fn try_open(&self, token: &str, now: Timestamp) -> Result<Opened, Unopened> {
        self.open_by(token, now, Remote::missing)
    }

    /// Opens a token of any trusted issuer. If it names an unknown key, this first waits for a
    /// fetch of the issuer's keys, if a fetch may begin now.
    pub(super) async fn open(&self, token: &str) -> Result<Opened, Error> {
        self.open_in(|now, missing| self.open_by(token, now, missing))
            .await
    }

    /// Opens a logout token of a trusted issuer. If it names an unknown key, this first waits for a
    /// fetch of the issuer's keys, if a fetch may begin now.
    pub(super) async fn open_logout(&self, token: &str) -> Result<LogoutToken, Error> {
        self.open_in(|now, missing| self.open_logout_by(token, now, missing))
            .await
    }

    /// Calls `open`, and again after a fetch if a key may be new.
    async fn open_in<T>(
        &self,
        open: impl Fn(Timestamp, fn(&Remote) -> Missing) -> Result<T, Unopened>,
    ) -> Result<T, Error> {
        let mut opened = open(self.clock.now(), Remote::missing);
        if let Err(Unopened::KeyMayBeNew(remote)) = &opened {
            remote.fetched().await;
            opened = open(self.clock.now(), Remote::missing_still);
        }
        opened.map_err(|unopened| match unopened {
            Unopened::Refused(refusal) => refusal.into(),
            Unopened::KeyMayBeNew(_) => Refusal::UnknownKey.into(),
            Unopened::Unavailable(issuer) => Error::KeysUnavailable { issuer },
        })
    }

    fn open_logout_by(
        &self,
        token: &str,
        now: Timestamp,
        missing: fn(&Remote) -> Missing,
    ) -> Result<LogoutToken, Unopened> {
        let foreign = ForeignToken::new(token)?;
        let issuers = self.issuers.as_ref();
        let found = issuers.and_then(|issuers| issuers.find(foreign.issuer()));
        let (issuer, remote) = found.ok_or(Refusal::WrongIssuer)?;
        let header = foreign.logout_header()?;
        let keys = remote.keys(now);
        let Some(key) = keys.find(header.kid(), now) else {
            return Err(is_missing(issuer, remote, missing));
        };
        Ok(foreign.verify_logout(&header, key, issuer, remote.rules())?)
    }

    fn open_by(
        &self,
        token: &str,
        now: Timestamp,
        missing: fn(&Remote) -> Missing,
    ) -> Result<Opened, Unopened> {
        if let Some(issuers) = &self.issuers
            && !issuers.is_own(token)
        {
            if let Some(pass) = self.find_foreign(issuers, token, now) {
                observe::token_cache(true);
                return Ok(Opened {
                    pass,
                    to_remember: None,
                });
            }
            let foreign = ForeignToken::new(token)?;
            if let Some((issuer, remote)) = issuers.find(foreign.issuer()) {
                let header = foreign.header()?;
                if !remote.rules().accepts_access_tokens() {
                    // Its keys are for logout tokens only, so an access token must not cause a
                    // fetch.
                    return Err(Refusal::WrongAudience.into());
                }
                let keys = remote.keys(now);
                let Some(key) = keys.find(header.kid(), now) else {
                    return Err(is_missing(issuer, remote, missing));
                };
                let pass = foreign.verify(&header, key, issuer, remote.rules())?;
                return Ok(Opened {
                    pass,
                    to_remember: (key.fingerprint()).filter(|_| self.tokens.serves(key)),
                });
            }
        }
        Ok(self.open_own(token, now)?)
    }

    /// The pass of a token of another issuer, if it is in the cache and its key is still trusted.
    fn find_foreign(&self, issuers: &KnownIssuers, token: &str, now: Timestamp) -> Option<Pass> {
        let (pass, key) = self.tokens.get(token)?;
        let (_, remote) = issuers.find(pass.foreign_issuer()?.as_str())?;
        remote.keys(now).has(key).then_some(pass)
    }

    /// Opens a token of this service.
    pub(super) fn open_own(&self, token: &str, now: Timestamp) -> Result<Opened, Refusal> {
        let keys = self.keys.load();
        let unverified = Unverified::new(token, &keys, now)?;
        let key = unverified.key();
        let is_cached = self.tokens.serves(key);
        if is_cached && let Some(pass) = self.tokens.find(token, key) {
            observe::token_cache(true);
            return Ok(Opened {
                pass,
                to_remember: None,
            });
        }
        let pass = unverified.verify(self.issuer.as_str(), self.audience.as_str())?;
        Ok(Opened {
            pass,
            to_remember: key.fingerprint().filter(|_| is_cached),
        })
    }

    /// Remembers a token that has passed all checks.
    pub(super) fn remember(&self, token: &str, key: Fingerprint, pass: &Pass) {
        observe::token_cache(false);
        self.tokens.insert(token, key, pass);
    }

    /// The keys of this service.
    pub(super) fn keys(&self) -> Guard<Arc<KeySet>> {
        self.keys.load()
    }

    pub(super) fn replace_keys(&self, keys: KeySet) {
        self.keys.store(Arc::new(keys));
    }

    pub(super) fn issuers(&self) -> Option<&KnownIssuers> {
        self.issuers.as_ref()
    }
}

/// The answer about a token whose key isn't among those of its issuer.
fn is_missing(issuer: &Issuer, remote: &Arc<Remote>, missing: fn(&Remote) -> Missing) -> Unopened {
    match missing(remote) {
        Missing::Unknown => Refusal::UnknownKey.into(),
        Missing::MayBeNew => Unopened::KeyMayBeNew(Arc::clone(remote)),
        Missing::Unavailable => Unopened::Unavailable(issuer.clone()),
    }
}
