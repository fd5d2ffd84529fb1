//! The configuration of a verifier, alone or as part of an authority.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    config::{BuildError, check_duration},
    denylist::{
        heart::Heart,
        replica::{Replica, ReplicaSettings},
    },
    env::clock::{Clock, SystemClock},
    http::error_response::ErrorResponse,
    issuers::several::{CheckedIssuers, Issuers},
    keys::set::KeySet,
    model::{
        ids::{Audience, Issuer},
        origin::is_sent_origin,
        transport::BrowserPolicy,
        trusted_proxies::TrustedProxies,
    },
    store::RevocationLog,
    token::cache::{self, TokenCache},
    verifier::{
        opening::Opener,
        protected_resource::{ProtectedResource, PublishedResource},
        verifier::{Policy, Verifier},
    },
};

/// The settings of a verifier, on its own or as part of an authority.
pub(crate) struct VerifierSettings {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) realm: Option<String>,
    pub(crate) leeway: Duration,
    pub(crate) max_staleness: Duration,
    pub(crate) poll_interval: Option<Duration>,
    pub(crate) store_timeout: Duration,
    pub(crate) danger_stale: Option<Duration>,
    pub(crate) token_cache: u64,
    pub(crate) issuers: Option<Issuers>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) browser: BrowserPolicy,
    pub(crate) errors: ErrorResponse,
    pub(crate) proxies: Option<TrustedProxies>,
    pub(crate) logs_verified: bool,
    pub(crate) resource: Option<ProtectedResource>,
}

impl VerifierSettings {
    pub(crate) fn new(issuer: String, audience: String) -> Self {
        Self {
            issuer,
            audience,
            realm: None,
            leeway: Duration::from_secs(30),
            max_staleness: Duration::from_secs(2),
            poll_interval: None,
            store_timeout: Duration::from_secs(3),
            danger_stale: None,
            token_cache: cache::DEFAULT_BYTES,
            issuers: None,
            clock: Arc::new(SystemClock),
            browser: BrowserPolicy::default(),
            errors: ErrorResponse::default(),
            proxies: None,
            logs_verified: false,
            resource: None,
        }
    }

