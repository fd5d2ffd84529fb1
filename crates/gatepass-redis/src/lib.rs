#![doc = include_str!("../README.md")]
//!
//! # The server
//!
//! [`RedisStore::connect`] finds out whether the URL is of a cluster. For a cluster, give several
//! URLs, separated by commas: one node that answers is enough. A service that only verifies tokens
//! opens a [`RedisLog`], as a user who may only read.
//!
//! Redis 7.0 or newer, or Valkey. Everything is under keys that begin with the
//! [`namespace`](RedisStoreBuilder::namespace) in braces, so that other data on the same server are
//! not touched. For encrypted connections (`rediss://`) turn on the feature `tls`. It trusts the
//! certificates of the machine, or those that `SSL_CERT_FILE` names.
//!
//! A server that removes keys when its memory is full (any `maxmemory-policy` but `noeviction`)
//! would forget revocations. Opening refuses it. Each purge looks again: if the policy has been
//! changed, it logs `store.evicting` as an error, removes nothing and fails. All other calls go on:
//! the policy does no harm until the memory is full. Set `noeviction` at once. If `INFO stats`
//! shows `evicted_keys` by then, revocations may be lost.
//!
//! The client is the crate `redis`, the most used one, over one connection for each server that all
//! callers share. The store uses neither its cluster client nor its connection manager, since both
//! may send again what has been done already. The store itself keeps track of which server has
//! which keys. It sends a call twice only if a server has refused to do it, or if it only reads.
//!
//! # How it works
//!
//! Each call that changes something is one script, which Redis runs as one act. A refresh is one
//! such script and one round trip. It reads the session and its account, writes a part of one
//! value, and touches no index. Servers know the scripts by their hashes; the store sends a script
//! again to a server that has forgotten it.
//!
//! An account is one small value, however many sessions it has: the number of its last session, and
//! which of its sessions are over by their numbers. A logout everywhere writes that value and one
//! entry in the log, and replaces the account's last such entry. A login that makes room for itself
//! does the same. For example, 100,000 sessions end as fast as one. The purge marks and removes the
//! sessions later, in small steps.
//!
//! The store keeps sessions in sixteen partitions, each with its own log of revocations. All
//! sessions of an account are in one of them. The keys of a partition share a hash slot, and the
//! slots of the partitions are spread evenly over all there are, so that in a cluster of two to
//! sixteen masters each has some. A namespace remembers how many partitions it has, and a release
//! that divides it otherwise is refused.
//!
//! Time is the server's, so that nodes need not agree on theirs. The store only asks primaries. A
//! replica answers with an error, also one that was a primary before, and never with what it does
//! not know yet.
//!
//! # The log
//!
//! A reader's place in the log has a part for each partition: the number of the last entry that it
//! has seen, the name that the log was given when it began, and the id of the server's history of
//! writes, its `master_replid`. That id changes whenever a replica is promoted and whenever a
//! server starts. On these occasions the last entries may have been lost, and their numbers given
//! again. The reader then reads that partition from its start and goes on with the others. For
//! example, when one of three masters fails over, a third of the log is read again.
//!
//! A pull sends each server one pipeline: `INFO replication`, which tells whether it is a primary,
//! and one `HMGET` for the number of the last entry of each of its partitions. It reads the entries
//! of those partitions only whose number has moved.
//!
//! The streams themselves tell a reader that waits for entries (`XREAD BLOCK`), over one more
//! connection. In a cluster this takes sixteen connections, since a command can only wait for
//! streams in one slot. After each such answer the reader waits 50 ms before it listens again, so
//! that a hundred revocations per second wake it twenty times. The answer is a hint: if such a
//! connection dies without a word, the reader notices after some seconds, and polls meanwhile.
//!
//! # Users
//!
//! A store needs these rights, and a [`RedisLog`] those below it. In a cluster give them on every
//! node. If you choose another namespace, write it in place of `gatepass`.
//!
//! ```text
#![doc = concat!("ACL SETUSER shop ", include_str!("writer.acl"))]
#![doc = concat!("ACL SETUSER reader ", include_str!("reader.acl"))]
#![doc = concat!("ACL SETUSER support ", include_str!("support.acl"))]
//! ```
//!
//! The third user may list sessions, as `gatepass sessions list` does, and end none. It needs the
//! keys by `~`, since Redis asks for that right for each script that isn't declared read-only.
//!
//! A store that is also given `+config|get` can tell a server with save points from one that writes
//! nothing to disk, and warn of the latter. It is not among the rights above since it shows the
//! server's own passwords (`requirepass`, `masterauth`).
//!
//! A reader can also read the sessions: who is logged in, and what the login allows. It finds no
//! refresh tokens, since the store does not keep them.
//!
//! # Clusters
//!
//! The store finds the nodes by `CLUSTER SLOTS`, and follows when a replica is promoted or a slot
//! moves. While a slot of a partition is being moved, calls fail that need keys of which some have
//! moved and some have not. Refreshing goes on: if the session has moved and its account has not,
//! the store asks for the account first and then refreshes. Clients must be able to reach the nodes
//! at the addresses that these announce.
//!
//! # Time-outs
//!
//! A call ends after [`timeout`](RedisStoreBuilder::timeout) at the latest. If nothing was answered
//! over its connection meanwhile, that connection is given up, and the next call makes a new one.
//! Other connections stay. Whether the server has done what was given up is not known. For example,
//! a refresh that the client repeats finds out.
//!
//! # Your own transaction
//!
//! No transaction spans your database and Redis. [`gatepass::docs::transactions`] says how to end
//! the sessions of a user whose password you change, also if the process dies in between.
//!
//! # What survives what
//!
//! * **The process is killed:** all acknowledged changes are there. A change that was under way is
//!   there whole or not at all.
//! * **The server crashes:** with `appendonly yes` and `appendfsync always` the same. With
//!   `everysec`, Redis's default once `appendonly` is on, a loss of power may cost the last second
//!   or two. A lost refresh does no harm, since a session goes on from what its owner holds. A
//!   session whose beginning was lost is unknown, and one whose end was lost may live again. A
//!   store that finds nothing written to disk at all says so in the log, as a warning.
//! * **A failover to a replica that is behind** loses, in the same way, the changes that the
//!   replica had not received. [`replicas`](RedisStoreBuilder::replicas) narrows it: a change is
//!   acknowledged once so many have it. A primary that is cut off goes on acknowledging until it
//!   notices; `min-replicas-to-write` ends that. It also goes on saying what is revoked, even with
//!   that setting: nodes that are cut off with it learn nothing of what the new primary is told
//!   until they or it find out. In a cluster that is over after `cluster-node-timeout`, unless
//!   `cluster-allow-reads-when-down` is on: leave it off.
//! * **The server is away or full:** calls fail as [`StoreError`](gatepass::StoreError), which is a
//!   503 and never a refusal. Logging out works on a server that is full. All goes on without a
//!   restart.
//!
//! # Growth
//!
//! The purge removes expired sessions, revocations and accounts in batches of at most 100, and the
//! server does nothing else during a batch. It removes a session that ended with others once its
//! access tokens are dead, and the account's entry in the log with the last of them. The account
//! itself goes once the last of its sessions must have ended.
//!
//! Beneath that everything but sixteen small keys expires by itself, a day after nothing can need
//! it any more.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod attempts;
mod cursor;
mod error;
mod examination;
mod heartbeats;
mod listener;
mod log;
mod node;
mod opening;
mod partition;
mod reader;
mod route;
mod row;
mod scan;
mod script;
mod sessions;
mod store;

pub use self::{
    error::{Cause, OpenError},
    reader::{RedisLog, RedisLogBuilder},
    store::{RedisStore, RedisStoreBuilder},
};
