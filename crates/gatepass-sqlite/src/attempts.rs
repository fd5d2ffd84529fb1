//! The records of login attempts.

use std::collections::HashMap;

use gatepass::{
    Timestamp,
    store::{AttemptKey, AttemptOutcome, AttemptRecord, CountAttempt, SettleAttempt},
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{error::Failure, log, row::Millis, writer::Write};

pub(crate) fn count(write: &Write<'_>, attempt: &CountAttempt) -> Result<AttemptOutcome, Failure> {
    let found = find(write.conn, attempt)?;
    let (outcome, written) = attempt.decide(|key| found.get(&key).copied(), write.now);
    put(write.conn, &written)?;
    Ok(outcome)
}

pub(crate) fn settle(write: &Write<'_>, settled: &SettleAttempt) -> Result<(), Failure> {
    let found = find(write.conn, &settled.attempt)?;
    let written = settled.decide(|key| found.get(&key).copied(), write.now);
    put(write.conn, &written)
}

/// Removes at most `limit` records that nothing needs at `horizon`. Returns how many were removed.
pub(crate) fn purge(conn: &Connection, horizon: Timestamp, limit: usize) -> Result<usize, Failure> {
    let removed = conn
        .prepare_cached(
            "DELETE FROM gatepass_attempts WHERE key IN
                 (SELECT key FROM gatepass_attempts WHERE purge_at <= ?1 LIMIT ?2)",
        )?
        .execute(params![Millis(horizon), log::as_limit(limit)])?;
    Ok(removed)
}

fn find(
    conn: &Connection,
    attempt: &CountAttempt,
) -> Result<HashMap<AttemptKey, AttemptRecord>, Failure> {
    let mut select = conn.prepare_cached(
        "SELECT forgotten_at, counted_at, next_at, known_until FROM gatepass_attempts WHERE key = ?1",
    )?;
    let mut found = HashMap::new();
    for key in attempt.keys() {
        let record = select.query_row([key.as_bytes().as_slice()], |row| {
            Ok(AttemptRecord {
                forgotten_at: Timestamp::from_unix_millis(row.get(0)?),
                counted_at: Timestamp::from_unix_millis(row.get(1)?),
                next_at: Timestamp::from_unix_millis(row.get(2)?),
                known_until: Timestamp::from_unix_millis(row.get(3)?),
            })
        });
        found.extend(record.optional()?.map(|record| (key, record)));
    }
    Ok(found)
}

fn put(conn: &Connection, written: &[(AttemptKey, AttemptRecord)]) -> Result<(), Failure> {
    let mut put = conn.prepare_cached(
        "INSERT OR REPLACE INTO gatepass_attempts
             (key, forgotten_at, counted_at, next_at, known_until, purge_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (key, record) in written {
        put.execute(params![
            key.as_bytes().as_slice(),
            Millis(record.forgotten_at),
            Millis(record.counted_at),
            Millis(record.next_at),
            Millis(record.known_until),
            Millis(record.purge_at()),
        ])?;
    }
    Ok(())
}
