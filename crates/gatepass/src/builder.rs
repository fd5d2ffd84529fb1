//! Configuration. Every mistake in one is a [`BuildError`], at build.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use crate::{
    Audience, Authenticator, Authority, ClientId, Clock, Identity, InvalidName, Issuer, KeyError,
    KeySet, Random, ReusePolicy, RevocationLog, SecretSet, SessionStore, StoreError,
    StoreErrorKind, SystemClock, SystemRandom, Verifier,
    authority::Settings,
    denylist::{Replica, ReplicaSettings},
    names::NameKey,
    observe,
    refresh::RefreshKeys,
    transport::{BrowserPolicy, Transport},
    verifier::Policy,
    wire::is_sent_origin,
};

/// A configuration that cannot work, or a store that cannot be read when it must be.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The issuer or the audience is no usable name.
    #[error(
        "the {what} must be 1 to 255 bytes of text without control characters, line separators and directional marks; name this service in it"
    )]
    Name {
        /// Which of the two.
        what: &'static str,
    },
    /// A realm that does not fit into a challenge.
    #[error(
        "the realm (by default the issuer) must be printable ASCII without quote and backslash; set one with realm()"
    )]
    Realm,
    /// A duration outside of what works.
    #[error("the {what} is {}, and must be {must}", in_words(*.is))]
    Duration {
        /// Which one.
        what: &'static str,
        /// What it is.
        is: Duration,
        /// What it must be.
        must: &'static str,
    },
    /// The client id is no usable name.
    #[error(transparent)]
    Client(#[from] InvalidName),
    /// A key that cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The revocations could not be loaded, so that no request could be judged.
    #[error("the revocations could not be loaded from the store")]
    Store(#[source] StoreError),
    /// The store already serves another issuer or audience.
    ///
    /// The configuration is at fault if this node was to be one of theirs.
    #[error(
        "the store already serves the issuer {issuer} and the audience {audience}. If this is a node of the same service, give it the same ones; if two services share the store on purpose, call share_store() once"
    )]
    SharedStore {
        /// The issuer that used the store first.
        issuer: Issuer,
        /// Its audience.
        audience: Audience,
    },
    /// The store already serves this issuer and audience with another master secret, whose sessions this
    /// node could neither refresh nor end.
    #[error(
        "the store already serves this issuer and audience with another master secret. Give this node the secret that the other nodes have; if you replace the secret on purpose, keep the old one with SecretSet::retire(), or call share_store() once to log everyone out"
    )]
    OtherSecret,
    /// A trusted origin that no browser sends.
    #[error("{0:?} is no origin; write it as browsers do: https://app.example, without a path")]
    Origin(String),
    /// Two OAuth clients have the same id, or one has that of the application's own client.
    #[error(
        "there is more than one client with the id {0:?}, or it is that of the application itself, which client_id() sets"
    )]
    DuplicateClient(ClientId),
    /// The address under which clients reach the endpoints is none.
    #[error("the base URL must be like https://shop.example, without query and fragment")]
    BaseUrl,
    /// The endpoints must be mounted under an absolute path.
    #[error("the mount point must be a path such as /auth: with a slash before and none after")]
    Mount,
}

/// Longest duration that can be configured: ten years. What is longer is a mistake in a unit.
const MAX_DURATION: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Like `90d` or `1h 30m`: in the units that durations are configured in.
fn in_words(duration: Duration) -> String {
    let days = duration.as_secs() / 86_400;
    let rest = duration - Duration::from_secs(days * 86_400);
    match (days, rest.is_zero()) {
        (0, _) => humantime::format_duration(rest).to_string(),
        (_, true) => format!("{days}d"),
        (_, false) => format!("{days}d {}", humantime::format_duration(rest)),
    }
}

fn check_duration(
    what: &'static str,
    is: Duration,
    least: Duration,
    most: Duration,
    must: &'static str,
) -> Result<(), BuildError> {
    if (least..=most).contains(&is) {
        Ok(())
    } else {
        Err(BuildError::Duration { what, is, must })
    }
}

