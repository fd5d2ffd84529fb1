//! The log alone, for services that only verify tokens.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use gatepass::{
    Session, SessionCursor, SessionFilter, SessionId, StoreError, Timestamp,
    store::{Cursor, GrantVersion, PullResult, RevocationLog, ScannedPart, TokenId, TokenStatus},
};
use tokio::sync::OnceCell;

use crate::{
    cursor::Place,
    error::OpenError,
    listener::Listener,
    log::{self, Pulled},
    opening::{Access, Settings},
    route::Servers,
    scan, sessions,
};

/// The log of revocations in Redis, read-only: all that a [`Verifier`](gatepass::Verifier) needs.
///
/// Its user needs only the right to read; the [crate's documentation](crate#users) lists the
/// rights. A log is cheap to clone.
#[derive(Clone)]
pub struct RedisLog {
    inner: Arc<Inner>,
}

struct Inner {
    servers: Arc<Servers>,
    /// The first call that waits for changes starts it.
    listener: OnceCell<Listener>,
}

/// Options to open a [`RedisLog`].
#[derive(Clone)]
pub struct RedisLogBuilder {
    settings: Settings,
}

impl RedisLog {
    /// Opens the log at `urls`, with the defaults of [`at`](Self::at).
    ///
    /// # Errors
    ///
    /// [`OpenError`], which says what to do.
    pub async fn connect(urls: impl Into<String>) -> Result<Self, OpenError> {
        Self::at(urls).open().await
    }

    /// A builder for a log at `urls`, in the format of [`RedisStore::at`](crate::RedisStore::at).
    #[must_use]
    pub fn at(urls: impl Into<String>) -> RedisLogBuilder {
        RedisLogBuilder {
            settings: Settings::new(urls.into()),
        }
    }

    /// The session with this id, and the store's time, for tools such as `gatepass sessions`. The
    /// user needs more rights than to follow the log: see the [crate's documentation](crate#users).
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the servers cannot be read.
    pub async fn load(&self, id: SessionId) -> Result<(Option<Session>, Timestamp), StoreError> {
        sessions::load(self.servers(), id).await
    }

    /// One part of the sessions that match `filter`, as
    /// [`SessionStore::scan`](gatepass::store::SessionStore::scan) returns it, for tools. The user
    /// needs the same rights as for [`load`](Self::load).
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the servers cannot be read.
    pub async fn scan(
        &self,
        filter: &SessionFilter,
        after: Option<&SessionCursor>,
        limit: usize,
    ) -> Result<ScannedPart, StoreError> {
        scan::scan(self.servers(), filter, after, limit).await
    }

    pub(crate) fn new(servers: Arc<Servers>) -> Self {
        let inner = Inner {
            servers,
            listener: OnceCell::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    pub(crate) fn servers(&self) -> &Arc<Servers> {
        &self.inner.servers
    }
}

impl RedisLogBuilder {
    /// Reads the store with this namespace. The default is `gatepass`.
    #[must_use]
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.settings.namespace = name.into();
        self
    }

    /// Gives up on a call after this long. The default is 2 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Gives up on opening after this long. The default is 10 s.
    #[must_use]
    pub fn open_timeout(mut self, timeout: Duration) -> Self {
        self.settings.open_timeout = timeout;
        self
    }

    /// Opens the log: connects, and checks the servers.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which says what to do.
    pub async fn open(self) -> Result<RedisLog, OpenError> {
        Ok(RedisLog::new(self.settings.open(Access::Log).await?))
    }
}

impl fmt::Debug for RedisLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLog").finish_non_exhaustive()
    }
}

impl fmt::Debug for RedisLogBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Leaves out the URLs, because they contain passwords.
        f.debug_struct("RedisLogBuilder")
            .field("namespace", &self.settings.namespace)
            .field("timeout", &self.settings.timeout)
            .field("open_timeout", &self.settings.open_timeout)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl RevocationLog for RedisLog {
    async fn pull(&self, after: Option<&Cursor>) -> Result<PullResult, StoreError> {
        let place = match after.map(Place::parse) {
            None => None,
            Some(Some(place)) => Some(place),
            Some(None) => return Ok(PullResult::Reset),
        };
        let listener = self.inner.listener.get();
        let likely = |partition, mark: &_| {
            listener.is_some_and(|listener| listener.knows_more(partition, mark))
        };
        let pulled = log::pull(self.servers(), place.as_ref(), likely).await?;
        Ok(match pulled {
            Pulled::Reset => PullResult::Reset,
            Pulled::Entries {
                entries,
                place,
                more,
            } => {
                if let Some(listener) = self.inner.listener.get() {
                    listener.learn(&place);
                }
                PullResult::entries(entries, Cursor::from(&place), more)
            }
        })
    }

    async fn changed(&self, after: &Cursor) {
        // If the cursor isn't a place in this log, the next pull answers with a reset.
        let Some(place) = Place::parse(after) else {
            return;
        };
        let start = async || Listener::start(self.servers(), &place);
        let listener = self.inner.listener.get_or_init(start).await;
        listener.beyond(&place).await;
    }

    async fn status(
        &self,
        session: SessionId,
        token: TokenId,
        grant: GrantVersion,
    ) -> Result<TokenStatus, StoreError> {
        Ok(log::status(self.servers(), session, token, grant).await?)
    }
}
