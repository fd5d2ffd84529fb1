//! What the tests of sessions have in common: a store with a clock, and nodes on it.

use std::{sync::Arc, time::Duration};

use gatepass::{
    Authority, AuthorityBuilder, Clock, Device, Error, Identity, Issued, MasterSecret, MemoryStore,
    Pass, Refusal, Requirements, Session, SessionId, Staleness, StoreError, Subject, Timestamp,
    async_trait,
    store::{
        AccountId, Advance, BeginOutcome, Cursor, EndReason, EndSessions, NewSession, PullResult,
        Purged, Recover, Renew, Revocation, RevocationLog, RevokeToken, ServiceIdentity,
        SessionNumber, SessionStore, TokenId, TokenStatus,
    },
};
use gatepass_sqlite::SqliteStore;
use gatepass_testkit::ManualClock;
use tempfile::TempDir;

pub const SECRET: &[u8] = b"the master secret that all nodes of these tests share";
pub const SECOND: Duration = Duration::from_secs(1);
pub const MINUTE: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(3600);
pub const DAY: Duration = Duration::from_secs(86_400);

/// How long a test waits for a disk that is busy with other things. Claims about time-outs set
/// their own.
pub const PATIENCE: Duration = MINUTE;

pub type Store = Arc<dyn SessionStore>;

/// A store and the clock that it takes its time from.
pub struct World {
    pub store: Store,
    pub clock: ManualClock,
    /// Goes after the store.
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

    /// A node of the world: store and clock are the world's.
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

/// A node that is like all others, and does not purge unless told to.
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

/// The refusal that this is; anything else fails the test.
#[track_caller]
pub fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("not a refusal: {other:?}"),
    }
}

/// Mounts claims about any store on every store.
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

/// A store whose log outlives the process as far as anybody can tell. It needs no thread of its
/// own, as SQLite does, so that tokio's paused time waits for it.
pub struct Durable(pub MemoryStore);

#[async_trait]
impl RevocationLog for Durable {
    async fn pull(&self, after: Option<&Cursor>) -> Result<PullResult, StoreError> {
        self.0.pull(after).await
    }

    async fn changed(&self, after: &Cursor) {
        self.0.changed(after).await;
    }

    async fn status(&self, session: SessionId, token: TokenId) -> Result<TokenStatus, StoreError> {
        self.0.status(session, token).await
    }
}

#[async_trait]
impl SessionStore for Durable {
    async fn begin(&self, new: NewSession) -> Result<BeginOutcome, StoreError> {
        self.0.begin(new).await
    }

    async fn advance(&self, advance: Advance) -> Result<Option<Session>, StoreError> {
        self.0.advance(advance).await
    }

    async fn recover(&self, recover: Recover) -> Result<Option<Session>, StoreError> {
        self.0.recover(recover).await
    }

    async fn renew(&self, renew: Renew) -> Result<Option<Session>, StoreError> {
        self.0.renew(renew).await
    }

    async fn load(&self, id: SessionId) -> Result<(Option<Session>, Timestamp), StoreError> {
        self.0.load(id).await
    }

    async fn end(
        &self,
        target: EndSessions,
        reason: EndReason,
    ) -> Result<Option<Revocation>, StoreError> {
        self.0.end(target, reason).await
    }

    async fn revoke_token(&self, token: RevokeToken) -> Result<Option<Revocation>, StoreError> {
        self.0.revoke_token(token).await
    }

    async fn sessions(
        &self,
        account: AccountId,
        before: Option<SessionNumber>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        self.0.sessions(account, before, limit).await
    }

    async fn introduce(
        &self,
        identities: &[ServiceIdentity],
        join: bool,
    ) -> Result<Vec<ServiceIdentity>, StoreError> {
        self.0.introduce(identities, join).await
    }

    async fn purged_until(&self) -> Result<Option<Timestamp>, StoreError> {
        self.0.purged_until().await
    }

    async fn purge(&self, horizon: Timestamp, limit: usize) -> Result<Purged, StoreError> {
        self.0.purge(horizon, limit).await
    }
}

/// A clock that goes with tokio's, which a paused runtime moves.
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
