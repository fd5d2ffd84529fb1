//! The part of the store that reads.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use gatepass::{
    Session, SessionCursor, SessionFilter, SessionId, StoreError, Timestamp,
    store::{Cursor, GrantVersion, PullResult, RevocationLog, ScannedPart, TokenId, TokenStatus},
};
use sqlx::{PgPool, postgres::PgConnectOptions};
use tokio::{sync::OnceCell, time::sleep};

use crate::{
    connecting::{Connected, Connecting, connecting_setters},
    cursor,
    error::OpenError,
    link::Links,
    listener::Listener,
    log, scan,
    schema::{Home, Purpose},
    sessions,
};

/// The log of revocations in a PostgreSQL database, for a resource server: a service that verifies
/// access tokens, and must not issue tokens or change sessions.
///
/// Its role needs only the right to read. It changes nothing, not even the schema: the process that
/// opens a [`PostgresStore`](crate::PostgresStore) creates and migrates the schema. The owner of
/// the schema (`gatepass` here) creates such a role:
///
/// ```sql
/// CREATE ROLE api LOGIN PASSWORD '…';
/// GRANT USAGE ON SCHEMA gatepass TO api;
/// GRANT SELECT ON gatepass.meta, gatepass.revocations TO api;
/// GRANT SELECT (id, account, number, ended_at, access_until, idle_expires_at, grant_valid_from)
///     ON gatepass.sessions TO api;
/// GRANT SELECT (id, up_to, except_number) ON gatepass.accounts TO api;
/// ```
///
/// The role sees the ids of sessions and accounts, and whether they have ended. It doesn't see
/// subjects or identities. The id of an account is an unkeyed hash of issuer and subject. So the
/// role can check whether a subject that it guesses is logged in. Listening for notifications needs
/// no right. The reader asks the primary, and never a replica.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use gatepass::{KeySet, Verifier};
/// use gatepass_postgres::PostgresLog;
///
/// // What the issuer serves at its jwks_uri. A file of another kind is an error that says so.
/// let (keys, _skipped) = KeySet::from_jwks_file("jwks.json")?;
/// let log = PostgresLog::connect("postgres://api:password@db.example/shop").await?;
/// let verifier = Verifier::builder("https://shop.example", "shop-api", keys, log).build().await?;
/// # Ok(()) }
/// ```
///
/// A log is cheap to clone.
#[derive(Clone)]
pub struct PostgresLog {
    inner: Arc<Inner>,
}

struct Inner {
    connected: Connected,
    /// The first call that waits for changes starts it. `None` if a proxy would swallow
    /// notifications.
    listener: OnceCell<Option<Listener>>,
    /// The place after the last pull, and how often the listener had heard of something when that
    /// pull began.
    pulled: Mutex<Option<(Cursor, u64)>>,
}

/// Options to open a [`PostgresLog`].
#[derive(Clone)]
pub struct PostgresLogBuilder {
    connecting: Connecting,
}

/// How long `changed` waits before it asks the database itself, if no listener works.
const POLL: Duration = Duration::from_secs(1);

impl PostgresLog {
    /// Opens the log over your own pool, with the defaults of [`builder`](Self::builder).
    ///
    /// # Errors
    ///
    /// [`OpenError`], which says what to do.
    pub async fn open(pool: PgPool) -> Result<Self, OpenError> {
        Self::builder(pool).open().await
    }

    /// Opens the log in the database at `url`, over a pool of its own.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which says what to do.
    pub async fn connect(url: impl Into<String>) -> Result<Self, OpenError> {
        Self::at(url).open().await
    }

    /// A builder for a log over your own pool.
    #[must_use]
    pub fn builder(pool: PgPool) -> PostgresLogBuilder {
        PostgresLogBuilder {
            connecting: Connecting::over(pool),
        }
    }

    /// A builder for a log at `url`, over a pool of its own. The URL looks like
    /// `postgres://user:password@host:5432/database`, with sqlx's own parameters after a `?`.
    #[must_use]
    pub fn at(url: impl Into<String>) -> PostgresLogBuilder {
        PostgresLogBuilder {
            connecting: Connecting::at(url.into()),
        }
    }

    /// The session with this id, and the store's time, for tools such as `gatepass sessions`. The
    /// role needs the right to read all columns of `sessions` and `accounts`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database cannot be read.
    pub async fn load(&self, id: SessionId) -> Result<(Option<Session>, Timestamp), StoreError> {
        self.links()
            .call(|link| Box::pin(sessions::find(link, id)))
            .await
    }

