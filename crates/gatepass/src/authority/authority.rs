//! `Authority`: the half of gatepass that issues tokens, refreshes them and ends sessions.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use arc_swap::ArcSwap;

use crate::{
    authority::{
        adopt::Adoption,
        authenticator::{Authenticator, Credentials, SubjectOf},
        events::{Event, Events, Handler},
        introduction::Identities,
        issued::Issued,
        names::NameKey,
        old_sessions::OldSessionKeys,
        purge::{Purge, Purger},
        renewals::Renewals,
    },
    env::{
        clock::{Clock, Timestamp},
        internal_error::InternalError,
        random::Random,
    },
    error::Error,
    keys::{error::KeyError, secret_set::SecretSet, set::KeySet},
    model::{
        changes::NewSession,
        device::Device,
        health::Health,
        identity::{Identity, IdentityError},
        ids::{AccountId, ClientId, SessionId, SessionNumber, Subject},
        provider_login::ProviderLogin,
        refusal::Refusal,
        rotation::{Presenter, ReusePolicy},
        scopes::Scopes,
        session::{EndReason, Session},
        text,
        throttling::LoginThrottle,
    },
    observe,
    store::{BeginOutcome, SessionStore, service::ServiceIdentity},
    token::refresh::{Presented, RefreshKeys},
    verifier::verifier::{Policy, Verifier},
};

/// Begins sessions, refreshes and ends them: a [`Verifier`] plus the keys that sign and a
/// [`SessionStore`].
///
/// The endpoints take an authority. It is cheap to clone.
///
/// A signature by HMAC, EdDSA or ES256 holds an async thread for some tens of microseconds at most.
/// RSA and ES384 take hundreds, so gatepass makes these signatures on tokio's blocking threads: on
/// at most half of the processors at once, and on at least one. For example, on a machine with 8
/// processors the fifth of five RS256 logins waits for one of the others. Meanwhile the server
/// handles requests with access tokens. A login or refresh that has waited for 100 ms signs on its
/// own thread, so that an overload makes no client give up.
///
/// ```
/// use gatepass::{
///     Authority, Device, Error, Identity, MasterSecret, MemoryStore, Refusal, Requirements,
/// };
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = MasterSecret::generate()?;
/// let authority = Authority::builder("https://shop.example", "shop-api", secret, MemoryStore::new())
///     .build()
///     .await?;
///
/// // The application has found out by itself who this is:
/// let issued = authority.issue(Identity::new("alice")?, Device::default()).await?;
/// let pass = authority.verifier().verify(issued.access_token.as_str(), &Requirements::new()).await?;
/// assert_eq!(pass.subject().as_str(), "alice");
///
/// authority.logout(issued.refresh_token.as_str()).await?;
/// let refused = authority.verifier().verify(issued.access_token.as_str(), &Requirements::new()).await;
/// assert!(matches!(refused, Err(Error::Refused(Refusal::Revoked))));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Authority {
    pub(super) inner: Arc<Inner>,
    /// The device whose request it handles, for the log.
    pub(super) device: Option<Arc<Device>>,
}

pub(super) struct Inner {
    pub(super) verifier: Verifier,
    pub(super) store: Arc<dyn SessionStore>,
    pub(super) settings: Settings,
    pub(super) refresh_keys: ArcSwap<RefreshKeys>,
    pub(super) names: ArcSwap<NameKey>,
    pub(super) old_session_keys: ArcSwap<OldSessionKeys>,
    pub(super) identities: Arc<Identities>,
    events: Option<Events>,
    pub(super) renewals: Renewals,
    _purger: Purger,
}

pub(crate) struct Settings {
    /// Whether the keys of access tokens are derived from the master secrets.
    pub(crate) derived_keys: bool,
    pub(crate) client: ClientId,
    pub(crate) access_ttl: Duration,
    pub(crate) idle_ttl: Duration,
    pub(crate) absolute_ttl: Duration,
    pub(crate) max_absolute_ttl: Duration,
    pub(crate) reuse: ReusePolicy,
    pub(crate) max_sessions: Option<NonZeroU32>,
    pub(crate) store_timeout: Duration,
    pub(crate) authenticator_timeout: Duration,
    pub(crate) purge_interval: Duration,
    pub(crate) max_staleness: Duration,
    pub(crate) silent_nodes: Option<Duration>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) authenticator: Option<Arc<dyn Authenticator>>,
    pub(crate) throttle: Option<LoginThrottle>,
    pub(crate) on_event: Option<Handler>,
    pub(crate) subject_of: Option<SubjectOf>,
    pub(super) adoption: Option<Adoption>,
}

