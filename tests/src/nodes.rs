//! Several nodes over one store, each with its own connections, for tests and benchmarks.

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

/// The master secret from which all nodes derive their keys.
const SECRET: &[u8] = b"the master secret that all nodes of these tests share";

/// How long a start may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node, and the proxy in front of its store.
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

/// The time limits of all nodes in a test.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The bound: how long a node may not know a revocation.
    pub max_staleness: Duration,
    /// How often a node polls.
    pub poll_interval: Duration,
    /// The store's own time limit.
    pub store: Duration,
    /// The node's time limit for the store.
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

    /// The times for tests in which a node loses its store.
    pub const SHORT: Self = Self {
        max_staleness: Duration::from_secs(1),
        poll_interval: Duration::from_millis(200),
        store: Duration::from_millis(600),
        node: Duration::from_millis(900),
    };
}

/// A node like all others. It doesn't purge during a test.
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

    /// Starts a node that reaches its store through its own proxy.
    pub async fn start_behind_proxy(site: &Site, timing: Timing) -> Self {
        let proxy = Proxy::before(site.address()).await.unwrap();
        let store = site.open(Some(&proxy)).await;
        Self::over(store, Some(proxy), timing).await
    }

    /// Starts a node over an open store. Repeats the start if it times out on a busy machine.
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

/// The subject `name`.
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