    /// One part of the sessions that match `filter`, as
    /// [`SessionStore::scan`](gatepass::store::SessionStore::scan) returns it, for tools. The role
    /// needs the same rights as for [`load`](Self::load).
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database cannot be read.
    pub async fn scan(
        &self,
        filter: &SessionFilter,
        after: Option<&SessionCursor>,
        limit: usize,
    ) -> Result<ScannedPart, StoreError> {
        self.links()
            .call(|link| {
                let (filter, after) = (filter.clone(), after.cloned());
                Box::pin(async move { scan::scan(link, &filter, after.as_ref(), limit).await })
            })
            .await
    }

    pub(crate) fn new(connected: Connected) -> Self {
        let listener = OnceCell::new();
        Self {
            inner: Arc::new(Inner {
                connected,
                listener,
                pulled: Mutex::default(),
            }),
        }
    }

    pub(crate) fn links(&self) -> &Links {
        &self.inner.connected.links
    }

    pub(crate) fn home(&self) -> &Home {
        &self.inner.connected.home
    }

    async fn listener(&self) -> Option<&Listener> {
        let Connected {
            links, listen_over, ..
        } = &self.inner.connected;
        let start = async || {
            let options = listen_over.clone()?;
            Some(Listener::start(
                options,
                log::channel(&links.dialect.schema),
            ))
        };
        self.inner.listener.get_or_init(start).await.as_ref()
    }

    /// How often the listener, if there is one now, has heard of something.
    fn heard(&self) -> u64 {
        let listener = self.inner.listener.get();
        listener.and_then(Option::as_ref).map_or(0, Listener::times)
    }

    /// How often the listener had heard of something when the last pull began, if that pull ended
    /// at `place`.
    fn heard_before(&self, place: &Cursor) -> Option<u64> {
        let pulled = self.inner.pulled.lock();
        let pulled = pulled.unwrap_or_else(PoisonError::into_inner);
        let (last, heard) = pulled.as_ref()?;
        (last == place).then_some(*heard)
    }
}

impl PostgresLogBuilder {
    connecting_setters!();

    /// Opens the log: connects, and checks the server, the version of the schema, and the right to
    /// read it.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which says what to do.
    pub async fn open(self) -> Result<PostgresLog, OpenError> {
        let connected = self.connecting.open(Purpose::Read, None).await?;
        Ok(PostgresLog::new(connected))
    }
}

impl fmt::Debug for PostgresLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresLog")
            .field("schema", &self.links().dialect.schema)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PostgresLogBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connecting
            .describe(&mut f.debug_struct("PostgresLogBuilder"))
    }
}

#[async_trait]
impl RevocationLog for PostgresLog {
    async fn pull(&self, after: Option<&Cursor>) -> Result<PullResult, StoreError> {
        let heard = self.heard();
        let after = after.cloned();
        let pulled = self.links();
        let pulled = pulled
            .call(|link| Box::pin(log::pull(link, after.clone())))
            .await?;
        if let PullResult::Entries { next, .. } = &pulled {
            let last = self.inner.pulled.lock();
            *last.unwrap_or_else(PoisonError::into_inner) = Some((next.clone(), heard));
        }
        Ok(pulled)
    }

    async fn changed(&self, after: &Cursor) {
        // If the cursor isn't a place in this log, the next pull answers with a reset.
        let Some(place) = cursor::Place::parse(after) else {
            return;
        };
        let links = self.links();
        let has_more = async || {
            let looked = links.call(|link| Box::pin(log::has_more(link, place.clone())));
            looked.await.unwrap_or(false)
        };
        let listener = self.listener().await;
        let heard = match self.heard_before(after) {
            // The listener hears of all commits since the pull began.
            Some(heard) => heard,
            None => {
                let heard = self.heard();
                if has_more().await {
                    return;
                }
                heard
            }
        };
        loop {
            let told = async {
                match listener {
                    Some(listener) => listener.heard_since(heard).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = told => return,
                () = sleep(POLL) => {}
            }
            // A node that listens doesn't need to ask.
            if !listener.is_some_and(Listener::listens) && has_more().await {
                return;
            }
        }
    }

    async fn status(
        &self,
        session: SessionId,
        token: TokenId,
        grant: GrantVersion,
    ) -> Result<TokenStatus, StoreError> {
        self.links()
            .call(|link| Box::pin(log::status(link, session, token, grant)))
            .await
    }
}
