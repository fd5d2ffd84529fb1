//! The store itself.

use std::{fmt, num::NonZeroU32, str::FromStr, sync::Arc, time::Duration};

use async_trait::async_trait;
use gatepass::{
    Advance, Begun, Clock, Cursor, EndReason, EndTarget, NewSession, Pull, Recover, Renew,
    Revocation, RevocationLog, RevokeToken, Session, SessionId, SessionStore, Status, StoreError,
    Subject, Timestamp, TokenId,
};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    sync::OnceCell,
    time::{sleep, timeout},
};

use crate::{
    cursor,
    error::{Failure, OpenError, Place},
    link::{self, Dialect, Link, Links},
    listener::Listener,
    log,
    protocol::{self, Protocol},
    schema, sessions,
};

/// Sessions and their revocations in a PostgreSQL database.
///
/// Cheap to clone. See the [crate](crate) for what it does with the database.
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

struct Inner {
    links: Links,
    /// Begun by whoever waits for changes first. None where a proxy would swallow them.
    listener: OnceCell<Option<Listener>>,
}

/// How a [`PostgresStore`] is to be opened.
#[derive(Clone)]
pub struct PostgresStoreBuilder {
    connections: Connections,
    schema: String,
    clock: Option<Arc<dyn Clock>>,
    timeout: Duration,
    open_timeout: Duration,
    transaction_pooling: Option<bool>,
}

#[derive(Clone)]
enum Connections {
    Pool(PgPool),
    Url(String, NonZeroU32),
}

/// Connections of a pool that the store makes itself, as sqlx would make.
const POOL_SIZE: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
/// How long a connection may have been idle and still be taken for alive. A shorter pause than that
/// between two requests is busy enough for the failure of one to be told.
const TRUSTED: Duration = Duration::from_secs(5);
/// How long whoever waits for changes waits before they look for themselves.
const POLL: Duration = Duration::from_secs(1);
/// Rows that a purge takes at a time, so that it holds none of them for long.
const PURGED_AT_ONCE: usize = 500;
/// How many times as many rows as it may remove a purge looks at, at most.
const ROUNDS: usize = 4;

impl PostgresStore {
    /// Opens the store over the application's own pool, with the defaults of [`builder`](Self::builder).
    ///
    /// # Errors
    ///
    /// [`OpenError`], which says what to do.
    pub async fn open(pool: PgPool) -> Result<Self, OpenError> {
        Self::builder(pool).open().await
    }

    /// Opens the store in the database at `url`, over a pool of its own.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which says what to do.
    pub async fn connect(url: impl Into<String>) -> Result<Self, OpenError> {
        Self::at(url).open().await
    }

    /// Starts to describe how the store is to be opened over the application's own pool.
    #[must_use]
    pub fn builder(pool: PgPool) -> PostgresStoreBuilder {
        PostgresStoreBuilder::new(Connections::Pool(pool))
    }

    /// Starts to describe how the store is to be opened at `url`, over a pool of its own:
    /// `postgres://user:password@host:5432/database`, with sqlx's own parameters behind a `?`.
    #[must_use]
    pub fn at(url: impl Into<String>) -> PostgresStoreBuilder {
        PostgresStoreBuilder::new(Connections::Url(url.into(), POOL_SIZE))
    }
}

impl PostgresStoreBuilder {
    fn new(connections: Connections) -> Self {
        Self {
            connections,
            schema: "gatepass".to_owned(),
            clock: None,
            timeout: Duration::from_secs(2),
            open_timeout: Duration::from_secs(10),
            transaction_pooling: None,
        }
    }

