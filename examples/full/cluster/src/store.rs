//! The store that all nodes share.

use std::{env, path::Path};

use gatepass_servers::{Directory, Durability, Postgres, Redis, RedisCluster};

/// A store. If this program started its server, the server stops when this is dropped.
pub(crate) struct Store {
    /// The name for the output.
    pub(crate) name: String,
    /// The value of `--store` for the examples.
    pub(crate) location: String,
    /// Whether the store belongs to this run, so that it holds no users of yours.
    pub(crate) is_own: bool,
    _server: Option<Server>,
}

/// The server, which stops with this.
#[expect(dead_code, reason = "held until it is dropped")]
enum Server {
    Postgres(Postgres, Directory),
    Redis(Redis, Directory),
    Cluster(RedisCluster, Directory),
}

impl Store {
    /// The store at the location `words`, or a new one of the kind `words`.
    pub(crate) fn choose(words: &str, files: &Path) -> anyhow::Result<Self> {
        let directory = || Directory::make(env::temp_dir().join("gatepass-servers"));
        let own = |location, server| {
            Ok(Self {
                name: words.to_owned(),
                location,
                is_own: true,
                _server: server,
            })
        };
        // The server keeps the writes that it acknowledges, as yours must.
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
            // Each node runs in its own directory.
            "sqlite" => format!("sqlite:{}", std::path::absolute(rest)?.display()),
            "postgres" | "postgresql" | "redis" | "rediss" => words.to_owned(),
            _ => anyhow::bail!(
                "--store takes postgres, redis, redis-cluster or sqlite for one that this starts, or \
                 sqlite:FILE, postgres://… or redis://… for one of yours"
            ),
        };
        Ok(Self {
            // The rest of the location may contain a password.
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
