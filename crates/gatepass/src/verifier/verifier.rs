//! `Verifier`: the half of gatepass that needs neither a signing key nor a session store.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    denylist::{
        follower::Follower,
        heart::{Beating, Heart},
        lease::Reading,
        replica::Replica,
        staleness::Staleness,
    },
    env::clock::{Clock, Timestamp},
    error::Error,
    http::error_response::ErrorResponse,
    issuers::known::KnownIssuers,
    keys::{error::KeyError, set::KeySet},
    model::{
        health::Health,
        ids::{Audience, Issuer, SessionNumber},
        provider_login::ProviderLogout,
        refusal::Refusal,
        revocation::Revocation,
        transport::BrowserPolicy,
        trusted_proxies::TrustedProxies,
    },
    observe::{self, HiddenAddresses, Refusals},
    store::{TokenStatus, error::StoreError},
    token::pass::Pass,
    verifier::{
        opening::{Opened, Opener, Unopened},
        protected_resource::PublishedResource,
        requirements::Requirements,
    },
};

/// Verifies access tokens: signature, claims, time, revocation, and what a route requires.
///
/// A gate takes a verifier. An [`Authority`](crate::Authority) has one. A resource server that must
/// never issue tokens builds a verifier alone, from keys that verify and a
/// [`RevocationLog`](crate::store::RevocationLog). A verifier is cheap to clone.
///
/// ```
/// use gatepass::{Error, KeySet, MemoryStore, Refusal, Requirements, Verifier, keys::SigningKey};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = SigningKey::hs256(b"a secret that is shared with the issuer, 32 bytes or more")?;
/// let keys = KeySet::verifying([key.verifying_key().clone()]);
/// // In production the store that the issuer writes to; one in memory knows no session.
/// let log = MemoryStore::new();
/// let verifier = Verifier::builder("https://shop.example", "shop-api", keys, log).build().await?;
///
/// let refused = verifier.verify("not a token", &Requirements::new()).await;
/// assert!(matches!(refused, Err(Error::Refused(Refusal::Malformed))));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
}

struct Inner {
    policy: Policy,
    opener: Opener,
    replica: Arc<Replica>,
    clock: Arc<dyn Clock>,
    refusals: Refusals,
    hidden_addresses: HiddenAddresses,
    beating: Option<Beating>,
    _follower: Follower,
}

/// The fixed conditions that every token must meet.
pub(crate) struct Policy {
    pub(crate) issuer: Issuer,
    pub(crate) audience: Audience,
    pub(crate) leeway: Duration,
    pub(crate) realm: Arc<str>,
    pub(crate) browser: BrowserPolicy,
    pub(crate) errors: ErrorResponse,
    pub(crate) proxies: Option<TrustedProxies>,
    pub(crate) logs_verified: bool,
    pub(crate) resource: Option<Arc<PublishedResource>>,
}

impl Verifier {
    pub(super) fn start(
        policy: Policy,
        opener: Opener,
        replica: Arc<Replica>,
        heart: Option<Arc<Heart>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let beating = heart.map(|heart| Beating::start(heart, Arc::clone(&replica)));
        let _follower = Follower::start(Arc::clone(&replica));
        Self {
            inner: Arc::new(Inner {
                policy,
                opener,
                replica,
                refusals: Refusals::new(Arc::clone(&clock)),
                hidden_addresses: HiddenAddresses::default(),
                clock,
                beating,
                _follower,
            }),
        }
    }

    /// Verifies an access token, and checks that it satisfies `requirements`.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with the first fault of the token, [`Error::Store`] if the node could not
    /// find out in time whether the token was revoked, and [`Error::KeysUnavailable`] if another
    /// issuer's keys can't be fetched.
    pub async fn verify(&self, token: &str, requirements: &Requirements) -> Result<Pass, Error> {
        self.verify_unless(token, requirements, |_| false).await
    }

    /// Verifies, and reports no refusal that the caller `settles` in another way. For example, an
    /// expired token of a browser that a gate refreshes is no refusal.
    pub(crate) async fn verify_unless(
        &self,
        token: &str,
        requirements: &Requirements,
        settles: impl Fn(&Refusal) -> bool,
    ) -> Result<Pass, Error> {
        if let Some(verified) = self.try_verify_unless(token, requirements, &settles) {
            return verified;
        }
        let opened = self.inner.opener.open(token).await;
        let opened = opened.inspect_err(|error| self.report_unopened(error, &settles))?;
        let now = self.inner.clock.now();
        let judged = self.judge_and_wait(&opened.pass, requirements, now).await;
        self.conclude(token, opened, judged, settles)
    }

