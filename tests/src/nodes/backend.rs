//! The stores that nodes can share.

use std::{
    net::SocketAddr,
    num::NonZeroU32,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use gatepass::store::{Random, SessionStore, SystemRandom};
use gatepass_postgres::PostgresStore;
use gatepass_redis::RedisStore;
use gatepass_sqlite::SqliteStore;
use gatepass_testkit::{ManualClock, proxy::Proxy};
use tempfile::TempDir;
use test_support::servers::{self, server};

use super::PATIENCE;

/// The kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// One file, which each node opens.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// PostgreSQL behind a proxy that pools transactions.
    PgBouncer,
    /// A single Redis.
    Redis,
    /// A cluster of three masters, which share the sessions. A proxy can't be in front of it,
    /// because the masters tell clients each other's addresses.
    RedisCluster,
}

/// The sessions of one test: a file, a schema or a namespace, which each node opens.
#[expect(missing_debug_implementations, reason = "a URL has a password in it")]
pub struct Site {
    backend: Backend,
    url: String,
    name: String,
    clock: Option<ManualClock>,
    timeout: Duration,
    directory: Option<TempDir>,
}

impl Backend {
    /// A new site in the server that all tests share.
    #[must_use]
    pub fn site(self) -> Site {
        match self {
            Self::Sqlite => Site {
                directory: Some(TempDir::new().unwrap()),
                ..Site::at(self, String::new())
            },
            Self::Postgres => Site::at(self, server("GATEPASS_TEST_POSTGRES")),
            Self::PgBouncer => Site::at(self, server("GATEPASS_TEST_PGBOUNCER")),
            Self::Redis => Site::at(self, server("GATEPASS_TEST_REDIS")),
            Self::RedisCluster => Site::at(self, server("GATEPASS_TEST_REDIS_CLUSTER")),
        }
    }
}

impl Site {
    /// A new site in the server at `url`.
    #[must_use]
    pub fn at(backend: Backend, url: String) -> Self {
        let mut random = [0; 8];
        SystemRandom.fill(&mut random).unwrap();
        Self {
            backend,
            url,
            name: format!("nodes_{:016x}", u64::from_be_bytes(random)),
            clock: None,
            timeout: PATIENCE,
            directory: None,
        }
    }

    /// Uses the schema or namespace `name`, which another program also uses.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Takes the time from `clock` in all nodes. Default: the store's own clock.
    #[must_use]
    pub fn clock(mut self, clock: &ManualClock) -> Self {
        self.clock = Some(clock.clone());
        self
    }

    /// Sets the stores' time limit. Default: as long as a busy machine may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The kind of store.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// The URL of the server. Empty for a file.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The name of the schema or namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The SQLite file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        let directory = self.directory.as_ref().unwrap();
        directory.path().join("sessions.db")
    }

    /// The address of the server, for a proxy in front of it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        servers::address_of(&self.url)
    }

    /// Opens the store with its own connections.
    pub async fn open(&self, through: Option<&Proxy>) -> Arc<dyn SessionStore> {
        self.try_open(through).await.unwrap()
    }

    /// Opens the store as soon as a starting server allows it. Panics if that takes longer than
    /// `patience`.
    pub async fn reopen(&self, patience: Duration) -> Arc<dyn SessionStore> {
        let begun = Instant::now();
        loop {
            match self.try_open(None).await {
                Ok(store) => return store,
                Err(error) => assert!(begun.elapsed() < patience, "{error:#}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn try_open(&self, through: Option<&Proxy>) -> anyhow::Result<Arc<dyn SessionStore>> {
        let url = match through {
            Some(proxy) => servers::through(&self.url, proxy),
            None => self.url.clone(),
        };
        Ok(match self.backend {
            Backend::Sqlite => {
                let mut builder = SqliteStore::builder(self.file());
                if let Some(clock) = &self.clock {
                    builder = builder.clock(clock.clone());
                }
                Arc::new(builder.busy_timeout(self.timeout).open()?)
            }
            Backend::Postgres | Backend::PgBouncer => {
                let mut builder = PostgresStore::at(url)
                    .schema(&self.name)
                    .max_connections(NonZeroU32::new(8).unwrap())
                    .open_timeout(PATIENCE)
                    .timeout(self.timeout);
                if let Some(clock) = &self.clock {
                    builder = builder.clock(clock.clone());
                }
                Arc::new(builder.open().await?)
            }
            Backend::Redis | Backend::RedisCluster => {
                let mut builder = RedisStore::at(url)
                    .namespace(&self.name)
                    .open_timeout(PATIENCE)
                    .timeout(self.timeout);
                if let Some(clock) = &self.clock {
                    builder = builder.clock(clock.clone());
                }
                Arc::new(builder.open().await?)
            }
        })
    }
}