/// What a verifier is configured with, on its own or as part of an authority.
struct VerifierSettings {
    issuer: String,
    audience: String,
    realm: Option<String>,
    leeway: Duration,
    max_staleness: Duration,
    poll_interval: Option<Duration>,
    store_timeout: Duration,
    danger_stale: Option<Duration>,
    clock: Arc<dyn Clock>,
    browser: BrowserPolicy,
}

impl VerifierSettings {
    fn new(issuer: String, audience: String) -> Self {
        Self {
            issuer,
            audience,
            realm: None,
            leeway: Duration::from_secs(30),
            max_staleness: Duration::from_secs(2),
            poll_interval: None,
            store_timeout: Duration::from_secs(3),
            danger_stale: None,
            clock: Arc::new(SystemClock),
            browser: BrowserPolicy::default(),
        }
    }

    fn names(&self) -> Result<(Issuer, Audience), BuildError> {
        let issuer = Issuer::new(self.issuer.as_str());
        let audience = Audience::new(self.audience.as_str());
        Ok((
            issuer.map_err(|_| BuildError::Name { what: "issuer" })?,
            audience.map_err(|_| BuildError::Name { what: "audience" })?,
        ))
    }

    fn realm(&self) -> &str {
        self.realm.as_deref().unwrap_or(&self.issuer)
    }

    fn poll_interval(&self) -> Duration {
        self.poll_interval.unwrap_or(self.max_staleness / 4)
    }

    /// Checks all that can be checked without the store.
    fn check(&self) -> Result<(), BuildError> {
        self.names()?;
        let realm = self.realm();
        let quotable = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
        if realm.is_empty() || !realm.chars().all(quotable) {
            return Err(BuildError::Realm);
        }
        if let Some(origin) = (self.browser.trusted_origins.iter()).find(|one| !is_sent_origin(one))
        {
            return Err(BuildError::Origin(origin.clone()));
        }
        // Above five minutes a log entry could be dropped before the last token that it concerns.
        let most = Duration::from_secs(300);
        check_duration(
            "leeway",
            self.leeway,
            Duration::ZERO,
            most,
            "at most 5 minutes",
        )?;
        let (least, most) = (Duration::from_millis(10), Duration::from_secs(3600));
        check_duration(
            "max_staleness",
            self.max_staleness,
            least,
            most,
            "between 10 ms and 1 hour",
        )?;
        check_duration(
            "store_timeout",
            self.store_timeout,
            least,
            most,
            "between 10 ms and 1 hour",
        )?;
        let most = self.max_staleness / 2;
        let least = Duration::from_millis(1);
        check_duration(
            "poll interval",
            self.poll_interval(),
            least,
            most,
            "at most half of max_staleness",
        )?;
        if let Some(at_most) = self.danger_stale {
            check_duration(
                "age of stale revocations",
                at_most,
                self.max_staleness,
                Duration::from_secs(86_400),
                "at least max_staleness and at most 1 day",
            )?;
        }
        Ok(())
    }

    async fn build(
        self,
        keys: KeySet,
        log: Arc<dyn RevocationLog>,
    ) -> Result<Verifier, BuildError> {
        self.check()?;
        keys.check()?;
        let (issuer, audience) = self.names()?;
        let (realm, poll_interval) = (self.realm().to_owned(), self.poll_interval());

        let settings = ReplicaSettings {
            issuer: issuer.clone(),
            max_staleness: self.max_staleness,
            poll_interval,
            timeout: self.store_timeout,
            danger_stale: self.danger_stale,
        };
        let replica = Replica::load(log, Arc::clone(&self.clock), settings).await;
        let policy = Policy {
            issuer,
            audience,
            leeway: self.leeway,
            realm: realm.into(),
            browser: self.browser,
        };
        Ok(Verifier::start(
            policy,
            keys,
            replica.map_err(BuildError::Store)?,
            self.clock,
        ))
    }
}

