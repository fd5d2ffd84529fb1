//! Runs work over a pooled connection, within a time limit, and retries it after a conflict with
//! another transaction.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gatepass::{Clock, StoreError, Timestamp, store::StoreErrorKind};
use sqlx::{
    AssertSqlSafe, PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnection, PgRow},
};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout, timeout_at},
};

use crate::{error::Failure, protocol::Protocol, row::millis, sql::Statement};

/// How often a call is tried before it fails as busy.
const ATTEMPTS: usize = 8;

/// The future of work over a connection.
pub(crate) type Answer<'c, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'c>>;

/// The connections, and the dialect for all of them.
pub(crate) struct Links {
    pub(crate) pool: PgPool,
    pub(crate) dialect: Dialect,
    pub(crate) timeout: Duration,
}

/// How this store speaks to its database.
pub(crate) struct Dialect {
    pub(crate) schema: String,
    /// `None` means the database's clock.
    pub(crate) clock: Option<Arc<dyn Clock>>,
    simple: AtomicBool,
    /// The statements that begin a transaction.
    begin: String,
}

/// One connection.
pub(crate) struct Link<'c> {
    conn: &'c mut PgConnection,
    /// Whether a transaction may be open at the server. It is true from before the first statement
    /// is sent until after the answer to the last one.
    in_transaction: &'c mut bool,
    dialect: &'c Dialect,
}

/// A transaction. If it is dropped, it stays open until [`Held`] rolls it back.
///
/// sqlx 0.9.0 has a transaction of its own, which can't be used here:
///
/// - If a caller gives up while it waits for the answer to `BEGIN`, sqlx takes the connection back
///   with the transaction open. The server then acknowledges the next statement of another call,
///   but never commits it.
/// - If a transaction is dropped, sqlx sends `ROLLBACK` and another request at once. If the process
///   ends between the two answers, PgBouncer before 1.21 hands the second one to another client.
pub(crate) struct Tx<'c>(Link<'c>);

impl Links {
    /// Runs `work` over a connection, and returns its result after the commit. May run `work`
    /// again: a failed attempt has changed nothing.
    pub(crate) async fn call<T>(
        &self,
        work: impl for<'c> Fn(Link<'c>) -> Answer<'c, T> + Send + Sync,
    ) -> Result<T, StoreError> {
        let deadline = Instant::now() + self.timeout;
        let late = |_| StoreError::new(StoreErrorKind::TimedOut);
        let mut attempt = 1;
        loop {
            let acquired = timeout_at(deadline, self.pool.acquire()).await;
            let mut held = Held {
                conn: Some(acquired.map_err(late)?.map_err(Failure::from)?),
                state: State::default(),
                patience: self.timeout,
            };
            let link = held.link(&self.dialect)?;
            let answer = timeout_at(deadline, work(link)).await.map_err(late)?;
            held.state.answered = true;
            if let Err(failure) = &answer {
                held.state.in_transaction |= failure.is_of_a_failed_transaction();
            }
            drop(held);
            match answer {
                Ok(done) => return Ok(done),
                Err(failure) if attempt == ATTEMPTS => return Err(failure.into()),
                Err(failure) if failure.is_conflict() => {}
                Err(failure) if failure.is_of_a_proxy() => self.dialect.speak_simply(),
                Err(failure) if failure.is_of_a_failed_transaction() => {}
                Err(failure) => return Err(failure.into()),
            }
            attempt += 1;
        }
    }
}

/// A connection borrowed from the pool. When dropped, it returns to the pool without an open
/// transaction or a pending answer. If that takes longer than `patience`, it is closed.
///
/// Without this type, sqlx waits for the last answer without a limit. After a network failure, the
/// pool lacks the connection for a quarter of an hour.
struct Held {
    conn: Option<PoolConnection<Postgres>>,
    state: State,
    patience: Duration,
}

/// The state in which a call has left its connection.
#[derive(Clone, Copy, Default)]
struct State {
    /// Whether a transaction may be open at the server.
    in_transaction: bool,
    /// Whether all answers have come. False if the caller gave up.
    answered: bool,
}

impl Held {
    fn link<'c>(&'c mut self, dialect: &'c Dialect) -> Result<Link<'c>, Failure> {
        let conn = self.conn.as_deref_mut();
        let conn = conn.ok_or(Failure::Sqlx(sqlx::Error::PoolClosed))?;
        Ok(Link::new(conn, &mut self.state.in_transaction, dialect))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(conn) = self.conn.take() else {
            return;
        };
        let state = self.state;
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(timeout(self.patience, async move {
                give_back(conn, state).await;
            }))),
            Err(_) => drop(conn.detach()),
        }
    }
}

/// Gives a connection back to its pool, or closes it if it can't be made ready. Each request is
/// sent alone, after the answer to the one before it.
async fn give_back(mut conn: PoolConnection<Postgres>, state: State) {
    if state.in_transaction || !state.answered {
        // Closes it if this cleanup is cancelled.
        conn.close_on_drop();
    }
    if !state.answered {
        // sqlx first reads the pending answers. One of them may be an error for the caller that is
        // gone.
        let _ = sqlx::raw_sql("").execute(&mut *conn).await;
    }
    if state.in_transaction && sqlx::raw_sql("ROLLBACK").execute(&mut *conn).await.is_err() {
        return;
    }
    conn.return_to_pool().await;
}

