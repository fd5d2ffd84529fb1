//! The records of login attempts.
//!
//! A flood of refused attempts only reads. An attempt that may count locks its records, and is then
//! decided again. It locks them in the order of their keys, so no two attempts wait for each other.

use std::collections::HashMap;

use gatepass::{
    Timestamp,
    store::{AttemptKey, AttemptOutcome, AttemptRecord, CountAttempt, SettleAttempt},
};
use sqlx::postgres::PgRow;

use crate::{
    error::{Failure, Unreadable},
    link::Link,
    row::{cell, millis, on_the_primary},
    sql::Statement,
};

type Records = HashMap<AttemptKey, AttemptRecord>;

/// The keys of an attempt: at most three, and one argument for each.
macro_rules! keys {
    () => {
        "(VALUES ($1::pg_catalog.bytea), ($2::pg_catalog.bytea), ($3::pg_catalog.bytea)) AS given (key)"
    };
}

pub(crate) async fn count(
    mut link: Link<'_>,
    attempt: CountAttempt,
) -> Result<AttemptOutcome, Failure> {
    let (found, now) = read(&mut link, &attempt).await?;
    let (refused @ AttemptOutcome::Refused { .. }, _) =
        attempt.decide(|key| found.get(&key).copied(), now)
    else {
        return count_locked(link, &attempt).await;
    };
    Ok(refused)
}

async fn count_locked(link: Link<'_>, attempt: &CountAttempt) -> Result<AttemptOutcome, Failure> {
    let mut tx = link.begin().await?;
    let mut link = tx.link();
    let found = lock(&mut link, attempt).await?;
    // Reads again after the lock, because another attempt may have been counted meanwhile.
    let now = link.now().await?;
    let (outcome, written) = attempt.decide(|key| found.get(&key).copied(), now);
    if written.is_empty() {
        tx.rollback().await?;
    } else {
        write(&mut link, &written).await?;
        tx.commit().await?;
    }
    Ok(outcome)
}

pub(crate) async fn settle(link: Link<'_>, settled: SettleAttempt) -> Result<(), Failure> {
    let mut tx = link.begin().await?;
    let mut link = tx.link();
    let found = lock(&mut link, &settled.attempt).await?;
    let now = link.now().await?;
    let written = settled.decide(|key| found.get(&key).copied(), now);
    write(&mut link, &written).await?;
    tx.commit().await
}

/// Removes at most `limit` records that nothing needs at `horizon`. Returns how many were removed.
pub(crate) async fn purge(
    mut link: Link<'_>,
    horizon: Timestamp,
    limit: i64,
) -> Result<usize, Failure> {
    let purge = Statement::new(
        "WITH gone AS (
             DELETE FROM @attempts WHERE key {=} ANY (ARRAY(
                 SELECT key FROM @attempts WHERE purge_at {<=} $1
                 ORDER BY purge_at LIMIT $2 FOR UPDATE SKIP LOCKED
             )) RETURNING key
         )
         SELECT pg_catalog.count(*) AS gone FROM gone",
    );
    let purge = purge.int(horizon.unix_millis()).int(limit);
    let gone: i64 = cell(&link.one(purge).await?, "gone")?;
    Ok(usize::try_from(gone).unwrap_or(0))
}

async fn read(
    link: &mut Link<'_>,
    attempt: &CountAttempt,
) -> Result<(Records, Timestamp), Failure> {
    let now = link.now().await?;
    let asked = Statement::new(concat!(
        "SELECT pg_catalog.pg_is_in_recovery() AS standby, a.*
         FROM ",
        keys!(),
        " LEFT JOIN @attempts AS a ON a.key {=} given.key"
    ));
    let mut found = Records::new();
    for row in link.rows(with_keys(asked, attempt)).await? {
        found.extend(record(&on_the_primary(row)?)?);
    }
    Ok((found, now))
}

/// Locks the records until the transaction ends, and creates missing ones.
async fn lock(link: &mut Link<'_>, attempt: &CountAttempt) -> Result<Records, Failure> {
    let locked = Statement::new(concat!(
        "INSERT INTO @attempts (key, forgotten_at, counted_at, next_at, known_until, purge_at)
         SELECT given.key, 0, 0, 0, 0, 0 FROM ",
        keys!(),
        " WHERE pg_catalog.octet_length(given.key) {>} 0 ORDER BY given.key
         ON CONFLICT (key) DO UPDATE SET purge_at = attempts.purge_at
         RETURNING key, forgotten_at, counted_at, next_at, known_until"
    ));
    let mut found = Records::new();
    for row in link.rows(with_keys(locked, attempt)).await? {
        found.extend(record(&row)?);
    }
    Ok(found)
}

fn with_keys(statement: Statement, attempt: &CountAttempt) -> Statement {
    let mut keys = attempt.keys();
    // An empty text means no key.
    (0..3).fold(statement, |statement, _| match keys.next() {
        Some(key) => statement.bytes(key.as_bytes()),
        None => statement.bytes(&[]),
    })
}

fn record(row: &PgRow) -> Result<Option<(AttemptKey, AttemptRecord)>, Failure> {
    let Some(key) = cell::<Option<Vec<u8>>>(row, "key")? else {
        return Ok(None);
    };
    let key = AttemptKey::try_from(key.as_slice()).map_err(|_| Unreadable("key"))?;
    let record = AttemptRecord {
        forgotten_at: millis(row, "forgotten_at")?,
        counted_at: millis(row, "counted_at")?,
        next_at: millis(row, "next_at")?,
        known_until: millis(row, "known_until")?,
    };
    Ok(Some((key, record)))
}

async fn write(
    link: &mut Link<'_>,
    written: &[(AttemptKey, AttemptRecord)],
) -> Result<(), Failure> {
    for (key, record) in written {
        let update = Statement::new(
            "UPDATE @attempts SET forgotten_at = $2, counted_at = $3, next_at = $4, known_until = $5,
                 purge_at = $6
             WHERE key {=} $1",
        );
        let update = update
            .bytes(key.as_bytes())
            .int(record.forgotten_at.unix_millis())
            .int(record.counted_at.unix_millis())
            .int(record.next_at.unix_millis())
            .int(record.known_until.unix_millis())
            .int(record.purge_at().unix_millis());
        link.rows(update).await?;
    }
    Ok(())
}
