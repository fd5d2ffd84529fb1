//! The heartbeats of nodes.

use std::time::Duration;

use gatepass::{
    Timestamp,
    store::{Heartbeat, Heartbeats, RecordedHeartbeat},
};
use rusqlite::{Connection, params};

use crate::{
    error::{Failure, Unreadable},
    row::Millis,
};

/// Writes a heartbeat, and removes those that are older than `kept`.
pub(crate) fn write(
    conn: &Connection,
    heartbeat: &Heartbeat,
    kept: Duration,
    now: Timestamp,
) -> Result<(), Failure> {
    conn.prepare_cached(
        "INSERT OR REPLACE INTO gatepass_nodes (id, at, heartbeat) VALUES (?1, ?2, ?3)",
    )?
    .execute(params![
        heartbeat.node.as_bytes().as_slice(),
        Millis(now),
        heartbeat.to_text()
    ])?;
    let kept = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
    conn.prepare_cached("DELETE FROM gatepass_nodes WHERE at < ?1")?
        .execute([now.unix_millis().saturating_sub(kept)])?;
    Ok(())
}

pub(crate) fn read(conn: &Connection, now: Timestamp) -> Result<Heartbeats, Failure> {
    let nodes = conn
        .prepare_cached("SELECT at, heartbeat FROM gatepass_nodes")?
        .query_and_then((), |row| {
            let text: String = row.get(1)?;
            let heartbeat = Heartbeat::from_text(&text).ok_or(Unreadable("heartbeat"))?;
            let at = Timestamp::from_unix_millis(row.get(0)?);
            Ok(RecordedHeartbeat::new(heartbeat, at))
        })?
        .collect::<Result<Vec<_>, Failure>>()?;
    Ok(Heartbeats::new(now, nodes))
}
