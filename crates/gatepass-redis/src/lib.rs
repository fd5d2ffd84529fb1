#![doc = include_str!("../README.md")]
//!
//! # The server
//!
//! [`RedisStore::connect`] detects whether the URL leads to a cluster. For a cluster, give the URLs
//! of several nodes, separated by commas: the store needs one that answers. A service that only
//! verifies tokens opens a [`RedisLog`], as a user with read access only.
//!
//! The store needs Redis 7.0 or newer, or Valkey. All its keys begin with the
//! [`namespace`](RedisStoreBuilder::namespace) in braces, so it doesn't touch other data on the
//! same server. For encrypted connections (`rediss://`), turn on the feature `tls`. It trusts the
//! machine's certificates, or those in the file that `SSL_CERT_FILE` names.
//!
//! A server that removes keys when its memory is full (any `maxmemory-policy` but `noeviction`)
//! would forget revocations. A store refuses to open there. Each purge checks again: if the policy
//! has changed, the purge logs `store.evicting` as an error, removes nothing and fails. All other
//! calls still work, because the policy does no harm until the memory is full. Set `noeviction` at
//! once. If `INFO stats` then shows `evicted_keys`, revocations may be lost.
//!
//! The store uses the crate `redis`, with one connection to each server that all callers share. It
//! doesn't use that crate's cluster client or connection manager, because both may send a command
//! again that the server has already run. The store itself tracks which server has which keys. It
//! sends a call twice only if a server has refused it, or if the call only reads.
//!
//! # How it works
//!
//! Each call that changes something is one script, which Redis runs atomically. A refresh is one
//! such script and one round trip. It reads the session and its account, writes a part of one
//! value, and touches no index. The store calls scripts by their hashes, and sends a script again
//! to a server that has forgotten it.
//!
//! An account is one small value, however many sessions it has. The value has the number of the
//! last session, and the number up to which sessions have ended. A logout everywhere writes that
//! value and one log entry, which replaces the account's last such entry. A login that ends older
//! sessions to make room does the same. For example, 100,000 sessions end as fast as one. The purge
//! marks and removes the sessions later, in small steps.
//!
//! The store keeps sessions in sixteen partitions, each with its own log of revocations. All
//! sessions of an account are in one partition. The keys of a partition share a hash slot. The
//! slots of the partitions are spread evenly over all hash slots, so that each master has some in a
//! cluster of two to sixteen masters. A namespace records its number of partitions, and a release
//! with another number can't open it.
//!
//! The store uses the server's clock, so the clocks of nodes don't need to agree. It asks only
//! primaries. A replica, even one that was a primary before, answers with an error and never with
//! old data.
//!
//! # The log
//!
//! A reader's place in the log has a part for each partition. The part has the number of the last
//! entry that the reader has seen, the name that the log got when it began, and the id of the
//! server's history of writes (its `master_replid`). That id changes when a replica is promoted and
//! when a server starts. In both cases, the server may have lost the last entries and may give
//! their numbers to new ones. So the reader reads that partition from its start, and continues with
//! the others. For example, if one of three masters fails over, readers read a third of the log
//! again.
//!
//! A pull sends each server one pipeline: `INFO replication`, which tells whether it is a primary,
//! and one `HMGET` per partition for the number of the last entry. It then reads entries only from
//! partitions whose number has changed.
//!
//! A reader that waits for entries listens to the streams (`XREAD BLOCK`) over one more connection.
//! A cluster needs sixteen connections, because a command can only wait for streams in one slot.
//! After each answer, the reader waits 50 ms before it listens again. For example, a hundred
//! revocations per second wake it twenty times. The answer is a hint: if such a connection dies
//! silently, the reader notices after some seconds, and polls meanwhile.
//!
//! # Users
//!
//! A store needs the rights in the first line, and a [`RedisLog`] those in the second. In a
//! cluster, grant them on every node. If you choose another namespace, write it in place of
//! `gatepass`.
//!
//! ```text
#![doc = concat!("ACL SETUSER shop ", include_str!("writer.acl"))]
#![doc = concat!("ACL SETUSER reader ", include_str!("reader.acl"))]
#![doc = concat!("ACL SETUSER support ", include_str!("support.acl"))]
//! ```
//!
//! The third user can list sessions, for `gatepass sessions list`, and can't end them. It needs the
//! keys with `~`, because Redis requires that right for each script that isn't declared read-only.
//!
//! With `+config|get`, a store can also tell a server with save points from one that writes nothing
//! to disk, and warn about the latter. The rights above don't include it, because it shows the
//! server's own passwords (`requirepass`, `masterauth`).
//!
//! A reader can also read the sessions: who is logged in, and what the login allows. It finds no
//! refresh tokens, because the store doesn't keep them.
//!
//! # Clusters
//!
//! The store finds the nodes by `CLUSTER SLOTS`, and adapts when a replica is promoted or a slot
//! moves. While the cluster moves a slot, a call fails if some of its keys have moved and others
//! haven't. Refreshes still work: if the session has moved and its account hasn't, the store reads
//! the account first and then refreshes. The store must be able to reach the nodes at the addresses
//! that they announce.
//!
//! # Time-outs
//!
//! A call ends after [`timeout`](RedisStoreBuilder::timeout) at the latest. If no answer came over
//! its connection meanwhile, the store gives up that connection, and the next call makes a new one.
//! Other connections stay. It is unknown whether the server has run the call. If the client repeats
//! a refresh, the repetition finds out.
//!
//! # Your own transaction
//!
//! No transaction spans your database and Redis. [`gatepass::docs::transactions`] says how to end
//! the sessions of a user whose password you change, even if the process dies in between.
//!
//! # Crashes and outages
//!
//! * **The process is killed:** all acknowledged changes are there. A change that was under way is
//!   there completely or not at all.
//! * **The server crashes:** with `appendonly yes` and `appendfsync always`, the same. With
//!   `everysec`, Redis's default once `appendonly` is on, a power failure may lose the last second
//!   or two. A lost refresh does no harm, because the session continues from the token that its
//!   owner holds. If the beginning of a session was lost, the session is unknown. If its end was
//!   lost, it may live again. If the server writes nothing to disk, the store logs a warning when
//!   it opens.
//! * **A failover to a replica that is behind** loses, in the same way, the changes that the
//!   replica had not received. [`replicas`](RedisStoreBuilder::replicas) makes that less likely:
//!   the store acknowledges a change only when that many replicas have it. A primary that is cut
//!   off from the others still acknowledges changes until it notices; `min-replicas-to-write`
//!   prevents that. Even with that setting, it still answers pulls. Nodes that are cut off with it
//!   don't learn of revocations at the new primary until they or it notice. In a cluster, that ends
//!   after `cluster-node-timeout`, unless `cluster-allow-reads-when-down` is on: leave it off.
//! * **The server is away or full:** calls fail as [`StoreError`](gatepass::StoreError), which is a
//!   503 and never a refusal. Logouts still work on a full server. Once the server is back, or has
//!   memory, everything works again without a restart.
//!
//! # Growth
//!
//! The purge removes expired sessions, revocations and accounts in batches of at most 100. The
//! server does nothing else during a batch. The purge removes a session that ended with others when
//! its access tokens have expired. With the last of them, it removes the account's log entry. It
//! removes the account itself when the last of its sessions must have ended.
//!
//! If no purge runs, everything except sixteen small keys expires by itself, a day after nothing
//! can need it any more.

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