    pub(crate) fn names(&self) -> Result<(Issuer, Audience), BuildError> {
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

    /// The trusted issuers, if their configuration is good.
    fn check_issuers(&self) -> Result<Option<CheckedIssuers>, BuildError> {
        let (own, _) = self.names()?;
        let issuers = self.issuers.clone();
        issuers
            .map(|issuers| issuers.check(&own, &self.clock))
            .transpose()
    }

    /// The description of the protected resource, after a check of its configuration.
    fn published_resource(
        &self,
        issuers: Option<&CheckedIssuers>,
    ) -> Result<Option<PublishedResource>, BuildError> {
        let resource = self.resource.clone();
        let trusted = issuers
            .into_iter()
            .flat_map(CheckedIssuers::names_of_access_tokens);
        let published = resource.map(|resource| resource.check(trusted));
        published.transpose()
    }

    /// Whether this service accepts tokens of this other issuer.
    pub(crate) fn trusts(&self, issuer: &Issuer) -> Result<bool, BuildError> {
        let issuers = self.check_issuers()?;
        Ok(issuers.is_some_and(|issuers| issuers.has(issuer)))
    }

    /// Checks everything that needs no store.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        let issuers = self.check_issuers()?;
        self.published_resource(issuers.as_ref())?;
        let realm = self.realm();
        let quotable = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
        if realm.is_empty() || !realm.chars().all(quotable) {
            return Err(BuildError::Realm);
        }
        if let Some(origin) = (self.browser.trusted_origins.iter()).find(|one| !is_sent_origin(one))
        {
            return Err(BuildError::Origin(origin.clone()));
        }
        if let Some((name, must)) = self.browser.places.fault() {
            let name = name.to_owned();
            return Err(BuildError::TokenPlace { name, must });
        }
        // With a longer one, a log entry could be dropped before the last token that it concerns
        // expires.
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

    pub(crate) async fn build(
        self,
        keys: KeySet,
        log: Arc<dyn RevocationLog>,
        heart: Option<Arc<Heart>>,
    ) -> Result<Verifier, BuildError> {
        self.check()?;
        keys.check()?;
        let issuers = self.check_issuers()?;
        let resource = self.published_resource(issuers.as_ref())?;
        let (issuer, audience) = self.names()?;
        let (realm, poll_interval) = (self.realm().to_owned(), self.poll_interval());

        let settings = ReplicaSettings {
            issuer: issuer.clone(),
            max_staleness: self.max_staleness,
            poll_interval,
            timeout: self.store_timeout,
            danger_stale: self.danger_stale,
        };
        if let Some(heart) = &heart {
            heart.announce().await.map_err(BuildError::Store)?;
        }
        let replica = Replica::load(log, Arc::clone(&self.clock), settings).await;
        let replica = replica.map_err(BuildError::Store)?;
        let issuers = match issuers {
            Some(issuers) => Some(issuers.start().await),
            None => None,
        };
        let opener = Opener::new(
            (issuer.clone(), audience.clone()),
            keys,
            TokenCache::new(self.token_cache),
            issuers,
            Arc::clone(&self.clock),
        );
        let policy = Policy {
            issuer,
            audience,
            leeway: self.leeway,
            realm: realm.into(),
            browser: self.browser,
            errors: self.errors,
            proxies: self.proxies,
            logs_verified: self.logs_verified,
            resource: resource.map(Arc::new),
        };
        Ok(Verifier::start(policy, opener, replica, heart, self.clock))
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

        /// The longest time after its commit until this node enforces a revocation. A node that
        /// can't keep this bound answers 503. Default 2 s.
        pub fn max_staleness(mut self, max_staleness: Duration) -> Self {
            self.settings.max_staleness = max_staleness;
            self
        }

        /// How often the node asks the store for new revocations, if the store doesn't push news of
        /// them. Default a quarter of `max_staleness`, at most half of it.
        pub fn poll_interval(mut self, poll_interval: Duration) -> Self {
            self.settings.poll_interval = Some(poll_interval);
            self
        }

        /// How long a store may take to answer before it counts as failed. Default 3 s.
        pub fn store_timeout(mut self, store_timeout: Duration) -> Self {
            self.settings.store_timeout = store_timeout;
            self
        }

        /// How clients carry their tokens. Default [`Transport::Bearer`](crate::Transport::Bearer).
        pub fn transport(mut self, transport: $crate::model::transport::Transport) -> Self {
            self.settings.browser.transport = transport;
            self
        }

        /// Also accepts access tokens by `Authorization: <scheme> <token>`, for clients that you
        /// can't change. For example, those of the RealWorld API send `Token`. Call it once for
        /// each scheme. Default: `Bearer` alone (RFC 6750 §2.1).
        ///
        /// A challenge still names `Bearer`.
        ///
        /// ```
        /// use gatepass::AuthorityBuilder;
        ///
        /// fn configured(builder: AuthorityBuilder) -> AuthorityBuilder {
        ///     builder.token_scheme("Token")
        /// }
        /// ```
        pub fn token_scheme(mut self, scheme: impl Into<String>) -> Self {
            self.settings.browser.places.schemes.push(scheme.into());
            self
        }

        /// Also accepts access tokens in a header field of your own, such as `X-Access-Token`,
        /// without a scheme. Default: none.
        ///
        /// gatepass refuses a request with a token there and in `Authorization` as `ambiguous`.
        /// Hide the field in your logs, as you do with `Authorization`, and list it in the
        /// `Access-Control-Allow-Headers` of your CORS layer.
        ///
        /// ```
        /// use gatepass::AuthorityBuilder;
        ///
        /// fn configured(builder: AuthorityBuilder) -> AuthorityBuilder {
        ///     builder.token_header("X-Access-Token")
        /// }
        /// ```
        pub fn token_header(mut self, name: impl Into<String>) -> Self {
            let name = name.into().to_ascii_lowercase();
            self.settings.browser.places.header = Some(Box::leak(name.into_boxed_str()));
            self
        }

        /// Lets gates also accept access tokens in a cookie of this name, which your application
        /// sets and clears by itself. For example, use the name of the old system's cookie, so that
        /// your pages can keep it. Default: none. For the old system's own tokens, see
        /// [`Adopt::cookie`](crate::Adopt::cookie).
        ///
        /// gatepass's own cookie comes first, if a request has both. The rules against requests
        /// from other sites hold for both. The endpoints under `/auth` don't read your cookie: they
        /// would have to answer with a cookie of that name. Without the prefix `__Host-`, another
        /// host of your domain can plant the cookie, and log a browser in as another user.
        ///
        /// ```
        /// use gatepass::AuthorityBuilder;
        ///
        /// fn configured(builder: AuthorityBuilder) -> AuthorityBuilder {
        ///     builder.token_cookie("__Host-session")
        /// }
        /// ```
        pub fn token_cookie(mut self, name: impl Into<String>) -> Self {
            self.settings.browser.places.cookie = Some(name.into());
            self
        }

        /// Names the header field of responses in which a gate with
        /// [`auto_renew`](crate::wire::Gate::auto_renew) gives a client its renewed access token.
        /// Default: none. For example, name it `X-Renewed-Token`.
        ///
        /// A page of another origin can read it only if your CORS layer lists it in
        /// `Access-Control-Expose-Headers`.
        ///
        /// ```
        /// use gatepass::{Authority, AuthorityBuilder, BuildError, wire::Gate};
        ///
        /// async fn gate(builder: AuthorityBuilder) -> Result<Gate, BuildError> {
        ///     let authority = builder.renewed_token_header("X-Renewed-Token").build().await?;
        ///     Ok(Gate::new(&authority).auto_renew(&authority))
        /// }
        /// ```
        pub fn renewed_token_header(mut self, name: impl Into<String>) -> Self {
            let name = name.into().to_ascii_lowercase();
            self.settings.browser.places.renewed = Some(Box::leak(name.into_boxed_str()));
            self
        }

        /// Lets pages of another origin, such as `https://app.example`, use the cookies that a
        /// browser has for this service. Name only origins that you trust as much as the service's
        /// own.
        pub fn trusted_origin(mut self, origin: impl Into<String>) -> Self {
            self.settings.browser.trusted_origins.push(origin.into());
            self
        }

        /// Believes these reverse proxies about the addresses of clients. Default: none, so a
        /// client's address is the address of its connection.
        ///
        /// Behind a proxy, all clients have the proxy's address until you set this. The list of
        /// sessions and the log then show the proxy. gatepass counts attempts to log in by private
        /// address only if you have set this. If clients reach your service from private addresses
        /// without a proxy, set [`TrustedProxies::none`](crate::TrustedProxies::none).
        ///
        /// ```
        /// use gatepass::{AuthorityBuilder, InvalidProxies, TrustedProxies};
        ///
        /// /// Behind an nginx in the same private network.
        /// fn configured(builder: AuthorityBuilder) -> Result<AuthorityBuilder, InvalidProxies> {
        ///     Ok(builder.trusted_proxies(TrustedProxies::x_forwarded_for(["10.0.0.0/8"])?))
        /// }
        /// ```
        pub fn trusted_proxies(
            mut self,
            proxies: $crate::model::trusted_proxies::TrustedProxies,
        ) -> Self {
            self.settings.proxies = Some(proxies);
            self
        }

        /// Logs each verified access token (`token.verified`) at the level info instead of debug.
        /// Off by default, since it writes a line for each request.
        ///
        /// ```
        /// use gatepass::AuthorityBuilder;
        ///
        /// /// `audited` is a choice of your configuration.
        /// fn configured(builder: AuthorityBuilder, audited: bool) -> AuthorityBuilder {
        ///     if audited { builder.log_verified_tokens() } else { builder }
        /// }
        /// ```
        pub fn log_verified_tokens(mut self) -> Self {
            self.settings.logs_verified = true;
            self
        }

        /// Sets cookies over plain HTTP, for development: without `Secure`, and therefore without
        /// the prefix `__Host-`. gatepass then refuses cookies in requests to any host but this
        /// machine's own names (`localhost`, 127.0.0.1, ::1).
        ///
        /// This is right on a developer's machine, with a browser that keeps no `Secure` cookies of
        /// `http://localhost`. It is never right behind a proxy that makes `Host` say `localhost`.
        pub fn danger_insecure_cookies_on_localhost(mut self) -> Self {
            self.settings.browser.insecure_localhost = true;
            self
        }

        /// Goes on judging requests while the store is unreachable, by the revocations of the last
        /// pull, until that pull began `at_most` ago. Default: the node answers 503 once
        /// `max_staleness` is over.
        ///
        /// This is right if an outage of the store must not become an outage of the service, and if
        /// a logout may take effect only when the access token expires. A service that verifies
        /// tokens with a JWT library has the same guarantee. The setting gives up the bound when
        /// you need it most. An attacker who can cut a node off from its store can use tokens there
        /// that were revoked elsewhere. During the outage, clients can't log in or refresh. So a
        /// value above `access_ttl` helps only if some nodes still reach the store.
        ///
        /// It is never right for actions that can't be undone. Routes that ask for
        /// [`Staleness::Strict`](crate::Staleness::Strict), or for a bound of their own, keep
        /// answering 503. A node whose clock was set back also answers 503, because it doesn't know
        /// how old its data is. When a node begins to judge so, it logs `denylist.judging_stale` as
        /// a warning. [`Health`](crate::Health) says that the lease is over, and how long ago the
        /// last pull was.
        ///
        /// The value must be between `max_staleness` and 1 day. A limit is needed because a node
        /// may be cut off for good without an operator noticing.
        pub fn danger_judge_by_stale_revocations(mut self, at_most: Duration) -> Self {
            self.settings.danger_stale = Some(at_most);
            self
        }

        /// Answers refusals and failures in the error format of your own API, at gates, extractors
        /// and endpoints alike. Default: the JSON of [`docs::wire`](crate::docs::wire).
        ///
        /// gatepass calls `respond` with the head of the request, the facts that the client may
        /// learn, and its own reply. The status, the challenge and other headers stay as they are
        /// unless you change them. A failure of the server has no details in the
        /// [`Problem`]($crate::wire::Problem), so the answer can't reveal any.
        ///
        /// The endpoints of OAuth (`/token`, `/revoke`, `/introspect`) keep the format of RFC 6749
        /// §5.2, which their clients parse. The redirect to a login page also stays as it is.
        /// Clients of gRPC get the status and the headers, and
        /// [`description`]($crate::wire::Problem::description) as the message.
        ///
        /// ```
        /// use gatepass::{AuthorityBuilder, wire::{Problem, Reply, RequestHead}};
        /// use serde_json::json;
        ///
        /// fn configured(builder: AuthorityBuilder) -> AuthorityBuilder {
        ///     builder.error_response(|_: &RequestHead<'_>, problem: &Problem, reply: Reply| {
        ///         let status = if problem.reason() == "bad_credentials" { 422 } else { reply.status() };
        ///         let errors = json!({ "errors": { "body": [problem.description()] } });
        ///         reply.with_status(status).with_json(&errors)
        ///     })
        /// }
        /// ```
        ///
        /// For texts in your own language, look up [`reason`]($crate::wire::Problem::reason) in a
        /// table: [`Problem::REASONS`]($crate::wire::Problem::REASONS) lists all. The header
        /// `Accept-Language` of the request is in the head
        /// ([`header`]($crate::wire::RequestHead::header)).
        pub fn error_response(
            mut self,
            respond: impl Fn(
                &$crate::http::head::RequestHead<'_>,
                &$crate::http::problem::Problem,
                $crate::http::reply::Reply,
            ) -> $crate::http::reply::Reply
            + Send
            + Sync
            + 'static,
        ) -> Self {
            self.settings.errors = $crate::http::error_response::ErrorResponse::new(respond);
            self
        }

        /// The memory, in bytes, of the cache of verified tokens. Default 32 MiB, which holds about
        /// 25,000 tokens: those of the users who are active on a busy node at one time. 0 turns the
        /// cache off.
        ///
        /// The cache remembers that a token's signature and claims were valid. This saves most of
        /// the time that an RSA, ECDSA or EdDSA signature takes. For each request, gatepass still
        /// checks the time, the revocations and the requirements of the route. Tokens that a secret
        /// signed (HS256) aren't cached, since verifying them again costs little. The cache
        /// allocates memory as tokens come in. When it is full, it evicts tokens.
        ///
        /// For example, a service with 100,000 active users to a node gives it 150 MiB:
        /// `.token_cache(150 << 20)`. The counters `gatepass_token_cache_hits_total` and
        /// `gatepass_token_cache_misses_total` (feature `metrics`) tell whether it is large enough.
        pub fn token_cache(mut self, bytes: u64) -> Self {
            self.settings.token_cache = bytes;
            self
        }

        /// Also accepts the access tokens of these issuers, beside this service's own. Default:
        /// none.
        ///
        /// All gates and extractors accept them, except on routes that ask for
        /// [`own_issuer`](crate::Requirements::own_issuer). The endpoints that act on sessions
        /// refuse them. A subject of another issuer is another user than your own of the same name:
        /// look at [`Pass::foreign_issuer`](crate::Pass::foreign_issuer) before you look a user up.
        pub fn issuers(mut self, issuers: $crate::issuers::several::Issuers) -> Self {
            self.settings.issuers = Some(issuers);
            self
        }

        /// Describes the service as a protected resource of OAuth (RFC 9728). Default: it isn't.
        ///
        /// Each challenge of gates and extractors then names the URL of the description
        /// (`resource_metadata`). [`Endpoints`](crate::wire::Endpoints) serve it there. If you
        /// mount no endpoints, mount
        /// [`ResourceMetadata`](crate::wire::ResourceMetadata). MCP clients need both.
        pub fn protected_resource(
            mut self,
            resource: $crate::verifier::protected_resource::ProtectedResource,
        ) -> Self {
            self.settings.resource = Some(resource);
            self
        }

        /// The source of the time. Default [`SystemClock`](crate::SystemClock).
        ///
        /// gatepass judges tokens by this clock. Sessions begin and are refreshed by the clock of
        /// the store, so that all nodes agree. If a test moves the time, give the store the same
        /// clock (`SqliteStore::builder(path).clock(…)`), or take the `TestService` of the testkit.
        /// The stores in PostgreSQL and Redis use the server's time, unless you do the same there.
        pub fn clock(mut self, clock: impl $crate::env::clock::Clock) -> Self {
            self.settings.clock = Arc::new(clock);
            self
        }
    };
}

pub(crate) use verifier_setters;

/// Configures a [`Verifier`]. Made by [`Verifier::builder`].
#[must_use]
pub struct VerifierBuilder {
    settings: VerifierSettings,
    keys: KeySet,
    log: Arc<dyn RevocationLog>,
}

impl Verifier {
    /// Starts to configure a verifier of tokens that `issuer` issued for `audience` with one of
    /// `keys`. The revocations are in `log`.
    pub fn builder(
        issuer: impl Into<String>,
        audience: impl Into<String>,
        keys: KeySet,
        log: impl RevocationLog,
    ) -> VerifierBuilder {
        VerifierBuilder::new(issuer.into(), audience.into(), keys, Arc::new(log))
    }

