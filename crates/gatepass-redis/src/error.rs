//! Errors of Redis, and the errors of gatepass that they become.

use std::time::Duration;

use gatepass::{StoreError, store::StoreErrorKind};
use redis::{ErrorKind, RedisError};

/// The reason why a store was not opened. Each message tells the operator what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A URL is not a valid URL of Redis.
    #[error(
        "not a URL of Redis: it must look like redis://user:password@host:6379, or rediss:// for an encrypted \
         connection, which needs the feature `tls`; the nodes of a cluster are separated by commas, and have user, password \
         and encryption in common. Write / ? # @ % in user and password as %2F %3F %23 %40 %25"
    )]
    Url,
    /// The namespace cannot be used.
    #[error("{0:?} cannot be the namespace: use 1 to 40 of the characters a-z, 0-9, _ and -")]
    Namespace(String),
    /// No server answers at the address.
    #[error(
        "cannot reach Redis at {server}: check that it runs, that host and port are right, whether the \
         connection must be encrypted, and that no firewall is between"
    )]
    Unreachable {
        /// The address that was tried.
        server: String,
        /// The error of the connection.
        source: Cause,
    },
    /// The server does not let the user in.
    #[error(
        "{server} does not let the user {user:?} in: check the password, and `ACL LIST` on the server"
    )]
    Credentials {
        /// The server.
        server: String,
        /// The user that tried to connect.
        user: String,
        /// The server's error.
        source: Cause,
    },
    /// The user lacks a right that the store needs.
    #[error(
        "the user {user:?} lacks rights at {server}: give it the rights in the documentation of gatepass-redis with \
         `ACL SETUSER`"
    )]
    NotAllowed {
        /// The server.
        server: String,
        /// The user.
        user: String,
        /// The server's error.
        source: Cause,
    },
    /// The server that answers is not Redis or Valkey.
    #[error("the server at {server} is not Redis or Valkey: check host and port")]
    NotRedis {
        /// The server.
        server: String,
    },
    /// The server is too old.
    #[error("{server} is Redis {found}, and must be {least} or newer")]
    ServerVersion {
        /// The server.
        server: String,
        /// Its version.
        found: String,
        /// The oldest that is supported.
        least: &'static str,
    },
    /// The server is a replica.
    #[error("{server} is a replica: give the address of the primary instead")]
    Replica {
        /// The server.
        server: String,
    },
    /// The server would remove keys to make room.
    #[error(
        "{server} removes keys when its memory is full, including revocations (maxmemory-policy {policy}): set \
         `maxmemory-policy noeviction`, or give the sessions a server of their own"
    )]
    Evicting {
        /// The server.
        server: String,
        /// Its policy.
        policy: String,
    },
    /// Another release has used the namespace already.
    #[error(
        "namespace {namespace} at {server} has version {found} of the layout, and this release knows version {known}: use \
         the same release of gatepass-redis in every process, or another namespace"
    )]
    OtherLayout {
        /// The server.
        server: String,
        /// The namespace.
        namespace: String,
        /// The version in use.
        found: String,
        /// The version that this release knows.
        known: u32,
    },
    /// The namespace has another number of partitions.
    #[error(
        "namespace {namespace} at {server} has {found} partitions, and this release knows {known}: use the same release of \
         gatepass-redis in every process, or another namespace"
    )]
    OtherPartitions {
        /// The server.
        server: String,
        /// The namespace.
        namespace: String,
        /// The number of partitions in the namespace.
        found: String,
        /// The number that this release knows.
        known: usize,
    },
    /// There is no log to follow, because no store was ever opened there.
    #[error(
        "there are no sessions under the namespace {namespace} at {server}: first start a process that opens a RedisStore \
         there; if there is one, check the namespace and the number of the database"
    )]
    NoStore {
        /// The server.
        server: String,
        /// The namespace.
        namespace: String,
    },
    /// A cluster has no numbered databases.
    #[error(
        "{server} is part of a cluster, which has no database but 0: leave the number out of the URL"
    )]
    Database {
        /// The server.
        server: String,
    },
    /// The URLs name several servers that are not a cluster.
    #[error(
        "several servers are named, and {server} is not part of a cluster: name only the primary, or check its \
         `cluster-enabled`"
    )]
    NotACluster {
        /// The server.
        server: String,
    },
    /// The cluster does not serve all of its slots.
    #[error("the cluster at {server} does not serve all slots: check `CLUSTER INFO` there")]
    ClusterDown {
        /// The server.
        server: String,
        /// The error that shows it.
        source: Cause,
    },
    /// Opening took too long.
    #[error(
        "opening {server} took longer than {after:?}: check that it is Redis, whether its connections are encrypted (redis:// or rediss://), and \
         whether it is overloaded"
    )]
    TimedOut {
        /// The server.
        server: String,
        /// The time limit.
        after: Duration,
    },
    /// Redis failed in another way.
    #[error("Redis failed while opening {server}")]
    Redis {
        /// The server.
        server: String,
        /// The error of the client or of the server.
        source: Cause,
    },
}

