//! The heartbeats of nodes.

use std::time::Duration;

use gatepass::store::{Heartbeat, Heartbeats, RecordedHeartbeat};

use crate::{
    error::{Failure, Unreadable},
    link::{Link, now},
    row::{cell, millis},
    sql::Statement,
};

/// Writes a heartbeat, and removes those that are older than `kept`. Then reads all in another
/// statement, because a statement doesn't see its own writes.
pub(crate) async fn beat(
    mut link: Link<'_>,
    heartbeat: &Heartbeat,
    kept: Duration,
) -> Result<Heartbeats, Failure> {
    let write = Statement::new(concat!(
        "WITH clock AS (SELECT ",
        now!("3"),
        " AS now),
         gone AS (
             DELETE FROM @nodes WHERE id {=} ANY (ARRAY(
                 SELECT id FROM @nodes WHERE at {<} ((SELECT now FROM clock) {-} $4) AND id {<>} $1
                 FOR UPDATE SKIP LOCKED
             ))
         )
         INSERT INTO @nodes (id, at, heartbeat) SELECT $1, now, $2 FROM clock
         ON CONFLICT (id) DO UPDATE SET at = excluded.at, heartbeat = excluded.heartbeat"
    ));
    let kept = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
    let write = write
        .bytes(heartbeat.node.as_bytes())
        .text(heartbeat.to_text())
        .int(link.dialect().time())
        .int(kept);
    link.rows(write).await?;
    read(link).await
}

pub(crate) async fn read(mut link: Link<'_>) -> Result<Heartbeats, Failure> {
    let now = link.now().await?;
    let rows = link
        .rows(Statement::new("SELECT at, heartbeat FROM @nodes"))
        .await?;
    let nodes = rows.iter().map(|row| {
        let text: String = cell(row, "heartbeat")?;
        let heartbeat = Heartbeat::from_text(&text).ok_or(Unreadable("heartbeat"))?;
        Ok(RecordedHeartbeat::new(heartbeat, millis(row, "at")?))
    });
    Ok(Heartbeats::new(now, nodes.collect::<Result<_, Failure>>()?))
}