    /// [`verify_unless`](Self::verify_unless) without waiting. Returns `None`, without a side
    /// effect, if the store or another issuer must answer first.
    pub(crate) fn try_verify_unless(
        &self,
        token: &str,
        requirements: &Requirements,
        settles: impl Fn(&Refusal) -> bool,
    ) -> Option<Result<Pass, Error>> {
        let now = Reading::of(&*self.inner.clock);
        let replica = &self.inner.replica;
        if !replica.answers_at(now, requirements.staleness) {
            return None;
        }
        let opened = match self.inner.opener.try_open(token, now.wall) {
            Ok(opened) => Ok(opened),
            Err(Unopened::KeyMayBeNew(_)) => return None,
            Err(Unopened::Refused(refusal)) => Err(refusal.into()),
            Err(Unopened::Unavailable(issuer)) => Err(Error::KeysUnavailable { issuer }),
        };
        let opened = opened.inspect_err(|error| self.report_unopened(error, &settles));
        let verified = opened.and_then(|opened| {
            let pass = &opened.pass;
            let judged = self
                .check_time(pass, now.wall)
                .and_then(|()| Self::check_status(replica.look_up(pass)))
                .and_then(|()| self.require_at(pass, requirements, now.wall));
            self.conclude(token, opened, judged.map_err(Error::from), settles)
        });
        Some(verified)
    }

    async fn judge_and_wait(
        &self,
        pass: &Pass,
        requirements: &Requirements,
        now: Timestamp,
    ) -> Result<(), Error> {
        // The time comes before the store, so that strangers with old tokens cause no calls to it.
        self.check_time(pass, now)?;
        let status = self.inner.replica.check(pass, requirements.staleness);
        Self::check_status(status.await?)?;
        // The token may have expired during the wait for the store.
        let now = self.inner.clock.now();
        self.check_time(pass, now)?;
        Ok(self.require_at(pass, requirements, now)?)
    }

    /// The number up to which the tokens of this subject were revoked, if that covers the token of
    /// `pass`. The pass is of another issuer.
    pub(crate) fn foreign_cutoff(&self, pass: &Pass) -> Option<SessionNumber> {
        let cutoff = self.inner.replica.cutoff(pass.foreign_account().ok()?)?;
        let number = SessionNumber::of_foreign(pass.issued_at());
        cutoff.covers(number).then_some(cutoff.up_to)
    }

    /// Whether this node knows by now that the token is revoked.
    pub(crate) fn knows_as_revoked(&self, pass: &Pass) -> bool {
        self.inner.replica.look_up(pass) == TokenStatus::Revoked
    }

    /// Judges the pass of a token that this service hasn't opened itself.
    pub(crate) async fn judge(
        &self,
        pass: &Pass,
        requirements: &Requirements,
    ) -> Result<(), Error> {
        let now = self.inner.clock.now();
        let judged = self.judge_and_wait(pass, requirements, now).await;
        match &judged {
            Ok(()) => observe::token_verified(pass, self.inner.policy.logs_verified),
            Err(Error::Refused(refusal)) => self.refusals().token(Some(pass), refusal),
            Err(_) => {}
        }
        judged
    }

    /// Reports how the verification of an opened token ended, and remembers the token if it is
    /// good.
    fn conclude(
        &self,
        token: &str,
        opened: Opened,
        judged: Result<(), Error>,
        settles: impl Fn(&Refusal) -> bool,
    ) -> Result<Pass, Error> {
        let Opened { pass, to_remember } = opened;
        match &judged {
            Ok(()) => {
                if let Some(key) = to_remember {
                    self.inner.opener.remember(token, key, &pass);
                }
                observe::token_verified(&pass, self.inner.policy.logs_verified);
            }
            Err(Error::Refused(refusal)) if !settles(refusal) => {
                self.refusals().token(Some(&pass), refusal);
            }
            // Failures of the store and of other issuers have been reported where they happened.
            Err(_) => {}
        }
        judged.map(|()| pass)
    }

    /// Reports a token that could not be opened.
    fn report_unopened(&self, error: &Error, settles: impl Fn(&Refusal) -> bool) {
        match error {
            Error::Refused(refusal) if !settles(refusal) => self.refusals().token(None, refusal),
            _ => {}
        }
    }

    /// Verifies a logout token of a trusted issuer.
    pub(crate) async fn verify_logout(&self, token: &str) -> Result<ProviderLogout, Error> {
        let verified = async {
            let token = self.inner.opener.open_logout(token).await?;
            token.check_time(self.inner.clock.now(), self.inner.policy.leeway)?;
            Ok(token.logout)
        };
        verified.await.inspect_err(|error| {
            if let Error::Refused(refusal) = error {
                self.refusals().backchannel_logout(refusal);
            }
        })
    }