macro_rules! verifier_setters {
    () => {
        /// The protection space that challenges name (RFC 9110 §11.5). Default: the issuer.
        pub fn realm(mut self, realm: impl Into<String>) -> Self {
            self.settings.realm = Some(realm.into());
            self
        }

        /// How far the clocks of issuer and verifier may disagree. Default 30 s, at most 5 min.
        pub fn leeway(mut self, leeway: Duration) -> Self {
            self.settings.leeway = leeway;
            self
        }

        /// The bound on how long after its commit a revocation may still be unenforced here. A node
        /// that cannot keep it answers 503. Default 2 s.
        pub fn max_staleness(mut self, max_staleness: Duration) -> Self {
            self.settings.max_staleness = max_staleness;
            self
        }

        /// How often the store is asked for new revocations where it does not say by itself that
        /// there are some. Default a quarter of `max_staleness`, at most half of it.
        pub fn poll_interval(mut self, poll_interval: Duration) -> Self {
            self.settings.poll_interval = Some(poll_interval);
            self
        }

        /// How long a store may take to answer before it counts as failed. Default 3 s.
        pub fn store_timeout(mut self, store_timeout: Duration) -> Self {
            self.settings.store_timeout = store_timeout;
            self
        }

        /// How clients carry their tokens. Default [`Transport::Bearer`].
        pub fn transport(mut self, transport: Transport) -> Self {
            self.settings.browser.transport = transport;
            self
        }

        /// Lets pages of another origin, such as `https://app.example`, use the cookies that a browser
        /// has of this service. Only for origins that are the service's own in all but name.
        pub fn trusted_origin(mut self, origin: impl Into<String>) -> Self {
            self.settings.browser.trusted_origins.push(origin.into());
            self
        }

        /// Sets cookies over plain HTTP, for development: without `Secure`, and therefore without the
        /// prefix `__Host-`. Requests that were sent to any host but this machine's own names
        /// (`localhost`, 127.0.0.1, ::1) are refused their cookies then.
        ///
        /// Right on a developer's machine, with a browser that keeps no `Secure` cookies of
        /// `http://localhost`. Never right behind a proxy that makes `Host` say `localhost`.
        pub fn danger_insecure_cookies_on_localhost(mut self) -> Self {
            self.settings.browser.insecure_localhost = true;
            self
        }

        /// Goes on judging requests by the revocations that were known when the store went, for as long as
        /// that was `at_most` ago, instead of answering 503 once `max_staleness` is over. Default: 503.
        ///
        /// Right where an outage of the store must not become one of the service, and where it may take until an
        /// access token expires before a logout is enforced: what services get that verify tokens without
        /// asking anybody. It costs the bound on staleness whenever it is needed most: who can cut a node off
        /// from its store can use there what was revoked elsewhere. Sessions can neither begin nor be refreshed
        /// meanwhile, so that a value above `access_ttl` helps only nodes that are cut off while others are not.
        ///
        /// Never right for what cannot be undone. Routes that ask for [`Staleness::Strict`](crate::Staleness::Strict),
        /// or for a bound of their own, keep answering 503, and so does a node whose clock was set back: it
        /// does not know how old its knowledge is. Each time it begins, `denylist.judging_stale` is logged as a warning;
        /// [`Health`](crate::Health) says that the lease is over, and how long ago the last pull was.
        ///
        /// There is no setting without a bound: a node that is cut off for good, and that nobody looks after, must
        /// end at some time. At least `max_staleness`, at most 1 day.
        pub fn danger_judge_by_stale_revocations(mut self, at_most: Duration) -> Self {
            self.settings.danger_stale = Some(at_most);
            self
        }

        /// Where the time comes from. Default [`SystemClock`].
        pub fn clock(mut self, clock: impl Clock) -> Self {
            self.settings.clock = Arc::new(clock);
            self
        }
    };
}