/// An error of the client or of the server.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Cause(String);

impl Cause {
    pub(crate) fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// The reason why a call failed, or why its outcome is unknown.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    Redis(RedisError),
    /// There was no connection, so nothing was sent.
    Unconnected(RedisError),
    TimedOut,
    /// The server made the change, and too few replicas have it.
    NotReplicated,
    /// No known node has the needed slots.
    NoSlots,
    Unreadable(Unreadable),
    /// The server removes keys when its memory is full, by this policy.
    Evicting(String),
}

/// A field that doesn't hold a value that gatepass writes. The error doesn't show its content,
/// which may be personal.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{0} is unreadable")]
pub(crate) struct Unreadable(pub(crate) &'static str);

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("too few replicas have acknowledged the change in time")]
struct NotReplicated;

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no known node of the cluster has the slot")]
struct NoSlots;

#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "Redis removes keys when its memory is full (maxmemory-policy {0}): set `maxmemory-policy noeviction`"
)]
struct Evicting(String);

impl From<Unreadable> for Failure {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Redis(error) => match error.code() {
                Some("LOADING" | "BUSY" | "TRYAGAIN" | "OOM") => Self::new(StoreErrorKind::Busy),
                _ => Self::unavailable(Cause::new(error)),
            },
            Failure::Unconnected(error) if error.is_timeout() => {
                Self::new(StoreErrorKind::TimedOut)
            }
            Failure::Unconnected(error) => Self::unavailable(Cause::new(error)),
            Failure::TimedOut => Self::new(StoreErrorKind::TimedOut),
            Failure::NotReplicated => Self::unavailable(NotReplicated),
            Failure::NoSlots => Self::unavailable(NoSlots),
            Failure::Unreadable(unreadable) => Self::corrupt(unreadable),
            Failure::Evicting(policy) => Self::unavailable(Evicting(policy)),
        }
    }
}

/// The server, the user and the time limit that the errors of an opening name.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) server: String,
    pub(crate) user: String,
    pub(crate) patience: Duration,
}

impl Place {
    pub(crate) fn timed_out(self) -> OpenError {
        OpenError::TimedOut {
            server: self.server,
            after: self.patience,
        }
    }

    pub(crate) fn error(self, failure: Failure) -> OpenError {
        let Self {
            server,
            user,
            patience,
        } = self;
        let error = match failure {
            Failure::TimedOut => {
                return OpenError::TimedOut {
                    server,
                    after: patience,
                };
            }
            Failure::Unconnected(error) if error.is_timeout() => {
                return OpenError::TimedOut {
                    server,
                    after: patience,
                };
            }
            Failure::Redis(error) | Failure::Unconnected(error) => error,
            Failure::NotReplicated => {
                let source = Cause::new(NotReplicated);
                return OpenError::Redis { server, source };
            }
            Failure::NoSlots => {
                let source = Cause::new(NoSlots);
                return OpenError::ClusterDown { server, source };
            }
            Failure::Unreadable(_) => return OpenError::NotRedis { server },
            Failure::Evicting(policy) => return OpenError::Evicting { server, policy },
        };
        let source = Cause::new(&error);
        match (error.kind(), error.code().unwrap_or_default()) {
            (ErrorKind::Io, _) => OpenError::Unreachable { server, source },
            (ErrorKind::AuthenticationFailed, _) | (_, "NOAUTH" | "WRONGPASS") => {
                OpenError::Credentials {
                    server,
                    user,
                    source,
                }
            }
            (ErrorKind::Parse, _) => OpenError::NotRedis { server },
            (_, "NOPERM") => OpenError::NotAllowed {
                server,
                user,
                source,
            },
            (_, "READONLY") => OpenError::Replica { server },
            (_, "ERR") if source.0.contains("SELECT is not allowed in cluster mode") => {
                OpenError::Database { server }
            }
            (_, "CLUSTERDOWN") => OpenError::ClusterDown { server, source },
            _ => OpenError::Redis { server, source },
        }
    }
}
