//! Connects to the database, and checks it before use.

use std::{fmt, num::NonZeroU32, str::FromStr, sync::Arc, time::Duration};

use gatepass::Clock;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgPool,
    postgres::{PgConnectOptions, PgConnection, PgPoolOptions},
};
use tokio::time::timeout;

use crate::{
    error::{Failure, OpenError, Place},
    link::{self, Dialect, Link, Links},
    protocol::{self, Protocol},
    row::cell,
    schema::{self, Home, Purpose},
    sql::Statement,
};

/// The settings that a builder collects.
#[derive(Clone)]
pub(crate) struct Connecting {
    connections: Connections,
    pub(crate) schema: String,
    pub(crate) timeout: Duration,
    pub(crate) open_timeout: Duration,
    pub(crate) transaction_pooling: Option<bool>,
    pub(crate) listen_over: Option<PgConnectOptions>,
}

#[derive(Clone)]
enum Connections {
    Pool(PgPool),
    Url(String, NonZeroU32),
}

/// The database, and the connection to listen over, if any.
pub(crate) struct Connected {
    pub(crate) links: Links,
    pub(crate) home: Home,
    pub(crate) listen_over: Option<PgConnectOptions>,
}

/// The size of a pool that the store makes: sqlx's default.
const POOL_SIZE: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
/// How long a connection may be idle before the pool tests it. With shorter pauses, a broken
/// connection fails one request, which reports it.
const TRUSTED: Duration = Duration::from_secs(5);

/// The setters of both builders. Each has a field `connecting`.
macro_rules! connecting_setters {
    () => {
        /// Uses this schema. The default is `gatepass`. If two applications share a database but
        /// not their sessions, each needs its own schema.
        #[must_use]
        pub fn schema(mut self, name: impl Into<String>) -> Self {
            self.connecting.schema = name.into();
            self
        }

        /// Gives up on a call after this long, including the wait for a connection. The default is
        /// 2 s. Keep it shorter than the
        /// [`store_timeout`](gatepass::AuthorityBuilder::store_timeout), so that the store closes a
        /// connection that hangs, and doesn't return it to the pool.
        #[must_use]
        pub fn timeout(mut self, timeout: Duration) -> Self {
            self.connecting.timeout = timeout;
            self
        }

        /// Gives up on opening after this long. The default is 10 s, because a migration may have
        /// to wait for one by another node.
        #[must_use]
        pub fn open_timeout(mut self, timeout: Duration) -> Self {
            self.connecting.open_timeout = timeout;
            self
        }

        /// Makes at most this many connections. The default is 10. This has no effect on your own
        /// pool.
        #[must_use]
        pub fn max_connections(mut self, max: NonZeroU32) -> Self {
            self.connecting.max_connections(max);
            self
        }

        /// Says whether the connections lead to a proxy that pools transactions, for example
        /// PgBouncer. By default, the store detects it when it opens. It also treats a proxy that
        /// pools whole sessions as one: say `false` there, so that the store prepares statements.
        #[must_use]
        pub fn transaction_pooling(mut self, pooling: bool) -> Self {
            self.connecting.transaction_pooling = Some(pooling);
            self
        }

        /// Listens for notifications over a connection to `direct`. It must lead to the same
        /// database, and not through a proxy that pools transactions, because such a proxy loses
        /// notifications. By default, the store listens where the pool leads, or doesn't listen if
        /// that is a proxy.
        #[must_use]
        pub fn listen_over(mut self, direct: PgConnectOptions) -> Self {
            self.connecting.listen_over = Some(direct);
            self
        }
    };
}
pub(crate) use connecting_setters;

impl Connecting {
    pub(crate) fn over(pool: PgPool) -> Self {
        Self::new(Connections::Pool(pool))
    }

    pub(crate) fn at(url: String) -> Self {
        Self::new(Connections::Url(url, POOL_SIZE))
    }

    fn new(connections: Connections) -> Self {
        Self {
            connections,
            schema: "gatepass".to_owned(),
            timeout: Duration::from_secs(2),
            open_timeout: Duration::from_secs(10),
            transaction_pooling: None,
            listen_over: None,
        }
    }

    pub(crate) fn max_connections(&mut self, max: NonZeroU32) {
        if let Connections::Url(_, size) = &mut self.connections {
            *size = max;
        }
    }

    /// Shows everything except the connections, because a URL contains a password.
    pub(crate) fn describe(&self, debug: &mut fmt::DebugStruct<'_, '_>) -> fmt::Result {
        debug
            .field("schema", &self.schema)
            .field("timeout", &self.timeout)
            .field("open_timeout", &self.open_timeout)
            .field("transaction_pooling", &self.transaction_pooling)
            .finish_non_exhaustive()
    }

    /// Connects, checks the server, and then migrates or checks the schema.
    pub(crate) async fn open(
        self,
        purpose: Purpose,
        clock: Option<Arc<dyn Clock>>,
    ) -> Result<Connected, OpenError> {
        if !schema::is_name(&self.schema) {
            return Err(OpenError::SchemaName(self.schema));
        }
        let options = self.options()?;
        let place = Place::new(&options, &self.schema, self.open_timeout);
        let prepared = self.prepare(&options, &place, purpose, clock.clone());
        let opened = timeout(self.open_timeout, prepared).await;
        let (protocol, home) = opened.map_err(|_| place.timed_out())??;
        let direct = (protocol == Protocol::Extended).then(|| options.clone());
        let links = Links {
            dialect: Dialect::new(self.schema, clock, protocol, self.timeout),
            timeout: self.timeout,
            pool: match self.connections {
                Connections::Pool(pool) => pool,
                Connections::Url(_, size) => pool(options, size.get(), protocol, self.timeout),
            },
        };
        Ok(Connected {
            links,
            home,
            listen_over: self.listen_over.or(direct),
        })
    }

