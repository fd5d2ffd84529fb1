//! The configuration of an authority.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use crate::{
    authority::{
        adopt::Adopt,
        authenticator::{Authenticator, SubjectOf},
        authority::{Authority, Settings},
        events::{Event, Handler},
        introduction::introduce,
        names::NameKey,
        old_sessions::OldSessionKeys,
    },
    config::{BuildError, MAX_DURATION, check_duration},
    denylist::heart::Heart,
    env::random::{Random, SystemRandom},
    issuers::several::Issuers,
    keys::{error::KeyError, secret_set::SecretSet, set::KeySet},
    model::{
        ids::{ClientId, Issuer, NodeId, Subject},
        lifetimes,
        rotation::ReusePolicy,
        throttling::LoginThrottle,
    },
    observe,
    store::{SessionStore, error::StoreError, heartbeat::Heartbeat, service::ServiceIdentity},
    token::refresh::RefreshKeys,
    verifier::builder::{VerifierSettings, verifier_setters},
};

/// Configures an [`Authority`]. Made by [`Authority::builder`].
#[must_use]
pub struct AuthorityBuilder {
    settings: VerifierSettings,
    secrets: SecretSet,
    store: Arc<dyn SessionStore>,
    keys: Option<KeySet>,
    client: String,
    access_ttl: Duration,
    idle_ttl: Duration,
    absolute_ttl: Duration,
    max_absolute_ttl: Option<Duration>,
    reuse: ReusePolicy,
    max_sessions: Option<NonZeroU32>,
    shares_store: bool,
    purge_interval: Duration,
    heartbeat: Option<Duration>,
    silent_nodes: Option<Duration>,
    authenticator: Option<Arc<dyn Authenticator>>,
    authenticator_timeout: Duration,
    throttle: Option<LoginThrottle>,
    on_event: Option<Handler>,
    subject_of: Option<SubjectOf>,
    adopt: Option<Adopt>,
    random: Arc<dyn Random>,
}

impl Authority {
    /// Starts to configure an authority that issues as `issuer` (`iss`) for `audience` (`aud`),
    /// with one [`MasterSecret`](crate::MasterSecret) or a [`SecretSet`].
    pub fn builder(
        issuer: impl Into<String>,
        audience: impl Into<String>,
        secrets: impl Into<SecretSet>,
        store: impl SessionStore,
    ) -> AuthorityBuilder {
        let (issuer, audience) = (issuer.into(), audience.into());
        AuthorityBuilder::new(issuer, audience, secrets.into(), Arc::new(store))
    }
}

impl AuthorityBuilder {
    pub(crate) fn new(
        issuer: String,
        audience: String,
        secrets: SecretSet,
        store: Arc<dyn SessionStore>,
    ) -> Self {
        Self {
            settings: VerifierSettings::new(issuer, audience),
            secrets,
            store,
            keys: None,
            client: "default".to_owned(),
            access_ttl: lifetimes::ACCESS_TTL,
            idle_ttl: lifetimes::IDLE_TTL,
            absolute_ttl: lifetimes::ABSOLUTE_TTL,
            max_absolute_ttl: None,
            reuse: ReusePolicy::default(),
            max_sessions: NonZeroU32::new(100),
            shares_store: false,
            purge_interval: Duration::from_secs(60),
            heartbeat: None,
            silent_nodes: None,
            authenticator: None,
            authenticator_timeout: Duration::from_secs(10),
            throttle: Some(LoginThrottle::default()),
            on_event: None,
            subject_of: None,
            adopt: None,
            random: Arc::new(SystemRandom),
        }
    }

    verifier_setters!();

    /// The keys that sign and verify access tokens. Default: an HS256 key derived from the master
    /// secret.
    pub fn keys(mut self, keys: KeySet) -> Self {
        self.keys = Some(keys);
        self
    }

    /// The OAuth client that logins of the application itself belong to. Default `default`.
    pub fn client_id(mut self, client: impl Into<String>) -> Self {
        self.client = client.into();
        self
    }

