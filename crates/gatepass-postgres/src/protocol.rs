//! Chooses the protocol, and detects a proxy between the store and the server.
//!
//! A proxy that pools transactions runs each transaction on any free connection. A statement that
//! was prepared on one connection doesn't exist on the next. sqlx prepares and executes every
//! statement in two messages, even if it doesn't keep the statement. A simple query always works:
//! it is one message and one transaction.

use sqlx::{
    ConnectOptions, Connection, Row,
    postgres::{PgConnectOptions, PgConnection, PgRow},
};

use crate::error::Failure;

/// The protocol for statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Prepares each statement once for each connection, and sends its arguments separately.
    Extended,
    /// Sends statement and arguments as one text, which works through every proxy.
    Simple,
}

/// How many connections to make to detect a proxy.
///
/// A proxy without a free server process starts one, which is as young as a process for a direct
/// connection. The second connection then gets the process that was started for the first.
const CONNECTIONS: usize = 2;

/// The server process that answers.
struct Answer {
    /// The id of the server process.
    process: i32,
    /// When the process started, in microseconds of the server's clock.
    began: Option<i64>,
    /// The time of the server's clock.
    now: i64,
}

/// Detects whether a proxy is between the store and the server. `options` lead to the same address
/// as `first`.
///
/// A server starts a process for each connection. So the process is younger than the request to
/// connect, and stays the same. A proxy has older processes, or uses different ones. If the
/// server's clock is set back meanwhile, the store takes the server for a proxy, which only costs
/// time.
pub(crate) async fn detect(
    first: &mut PgConnection,
    options: &PgConnectOptions,
) -> Result<Protocol, Failure> {
    let mut before = ask(first).await?;
    for _ in 0..CONNECTIONS {
        let mut fresh = options.connect().await?;
        let answers = match ask(&mut fresh).await {
            Ok(one) => ask(&mut fresh).await.map(|other| [one, other]),
            Err(failure) => Err(failure),
        };
        let _ = fresh.close().await;
        let [one, other] = answers?;
        let after = ask(first).await?;
        let is_young = one.began.is_some_and(|began| began >= before.now);
        let is_own = one.process == other.process && one.process != before.process;
        if !is_young || !is_own || after.process != before.process {
            return Ok(Protocol::Simple);
        }
        before = after;
    }
    Ok(Protocol::Extended)
}

async fn ask(conn: &mut PgConnection) -> Result<Answer, Failure> {
    let row: PgRow = sqlx::raw_sql(concat!(
        "SELECT pid, ",
        "pg_catalog.floor(extract(epoch FROM backend_start) OPERATOR(pg_catalog.*) 1000000)::bigint, ",
        "pg_catalog.floor(extract(epoch FROM pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.*) 1000000)::bigint ",
        "FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())"
    ))
    .fetch_one(conn)
    .await?;
    Ok(Answer {
        process: row.try_get(0)?,
        began: row.try_get(1)?,
        now: row.try_get(2)?,
    })
}

#[cfg(test)]
mod tests {
    use std::{env, str::FromStr};

    use gatepass::store::{Random, SystemRandom};
    use sqlx::{AssertSqlSafe, Executor};
    use tokio::task::JoinSet;

    use super::*;

    fn options(variable: &str) -> PgConnectOptions {
        let url = env::var(variable).expect("see `cargo xtask servers`");
        let options = PgConnectOptions::from_str(&url).unwrap();
        options.extra_float_digits(None)
    }

    async fn found(options: &PgConnectOptions, first: &mut PgConnection) -> Protocol {
        detect(first, options).await.unwrap()
    }

    #[tokio::test]
    async fn a_server_is_found() {
        let options = options("GATEPASS_TEST_POSTGRES");
        let mut first = options.connect().await.unwrap();
        for _ in 0..20 {
            assert_eq!(found(&options, &mut first).await, Protocol::Extended);
        }
    }

    /// Other clients decide which of the proxy's connections is free for ours.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_proxy_is_found_while_other_clients_keep_its_connections_busy() {
        let options = options("GATEPASS_TEST_PGBOUNCER");
        let mut busy = JoinSet::new();
        for _ in 0..6 {
            let options = options.clone();
            busy.spawn(async move {
                let mut conn = options.connect().await.unwrap();
                loop {
                    ask(&mut conn).await.unwrap();
                }
            });
        }
        let mut first = options.connect().await.unwrap();
        for _ in 0..100 {
            assert_eq!(found(&options, &mut first).await, Protocol::Simple);
        }
        assert!(busy.try_join_next().is_none());
    }

    /// If several proxies share an address, each has its own pool. Here, PgBouncer has a pool for
    /// each database.
    #[tokio::test]
    async fn proxies_that_share_an_address_are_found() {
        let options = options("GATEPASS_TEST_PGBOUNCER");
        let mut first = options.connect().await.unwrap();
        let mut random = [0; 8];
        SystemRandom.fill(&mut random).unwrap();
        let database = format!("beside_{:016x}", u64::from_be_bytes(random));
        let create = AssertSqlSafe(format!("CREATE DATABASE {database}"));
        first.execute(sqlx::raw_sql(create)).await.unwrap();
        let other = options.database(&database);
        for _ in 0..3 {
            assert_eq!(found(&other, &mut first).await, Protocol::Simple);
        }
    }
}