/// Configures a [`Verifier`]. Made by [`Verifier::builder`].
#[must_use]
pub struct VerifierBuilder {
    settings: VerifierSettings,
    keys: KeySet,
    log: Arc<dyn RevocationLog>,
}

impl VerifierBuilder {
    pub(crate) fn new(
        issuer: String,
        audience: String,
        keys: KeySet,
        log: Arc<dyn RevocationLog>,
    ) -> Self {
        Self {
            settings: VerifierSettings::new(issuer, audience),
            keys,
            log,
        }
    }

    verifier_setters!();

    /// Loads the live revocations and starts to follow them.
    ///
    /// # Errors
    ///
    /// [`BuildError`] for every mistake in the configuration, and if the log cannot be loaded.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled, as all of tokio does.
    pub async fn build(self) -> Result<Verifier, BuildError> {
        self.settings.build(self.keys, self.log).await
    }
}

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
    reuse: ReusePolicy,
    max_sessions: Option<NonZeroU32>,
    shares_store: bool,
    purge_interval: Duration,
    authenticator: Option<Arc<dyn Authenticator>>,
    authenticator_timeout: Duration,
    random: Arc<dyn Random>,
}

impl AuthorityBuilder {
    pub(crate) fn new(
        issuer: String,
        audience: String,
        secrets: SecretSet,
        store: Arc<dyn SessionStore>,
    ) -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        const DAY: Duration = Duration::from_secs(86_400);
        Self {
            settings: VerifierSettings::new(issuer, audience),
            secrets,
            store,
            keys: None,
            client: "default".to_owned(),
            access_ttl: 15 * MINUTE,
            idle_ttl: 14 * DAY,
            absolute_ttl: 90 * DAY,
            reuse: ReusePolicy::default(),
            max_sessions: NonZeroU32::new(100),
            shares_store: false,
            purge_interval: MINUTE,
            authenticator: None,
            authenticator_timeout: Duration::from_secs(10),
            random: Arc::new(SystemRandom),
        }
    }

    verifier_setters!();

    /// The keys that sign and verify access tokens. Default: an HS256 key derived from the master secret.
    pub fn keys(mut self, keys: KeySet) -> Self {
        self.keys = Some(keys);
        self
    }

    /// The OAuth client that logins of the application itself belong to. Default `default`.
    pub fn client_id(mut self, client: impl Into<String>) -> Self {
        self.client = client.into();
        self
    }

    /// How long an access token lives, where its grant does not say. Default 15 min.
    pub fn access_ttl(mut self, ttl: Duration) -> Self {
        self.access_ttl = ttl;
        self
    }

    /// How long a session may stay unused before it can no longer be refreshed. Default 14 days.
    pub fn idle_ttl(mut self, ttl: Duration) -> Self {
        self.idle_ttl = ttl;
        self
    }

    /// How long a session lasts at most, however much it is used. Default 90 days.
    pub fn absolute_ttl(mut self, ttl: Duration) -> Self {
        self.absolute_ttl = ttl;
        self
    }

    /// How spent refresh tokens are treated.
    pub fn reuse(mut self, reuse: ReusePolicy) -> Self {
        self.reuse = reuse;
        self
    }

    /// How many usable sessions a subject may have. A login too many ends the oldest. Default 100;
    /// `None` for any number, for example where all customers of a kiosk are one subject.
    pub fn max_sessions(mut self, max_sessions: impl Into<Option<NonZeroU32>>) -> Self {
        self.max_sessions = max_sessions.into();
        self
    }

    /// Uses a store that other issuers, audiences or master secrets use as well, on purpose.
    ///
    /// The store remembers each of them, so that a node that is configured by mistake unlike the others
    /// fails at start with [`BuildError::SharedStore`]. Call this once, for the second service, or
    /// when you put a new master secret in place without keeping the old one. The store remembers all of
    /// them for good, so it doesn't stop a node that still has an old secret.
    ///
    /// Services with different issuers don't see each other's sessions: `logout_all` of one ends none
    /// of the other. Services with one issuer and different audiences share their users: `logout_all`
    /// ends the sessions of both, while a refresh token works only where it was issued.
    pub fn share_store(mut self) -> Self {
        self.shares_store = true;
        self
    }

    /// How often what nothing needs any more is removed from the store. Default 1 min.
    pub fn purge_interval(mut self, interval: Duration) -> Self {
        self.purge_interval = interval;
        self
    }

    /// The application's knowledge of its users: for logins by password, and re-read at each refresh.
    pub fn authenticator(mut self, authenticator: impl Authenticator) -> Self {
        self.authenticator = Some(Arc::new(authenticator));
        self
    }

    /// How long the authenticator may take before it counts as failed. Default 10 s.
    pub fn authenticator_timeout(mut self, timeout: Duration) -> Self {
        self.authenticator_timeout = timeout;
        self
    }

    /// Where unguessable bytes come from. Default [`SystemRandom`].
    pub fn random(mut self, random: impl Random) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// Loads the live revocations, starts to follow them, and to purge.
    ///
    /// # Errors
    ///
    /// [`BuildError`] for every mistake in the configuration, and if the store cannot be read.
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

        let (issuer, audience) = self.settings.names()?;
        let refresh_keys = RefreshKeys::new(&self.secrets, &issuer, &audience)?;
        let names = NameKey::new(&self.secrets);
        let derived_keys = self.keys.is_none();
        let keys = self.keys.unwrap_or_else(|| self.secrets.derived_keys());
        keys.check_signing()?;
        // Before the store remembers names that are perhaps a mistake.
        self.settings.check()?;
        keys.check()?;
        let settings = Settings {
            derived_keys,
            client: ClientId::new(self.client)?,
            access_ttl: self.access_ttl,
            idle_ttl: self.idle_ttl,
            absolute_ttl: self.absolute_ttl,
            reuse: self.reuse,
            max_sessions: self.max_sessions,
            store_timeout: self.settings.store_timeout,
            authenticator_timeout: self.authenticator_timeout,
            purge_interval: self.purge_interval,
            clock: Arc::clone(&self.settings.clock),
            random: self.random,
            authenticator: self.authenticator,
        };
        if self.store.is_volatile() {
            observe::store_volatile();
        }
        let identities = self.secrets.identities(&issuer, &audience);
        introduce(
            &*self.store,
            &identities,
            self.shares_store,
            settings.store_timeout,
        )
        .await?;
        let verifier = self
            .settings
            .build(keys, Arc::clone(&self.store) as _)
            .await?;
        Ok(Authority::start(
            verifier,
            self.store,
            refresh_keys,
            names,
            identities,
            settings,
        ))
    }
}