/// The number of sessions on one page of a list.
const PAGE: usize = 100;

/// A part of the list of a subject's sessions, newest first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<Session>,
    /// The place to go on from, if there are more.
    pub next: Option<SessionNumber>,
}

/// Longest identity in bytes of JSON, so that any access token fits into 8 KiB.
const MAX_IDENTITY: usize = 4096;

impl Authority {
    pub(crate) fn start(
        verifier: Verifier,
        store: Arc<dyn SessionStore>,
        refresh_keys: RefreshKeys,
        names: NameKey,
        old_session_keys: OldSessionKeys,
        identities: Vec<ServiceIdentity>,
        settings: Settings,
    ) -> Self {
        let identities = Arc::new(Identities::known(identities));
        let events = settings.on_event.clone().map(|handler| {
            let (store, timeout) = (Arc::clone(&store), settings.store_timeout);
            Events::start(handler, store, timeout)
        });
        let purger = Purger::start(Purge {
            store: Arc::clone(&store),
            clock: Arc::clone(&settings.clock),
            interval: settings.purge_interval,
            timeout: settings.store_timeout,
            access_ttl: settings.access_ttl,
            identities: Arc::clone(&identities),
        });
        Self {
            inner: Arc::new(Inner {
                verifier,
                store,
                settings,
                refresh_keys: ArcSwap::from_pointee(refresh_keys),
                names: ArcSwap::from_pointee(names),
                old_session_keys: ArcSwap::from_pointee(old_session_keys),
                identities,
                events,
                renewals: Renewals::default(),
                _purger: purger,
            }),
            device: None,
        }
    }