    /// Opens a token of this service's own, without a look at its times or at revocations.
    pub(crate) fn open(&self, token: &str) -> Result<Pass, Refusal> {
        let opened = self.inner.opener.open_own(token, self.inner.clock.now())?;
        Ok(opened.pass)
    }

    fn check_status(status: TokenStatus) -> Result<(), Refusal> {
        match status {
            TokenStatus::Live => Ok(()),
            TokenStatus::Revoked => Err(Refusal::Revoked),
            TokenStatus::Stale => Err(Refusal::StaleGrant),
            TokenStatus::Unknown => Err(Refusal::UnknownSession),
        }
    }

    pub(crate) fn check_time(&self, pass: &Pass, now: Timestamp) -> Result<(), Refusal> {
        let policy = &self.inner.policy;
        if now >= pass.expires_at() + policy.leeway {
            return Err(Refusal::Expired);
        }
        let soonest = now + policy.leeway;
        let early = |not_before| soonest < not_before;
        if early(pass.issued_at()) || pass.not_before().is_some_and(early) {
            return Err(Refusal::NotYetValid);
        }
        Ok(())
    }

    /// Checks again that a pass is good: that its token has not expired and is not revoked.
    ///
    /// This is the check of a gate, for a handler that runs for long. For example, an import asks
    /// after each file whether its user is still logged in. It makes no call to the store while the
    /// node's lease holds. It doesn't look at scopes: [`check_requirements`] does. A handler that
    /// waits for the end of a session takes a [`Connection`] instead.
    ///
    /// ```
    /// use gatepass::{Error, Pass, Verifier};
    ///
    /// async fn import(verifier: &Verifier, pass: &Pass, files: Vec<String>) -> Result<(), Error> {
    ///     for file in files {
    ///         verifier.check(pass).await?;
    ///         println!("importing {file}");
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with [`Refusal::Expired`] or [`Refusal::Revoked`], [`Error::Store`] if
    /// the node could not find out in time whether the token is revoked.
    ///
    /// [`check_requirements`]: Self::check_requirements
    /// [`Connection`]: crate::Connection
    pub async fn check(&self, pass: &Pass) -> Result<(), Error> {
        let now = self.inner.clock.now();
        let judged = self.judge_and_wait(pass, &Requirements::new(), now).await;
        if let Err(Error::Refused(refusal)) = &judged {
            self.refusals().token(Some(pass), refusal);
        }
        judged
    }

    /// Checks a pass as [`check`](Self::check) does, but asks the store and reports nothing.
    pub(crate) async fn check_strictly(&self, pass: &Pass) -> Result<(), Error> {
        let now = self.inner.clock.now();
        let strict = Requirements::new().staleness(Staleness::Strict);
        self.judge_and_wait(pass, &strict, now).await
    }

    /// Checks that a pass has what a route requires: scopes, a recent authentication by the right
    /// methods, and this service as its issuer.
    ///
    /// It doesn't look at whether the token has expired or was revoked since it was verified:
    /// [`check`](Self::check) does.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongIssuer`], [`Refusal::InsufficientScope`],
    /// [`Refusal::AuthenticationTooWeak`] or
    /// [`Refusal::AuthenticationTooOld`].
    pub fn check_requirements(
        &self,
        pass: &Pass,
        requirements: &Requirements,
    ) -> Result<(), Refusal> {
        self.require_at(pass, requirements, self.inner.clock.now())
    }

    fn require_at(
        &self,
        pass: &Pass,
        requirements: &Requirements,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if requirements.own_issuer && pass.is_of_other_service() {
            return Err(Refusal::WrongIssuer);
        }
        if !pass.scopes().contains_all(&requirements.scopes) {
            return Err(Refusal::InsufficientScope {
                required: requirements.scopes.clone(),
            });
        }
        // The strength comes before the age: a stronger authentication is also a new one.
        if !Self::is_strong_enough(pass, requirements) {
            return Err(Refusal::AuthenticationTooWeak {
                amr: requirements.amr.clone(),
                acr: requirements.acr.clone().unwrap_or_default(),
            });
        }
        let is_recent = |max_age| {
            let proved = pass.authenticated_at();
            // If another user acts as the user, the user has proved nothing.
            pass.actor().is_none() && proved.is_some_and(|proved| now.since(proved) <= max_age)
        };
        match requirements.max_age {
            Some(max_age) if !is_recent(max_age) => Err(Refusal::AuthenticationTooOld { max_age }),
            _ => Ok(()),
        }
    }