    /// How long an access token lives, unless its identity sets its own lifetime. Default 15 min.
    pub fn access_ttl(mut self, ttl: Duration) -> Self {
        self.access_ttl = ttl;
        self
    }

    /// How long a session may stay unused before it can no longer be refreshed. Default 14 days.
    pub fn idle_ttl(mut self, ttl: Duration) -> Self {
        self.idle_ttl = ttl;
        self
    }

    /// The maximum lifetime of a session, even if a client uses it all the time. Default 90 days.
    pub fn absolute_ttl(mut self, ttl: Duration) -> Self {
        self.absolute_ttl = ttl;
        self
    }

    /// The longest lifetime that a login may give its session, by
    /// [`Identity::absolute_ttl`](crate::Identity::absolute_ttl). Default: the
    /// [`absolute_ttl`](Self::absolute_ttl), so a login can only give a shorter one. At least the
    /// `absolute_ttl`, and at most 10 years.
    ///
    /// ```
    /// use std::time::Duration;
    /// use gatepass::AuthorityBuilder;
    ///
    /// /// Users can ask to be remembered for a year.
    /// fn configured(builder: AuthorityBuilder) -> AuthorityBuilder {
    ///     builder.max_absolute_ttl(Duration::from_secs(365 * 86_400))
    /// }
    /// ```
    pub fn max_absolute_ttl(mut self, ttl: Duration) -> Self {
        self.max_absolute_ttl = Some(ttl);
        self
    }

    /// How gatepass treats spent refresh tokens.
    pub fn reuse(mut self, reuse: ReusePolicy) -> Self {
        self.reuse = reuse;
        self
    }

    /// How many usable sessions a subject may have. One login more ends the oldest session. By
    /// default a subject may have 100. `None` allows any number, for example if all customers of a
    /// kiosk are one subject.
    pub fn max_sessions(mut self, max_sessions: impl Into<Option<NonZeroU32>>) -> Self {
        self.max_sessions = max_sessions.into();
        self
    }

    /// Allows a store that other issuers, audiences or master secrets also use.
    ///
    /// The store remembers each of them. If the configuration of a node differs by mistake, the
    /// node therefore fails at start with [`BuildError::SharedStore`] or
    /// [`BuildError::OtherSecret`]. Call this once, for the second service, or when you put a new
    /// master secret in place without keeping the old one. The store remembers all of them for
    /// good, so it doesn't stop a node that still has an old secret.
    ///
    /// Services with different issuers don't see each other's sessions: `logout_all` of one ends
    /// none of the other. Services with one issuer and different audiences share their users:
    /// `logout_all` ends the sessions of both, while a refresh token works only where it was
    /// issued.
    pub fn share_store(mut self) -> Self {
        self.shares_store = true;
        self
    }

    /// How often gatepass removes data from the store that nothing needs any more. Default 1 min.
    pub fn purge_interval(mut self, interval: Duration) -> Self {
        self.purge_interval = interval;
        self
    }