    /// Keeps everything in this schema, which is created if it is missing. Default `gatepass`. Two
    /// applications that share a database and not their sessions each need one of their own.
    #[must_use]
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schema = name.into();
        self
    }

    /// Takes the time from `clock`. Default the database server's, on which all nodes agree.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Gives up on a call after this long, waiting for a connection included. Default 2 s: shorter than the
    /// [`store_timeout`](gatepass::AuthorityBuilder::store_timeout), so that a connection that hangs is
    /// closed, and not returned to the pool.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Gives up on opening after this long. Default 10 s: a migration may have to wait for that of
    /// another node.
    #[must_use]
    pub fn open_timeout(mut self, timeout: Duration) -> Self {
        self.open_timeout = timeout;
        self
    }

    /// Makes at most this many connections. Default 10. Without effect on the application's own pool.
    #[must_use]
    pub fn max_connections(mut self, max: NonZeroU32) -> Self {
        if let Connections::Url(_, size) = &mut self.connections {
            *size = max;
        }
        self
    }

    /// Says whether the connections are to a proxy that pools transactions (PgBouncer and the like).
    /// Default: found out when the store is opened.
    #[must_use]
    pub fn transaction_pooling(mut self, pooling: bool) -> Self {
        self.transaction_pooling = Some(pooling);
        self
    }

    /// Opens the store: connects, checks what it is connected to, and creates or migrates the schema.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which says what to do.
    pub async fn open(self) -> Result<PostgresStore, OpenError> {
        if !schema::is_name(&self.schema) {
            return Err(OpenError::SchemaName(self.schema));
        }
        let options = self.options()?;
        let place = Place::new(&options, &self.schema, self.open_timeout);
        let opened = timeout(self.open_timeout, self.prepare(&options, &place)).await;
        let protocol = opened.map_err(|_| place.timed_out())??;
        let links = Links {
            dialect: Dialect::new(self.schema, self.clock, protocol, self.timeout),
            timeout: self.timeout,
            pool: match self.connections {
                Connections::Pool(pool) => pool,
                Connections::Url(_, size) => pool(options, size.get(), protocol, self.timeout),
            },
        };
        let inner = Inner {
            links,
            listener: OnceCell::new(),
        };
        Ok(PostgresStore {
            inner: Arc::new(inner),
        })
    }

    fn options(&self) -> Result<PgConnectOptions, OpenError> {
        let url = match &self.connections {
            Connections::Pool(pool) => return Ok(pool.connect_options().as_ref().clone()),
            Connections::Url(url, _) => url,
        };
        // sqlx would take that of any database.
        if !["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
        {
            return Err(OpenError::Url);
        }
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| OpenError::Url)?
            // Nothing here is a float, and proxies refuse settings that they do not know.
            .extra_float_digits(None)
            // What is in a session is nobody's who reads logs.
            .disable_statement_logging();
        Ok(match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("gatepass"),
        })
    }

    /// Checks the server, brings the schema to the newest version, and finds out how to speak.
    async fn prepare(
        &self,
        options: &PgConnectOptions,
        place: &Place,
    ) -> Result<Protocol, OpenError> {
        let wrong = |failure: Failure| place.clone().error(&failure);
        // Not the pool's: that tries again and again until its time is over, and then has forgotten why.
        let connect = || options.connect();
        let mut first = connect().await.map_err(|error| wrong(error.into()))?;
        // Until it is known who answers.
        let simple = Dialect::new(
            self.schema.clone(),
            self.clock.clone(),
            Protocol::Simple,
            self.open_timeout,
        );
        schema::check_server(&mut Link::new(&mut first, &simple), place).await?;
        schema::migrate(Link::new(&mut first, &simple), place).await?;
        let protocol = match self.transaction_pooling {
            Some(true) => Protocol::Simple,
            Some(false) => Protocol::Extended,
            None => {
                let mut second = connect().await.map_err(|error| wrong(error.into()))?;
                let detected = protocol::detect([&mut first, &mut second]).await;
                let _ = second.close().await;
                detected.map_err(wrong)?
            }
        };
        let _ = first.close().await;
        Ok(protocol)
    }
}

/// A pool of the store's own.
fn pool(options: PgConnectOptions, size: u32, protocol: Protocol, patience: Duration) -> PgPool {
    let mut pool = PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(patience)
        // A question before each statement would double the round trips.
        .test_before_acquire(false)
        .before_acquire(|conn, about| {
            Box::pin(async move {
                if about.idle_for > TRUSTED {
                    conn.ping().await?;
                }
                Ok(true)
            })
        });
    // Behind a proxy it would be set for whoever gets the server's connection next.
    if protocol == Protocol::Extended {
        pool = pool.after_connect(move |conn, _| {
            Box::pin(async move {
                let limit = format!("SET statement_timeout = {}", link::millis_of(patience));
                sqlx::raw_sql(AssertSqlSafe(limit)).execute(conn).await?;
                Ok(())
            })
        });
    }
    pool.connect_lazy_with(options)
}

