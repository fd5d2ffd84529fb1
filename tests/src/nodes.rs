//! Several nodes over one store, each with connections of its own, as tests and benchmarks want
//! them.

mod backend;
pub mod bound;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gatepass::{
    Authority, AuthorityBuilder, Device, Error, Identity, Issued, MasterSecret, Pass, Requirements,
    Staleness, Subject, store::SessionStore,
};
use gatepass_testkit::proxy::Proxy;

pub use self::backend::{Backend, Site};

/// Which keys all nodes derive.
const SECRET: &[u8] = b"the master secret that all nodes of these tests share";

/// How long a start may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// One node, and what is between it and the store.
#[expect(
    missing_debug_implementations,
    reason = "an authority shows nothing of itself"
)]
pub struct Node {
    /// The node.
    pub authority: Authority,
    /// The proxy between the node and its store, if the test can break that connection.
    pub proxy: Option<Proxy>,
}

/// The times that all nodes of a test have in common.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The bound on how long a revocation may be unknown to a node.
    pub max_staleness: Duration,
    /// How often a node looks by itself.
    pub poll_interval: Duration,
    /// How long the store may take, as the store sees it.
    pub store: Duration,
    /// How long it may take, as the node sees it.
    pub node: Duration,
}

impl Timing {
    /// The defaults of gatepass.
    pub const DEFAULT: Self = Self {
        max_staleness: Duration::from_secs(2),
        poll_interval: Duration::from_millis(500),
        store: Duration::from_secs(2),
        node: Duration::from_secs(3),
    };

    /// That of tests which have a node lose its store.
    pub const SHORT: Self = Self {
        max_staleness: Duration::from_secs(1),
        poll_interval: Duration::from_millis(200),
        store: Duration::from_millis(600),
        node: Duration::from_millis(900),
    };
}

/// A node like all others, and with no purge that would come in between.
pub fn builder(store: impl SessionStore, timing: Timing) -> AuthorityBuilder {
    let secret = MasterSecret::from_bytes(SECRET).unwrap();
    Authority::builder("https://shop.example", "shop-api", secret, store)
        .max_staleness(timing.max_staleness)
        .poll_interval(timing.poll_interval)
        .store_timeout(timing.node)
        .purge_interval(Duration::from_secs(86_400))
}

impl Node {
    /// Starts a node that reaches its store directly.
    pub async fn start(site: &Site, timing: Timing) -> Self {
        let store = site.open(None).await;
        Self::over(store, None, timing).await
    }

    /// Starts a node that reaches its store through a proxy of its own.
    pub async fn start_behind_proxy(site: &Site, timing: Timing) -> Self {
        let proxy = Proxy::before(site.address()).await.unwrap();
        let store = site.open(Some(&proxy)).await;
        Self::over(store, Some(proxy), timing).await
    }

    /// Starts a node over a store that is open. Tries again where that gives up sooner than a busy
    /// machine is done.
    pub async fn over(store: Arc<dyn SessionStore>, proxy: Option<Proxy>, timing: Timing) -> Self {
        let begun = Instant::now();
        loop {
            match builder(Arc::clone(&store), timing).build().await {
                Ok(authority) => return Self { authority, proxy },
                Err(error) => assert!(begun.elapsed() < PATIENCE, "{error:?}"),
            }
        }
    }

    /// The proxy between the node and its store.
    #[must_use]
    pub fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().unwrap()
    }

    /// Logs a user in.
    ///
    /// # Errors
    ///
    /// As [`Authority::issue`].
    pub async fn login(&self, name: &str) -> Result<Issued, Error> {
        login(&self.authority, name).await
    }

    /// Refreshes a session.
    ///
    /// # Errors
    ///
    /// As [`Authority::refresh`].
    pub async fn refresh(&self, issued: &Issued) -> Result<Issued, Error> {
        self.authority.refresh(issued.refresh_token.as_str()).await
    }

    /// Verifies an access token.
    ///
    /// # Errors
    ///
    /// As [`Verifier::verify`](gatepass::Verifier::verify).
    pub async fn verify(&self, issued: &Issued) -> Result<Pass, Error> {
        verify(&self.authority, issued, Staleness::Bounded).await
    }
}

/// The subject of this name.
#[must_use]
pub fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

/// Logs a user in.
///
/// # Errors
///
/// As [`Authority::issue`].
pub async fn login(node: &Authority, name: &str) -> Result<Issued, Error> {
    node.issue(Identity::of(subject(name)), Device::default())
        .await
}

/// Verifies an access token.
///
/// # Errors
///
/// As [`Verifier::verify`](gatepass::Verifier::verify).
pub async fn verify(
    node: &Authority,
    issued: &Issued,
    staleness: Staleness,
) -> Result<Pass, Error> {
    let requirements = Requirements::new().staleness(staleness);
    let token = issued.access_token.as_str();
    node.verifier().verify(token, &requirements).await
}
