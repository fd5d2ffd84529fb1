//! A store with a clock, and nodes over it, for tests of sessions.

use std::{sync::Arc, time::Duration};

use gatepass::{
    Authority, AuthorityBuilder, Clock, Device, Error, Identity, Issued, MasterSecret, MemoryStore,
    Pass, Refusal, Requirements, Staleness, Subject, Timestamp, store::SessionStore,
};
use gatepass_sqlite::SqliteStore;
use gatepass_testkit::ManualClock;
use tempfile::TempDir;

pub const SECRET: &[u8] = b"the master secret that all nodes of these tests share";
pub const SECOND: Duration = Duration::from_secs(1);
pub const MINUTE: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(3600);
pub const DAY: Duration = Duration::from_secs(86_400);

/// How long a test waits for a busy disk. Claims about time-outs set their own time.
pub const PATIENCE: Duration = MINUTE;

pub type Store = Arc<dyn SessionStore>;

/// A store and its clock.
pub struct World {
    pub store: Store,
    pub clock: ManualClock,
    /// Dropped after the store.
    _directory: Option<TempDir>,
}

impl World {
    pub fn memory() -> Self {
        let clock = ManualClock::new();
        Self {
            store: Arc::new(MemoryStore::with_clock(clock.clone())),
            clock,
            _directory: None,
        }
    }

    pub fn sqlite() -> Self {
        let clock = ManualClock::new();
        let directory = TempDir::new().unwrap();
        Self {
            store: Arc::new(sqlite(&directory, "sessions.db", &clock)),
            clock,
            _directory: Some(directory),
        }
    }

    /// A node with this store and clock.
    pub async fn node(&self) -> Authority {
        builder(Arc::clone(&self.store), &self.clock)
            .build()
            .await
            .unwrap()
    }
}

pub fn sqlite(directory: &TempDir, file: &str, clock: &ManualClock) -> SqliteStore {
    SqliteStore::builder(directory.path().join(file))
        .clock(clock.clone())
        .busy_timeout(PATIENCE)
        .open()
        .unwrap()
}

/// A node like all others. It purges only on request.
pub fn builder(store: impl SessionStore, clock: &ManualClock) -> AuthorityBuilder {
    let secret = MasterSecret::from_bytes(SECRET).unwrap();
    Authority::builder("https://shop.example", "shop-api", secret, store)
        .clock(clock.clone())
        .store_timeout(PATIENCE)
        .purge_interval(DAY)
}

pub fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

pub async fn login(node: &Authority, name: &str) -> Issued {
    let identity = Identity::of(subject(name));
    node.issue(identity, Device::default()).await.unwrap()
}

pub async fn refresh(node: &Authority, issued: &Issued) -> Result<Issued, Error> {
    node.refresh(issued.refresh_token.as_str()).await
}

pub async fn verify(node: &Authority, issued: &Issued) -> Result<Pass, Error> {
    verify_with(node, issued, Staleness::Bounded).await
}

pub async fn verify_with(
    node: &Authority,
    issued: &Issued,
    staleness: Staleness,
) -> Result<Pass, Error> {
    let requirements = Requirements::new().staleness(staleness);
    let token = issued.access_token.as_str();
    node.verifier().verify(token, &requirements).await
}

/// The refusal in `result`. Panics on any other result.
#[track_caller]
pub fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("not a refusal: {other:?}"),
    }
}

/// Mounts claims about all stores on both stores.
#[macro_export]
macro_rules! on_both_stores {
    ($($claim:ident)*) => {
        mod in_memory {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $claim() {
                    super::$claim($crate::world::World::memory()).await;
                }
            )*
        }

        mod in_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $claim() {
                    super::$claim($crate::world::World::sqlite()).await;
                }
            )*
        }
    };
}

/// A clock that follows tokio's clock, which a paused runtime moves.
#[derive(Clone)]
pub struct Ticking {
    start: tokio::time::Instant,
}

impl Ticking {
    pub fn new() -> Self {
        Self {
            start: tokio::time::Instant::now(),
        }
    }
}

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        ManualClock::START + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}
