#![doc = include_str!("../README.md")]
//!
//! # The schema
//!
//! All tables and functions are in one schema (`gatepass`, see
//! [`schema`](PostgresStoreBuilder::schema)). Opening the store creates and migrates it. If many
//! nodes start at once, one of them does so. Other tables, and sqlx's own migrations, stay as they
//! are.
//!
//! If the role may not create schemas, the error names the statements that an administrator must
//! run once. After that, a role with the rights on the tables alone can open the store. To encrypt
//! connections, turn on one of sqlx's features for TLS in your own dependency on sqlx.
//!
//! # How it works
//!
//! A refresh is one statement, prepared once for each connection, and one round trip. The same
//! holds for the end of a session, which appends to the log of revocations in the same statement.
//! Every other change locks the session's row, and lets the core change the session. To end all
//! sessions of an account, the store writes a mark in the account's row and one log entry, however
//! many sessions there are. The purge removes their rows later, in small steps. Transactions are
//! READ COMMITTED, even if the application's default is another level. If a single statement fails
//! because of a stricter default, the store tries it again.
//!
//! The store uses the database server's clock, so the clocks of nodes don't need to agree. It asks
//! only the primary. A replica, even one that was a primary before, answers with an error and never
//! with old data.
//!
//! # The log
//!
//! Transactions don't become visible in the order of their numbers. So a reader's place in the log
//! is a snapshot: the set of transactions that were over when it read. It next gets all entries of
//! transactions outside that set. The reader thus misses no entry that commits late, and
//! late commits delay no other entry. The set also leaves out numbers that a crash may make the
//! server use again. A place also names the log, the database cluster and its timeline: after a
//! failover or a restore, the reader starts again.
//!
//! A pull reads only rows that the reader has not seen. A transaction that stays open anywhere in
//! the cluster, for example a backup, does not change that.
//!
//! Each node listens for notifications (`LISTEN`) over one more connection. After a node has
//! committed revocations, it notifies in a transaction of its own, at most once in 30 ms. A
//! notification is a hint. It delays no revocation and makes none fail. If it gets lost, the next
//! poll finds the entry.
//!
//! # Your own transaction
//!
//! [`PostgresStore::end_in`] ends sessions in your own transaction: they end with its commit, or
//! not at all. The SQL function `gatepass.end_sessions_of(subject, reason)` does the same for
//! triggers and for other languages. It runs as its owner, and no role may execute it until you
//! grant the right. [`gatepass::docs::transactions`] has both, with a trigger.
//!
//! # Restoring a database
//!
//! A dump or logical replication copies the numbers of the old cluster's transactions. In the new
//! cluster they mean other transactions, or none yet. The next [`PostgresStore`] that opens the
//! schema gives such entries numbers of the new cluster. A [`PostgresLog`] gets them when it loads
//! the log, and once more when they have their new numbers.
//!
//! Stop the nodes, restore, and start them again. If nodes must keep running (for example, a proxy
//! leads them to the new cluster), let replication catch up first. A running reader doesn't look
//! for entries that are copied into the log later.
//!
//! # Other roles in the same database
//!
//! The statements name the schema of every function, operator and type that they use. So if another
//! role may create such things in a schema of your `search_path`, its code doesn't run as your role
//! (CVE-2018-1058). A pool that the store makes also sets `search_path` to `pg_catalog`.
//!
//! # Behind PgBouncer, and other proxies that pool transactions
//!
//! The store works through such a proxy, and detects it. It then sends statements as simple
//! queries, with their arguments as digits in the text, because the proxy would lose or mix up
//! prepared statements. It also doesn't listen for notifications, so nodes learn of a revocation by
//! the next poll. To listen nevertheless, give the address of the server itself with
//! [`listen_over`](PostgresStoreBuilder::listen_over). Your own pool needs
//! `PgConnectOptions::extra_float_digits(None)` to connect at all, unless the proxy has
//! `ignore_startup_parameters = extra_float_digits`.
//!
//! # Time-outs
//!
//! A call ends after [`timeout`](PostgresStoreBuilder::timeout) at the latest, and the store closes
//! a connection that doesn't answer instead of returning it to the pool. It is unknown whether such
//! a call took effect. If the client repeats a refresh, the repetition finds out. The server also
//! ends the call if it is in a transaction, or over a pool that the store has made. For single
//! statements over your own pool, give its role a limit, such as `ALTER ROLE shop SET
//! statement_timeout = '5s'`. Without a limit, they may wait for a lock after their caller has
//! given up.
//!
//! sqlx's pool tests each connection before it hands it out, which is a second round trip.
//! `PgPoolOptions::test_before_acquire(false)` saves it. A pool that the store makes tests only
//! connections that were idle for a few seconds.
//!
//! Give gatepass a pool of its own (`PostgresStore::at(url)`) if a request of yours can be
//! cancelled while it begins a transaction. sqlx 0.9.0 then returns the connection to the pool with
//! the transaction open ([its issue 4393](https://github.com/transact-rs/sqlx/issues/4393)).
//! gatepass would acknowledge a change inside it that is never committed. Over its own connections,
//! gatepass begins and ends transactions itself. For example, axum cancels a handler whose client
//! hangs up: give gatepass a pool of its own there, or run such transactions on a task
//! (`tokio::spawn`). [`end_in`](PostgresStore::end_in) works in a transaction of either pool.
//!
//! # Crashes and outages
//!
//! * **The process is killed:** all acknowledged changes are there. A change that was under way is
//!   there completely or not at all.
//! * **The server crashes:** the same, if `synchronous_commit` is not `off` and `fsync` is on,
//!   which are PostgreSQL's defaults. If `synchronous_commit` is off, the store logs a warning. It
//!   still writes revocations to disk before it acknowledges them.
//! * **A failover to a replica that is behind** loses the changes that the replica had not
//!   received. If a lost change was a refresh, the session continues from the token that its owner
//!   holds. If it was the end of a session, the session may live again. Synchronous replication
//!   prevents that.
//! * **The server is away, or a lock is held for too long:** calls fail as
//!   [`StoreError`](gatepass::StoreError), which is a 503 and never a refusal. They work again
//!   without a restart.
//!
//! # Growth
//!
//! The purge removes expired sessions and revocations in small batches. Each batch is its own
//! transaction, and skips rows that other transactions hold. Autovacuum does the rest. A refresh
//! writes no index, so PostgreSQL removes most of its old rows without autovacuum.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod accounts;
mod attempts;
mod connecting;
mod cursor;
mod error;
mod examination;
mod heartbeats;
mod link;
mod listener;
mod log;
mod protocol;
mod reader;
mod rights;
mod row;
mod scan;
mod schema;
mod sessions;
mod sql;
mod store;
mod teller;
mod transaction;

pub use self::{
    error::{Cause, OpenError},
    reader::{PostgresLog, PostgresLogBuilder},
    store::{PostgresStore, PostgresStoreBuilder},
    transaction::TransactionError,
};
