#![doc = include_str!("../README.md")]
//!
//! # The schema
//!
//! All tables and functions are in one schema (`gatepass`, see
//! [`schema`](PostgresStoreBuilder::schema)). Opening the store creates and migrates it. If many
//! nodes start at once, one of them does so. Other tables, and sqlx's own migrations, stay as they
//! are.
//!
//! If the role may not create schemas, the error says what an administrator has to run once. After
//! that, a role with the rights on the tables alone can open the store. To encrypt connections,
//! turn on one of sqlx's features for TLS in your own dependency on sqlx.
//!
//! # How it works
//!
//! A refresh is one statement, prepared once for each connection, and one round trip. The same
//! holds for the end of a session, which appends to the log of revocations in the same statement.
//! All else that changes a session locks its row, and lets the core change it. The end of all
//! sessions of an account is a mark in the account's row and one entry in the log, however many
//! sessions there are. The purge removes their rows later, in small steps. Transactions are READ
//! COMMITTED, also if the application's default is another level. A single statement that fails
//! because of a stricter default is tried again.
//!
//! Time is the database server's, so that nodes need not agree on theirs. Only a primary is asked:
//! a replica, also one that was a primary before, answers with an error and never with what it does
//! not know yet.
//!
//! # The log
//!
//! Transactions become visible in another order than the one in which they took their numbers. So a
//! reader's place in the log is a snapshot, the set of transactions that were over when it read,
//! and it gets next what was not in that set: nothing that commits late is missed, and nothing is
//! delayed by it. Numbers that a crash may have given out in vain are not in that set either, since
//! they come again. A place also names the log, the database cluster and its timeline: after a
//! failover or a restore the reader starts again.
//!
//! A pull reads only rows that the reader has not seen. A transaction that stays open anywhere in
//! the cluster, for example a backup, does not change that.
//!
//! Each node listens for notifications (`LISTEN`) over one more connection. After a node has
//! committed revocations, it notifies in a transaction of its own, at most once in 30 ms. A
//! notification is a hint: it delays no revocation and fails none, and when it gets lost, the next
//! poll finds the entry.
//!
//! # Your own transaction
//!
//! [`PostgresStore::end_in`] ends sessions in a transaction of the application's: they end with its
//! commit, or not at all. The SQL function `gatepass.end_sessions_of(subject, reason)` does the
//! same for triggers and for other languages. It runs as its owner, and no role may execute it
//! until you grant the right. [`gatepass::docs::transactions`] has both, with a trigger.
//!
//! # Restoring a database
//!
//! A dump or logical replication copies the numbers of the old cluster's transactions. In the new
//! cluster they mean other transactions, or none yet. The next [`PostgresStore`] that opens the
//! schema gives such entries numbers of the new cluster. A [`PostgresLog`] gets them when it loads
//! the log, and once more when they have their new numbers.
//!
//! Stop the nodes, restore, and start them again. If nodes must go on running (for example, you
//! lead them to the new cluster by a proxy), then let replication catch up first: a running reader
//! does not look for entries that are copied into the log behind its back.
//!
//! # Other roles in the same database
//!
//! The statements name the schema of every function, operator and type that they use. So a role
//! that may create such things in a schema of your `search_path` cannot have its code run as your
//! role (CVE-2018-1058). A pool that the store makes also sets `search_path` to `pg_catalog`.
//!
//! # Behind PgBouncer, and other proxies that pool transactions
//!
//! The store works through them, and finds out by itself that there is one. It then sends
//! statements as simple queries, with their arguments as digits in the text, because prepared
//! statements get lost or mixed up on the way. It does not listen for notifications then, so that
//! news of a revocation come with the next poll, unless
//! [`listen_over`](PostgresStoreBuilder::listen_over) says where the server itself is. A pool of
//! the application's own needs `PgConnectOptions::extra_float_digits(None)` to connect at all,
//! unless the proxy has `ignore_startup_parameters = extra_float_digits`.
//!
//! # Time-outs
//!
//! A call ends after [`timeout`](PostgresStoreBuilder::timeout) at the latest, and a connection
//! that does not answer is closed instead of going back to the pool. Whether what was given up has
//! happened is not known: a refresh that is repeated finds out. The server ends it as well where it
//! is in a transaction, or over a pool that the store has made. For single statements over the
//! application's own pool, give its role a limit, such as `ALTER ROLE shop SET statement_timeout =
//! '5s'`. Without a limit, they may go on waiting for a lock after their caller has given up.
//!
//! sqlx's pool asks each connection whether it lives before it hands it out, which is a second
//! round trip. `PgPoolOptions::test_before_acquire(false)` saves it; a pool that the store makes
//! asks only those that were idle for a few seconds.
//!
//! Give gatepass a pool of its own (`PostgresStore::at(url)`) if a request of yours can be
//! cancelled while it begins a transaction. sqlx 0.9.0 then returns the connection to the pool with
//! the transaction open ([its issue 4393](https://github.com/transact-rs/sqlx/issues/4393)).
//! gatepass would acknowledge a change inside it that is never committed. Over its own connections,
//! gatepass begins and ends transactions itself. For example, axum cancels a handler whose client
//! hangs up: give gatepass a pool of its own there, or run such transactions on a task
//! (`tokio::spawn`). [`end_in`](PostgresStore::end_in) works in a transaction of either pool.
//!
//! # What survives what
//!
//! * **The process is killed:** all acknowledged changes are there. A change that was under way is
//!   there completely or not at all.
//! * **The server crashes:** the same, as long as `synchronous_commit` is not `off` and `fsync` is
//!   on, which are PostgreSQL's defaults. A store that finds `synchronous_commit` off says so in
//!   the log, as a warning; revocations are written to disk before they are acknowledged all the
//!   same.
//! * **A failover to a replica that is behind** loses what it had not received: of refreshes, a
//!   session goes on from what its owner holds; one that had ended may live again. Synchronous
//!   replication prevents that.
//! * **The server is away, or a lock is held for too long:** calls fail as
//!   [`StoreError`](gatepass::StoreError), which is a 503 and never a refusal. All goes on without
//!   a restart.
//!
//! # Growth
//!
//! Expired sessions and revocations are removed in small batches. Each is a transaction of its own,
//! and skips rows that other transactions hold. Autovacuum does the rest; a refresh writes no
//! index, so that most of its old rows go without it.

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
