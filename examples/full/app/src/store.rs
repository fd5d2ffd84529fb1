//! Opens the store of the sessions.

use std::sync::Arc;

use gatepass::{Clock, MemoryStore, store::SessionStore};
use gatepass_postgres::PostgresStore;
use gatepass_redis::RedisStore;
use gatepass_sqlite::SqliteStore;

use crate::location::{Database, StoreLocation};

/// The store of the sessions. It keeps the store's type, so that a table of users in the same
/// database can end sessions in its own transactions.
pub(crate) enum Store {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
    Redis(RedisStore),
    Memory(MemoryStore),
}

impl Store {
    /// The store of an authority.
    pub(crate) fn into_dyn(self) -> Arc<dyn SessionStore> {
        match self {
            Self::Sqlite(store) => Arc::new(store),
            Self::Postgres(store) => Arc::new(store),
            Self::Redis(store) => Arc::new(store),
            Self::Memory(store) => Arc::new(store),
        }
    }
}

/// Opens the store. A server that several nodes share also provides the time, so the clocks of the
/// nodes need not agree. `instead` is another clock, for tests.
///
/// # Errors
///
/// The error describes the fault, and says what to do.
pub(crate) async fn open(
    location: &StoreLocation,
    instead: Option<&(impl Clock + Clone)>,
) -> anyhow::Result<Store> {
    Ok(match location {
        StoreLocation::Database(Database::Sqlite(path)) => {
            let mut store = SqliteStore::builder(path);
            if let Some(clock) = instead {
                store = store.clock(clock.clone());
            }
            Store::Sqlite(store.open()?)
        }
        StoreLocation::Database(Database::Postgres(url)) => {
            let mut store = PostgresStore::at(url.as_str());
            if let Some(clock) = instead {
                store = store.clock(clock.clone());
            }
            Store::Postgres(store.open().await?)
        }
        StoreLocation::Redis(urls) => {
            let mut store = RedisStore::at(urls.as_str());
            if let Some(clock) = instead {
                store = store.clock(clock.clone());
            }
            Store::Redis(store.open().await?)
        }
        StoreLocation::Database(Database::Memory) => Store::Memory(match instead {
            Some(clock) => MemoryStore::with_clock(clock.clone()),
            None => MemoryStore::new(),
        }),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;
    use gatepass::{Credentials, Device, Error, Refusal, Requirements, Scopes, Staleness};
    use sqlx::{ConnectOptions, postgres::PgConnectOptions};

    use crate::{app::App, settings::Settings, testing};

    fn settings(args: &[&str]) -> Settings {
        Settings::parse_from(["example"].iter().chain(args))
    }

    /// A node over the store at `url`, with the master secret of all nodes.
    async fn node(directory: &Path, url: &str) -> anyhow::Result<App> {
        let secret = directory.join("secret");
        testing::write_private(&secret, &"0123456789abcdef".repeat(8));
        let secret = secret.display().to_string();
        let mut args = vec!["--store", url, "--secret-file", &secret];
        let users = format!("sqlite:{}", directory.join("users.db").display());
        if url.starts_with("redis") {
            args.extend(["--user-store", &users]);
        }
        App::start(&settings(&args)).await
    }

    #[tokio::test]
    async fn nodes_share_sessions_and_users() {
        let directory = tempfile::tempdir().unwrap();
        let redis = ["GATEPASS_TEST_REDIS", "GATEPASS_TEST_REDIS_CLUSTER"].map(testing::server);
        for store in [testing::postgres().await].iter().chain(&redis) {
            share(directory.path(), store).await;
        }
    }

    async fn share(directory: &Path, store: &str) {
        let one = node(directory, store).await.unwrap();
        let other = node(directory, store).await.unwrap();
        let alice = Credentials::new("alice", "alice-in-wonderland");
        let issued = one
            .authority
            .login(&alice, Device::default())
            .await
            .unwrap();
        let verifier = other.authority.verifier();
        let pass = verifier
            .verify(issued.access_token.as_str(), &Requirements::new())
            .await;
        assert_eq!(pass.unwrap().session_id(), Some(issued.session_id));
        one.users
            .set_scope("alice", Scopes::default())
            .await
            .unwrap();
        let refreshed = other
            .authority
            .refresh(issued.refresh_token.as_str())
            .await
            .unwrap();
        assert!(refreshed.scopes.is_empty());

        one.authority
            .logout(refreshed.refresh_token.as_str())
            .await
            .unwrap();
        let strict = Requirements::new().staleness(Staleness::Strict);
        let refused = verifier
            .verify(refreshed.access_token.as_str(), &strict)
            .await;
        assert!(
            matches!(refused, Err(Error::Refused(Refusal::Revoked))),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn a_server_that_will_not_do_is_named_without_its_password() {
        let (directory, database) = (tempfile::tempdir().unwrap(), testing::postgres().await);
        let replica = testing::server("GATEPASS_TEST_POSTGRES_REPLICA");
        let redis = testing::server("GATEPASS_TEST_REDIS");
        let (_, redis) = redis.split_once('@').unwrap();
        let right: PgConnectOptions = database.parse().unwrap();
        let url = |options: PgConnectOptions| options.to_url_lossy().to_string();
        for (url, said) in [
            (url(right.clone().password("hunter2")), "check its password"),
            (url(right.database("missing")), "createdb"),
            (replica, "primary"),
            (format!("redis://:hunter2@{redis}"), "check the password"),
            (
                "redis://u:hunter2@127.0.0.1:1".to_owned(),
                "cannot reach Redis at 127.0.0.1:1",
            ),
            ("redis://u:hunter2@h:port".to_owned(), "not a URL of Redis"),
        ] {
            let error = format!("{:#}", node(directory.path(), &url).await.unwrap_err());
            assert!(error.contains(said), "{error}");
            let password = url.split([':', '@']).nth(2).unwrap();
            assert!(
                !error.contains(password) && !error.contains('\n'),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn nodes_that_share_a_server_do_not_each_make_a_secret() {
        // The application doesn't even connect: nothing listens there.
        for url in ["postgres://u:p@127.0.0.1:1/d", "redis://127.0.0.1:1"] {
            let settings = settings(&["--store", url]);
            let error = format!("{:#}", App::start(&settings).await.unwrap_err());
            assert!(error.contains("--secret-file"), "{error}");
        }
    }
}