    /// Starts to configure a verifier of other issuers' tokens only, for a service that issues none
    /// itself. `name` identifies the service: for example, its URL. Challenges name it as their
    /// [realm](VerifierBuilder::realm).
    ///
    /// The verifier reads revocations from `log`. If your service revokes none, give it a
    /// [`MemoryStore`](crate::MemoryStore).
    ///
    /// ```
    /// use gatepass::{BuildError, MemoryStore, Verifier, issuers::Issuers};
    ///
    /// async fn verifier(issuers: Issuers) -> Result<Verifier, BuildError> {
    ///     Verifier::of_issuers("https://api.shop.example", issuers, MemoryStore::new())
    ///         .build()
    ///         .await
    /// }
    /// ```
    pub fn of_issuers(
        name: impl Into<String>,
        issuers: Issuers,
        log: impl RevocationLog,
    ) -> VerifierBuilder {
        let name = name.into();
        let no_keys = KeySet::verifying([]);
        VerifierBuilder::new(name.clone(), name, no_keys, Arc::new(log)).issuers(issuers)
    }
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
    /// [`BuildError`] for every mistake in the configuration, and if the log can't be loaded.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled, as all of tokio does.
    pub async fn build(self) -> Result<Verifier, BuildError> {
        self.settings.build(self.keys, self.log, None).await
    }
}

impl fmt::Debug for VerifierBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifierBuilder")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