/// Has the store remember who uses it, and fails if that are others only.
async fn introduce(
    store: &dyn SessionStore,
    own: &[Identity],
    shares: bool,
    timeout: Duration,
) -> Result<(), BuildError> {
    let ask = async |join| {
        let answer = tokio::time::timeout(timeout, store.introduce(own, join)).await;
        let answer = answer.unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::TimedOut)));
        answer.map_err(BuildError::Store)
    };
    let known = ask(shares).await?;
    let Some(other) = known.first() else {
        return Ok(());
    };
    let is_known = |identity: &&Identity| known.contains(identity);
    let matching = own.iter().filter(is_known).count();
    if matching == 0 && !shares {
        let same_name = |one: &&Identity| {
            own.iter()
                .any(|own| own.issuer == one.issuer && own.audience == one.audience)
        };
        return Err(match known.iter().find(same_name) {
            Some(_) => BuildError::OtherSecret,
            None => BuildError::SharedStore {
                issuer: other.issuer.clone(),
                audience: other.audience.clone(),
            },
        });
    }
    if matching < own.len() && !shares {
        // A secret that is announced or has just become active: other nodes may soon have it alone.
        ask(true).await?;
    }
    Ok(())
}

impl fmt::Debug for VerifierBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifierBuilder")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for AuthorityBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorityBuilder")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
