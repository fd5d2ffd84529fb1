//! How statements are sent, and whether something stands between us and the server.
//!
//! A proxy that pools transactions gives each transaction to whichever of its connections is free. A
//! statement that was prepared on one of them is not there on the next, and sqlx prepares in one message
//! and executes in another even what it does not keep. What holds together anywhere is a simple query: one
//! message, one transaction.

use std::time::Duration;

use sqlx::{
    PgPool, Row,
    postgres::{PgConnection, PgRow},
};
use tokio::time::timeout;

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

/// How long it waits for a second connection.
const PATIENCE: Duration = Duration::from_secs(1);

/// Finds out whether the pool's connections are to one server process each. Two that are held at the same
/// time are served by two processes, and each always by its own; where that is not so, there is a proxy.
pub(crate) async fn detect(pool: &PgPool) -> Result<Protocol, Failure> {
    let mut conn = pool.acquire().await?;
    let mut second = if pool.options().get_max_connections() > 1 {
        // Without one, because all are busy, the first alone has to tell.
        timeout(PATIENCE, pool.acquire()).await.ok().transpose()?
    } else {
        None
    };
    let mut own = None;
    for _ in 0..ROUNDS {
        let process = process_of(&mut conn).await?;
        if own.is_some_and(|own| own != process) {
            return Ok(Protocol::Simple);
        }
        own = Some(process);
        if let Some(second) = &mut second
            && process_of(second).await? == process
        {
            return Ok(Protocol::Simple);
        }
    }
    Ok(Protocol::Extended)
}

async fn process_of(conn: &mut PgConnection) -> Result<i32, Failure> {
    let row: PgRow = sqlx::raw_sql("SELECT pg_backend_pid()")
        .fetch_one(conn)
        .await?;
    Ok(row.try_get(0)?)
}
