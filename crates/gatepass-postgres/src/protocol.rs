//! How statements are sent, and whether something stands between us and the server.
//!
//! A proxy that pools transactions gives each transaction to any of its connections that is free. A
//! statement that was prepared on one of them is not there on the next, and sqlx prepares in one
//! message and executes in another even what it does not keep. A simple query holds together
//! everywhere: it is one message and one transaction.

use sqlx::{
    Row,
    postgres::{PgConnection, PgRow},
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

/// How often each connection is asked which process answers it.
///
/// A proxy may by chance answer a few times as one server would, because its other clients decide
/// which of its connections is free. With a pool of four and six busy clients, four rounds were
/// deceived once in a thousand times. The store would then execute the statements that another
/// client has prepared under the same name. The rounds are asked once, when the store is opened.
const ROUNDS: usize = 32;

/// Finds out whether two connections are to one server process each. Two that are held at the same
/// time are served by two processes, and each always by its own; where that is not so, there is a
/// proxy.
pub(crate) async fn detect(connections: [&mut PgConnection; 2]) -> Result<Protocol, Failure> {
    let [first, second] = connections;
    let own = process_of(first).await?;
    for _ in 0..ROUNDS {
        if process_of(second).await? == own || process_of(first).await? != own {
            return Ok(Protocol::Simple);
        }
    }
    Ok(Protocol::Extended)
}

async fn process_of(conn: &mut PgConnection) -> Result<i32, Failure> {
    let row: PgRow = sqlx::raw_sql("SELECT pg_catalog.pg_backend_pid()")
        .fetch_one(conn)
        .await?;
    Ok(row.try_get(0)?)
}

#[cfg(test)]
mod tests {
    use std::{env, str::FromStr};

    use sqlx::{ConnectOptions, postgres::PgConnectOptions};

    use super::*;

    /// Other clients decide which of the proxy's connections is free when ours asks.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_proxy_is_found_while_other_clients_keep_its_connections_busy() {
        let url = env::var("GATEPASS_TEST_PGBOUNCER").expect("see `cargo xtask servers`");
        let options = PgConnectOptions::from_str(&url).unwrap();
        let options = options.extra_float_digits(None);
        let busy = Vec::from_iter((0..6).map(|_| {
            let options = options.clone();
            tokio::spawn(async move {
                let mut conn = options.connect().await.unwrap();
                loop {
                    process_of(&mut conn).await.unwrap();
                }
            })
        }));
        let mut first = options.connect().await.unwrap();
        let mut second = options.connect().await.unwrap();
        let mut wrong = 0;
        for _ in 0..2_000 {
            let found = detect([&mut first, &mut second]).await.unwrap();
            wrong += usize::from(found != Protocol::Simple);
        }
        assert_eq!(wrong, 0);
        for client in &busy {
            assert!(!client.is_finished());
            client.abort();
        }
    }
}
