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

/// How often it is asked who answers: a proxy that has other clients may for a while answer as one
/// server would.
const ROUNDS: usize = 4;

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