    fn is_strong_enough(pass: &Pass, requirements: &Requirements) -> bool {
        let Requirements { amr, acr, .. } = requirements;
        if amr.is_empty() && acr.is_none() {
            return true;
        }
        let class = |class: &str| pass.acr() == Some(class);
        let is_of_class = acr.as_ref();
        let is_of_class = is_of_class.is_none_or(|acr| acr.iter().any(|name| class(name)));
        // If another user acts as the user, the user has proved nothing.
        let is_own = pass.actor().is_none();
        is_own && is_of_class && amr.iter().all(|method| pass.amr().contains(method))
    }

    /// Replaces the keys, at once and for all clones.
    ///
    /// # Errors
    ///
    /// [`KeyError::DuplicateKeyId`], or [`KeyError::NoSigningKey`] if the old keys can sign and the
    /// new ones can't. The old keys stay then.
    pub fn replace_keys(&self, keys: KeySet) -> Result<(), KeyError> {
        if self.keys().active().is_some() {
            keys.check_signing()?;
        }
        keys.check()?;
        if let Some(heart) = self.heart() {
            heart.update(|facts| facts.keys = keys.marks());
        }
        self.inner.opener.replace_keys(keys);
        Ok(())
    }

    /// The state of the revocations that this node judges by. The call is cheap and makes no
    /// request to the store; see [`Health`].
    #[must_use]
    pub fn health(&self) -> Health {
        let mut health = self.inner.replica.health();
        let issuers = self.inner.opener.issuers();
        health.issuers = issuers.map_or_else(Vec::new, KnownIssuers::health);
        match self.heart() {
            Some(heart) => heart.complete(health),
            None => health,
        }
    }

    /// The protection space that challenges name (RFC 9110 §11.5).
    #[must_use]
    pub fn realm(&self) -> &Arc<str> {
        &self.inner.policy.realm
    }

    /// The public keys that verify now, as a JSON Web Key Set (RFC 7517 §5), for other services.
    /// Empty if all keys are secrets.
    #[must_use]
    pub fn jwks(&self) -> String {
        self.keys().jwks(self.inner.clock.now())
    }

    /// The reading of the clock that never goes back.
    pub(crate) fn monotonic(&self) -> Duration {
        self.inner.clock.monotonic()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    pub(crate) fn replica(&self) -> &Arc<Replica> {
        &self.inner.replica
    }

    /// The counters and the log of refusals.
    pub(crate) fn refusals(&self) -> &Refusals {
        &self.inner.refusals
    }

    pub(crate) fn hidden_addresses(&self) -> &HiddenAddresses {
        &self.inner.hidden_addresses
    }

    pub(crate) fn browser_policy(&self) -> &BrowserPolicy {
        &self.inner.policy.browser
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.inner.policy
    }

    pub(crate) fn keys(&self) -> arc_swap::Guard<Arc<KeySet>> {
        self.inner.opener.keys()
    }

    /// The longest time after its issue that an access token of another issuer is good. `None` if
    /// gatepass accepts none of that issuer's access tokens.
    pub(crate) fn max_lifetime_of(&self, issuer: &Issuer) -> Option<Duration> {
        let (_, remote) = self.inner.opener.issuers()?.find(issuer.as_str())?;
        let rules = remote.rules();
        rules.accepts_access_tokens().then_some(rules.max_lifetime)
    }

    /// The heart of this node, if it writes heartbeats.
    pub(crate) fn heart(&self) -> Option<&Arc<Heart>> {
        self.inner.beating.as_ref().map(Beating::heart)
    }

    /// Enforces on this node every revocation that was committed before the call.
    ///
    /// You need it only to be faster than the bound. For example, your own transaction has ended
    /// the sessions of a user, and the next request to this node must already be refused. Other
    /// nodes follow the log as always.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the log could not be read in time. The node still enforces the revocations
    /// within `max_staleness`.
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        self.inner.replica.catch_up().await
    }

    /// Enforces revocations that this process has just committed.
    pub(crate) fn apply(&self, revocations: &[Revocation]) {
        self.inner.replica.apply(revocations);
    }
}

/// A clone, so that a function that takes a verifier also takes a reference to one.
impl From<&Self> for Verifier {
    fn from(verifier: &Self) -> Self {
        verifier.clone()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("issuer", &self.inner.policy.issuer)
            .field("audience", &self.inner.policy.audience)
            .finish_non_exhaustive()
    }
}
