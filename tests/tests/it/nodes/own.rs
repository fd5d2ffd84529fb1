//! A server for one test, which may kill it.

use std::{net::SocketAddr, str::FromStr};

use gatepass_servers::{Directory, Durability, Postgres, Redis, RedisCluster};
use gatepass_tests::nodes::{Backend, Site};

pub(crate) struct Own {
    server: Server,
    /// Dropped after the server.
    _directory: Directory,
}

enum Server {
    Postgres(Postgres),
    Redis(Redis),
    RedisCluster(RedisCluster),
}

impl Own {
    pub(crate) fn start(backend: Backend, durability: Durability) -> Self {
        let directory = Directory::make(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let server = match backend {
            Backend::Postgres => Server::Postgres(Postgres::start(&directory, durability).unwrap()),
            Backend::Redis => Server::Redis(Redis::start(&directory, durability).unwrap()),
            Backend::RedisCluster => {
                let cluster = RedisCluster::start(&directory, durability, 0);
                Server::RedisCluster(cluster.unwrap())
            }
            Backend::Sqlite | Backend::PgBouncer => panic!("no server of its own"),
        };
        Self {
            server,
            _directory: directory,
        }
    }

    /// A replica that no longer follows the server. It has everything that was written until now.
    pub(crate) fn left_behind(&self) -> Self {
        let directory = Directory::make(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let server = match &self.server {
            Server::Postgres(primary) => {
                let mut replica = primary.replica(&directory).unwrap();
                replica.kill().unwrap();
                Server::Postgres(replica)
            }
            Server::Redis(primary) => {
                let replica = primary.replica(&directory, Durability::Crash).unwrap();
                // No server listens there.
                replica.ask(&["replicaof", "127.0.0.1", "1"]).unwrap();
                Server::Redis(replica)
            }
            Server::RedisCluster(_) => panic!("has none of its own"),
        };
        Self {
            server,
            _directory: directory,
        }
    }

    /// Makes a left-behind replica the primary, after the old one has died.
    pub(crate) fn take_over(&mut self) {
        match &mut self.server {
            Server::Postgres(replica) => {
                replica.restart().unwrap();
                replica.promote().unwrap();
            }
            Server::Redis(replica) => replica.promote().unwrap(),
            Server::RedisCluster(_) => panic!("has none of its own"),
        }
    }

    pub(crate) fn site(&self) -> Site {
        match &self.server {
            Server::Postgres(server) => Site::at(Backend::Postgres, server.url()),
            Server::Redis(server) => Site::at(Backend::Redis, server.url()),
            Server::RedisCluster(server) => Site::at(Backend::RedisCluster, server.url()),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let port = match &self.server {
            Server::Postgres(server) => server.port(),
            Server::Redis(server) => server.port(),
            Server::RedisCluster(_) => panic!("has several"),
        };
        SocketAddr::from_str(&format!("127.0.0.1:{port}")).unwrap()
    }

    /// Sends a command to the only Redis.
    pub(crate) fn ask_redis(&self, command: &[&str]) -> String {
        match &self.server {
            Server::Redis(server) => server.ask(command).unwrap(),
            Server::Postgres(_) | Server::RedisCluster(_) => panic!("is not one Redis"),
        }
    }

    /// Makes one of the servers close the connections of all clients.
    pub(crate) fn close_connections(&self, number: usize) {
        let Server::RedisCluster(cluster) = &self.server else {
            panic!("a proxy does it better")
        };
        let servers = cluster.nodes();
        let close = ["client", "kill", "type", "normal"];
        servers[number % servers.len()].ask(&close).unwrap();
    }

    /// A cluster in which each master has a replica that can take its place.
    pub(crate) fn cluster_with_replicas() -> Self {
        let directory = Directory::make(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let cluster = RedisCluster::start(&directory, Durability::None, 1).unwrap();
        Self {
            server: Server::RedisCluster(cluster),
            _directory: directory,
        }
    }

    /// The servers of a cluster.
    pub(crate) fn cluster(&mut self) -> &mut RedisCluster {
        match &mut self.server {
            Server::RedisCluster(cluster) => cluster,
            Server::Postgres(_) | Server::Redis(_) => panic!("is no cluster"),
        }
    }

    /// All servers at once, as when a machine is lost.
    pub(crate) fn kill(&mut self) {
        match &mut self.server {
            Server::Postgres(server) => server.kill().unwrap(),
            Server::Redis(server) => server.kill().unwrap(),
            Server::RedisCluster(servers) => {
                for server in servers.nodes_mut() {
                    server.kill().unwrap();
                }
            }
        }
    }

    pub(crate) fn restart(&mut self) {
        match &mut self.server {
            Server::Postgres(server) => server.restart().unwrap(),
            Server::Redis(server) => server.restart().unwrap(),
            Server::RedisCluster(servers) => {
                for server in servers.nodes_mut() {
                    server.restart().unwrap();
                }
            }
        }
    }

    /// Stops the server. Connections stay open, and get no answer.
    pub(crate) fn pause(&self) {
        match &self.server {
            Server::Postgres(server) => server.pause().unwrap(),
            Server::Redis(server) => server.pause().unwrap(),
            Server::RedisCluster(servers) => {
                for server in servers.nodes() {
                    server.pause().unwrap();
                }
            }
        }
    }

    pub(crate) fn resume(&self) {
        match &self.server {
            Server::Postgres(server) => server.resume().unwrap(),
            Server::Redis(server) => server.resume().unwrap(),
            Server::RedisCluster(servers) => {
                for server in servers.nodes() {
                    server.resume().unwrap();
                }
            }
        }
    }
}