    /// The half that verifies, for gates.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.inner.verifier
    }

    /// The health of this node: how current its revocations are ([`Verifier::health`]), and how far
    /// the move from an old system is ([`Adopt`](crate::Adopt)).
    #[must_use]
    pub fn health(&self) -> Health {
        let mut health = self.inner.verifier.health();
        health.adoption = self.adoption().map(|adoption| {
            let now = self.inner.settings.clock.now();
            adoption.seen.health(adoption.until, now)
        });
        health
    }

    /// The lifetime of an access token whose identity doesn't set its own.
    pub(crate) fn access_ttl(&self) -> Duration {
        self.inner.settings.access_ttl
    }

    /// Whether the application can authenticate users by credentials.
    #[must_use]
    pub fn can_authenticate(&self) -> bool {
        self.inner.settings.authenticator.is_some()
    }

    /// Whether OpenID Connect providers can report logouts to it.
    pub(crate) fn takes_logouts(&self) -> bool {
        self.inner.settings.subject_of.is_some()
    }

    /// Returns this authority for the request of a device. The log then shows the address and the
    /// user agent of the client that ends a session. The endpoints call it by themselves.
    ///
    /// ```
    /// # async fn example(authority: gatepass::Authority, head: gatepass::wire::RequestHead<'_>, token: &str)
    /// # -> Result<(), gatepass::Error> {
    /// let device = authority.verifier().device(&head);
    /// authority.for_device(device).logout(token).await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn for_device(&self, device: Device) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            device: Some(Arc::new(cleaned(device))),
        }
    }

    /// Waits until the handler of [`on_event`](crate::AuthorityBuilder::on_event) has returned for
    /// all events so far. Call it when your server has stopped, since the runtime ends without
    /// waiting for its tasks.
    ///
    /// ```
    /// # async fn example(authority: gatepass::Authority) {
    /// // After the graceful shutdown of the server:
    /// let patience = std::time::Duration::from_secs(10);
    /// let _ = tokio::time::timeout(patience, authority.flush_events()).await;
    /// # }
    /// ```
    pub async fn flush_events(&self) {
        if let Some(events) = &self.inner.events {
            events.told().await;
        }
    }

    /// Queues an event for the application's handler, if there is one.
    pub(super) fn tell(&self, event: impl FnOnce() -> Event) {
        if let Some(events) = &self.inner.events {
            events.tell(event());
        }
    }

    /// Replaces the keys of access tokens, at once and for all clones.
    ///
    /// # Errors
    ///
    /// [`KeyError::NoSigningKey`] or [`KeyError::DuplicateKeyId`]; the old keys stay then.
    pub fn replace_keys(&self, keys: KeySet) -> Result<(), KeyError> {
        self.inner.verifier.replace_keys(keys)
    }

    /// Replaces the master secrets, at once and for all clones. If the keys of access tokens are
    /// derived from the secrets, it also replaces these keys.
    ///
    /// The store learns of the new secrets with the next purge. After that, a node that has only
    /// the new secrets can start.
    ///
    /// # Errors
    ///
    /// [`KeyError::DuplicateSecret`]; the old secrets stay then.
    pub fn replace_secrets(&self, secrets: &SecretSet) -> Result<(), KeyError> {
        let Policy {
            issuer, audience, ..
        } = self.inner.verifier.policy();
        let refresh_keys = RefreshKeys::new(secrets, issuer, audience)?;
        if self.inner.settings.derived_keys {
            self.inner.verifier.replace_keys(secrets.derived_keys())?;
        }
        self.inner.refresh_keys.store(Arc::new(refresh_keys));
        self.inner.names.store(Arc::new(NameKey::new(secrets)));
        let old_session_keys = OldSessionKeys::new(secrets, issuer, audience);
        self.inner
            .old_session_keys
            .store(Arc::new(old_session_keys));
        let identities = ServiceIdentity::all(secrets, issuer, audience);
        if let Some(heart) = self.inner.verifier.heart() {
            let fingerprints = ServiceIdentity::fingerprints(&identities);
            heart.update(|facts| facts.secrets = fingerprints);
        }
        self.inner.identities.replace(identities);
        Ok(())
    }

    /// The OAuth client that logins of the application itself belong to.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        &self.inner.settings.client
    }

    /// Logs a user in with credentials, which the application's [`Authenticator`] checks.
    ///
    /// # Errors
    ///
    /// [`Refusal::BadCredentials`] or [`Refusal::TooManyAttempts`]; [`Error::Store`] if the store
    /// or the source of users does not answer; [`Error::Identity`] if the application gave an
    /// identity that gatepass can't issue.
    pub async fn login(&self, credentials: &Credentials, device: Device) -> Result<Issued, Error> {
        self.login_fitting(&self.inner.settings.client, credentials, device, None, None)
            .await
    }

    /// Logs a user in with credentials for `client`: the password grant (RFC 6749 §4.3). Use it
    /// only for your own clients, because the client learns the password. RFC 9700 §2.4 forbids
    /// this grant altogether. The session gets `scopes`, which the user must have, or else all
    /// scopes of the user. It never gets more than the requested scopes later.
    ///
    /// # Errors
    ///
    /// As [`login`](Self::login), and [`Refusal::ScopeNotGranted`].
    pub async fn login_as(
        &self,
        client: &ClientId,
        credentials: &Credentials,
        device: Device,
        scopes: Option<&Scopes>,
    ) -> Result<Issued, Error> {
        self.login_fitting(client, credentials, device, scopes, None)
            .await
    }

    /// Logs in as [`login_as`](Self::login_as) does, and refuses an access token of more than
    /// `longest` bytes before the session is stored.
    pub(crate) async fn login_fitting(
        &self,
        client: &ClientId,
        credentials: &Credentials,
        device: Device,
        scopes: Option<&Scopes>,
        longest: Option<usize>,
    ) -> Result<Issued, Error> {
        let authenticator = self.inner.settings.authenticator.as_ref();
        let authenticator =
            authenticator.ok_or(InternalError::new("login without an authenticator"))?;
        let device = cleaned(device);
        let authenticated = async {
            let attempt = self.count_attempt(credentials.username(), &device).await?;
            let answer = self.consult(authenticator.authenticate(credentials, &device));
            let identity = attempt.ended(answer.await).await?;
            match scopes {
                Some(scopes) => identity.limited_to(scopes).map_err(Error::from),
                None => Ok(identity),
            }
        };
        let identity = authenticated.await.inspect_err(|error| {
            let name_hash = self.name_hash(credentials.username());
            self.report_login(&device, &name_hash, error);
        })?;
        self.begin(client, identity, device, longest, "password")
            .await
    }

    /// Begins a session for a login that the application has done itself.
    ///
    /// Send the tokens with `Cache-Control: no-store` (RFC 6749 §5.1).
    /// [`Endpoints::issue`](crate::wire::Endpoints::issue) does that, and sets cookies.
    ///
    /// # Errors
    ///
    /// [`Error::Identity`] if gatepass can't issue the identity, [`Error::Store`] if the store
    /// can't record the session. [`Refusal::SessionEnded`] if it is a login through an OpenID
    /// Connect provider ([`Identity::logged_in_by`]) at which the user has logged out meanwhile.
    pub async fn issue(&self, identity: Identity, device: Device) -> Result<Issued, Error> {
        self.issue_as(&self.inner.settings.client, identity, device)
            .await
    }

    /// Begins a session that belongs to `client`. Only that client can refresh it.
    ///
    /// # Errors
    ///
    /// As [`issue`](Self::issue).
    pub async fn issue_as(
        &self,
        client: &ClientId,
        identity: Identity,
        device: Device,
    ) -> Result<Issued, Error> {
        self.issue_fitting(client, identity, device, None).await
    }

    /// Begins a session as [`issue_as`](Self::issue_as) does, and refuses an access token of more
    /// than `longest` bytes before the session is stored.
    pub(crate) async fn issue_fitting(
        &self,
        client: &ClientId,
        identity: Identity,
        device: Device,
        longest: Option<usize>,
    ) -> Result<Issued, Error> {
        self.begin(client, identity, device, longest, "application")
            .await
    }

    /// `method` is how the user was authenticated, for the log.
    async fn begin(
        &self,
        client: &ClientId,
        identity: Identity,
        device: Device,
        longest: Option<usize>,
        method: &'static str,
    ) -> Result<Issued, Error> {
        let identity = self.beginning(identity)?;
        let account = self.account(identity.subject());
        let id = SessionId::random(account, &*self.inner.settings.random)?;
        let new = self.new_session(id, client, identity, cleaned(device));
        if let Some(longest) = longest {
            self.check_length(&new, longest).await?;
        }
        let session = self.store_session(new).await?.session;
        self.check_provider_login(&session).await?;
        let (issued, token) = self.answer(&session, None).await?;
        observe::session_issued(&session, token, method);
        let address = session.device.address;
        self.tell(|| Event::LoggedIn {
            session: Box::new(session),
            other_sessions: None,
            new_device: None,
            new_address: None,
        });
        if self.inner.verifier.policy().proxies.is_none() {
            self.verifier().hidden_addresses().login(address);
        }
        Ok(issued)
    }

    /// `identity` as the identity of a new session, if a session may have it.
    pub(super) fn beginning(&self, identity: Identity) -> Result<Identity, IdentityError> {
        self.check_lifetimes(&identity)?;
        let identity = identity.beginning(self.inner.settings.access_ttl);
        self.check_identity(&identity)?;
        Ok(identity)
    }

    /// A session to begin.
    pub(super) fn new_session(
        &self,
        id: SessionId,
        client: &ClientId,
        identity: Identity,
        device: Device,
    ) -> NewSession {
        let (settings, policy) = (&self.inner.settings, self.inner.verifier.policy());
        let authenticated_at = identity.provider_login().and_then(ProviderLogin::auth_time);
        NewSession {
            id,
            issuer: policy.issuer.clone(),
            audience: policy.audience.clone(),
            client: client.clone(),
            idle_ttl: identity.own_idle_ttl().unwrap_or(settings.idle_ttl),
            absolute_ttl: identity.longest(settings.absolute_ttl),
            identity,
            device,
            access_ttl: settings.access_ttl,
            max_sessions: settings.max_sessions,
            authenticated_at,
        }
    }

    /// Begins a session, and enforces the end of the sessions that made room for it.
    pub(super) async fn store_session(&self, new: NewSession) -> Result<BeginOutcome, Error> {
        let begun = self.ask("begin", self.inner.store.begin(new)).await?;
        if let Some(revocation) = begun.ended {
            let subject = begun.session.subject();
            let by = self.for_device(begun.session.device.clone());
            by.enforce(revocation, Some(subject), EndReason::TooManySessions);
        }
        Ok(begun)
    }

    /// Lists the usable sessions of `subject` at this issuer, newest first, 100 to a page. Without
    /// `after` it returns the newest sessions; pass the last page's `next` to get the page after
    /// it.
    ///
    /// A session is usable if it can be refreshed, or if an access token of it may still be valid.
    ///
    /// The times are exact, for the application's own use. Don't show them to a client: a thief who
    /// has copied a refresh token learns from `last_seen_at` or `idle_expires_at` when to replay
    /// it. The endpoint `GET /auth/sessions` rounds them to whole hours, or to the lifetime of
    /// access tokens if that is longer, and leaves them out of the current session.
    ///
    /// ```
    /// use gatepass::{Authority, Device, Identity, MasterSecret, MemoryStore, Subject};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let secret = MasterSecret::generate()?;
    /// # let authority = Authority::builder("https://shop.example", "shop-api", secret, MemoryStore::new())
    /// #     .build()
    /// #     .await?;
    /// let alice = Subject::new("alice")?;
    /// authority.issue(Identity::of(alice.clone()), Device::default()).await?;
    ///
    /// let mut next = None;
    /// loop {
    ///     let page = authority.sessions(&alice, next).await?;
    ///     page.sessions.iter().for_each(|session| println!("{}", session.id));
    ///     next = page.next;
    ///     if next.is_none() {
    ///         break;
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store cannot be read.
    pub async fn sessions(
        &self,
        subject: &Subject,
        after: Option<SessionNumber>,
    ) -> Result<SessionPage, Error> {
        let listed = (self.inner.store).sessions(self.account(subject), after, PAGE + 1);
        let mut sessions = self.ask("sessions", listed).await?;
        let more = sessions.len() > PAGE;
        sessions.truncate(PAGE);
        let next = sessions.last().filter(|_| more);
        let next = next.map(|session| session.number);
        Ok(SessionPage { sessions, next })
    }

    /// The account of `subject` at this issuer, by which a store names the user.
    ///
    /// You need it to end sessions in a transaction of your own. For example,
    /// `EndSessions::AllOf(authority.account(&alice))` names all sessions of Alice.
    #[must_use]
    pub fn account(&self, subject: &Subject) -> AccountId {
        AccountId::of(&self.inner.verifier.policy().issuer, subject)
    }

    /// The issuer and the audience to which `client` presents a refresh token.
    pub(super) fn presenter<'a>(&'a self, client: &'a ClientId) -> Presenter<'a> {
        let policy = self.inner.verifier.policy();
        Presenter {
            issuer: &policy.issuer,
            audience: &policy.audience,
            client,
        }
    }

    /// The hash of a user name, as the log has it.
    pub(super) fn name_hash(&self, name: &str) -> String {
        self.inner.names.load().hash(name)
    }

    /// The content of a refresh token, if it is authentic.
    pub(super) fn open_refresh_token(&self, token: &str) -> Result<Presented, Refusal> {
        self.open_refresh_token_at(token, self.inner.settings.clock.now())
    }

    pub(super) fn open_refresh_token_at(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Presented, Refusal> {
        self.inner.refresh_keys.load().open(token, now)
    }

    /// Signs a token of the session that `new` would begin, to see how long it is at most: neither
    /// its times nor its id change the length.
    pub(super) async fn check_length(&self, new: &NewSession, longest: usize) -> Result<(), Error> {
        let session = Session::begin(
            new.clone(),
            SessionNumber::MAX,
            self.inner.settings.clock.now(),
        );
        let scopes = session.identity.granted_scopes();
        let signed = self.newest_access_token(&session, scopes).await?;
        if signed.access_token.as_str().len() > longest {
            return Err(IdentityError::TooLargeForCookie.into());
        }
        Ok(())
    }

    /// Checks the lifetimes that an identity gives a new session.
    fn check_lifetimes(&self, identity: &Identity) -> Result<(), IdentityError> {
        let Settings {
            reuse,
            max_absolute_ttl,
            ..
        } = &self.inner.settings;
        let least = reuse.overlap.max(Duration::from_secs(1));
        let own = [identity.own_idle_ttl(), identity.own_absolute_ttl()];
        let fits = |ttl: &Duration| (least..=*max_absolute_ttl).contains(ttl);
        match own.iter().flatten().all(fits) {
            true => Ok(()),
            false => Err(IdentityError::SessionTtl),
        }
    }

    pub(super) fn check_identity(&self, identity: &Identity) -> Result<(), IdentityError> {
        let Settings {
            reuse,
            absolute_ttl,
            ..
        } = &self.inner.settings;
        let least = reuse.overlap.max(Duration::from_secs(1));
        if identity
            .own_access_ttl()
            .is_some_and(|ttl| !(least..=*absolute_ttl).contains(&ttl))
        {
            return Err(IdentityError::AccessTtl);
        }
        // An identity that cannot be written as JSON cannot be written as a token either.
        match serde_json::to_vec(identity) {
            Ok(json) if json.len() <= MAX_IDENTITY => Ok(()),
            _ => Err(IdentityError::TooLarge),
        }
    }
}

/// Cleans the user agent: the application may have made `device` itself, from a raw header.
pub(crate) fn cleaned(mut device: Device) -> Device {
    device.user_agent = device
        .user_agent
        .map(|sent| text::user_agent(sent.as_bytes()));
    device
}

/// Its verifier, so that a gate takes the authority itself.
impl From<&Authority> for Verifier {
    fn from(authority: &Authority) -> Self {
        authority.verifier().clone()
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("verifier", &self.inner.verifier)
            .finish_non_exhaustive()
    }
}
