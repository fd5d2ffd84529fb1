//! Errors of Redis, and the errors of gatepass that they become.

use std::time::Duration;

use gatepass::{StoreError, store::StoreErrorKind};
use redis::{ErrorKind, RedisError};

/// The reason why a store was not opened. Each message tells the operator what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A URL is none of Redis's.
    #[error(
        "not a URL of Redis: it must look like redis://user:password@host:6379, or rediss:// for an encrypted \
         connection, which needs the feature `tls`; the nodes of a cluster are separated by commas, and have user, password \
         and encryption in common. Write / ? # @ % in user and password as %2F %3F %23 %40 %25"
    )]
    Url,
    /// The namespace cannot be used.
    #[error("{0:?} cannot be the namespace: use 1 to 40 of the characters a-z, 0-9, _ and -")]
    Namespace(String),
    /// Nothing answers there.
    #[error(
        "cannot reach Redis at {server}: see that it runs, that host and port are right, that the connection is to \
         be encrypted or not, and that no firewall is between"
    )]
    Unreachable {
        /// The address that was tried.
        server: String,
        /// The error of the connection.
        source: Cause,
    },
    /// The server does not let the user in.
    #[error(
        "{server} does not let the user {user:?} in: see the password, and `ACL LIST` on the server"
    )]
    Credentials {
        /// The server.
        server: String,
        /// The user that tried to connect.
        user: String,
        /// The server's error.
        source: Cause,
    },
    /// The user may not do what has to be done.
    #[error(
        "the user {user:?} may not do all at {server} that is needed: give it the rights that stand in the documentation of \
         gatepass-redis with `ACL SETUSER`"
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
    #[error("what answers at {server} is not Redis or Valkey: see host and port")]
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
    /// The server would remove sessions to make room.
    #[error(
        "{server} removes keys when its memory is full, revocations among them (maxmemory-policy {policy}): set \
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
        /// The version that it has.
        found: String,
        /// The version that this release knows.
        known: u32,
    },
    /// The namespace is divided into another number of partitions.
    #[error(
        "namespace {namespace} at {server} has {found} partitions, and this release knows {known}: use the same release of \
         gatepass-redis in every process, or another namespace"
    )]
    OtherPartitions {
        /// The server.
        server: String,
        /// The namespace.
        namespace: String,
        /// The number that it has.
        found: String,
        /// The number that this release knows.
        known: usize,
    },
    /// There is no log to follow: no store was ever opened there.
    #[error(
        "there are no sessions under the namespace {namespace} at {server}: first start a process that opens a RedisStore \
         there; if there is one, the namespace or the number of the database is another"
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
    /// Several servers were named that are no cluster.
    #[error(
        "several servers are named, and {server} is not part of a cluster: name the one that is the primary, or see its \
         `cluster-enabled`"
    )]
    NotACluster {
        /// The server.
        server: String,
    },
    /// The cluster does not serve all of its slots.
    #[error("the cluster at {server} does not serve all slots: see `CLUSTER INFO` there")]
    ClusterDown {
        /// The server.
        server: String,
        /// The error that shows it.
        source: Cause,
    },
    /// It was not done in time.
    #[error(
        "opening {server} was not done after {after:?}: see that it is Redis, whether its connections are encrypted (redis:// or rediss://), and \
         whether it is overloaded"
    )]
    TimedOut {
        /// The server.
        server: String,
        /// How long it was tried.
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

/// Why something was not done, or is not known to be.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    Redis(RedisError),
    /// There was no connection, so that nothing was sent.
    Unconnected(RedisError),
    TimedOut,
    /// It was done, and too few replicas have it.
    NotReplicated,
    /// No node is known to have the slots that are needed.
    NoSlots,
    Unreadable(Unreadable),
    /// The server removes keys when its memory is full, by this policy.
    Evicting(String),
}

/// A field that does not hold what gatepass writes there. The error doesn't show its content, which
/// may be personal.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{0} is unreadable")]
pub(crate) struct Unreadable(pub(crate) &'static str);

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("fewer replicas than asked for have acknowledged the change in time")]
struct NotReplicated;

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no node of the cluster is known to have the slot")]
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