    /// Writes a heartbeat to the store every `interval`, which is one small write. Default: off. At
    /// least 100 ms, at most 1 min. For example, set it to 5 s.
    ///
    /// With heartbeats on all nodes, [`Ending::enforced`](crate::Ending::enforced) returns once all
    /// of them know a revocation. `gatepass doctor` and [`Health`](crate::Health) notice a node
    /// that has another secret, other keys or a wrong clock. A reader of the store can read the
    /// heartbeats. See [`docs::operating`](crate::docs::operating).
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = Some(interval);
        self
    }

    /// Declares that there are other nodes that write no heartbeats, and the longest
    /// `max_staleness` among them. [`Ending::enforced`](crate::Ending::enforced) then waits for at
    /// least that long. Default: there are none.
    ///
    /// A resource server that may only read the log writes no heartbeats. For example, if your
    /// resource servers have the default bound, call `.silent_nodes(Duration::from_secs(2))`. At
    /// most 1 hour.
    pub fn silent_nodes(mut self, max_staleness: Duration) -> Self {
        self.silent_nodes = Some(max_staleness);
        self
    }

    /// The application's [`Authenticator`], which checks passwords, and reads users again at each
    /// refresh.
    pub fn authenticator(mut self, authenticator: impl Authenticator) -> Self {
        self.authenticator = Some(Arc::new(authenticator));
        self
    }

    /// How long the authenticator may take before it counts as failed. Default 10 s.
    pub fn authenticator_timeout(mut self, timeout: Duration) -> Self {
        self.authenticator_timeout = timeout;
        self
    }

    /// The bounds on attempts to log in: see [`LoginThrottle`]. On by default. `None` turns them
    /// off, for example if a proxy in front of the service has such bounds.
    ///
    /// ```
    /// # use gatepass::{Authority, MasterSecret, MemoryStore};
    /// # let secret = MasterSecret::generate().unwrap();
    /// let authority = Authority::builder("https://shop.example", "shop-api", secret, MemoryStore::new())
    ///     .login_throttle(None);
    /// ```
    pub fn login_throttle(mut self, throttle: impl Into<Option<LoginThrottle>>) -> Self {
        self.throttle = throttle.into();
        self
    }

    /// Calls `handler` at logins, stolen refresh tokens, ends, changes of rights, and too many
    /// attempts to log in. For example, mail a user or keep an audit log.
    ///
    /// gatepass calls `handler` for one event after the other, on a task of its own. No request
    /// waits for it. If 1024 events wait, or 64 of one user, further ones are lost: gatepass counts
    /// them and logs `events.lost`. If the handler panics, or takes more than 30 s for an event,
    /// gatepass logs `event.handler_failed` and goes on with the next event. A second call replaces
    /// the handler.
    ///
    /// When the last clone of the [`Authority`] is dropped, the handler still gets the waiting
    /// events. Wait for them with [`Authority::flush_events`] before your program ends.
    ///
    /// ```
    /// use gatepass::{Authority, Event, MasterSecret, MemoryStore};
    ///
    /// # async fn mail(user: &str, text: &str) {}
    /// # let secret = MasterSecret::generate().unwrap();
    /// let authority = Authority::builder("https://shop.example", "shop-api", secret, MemoryStore::new())
    ///     .on_event(async |event| {
    ///         // A user's first session is new in every way.
    ///         if let Event::LoggedIn { session, new_device: Some(true), other_sessions: Some(1..), .. } = event {
    ///             mail(session.subject().as_str(), "You have logged in on a new device.").await;
    ///         }
    ///     });
    /// ```
    pub fn on_event<F>(mut self, handler: impl Fn(Event) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.on_event = Some(Arc::new(move |event| Box::pin(handler(event))));
        self
    }

    /// Lets OpenID Connect providers end the sessions of users who log out there (OpenID Connect
    /// Back-Channel Logout 1.0), and mounts `POST /auth/backchannel-logout`. Default: off.
    ///
    /// gatepass calls `subject_of` with the issuer and the `sub` of the provider. Return your own
    /// subject of that user, or `None` if there is none. Register the endpoint's URL at the
    /// provider as `backchannel_logout_uri`. Trust the provider by
    /// [`for_logins`](crate::issuers::TrustedIssuer::for_logins) or
    /// [`login_client`](crate::issuers::TrustedIssuer::login_client), and record each login by
    /// [`logged_in_by`](crate::Identity::logged_in_by). See
    /// [`docs::issuers`](crate::docs::issuers).
    ///
    /// ```
    /// use gatepass::{AuthorityBuilder, BuildError, issuers::{Issuers, TrustedIssuer}};
    ///
    /// fn configured(builder: AuthorityBuilder, issuers: Issuers) -> AuthorityBuilder {
    ///     let sso = TrustedIssuer::for_logins("https://sso.shop.example", "shop-web");
    ///     builder
    ///         .issuers(issuers.trust(sso))
    ///         // Right only if all users come from this provider. Otherwise look the user up.
    ///         .backchannel_logout(async |_issuer, subject| Ok(Some(subject)))
    /// }
    /// ```
    ///
    /// The function has the same time as the [authenticator](Self::authenticator_timeout). If it
    /// fails, the provider gets a 503 and may try again.
    pub fn backchannel_logout<F>(
        mut self,
        subject_of: impl Fn(Issuer, Subject) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Option<Subject>, StoreError>> + Send + 'static,
    {
        let subject_of: SubjectOf =
            Arc::new(move |issuer, user| Box::pin(subject_of(issuer, user)));
        self.subject_of = Some(subject_of);
        self
    }

    /// Accepts the tokens of the system that gatepass replaces, until a date: see [`Adopt`].
    /// Default: off. A second call replaces the first.
    ///
    /// ```
    /// use gatepass::{Adopt, Authority, AuthorityBuilder, OldTokens, Timestamp, wire::Gate};
    ///
    /// fn configured(builder: AuthorityBuilder, old_tokens: impl OldTokens) -> AuthorityBuilder {
    ///     let until = Timestamp::from_unix_secs(1_814_400_000);
    ///     builder.adopt(Adopt::new("old:shop", until, old_tokens))
    /// }
    ///
    /// /// The gate in front of your routes.
    /// fn gate(authority: &Authority) -> Gate {
    ///     Gate::new(authority).adopt(authority)
    /// }
    /// ```
    pub fn adopt(mut self, adopt: Adopt) -> Self {
        self.settings.browser.places.old_cookie = adopt.cookie_name();
        self.adopt = Some(adopt);
        self
    }

    /// Takes unguessable bytes from `random`. Default [`SystemRandom`].
    pub fn random(mut self, random: impl Random) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// Loads the live revocations, and starts the tasks that follow them and purge the store.
    ///
    /// # Errors
    ///
    /// [`BuildError`] for every mistake in the configuration, and if the store can't be read.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled, as all of tokio does.
    pub async fn build(self) -> Result<Authority, BuildError> {
        let second = Duration::from_secs(1);
        let most = MAX_DURATION;
        check_duration(
            "absolute lifetime",
            self.absolute_ttl,
            second,
            most,
            "between 1 second and 10 years",
        )?;
        let max_absolute_ttl = self.max_absolute_ttl.unwrap_or(self.absolute_ttl);
        let must = "at least the absolute lifetime and at most 10 years";
        check_duration(
            "longest absolute lifetime",
            max_absolute_ttl,
            self.absolute_ttl,
            most,
            must,
        )?;
        let most = self.absolute_ttl;
        let must = "at least 1 second and at most the absolute lifetime";
        check_duration("idle lifetime", self.idle_ttl, second, most, must)?;
        let must = "at least 1 second and at most the idle lifetime";
        check_duration(
            "access-token lifetime",
            self.access_ttl,
            second,
            self.idle_ttl,
            must,
        )?;
        let must = "at most the access-token lifetime";
        check_duration(
            "overlap",
            self.reuse.overlap,
            Duration::ZERO,
            self.access_ttl,
            must,
        )?;
        let must = "at most the idle lifetime";
        check_duration(
            "recovery",
            self.reuse.recovery,
            Duration::ZERO,
            self.idle_ttl,
            must,
        )?;
        let must = "between 1 second and 10 years";
        check_duration(
            "purge interval",
            self.purge_interval,
            second,
            MAX_DURATION,
            must,
        )?;

        let (least, most) = (Duration::from_millis(10), Duration::from_secs(3600));
        let must = "between 10 ms and 1 hour";
        check_duration(
            "authenticator timeout",
            self.authenticator_timeout,
            least,
            most,
            must,
        )?;

        if let Some(throttle) = &self.throttle {
            let (least, most) = (Duration::from_secs(1), Duration::from_secs(3600));
            let must = "between 1 second and 1 hour";
            check_duration(
                "longest delay of logins",
                throttle.max_delay,
                least,
                most,
                must,
            )?;
            let (least, most) = (Duration::from_millis(100), throttle.max_delay);
            let must = "between 100 ms and the longest delay";
            check_duration(
                "first delay of logins",
                throttle.first_delay,
                least,
                most,
                must,
            )?;
            let must = "at most 10 years";
            let what = "time for which a pair of name and address is known";
            check_duration(what, throttle.known_for, Duration::ZERO, MAX_DURATION, must)?;
            let free = [throttle.per_pair, throttle.per_name, throttle.per_address];
            if free
                .iter()
                .any(|free| !(1..=LoginThrottle::MOST_FREE).contains(free))
            {
                return Err(BuildError::FreeAttempts);
            }
        }

        if let Some(interval) = self.heartbeat {
            let (least, most) = (Duration::from_millis(100), Duration::from_secs(60));
            let must = "between 100 ms and 1 minute";
            check_duration("heartbeat interval", interval, least, most, must)?;
        }
        if let Some(bound) = self.silent_nodes {
            let (least, most) = (Duration::ZERO, Duration::from_secs(3600));
            let must = "at most 1 hour";
            check_duration("bound of silent nodes", bound, least, most, must)?;
        }

        let (issuer, audience) = self.settings.names()?;
        let refresh_keys = RefreshKeys::new(&self.secrets, &issuer, &audience)?;
        let names = NameKey::new(&self.secrets);
        let old_session_keys = OldSessionKeys::new(&self.secrets, &issuer, &audience);
        let derived_keys = self.keys.is_none();
        let keys = self.keys.unwrap_or_else(|| self.secrets.derived_keys());
        keys.check_signing()?;
        // The check comes before the store remembers names that may be a mistake.
        self.settings.check()?;
        keys.check()?;
        let issuers = self.settings.issuers.as_ref();
        if self.subject_of.is_some() && !issuers.is_some_and(Issuers::has_login_client) {
            return Err(BuildError::NoLoginClient);
        }
        let now = self.settings.clock.now();
        let adoption = self.adopt.map(|adopt| adopt.check(&issuer, now));
        let adoption = adoption.transpose()?;
        if let Some(adoption) = &adoption
            && self.settings.trusts(&adoption.issuer)?
        {
            return Err(adoption.is_trusted());
        }
        let settings = Settings {
            derived_keys,
            client: ClientId::new(self.client)?,
            access_ttl: self.access_ttl,
            idle_ttl: self.idle_ttl,
            absolute_ttl: self.absolute_ttl,
            max_absolute_ttl,
            reuse: self.reuse,
            max_sessions: self.max_sessions,
            store_timeout: self.settings.store_timeout,
            authenticator_timeout: self.authenticator_timeout,
            purge_interval: self.purge_interval,
            max_staleness: self.settings.max_staleness,
            silent_nodes: self.silent_nodes,
            clock: Arc::clone(&self.settings.clock),
            random: self.random,
            authenticator: self.authenticator,
            throttle: self.throttle,
            on_event: self.on_event,
            subject_of: self.subject_of,
            adoption,
        };
        if self.store.is_volatile() {
            observe::store_volatile();
        }
        let identities = ServiceIdentity::all(&self.secrets, &issuer, &audience);
        introduce(
            &*self.store,
            &identities,
            self.shares_store,
            settings.store_timeout,
        )
        .await?;
        let heart = match self.heartbeat {
            Some(interval) => {
                let node = NodeId::random(&SystemRandom).map_err(|_| KeyError::Random)?;
                let now = settings.clock.now();
                let mut facts = Heartbeat::new(node, issuer, audience, now);
                facts.secrets = ServiceIdentity::fingerprints(&identities);
                facts.keys = keys.marks();
                facts.interval = interval;
                facts.max_staleness = self.settings.max_staleness;
                facts.leeway = self.settings.leeway;
                facts.judges_stale = self.settings.danger_stale;
                let (store, clock) = (Arc::clone(&self.store), Arc::clone(&settings.clock));
                let heart = Heart::new(facts, store, clock, settings.store_timeout);
                Some(Arc::new(heart))
            }
            None => None,
        };
        let verifier = self
            .settings
            .build(keys, Arc::clone(&self.store) as _, heart)
            .await?;
        Ok(Authority::start(
            verifier,
            self.store,
            refresh_keys,
            names,
            old_session_keys,
            identities,
            settings,
        ))
    }
}

impl fmt::Debug for AuthorityBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorityBuilder")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