impl Inner {
    async fn listener(&self) -> Option<&Listener> {
        let start = async || {
            let dialect = &self.links.dialect;
            let options = self.links.pool.connect_options().as_ref().clone();
            (dialect.protocol() == Protocol::Extended)
                .then(|| Listener::start(options, log::channel(&dialect.schema)))
        };
        self.listener.get_or_init(start).await.as_ref()
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("schema", &self.inner.links.dialect.schema)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PostgresStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the connections: a URL has a password in it.
        f.debug_struct("PostgresStoreBuilder")
            .field("schema", &self.schema)
            .field("timeout", &self.timeout)
            .field("open_timeout", &self.open_timeout)
            .field("transaction_pooling", &self.transaction_pooling)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl RevocationLog for PostgresStore {
    async fn pull(&self, after: Option<&Cursor>) -> Result<Pull, StoreError> {
        let after = after.cloned();
        let links = &self.inner.links;
        links
            .call(|link| Box::pin(log::pull(link, after.clone())))
            .await
    }

    async fn changed(&self, after: &Cursor) {
        // What is no place in this log is answered with a reset.
        let Some(place) = cursor::Place::parse(after) else {
            return;
        };
        let links = &self.inner.links;
        loop {
            let listener = self.inner.listener().await;
            let told = async {
                match listener {
                    Some(listener) => listener.heard().await,
                    None => std::future::pending().await,
                }
            };
            let looked = links.call(|link| Box::pin(log::has_more(link, place.clone())));
            tokio::pin!(told);
            // Whoever is told while they look must not wait for the next one.
            let look = tokio::select! {
                biased;
                () = &mut told => return,
                more = looked => more,
            };
            if look.unwrap_or(false) {
                return;
            }
            tokio::select! {
                () = told => return,
                () = sleep(POLL) => {}
            }
        }
    }

    async fn status(&self, session: SessionId, token: TokenId) -> Result<Status, StoreError> {
        let links = &self.inner.links;
        links
            .call(|link| Box::pin(log::status(link, session, token)))
            .await
    }
}

#[async_trait]
impl SessionStore for PostgresStore {
    async fn begin(&self, new: NewSession) -> Result<Begun, StoreError> {
        let links = &self.inner.links;
        links
            .call(|link| Box::pin(sessions::begin(link, new.clone())))
            .await
    }

    async fn advance(&self, advance: Advance) -> Result<Option<Session>, StoreError> {
        let links = &self.inner.links;
        links
            .call(|link| Box::pin(sessions::advance(link, advance.clone())))
            .await
    }

    async fn recover(&self, recover: Recover) -> Result<Option<Session>, StoreError> {
        let links = &self.inner.links;
        links
            .call(|link| Box::pin(sessions::recover(link, recover.clone())))
            .await
    }

    async fn renew(&self, renew: Renew) -> Result<Option<Session>, StoreError> {
        let links = &self.inner.links;
        links
            .call(|link| Box::pin(sessions::renew(link, renew.clone())))
            .await
    }

    async fn load(&self, id: SessionId) -> Result<(Option<Session>, Timestamp), StoreError> {
        let links = &self.inner.links;
        links.call(|link| Box::pin(sessions::find(link, id))).await
    }

    async fn end(
        &self,
        target: EndTarget,
        reason: EndReason,
    ) -> Result<Vec<Revocation>, StoreError> {
        let links = &self.inner.links;
        links
            .call(|link| Box::pin(sessions::end(link, target.clone(), reason)))
            .await
    }

    async fn revoke_token(&self, token: RevokeToken) -> Result<Option<Revocation>, StoreError> {
        let links = &self.inner.links;
        links
            .call(|link| Box::pin(sessions::revoke_token(link, token)))
            .await
    }

    async fn sessions(&self, subject: &Subject) -> Result<Vec<Session>, StoreError> {
        let links = &self.inner.links;
        let subject = subject.clone();
        links
            .call(|link| Box::pin(sessions::usable(link, subject.clone())))
            .await
    }

    async fn purge(&self, horizon: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let links = &self.inner.links;
        let horizon = links
            .call(|link| Box::pin(schema::remember_horizon(link, horizon)))
            .await?;
        let (mut removed, mut looked_at) = (0, 0_usize);
        // Each batch is a transaction of its own.
        while removed < limit && looked_at < limit.saturating_mul(ROUNDS) {
            let asked = (limit - removed).min(PURGED_AT_ONCE);
            let batch = i64::try_from(asked).unwrap_or(i64::MAX);
            let purged = links
                .call(|link| Box::pin(sessions::purge(link, horizon, batch)))
                .await?;
            removed += purged.removed;
            looked_at = looked_at.saturating_add(purged.looked_at);
            if purged.looked_at < asked {
                break;
            }
        }
        while removed < limit {
            let asked = (limit - removed).min(PURGED_AT_ONCE);
            let batch = i64::try_from(asked).unwrap_or(i64::MAX);
            let gone = links
                .call(|link| Box::pin(log::purge(link, horizon, batch)))
                .await?;
            removed += gone;
            if gone < asked {
                break;
            }
        }
        Ok(removed)
    }

    async fn purged_until(&self) -> Result<Option<Timestamp>, StoreError> {
        let links = &self.inner.links;
        links
            .call(|link| Box::pin(schema::last_horizon(link)))
            .await
    }
}