impl Dialect {
    pub(crate) fn new(
        schema: String,
        clock: Option<Arc<dyn Clock>>,
        protocol: Protocol,
        timeout: Duration,
    ) -> Self {
        let millis = millis_of(timeout);
        Self {
            schema,
            clock,
            simple: AtomicBool::new(protocol == Protocol::Simple),
            // These settings replace the defaults of the role and of the database. The limits are
            // the server's part of the time-out. Without them, a transaction that its caller has
            // given up would keep waiting and hold its locks.
            begin: format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
                 SET LOCAL statement_timeout = {millis}; \
                 SET LOCAL idle_in_transaction_session_timeout = {millis}"
            ),
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        match self.simple.load(Ordering::Relaxed) {
            true => Protocol::Simple,
            false => Protocol::Extended,
        }
    }

    fn speak_simply(&self) {
        if !self.simple.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: "gatepass",
                "store.proxied: the database loses prepared statements, probably behind a proxy that pools transactions; gatepass now sends simple queries"
            );
        }
    }

    /// The same dialect for a connection of the application. It uses simple queries, because there
    /// may be a proxy, and prepared statements would stay on the connection.
    pub(crate) fn on_loan(&self) -> Self {
        Self {
            schema: self.schema.clone(),
            clock: self.clock.clone(),
            simple: AtomicBool::new(true),
            begin: self.begin.clone(),
        }
    }

    /// The time as an argument, or null if the database takes its own.
    pub(crate) fn time(&self) -> Option<i64> {
        Some(self.clock.as_ref()?.now().unix_millis())
    }
}

impl<'c> Link<'c> {
    pub(crate) fn new(
        conn: &'c mut PgConnection,
        in_transaction: &'c mut bool,
        dialect: &'c Dialect,
    ) -> Self {
        Self {
            conn,
            in_transaction,
            dialect,
        }
    }

    /// The same connection, for a call that takes a link by value.
    pub(crate) fn again(&mut self) -> Link<'_> {
        Link::new(self.conn, self.in_transaction, self.dialect)
    }

    pub(crate) fn dialect(&self) -> &'c Dialect {
        self.dialect
    }

    pub(crate) async fn rows(&mut self, statement: Statement) -> Result<Vec<PgRow>, Failure> {
        let Dialect { schema, .. } = self.dialect;
        statement
            .rows(self.conn, schema, self.dialect.protocol())
            .await
    }

    pub(crate) async fn row(&mut self, statement: Statement) -> Result<Option<PgRow>, Failure> {
        Ok(self.rows(statement).await?.into_iter().next())
    }

    /// The single row that `statement` always returns.
    pub(crate) async fn one(&mut self, statement: Statement) -> Result<PgRow, Failure> {
        let row = self.row(statement).await?;
        row.ok_or(Failure::Sqlx(sqlx::Error::RowNotFound))
    }

    /// The store's time.
    pub(crate) async fn now(&mut self) -> Result<Timestamp, Failure> {
        if let Some(clock) = &self.dialect.clock {
            return Ok(clock.now());
        }
        let now = Statement::new(concat!("SELECT ", now!("1"), " AS now")).int(None);
        millis(&self.one(now).await?, "now")
    }

    pub(crate) async fn begin(mut self) -> Result<Tx<'c>, Failure> {
        *self.in_transaction = true;
        self.raw(self.dialect.begin.clone()).await?;
        Ok(Tx(self))
    }

    /// Executes a text of several statements in the format of [`Statement`], without arguments.
    pub(crate) async fn execute(&mut self, text: &'static str) -> Result<(), Failure> {
        let Dialect { schema, .. } = self.dialect;
        let text = Statement::new(text).render(schema, Protocol::Simple);
        self.raw(text).await
    }

    /// Executes a text unchanged.
    pub(crate) async fn raw(&mut self, text: String) -> Result<(), Failure> {
        sqlx::raw_sql(AssertSqlSafe(text))
            .execute(&mut *self.conn)
            .await?;
        Ok(())
    }
}

impl Tx<'_> {
    pub(crate) fn link(&mut self) -> Link<'_> {
        self.0.again()
    }

    pub(crate) async fn commit(self) -> Result<(), Failure> {
        self.end("COMMIT").await
    }

    /// Rolls the transaction back now. If a transaction is only dropped, it holds its locks until
    /// [`Held`] has cleaned up the connection.
    pub(crate) async fn rollback(self) -> Result<(), Failure> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, by: &str) -> Result<(), Failure> {
        self.0.raw(by.to_owned()).await?;
        *self.0.in_transaction = false;
        Ok(())
    }
}

/// A time-out in milliseconds for the server: at least 1, because 0 turns the limit off.
pub(crate) fn millis_of(timeout: Duration) -> u128 {
    timeout.as_millis().clamp(1, 3_600_000)
}

/// The time of a statement in milliseconds: the argument of this number, or the database's own.
macro_rules! now {
    ($argument:literal) => {
        concat!(
            "coalesce($",
            $argument,
            "::bigint, pg_catalog.floor(pg_catalog.date_part('epoch', pg_catalog.statement_timestamp()) {*} 1000)::bigint)"
        )
    };
}
pub(crate) use now;
