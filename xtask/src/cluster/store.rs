//! The store that all nodes share.

use std::path::Path;

use gatepass_servers::{Directory, Durability, Postgres, Redis, RedisCluster};
use xshell::Shell;

use crate::metadata;

/// A store, and the server that was started for it, until this is dropped.
pub(super) struct Store {
    /// What it is called in what is printed.
    pub(super) name: String,
    /// What the examples take as `--store`.
    pub(super) location: String,
    /// Whether it is gone with this, so that nobody else has users in it.
    pub(super) is_own: bool,
    _server: Option<Server>,
}

/// Dropped with its directory.
#[expect(dead_code, reason = "held until it is dropped")]
enum Server {
    Postgres(Postgres, Directory),
    Redis(Redis, Directory),
    Cluster(RedisCluster, Directory),
}

impl Store {
    /// That of `words`, or one that is started by its name.
    pub(super) fn choose(sh: &Shell, words: &str, files: &Path) -> anyhow::Result<Self> {
        let directory = || Directory::make(metadata::target_directory(sh)?.join("servers"));
        let own = |location, server| {
            Ok(Self {
                name: words.to_owned(),
                location,
                is_own: true,
                _server: server,
            })
        };
        // As a server must be set up that is to keep what it acknowledges.
        let durability = Durability::Crash;
        match words {
            "postgres" => {
                let directory = directory()?;
                let postgres = Postgres::start(&directory, durability)?;
                own(postgres.url(), Some(Server::Postgres(postgres, directory)))
            }
            "redis" => {
                let directory = directory()?;
                let redis = Redis::start(&directory, durability)?;
                own(redis.url(), Some(Server::Redis(redis, directory)))
            }
            "redis-cluster" => {
                let directory = directory()?;
                let cluster = RedisCluster::start(&directory, durability, 0)?;
                own(cluster.url(), Some(Server::Cluster(cluster, directory)))
            }
            "sqlite" => own(
                format!("sqlite:{}", files.join("cluster.db").display()),
                None,
            ),
            _ => Self::given(words),
        }
    }

    fn given(words: &str) -> anyhow::Result<Self> {
        let (kind, rest) = words.split_once(':').unwrap_or((words, ""));
        let location = match kind {
            // Each node runs in a directory of its own.
            "sqlite" => format!("sqlite:{}", std::path::absolute(rest)?.display()),
            "postgres" | "postgresql" | "redis" | "rediss" => words.to_owned(),
            _ => anyhow::bail!(
                "--store takes postgres, redis, redis-cluster or sqlite for one that is started, or \
                 sqlite:FILE, postgres://… or redis://… for one that nodes can share"
            ),
        };
        Ok(Self {
            // What follows may hold a password.
            name: format!("the given {kind}"),
            location,
            is_own: false,
            _server: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_given_is_named_without_its_password() {
        for url in [
            "postgres://u:hunter2@h/d",
            "rediss://:hunter2@a,rediss://:hunter2@b",
        ] {
            let store = Store::given(url).unwrap();
            assert_eq!(store.location, url);
            assert!(!store.is_own && !store.name.contains("hunter2"));
        }
        assert!(
            Store::given("sqlite:a.db")
                .unwrap()
                .location
                .starts_with("sqlite:/")
        );
        for nothing in ["memory", "mysql://u:hunter2@h", ""] {
            let error = format!("{:#}", Store::given(nothing).err().unwrap());
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
