//! How statements are sent, and whether something stands between us and the server.
//!
//! A proxy that pools transactions gives each transaction to any of its connections that is free. A
//! statement that was prepared on one of them is not there on the next, and sqlx prepares in one
//! message and executes in another even what it does not keep. A simple query holds together
//! everywhere: it is one message and one transaction.

use sqlx::{
    ConnectOptions, Connection, Row,
    postgres::{PgConnectOptions, PgConnection, PgRow},
};

use crate::error::Failure;

/// How statements are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Prepared once for each connection, with their arguments apart.
    Extended,
    /// As one text, arguments and all, which works through every proxy.
    Simple,
}

/// How many connections are made to find out who answers.
///
/// A pool that has no process at hand starts one for us, which is as young as that of a server. The
/// second connection then gets the one that was started for the first.
const CONNECTIONS: usize = 2;

/// The answer to the question who answers.
struct Answer {
    /// The id of the server process.
    process: i32,
    /// When the process began, in microseconds of the server's clock.
    began: Option<i64>,
    /// The time of the server's clock.
    now: i64,
}

/// Finds out whether a proxy is between us and the server. `options` lead to where `first` does.
///
/// A server starts a process for each connection, so that the process is younger than our wish to
/// connect, and always the same one. A pool has processes that are older, or gives different ones.
/// If the server's clock is set back meanwhile, a server is taken for a proxy, which costs time and
/// nothing else.
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

    /// Other clients decide which of the proxy's connections is free when ours asks.
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

    /// Several proxies at one address have a pool each. PgBouncer has one for each database.
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