    pub(crate) fn options(&self) -> Result<PgConnectOptions, OpenError> {
        let url = match &self.connections {
            Connections::Pool(pool) => return Ok(pool.connect_options().as_ref().clone()),
            Connections::Url(url, _) => url,
        };
        let (scheme, rest) = url.split_once("://").ok_or(OpenError::Url)?;
        // sqlx would accept the scheme of any database.
        let is_ours = ["postgres", "postgresql"].contains(&scheme);
        // If a password has one of these characters, the address ends too early, and errors would
        // show the rest of the password as the database.
        let (_, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if !is_ours || behind.contains('@') {
            return Err(OpenError::Url);
        }
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| OpenError::Url)?
            // gatepass uses no floats, and proxies refuse settings that they don't know.
            .extra_float_digits(None)
            // A reader of the logs must not see the contents of a session.
            .disable_statement_logging();
        Ok(match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("gatepass"),
        })
    }

    /// Checks the server and the schema. Returns the protocol to use, and the home of the schema.
    async fn prepare(
        &self,
        options: &PgConnectOptions,
        place: &Place,
        purpose: Purpose,
        clock: Option<Arc<dyn Clock>>,
    ) -> Result<(Protocol, Home), OpenError> {
        let wrong = |failure: Failure| place.clone().error(&failure);
        // Doesn't connect through the pool, which would retry until its time is over and then lose
        // the reason.
        let connect = || options.connect();
        let mut first = connect().await.map_err(|error| wrong(error.into()))?;
        // Sends simple queries until it knows whether there is a proxy.
        let simple = Dialect::new(
            self.schema.clone(),
            clock,
            Protocol::Simple,
            self.open_timeout,
        );
        let mut in_transaction = false;
        let mut link = Link::new(&mut first, &mut in_transaction, &simple);
        schema::check_server(&mut link, place, purpose).await?;
        match purpose {
            Purpose::Write => schema::migrate(link.again(), place).await?,
            Purpose::Read => schema::check_readable(link.again(), place).await?,
        }
        let home = Home::find(&mut link).await.map_err(wrong)?;
        if let Some(direct) = &self.listen_over {
            self.check_listener(direct, &mut first, place, &simple)
                .await?;
        }
        let protocol = match self.transaction_pooling {
            Some(true) => Protocol::Simple,
            Some(false) => Protocol::Extended,
            None => {
                let detected = protocol::detect(&mut first, options).await;
                detected.map_err(wrong)?
            }
        };
        let _ = first.close().await;
        Ok((protocol, home))
    }

    /// Checks that `direct` leads to the same database, because notifications don't leave it.
    async fn check_listener(
        &self,
        direct: &PgConnectOptions,
        first: &mut PgConnection,
        place: &Place,
        simple: &Dialect,
    ) -> Result<(), OpenError> {
        let there = Place::new(direct, &self.schema, self.open_timeout);
        let wrong = |failure: Failure| there.clone().error(&failure);
        let connected = direct.connect().await;
        let mut listener = connected.map_err(|error| wrong(error.into()))?;
        let own = database(first, simple).await;
        let own = own.map_err(|failure| place.clone().error(&failure))?;
        let other = database(&mut listener, simple).await.map_err(wrong)?;
        let _ = listener.close().await;
        if own == other {
            Ok(())
        } else {
            Err(OpenError::ListensElsewhere {
                server: place.server.clone(),
                listener: there.server,
            })
        }
    }
}

/// A name for the database: the server's identifier, whether the server is a replica, and the
/// database's own name. A replica notifies no client.
async fn database(conn: &mut PgConnection, dialect: &Dialect) -> Result<String, Failure> {
    let asked = Statement::new(
        "SELECT system_identifier::pg_catalog.text {||} ' '::pg_catalog.text
             {||} pg_catalog.pg_is_in_recovery()::pg_catalog.text {||} ' '::pg_catalog.text
             {||} pg_catalog.current_database()::pg_catalog.text AS name
         FROM pg_catalog.pg_control_system()",
    );
    let row = Link::new(conn, &mut false, dialect).one(asked).await?;
    Ok(cell(&row, "name")?)
}

/// Makes the store's own pool.
fn pool(options: PgConnectOptions, size: u32, protocol: Protocol, patience: Duration) -> PgPool {
    let mut pool = PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(patience)
        // A test before each statement would double the round trips.
        .test_before_acquire(false)
        .before_acquire(|conn, about| {
            Box::pin(async move {
                if about.idle_for > TRUSTED {
                    conn.ping().await?;
                }
                Ok(true)
            })
        });
    // Behind a proxy, these settings would also apply to the next client of the server's
    // connection.
    if protocol == Protocol::Extended {
        pool = pool.after_connect(move |conn, _| {
            Box::pin(async move {
                let own = format!(
                    "SET search_path = pg_catalog, pg_temp; SET statement_timeout = {}",
                    link::millis_of(patience)
                );
                sqlx::raw_sql(AssertSqlSafe(own)).execute(conn).await?;
                Ok(())
            })
        });
    }
    pool.connect_lazy_with(options)
}
