//! The revocation log.

use gatepass::{Cursor, Pull, Revocation, Revoked, SessionId, Status, Timestamp, TokenId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    error::{Failure, Unreadable},
    row::Millis,
};

/// Entries that one pull brings at most: some hundred kilobytes.
const BATCH: usize = 5000;

/// Appends a revocation of `session` itself or of one of its tokens.
pub(crate) fn append(
    conn: &Connection,
    session: SessionId,
    revocation: Revocation,
) -> Result<(), Failure> {
    let token = match &revocation.target {
        Revoked::Session(_) => None,
        Revoked::Token(token) => Some(token.as_bytes().as_slice()),
    };
    conn.prepare_cached(
        "INSERT INTO gatepass_revocations (session, token, until) VALUES (?1, ?2, ?3)",
    )?
    .execute(params![
        session.as_bytes().as_slice(),
        token,
        Millis(revocation.until)
    ])?;
    Ok(())
}

/// The number of the last entry there ever was, purged or not. Writers exclude each other, so that
/// numbers are given in the order of commits and a reader that sees one sees all below it.
pub(crate) fn last_seq(conn: &Connection) -> Result<i64, Failure> {
    let last = conn
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'gatepass_revocations'")?
        .query_row((), |row| row.get(0))
        .optional()?;
    Ok(last.unwrap_or(0))
}

/// The place that `cursor` names, if it is one of this incarnation.
pub(crate) fn place(incarnation: &str, cursor: &Cursor) -> Option<i64> {
    let (of, seq) = cursor.as_str().split_once(':')?;
    let seq = seq.parse().ok().filter(|seq| *seq >= 0)?;
    (of == incarnation).then_some(seq)
}

pub(crate) fn pull(
    conn: &mut Connection,
    incarnation: &str,
    after: Option<&Cursor>,
) -> Result<Pull, Failure> {
    let after = match after.map(|cursor| place(incarnation, cursor)) {
        None => 0,
        Some(Some(seq)) => seq,
        Some(None) => return Ok(Pull::Reset),
    };
    // The entries and the number of the last one must be of the same moment: a number read later
    // would lead the cursor past entries that were not read.
    let tx = conn.transaction()?;
    let last = last_seq(&tx)?;
    if after > last {
        return Ok(Pull::Reset);
    }
    let mut entries = Vec::new();
    let mut reached = after;
    let mut select = tx.prepare_cached(
        "SELECT seq, session, token, until FROM gatepass_revocations
         WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    for entry in select.query_and_then(params![after, as_limit(BATCH)], read)? {
        let (seq, revocation) = entry?;
        entries.push(revocation);
        reached = seq;
    }
    let more = entries.len() == BATCH && reached < last;
    // The last entries may have been purged: a cursor that stayed before them would be behind for
    // ever.
    let seq = if more { reached } else { last };
    Ok(Pull::Entries {
        entries,
        next: Cursor::new(format!("{incarnation}:{seq}")),
        more,
    })
}

fn read(row: &Row<'_>) -> Result<(i64, Revocation), Failure> {
    let seq = row.get(0)?;
    let session: Vec<u8> = row.get(1)?;
    let token: Option<Vec<u8>> = row.get(2)?;
    let target = match token {
        None => SessionId::try_from(session.as_slice())
            .map(Revoked::Session)
            .map_err(|_| Unreadable("session"))?,
        Some(token) => TokenId::try_from(token.as_slice())
            .map(Revoked::Token)
            .map_err(|_| Unreadable("token"))?,
    };
    let until = Timestamp::from_unix_millis(row.get(3)?);
    Ok((seq, Revocation { target, until }))
}

pub(crate) fn status(
    conn: &Connection,
    session: SessionId,
    token: TokenId,
) -> Result<Status, Failure> {
    let revoked = conn
        .prepare_cached(
            "SELECT ended_at IS NOT NULL
                 OR EXISTS (SELECT 1 FROM gatepass_revocations WHERE token = ?2)
             FROM gatepass_sessions WHERE id = ?1",
        )?
        .query_row(
            params![session.as_bytes().as_slice(), token.as_bytes().as_slice()],
            |row| row.get(0),
        )
        .optional()?;
    Ok(match revoked {
        None => Status::Unknown,
        Some(true) => Status::Revoked,
        Some(false) => Status::Live,
    })
}

pub(crate) fn is_revoked(conn: &Connection, token: TokenId) -> Result<bool, Failure> {
    let revoked = conn
        .prepare_cached("SELECT 1 FROM gatepass_revocations WHERE token = ?1")?
        .exists([token.as_bytes().as_slice()])?;
    Ok(revoked)
}

/// How many entries `session` has that are still kept for a reason.
pub(crate) fn live_of(
    conn: &Connection,
    session: SessionId,
    now: Timestamp,
) -> Result<usize, Failure> {
    let count: i64 = conn
        .prepare_cached(
            "SELECT count(*) FROM gatepass_revocations WHERE session = ?1 AND until > ?2",
        )?
        .query_row(
            params![session.as_bytes().as_slice(), retained_from(now)],
            |row| row.get(0),
        )?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Removes at most `limit` entries that are past their retention at `horizon`.
pub(crate) fn purge(conn: &Connection, horizon: Timestamp, limit: usize) -> Result<usize, Failure> {
    let removed = conn
        .prepare_cached(
            "DELETE FROM gatepass_revocations WHERE seq IN
                 (SELECT seq FROM gatepass_revocations WHERE until <= ?1 LIMIT ?2)",
        )?
        .execute(params![retained_from(horizon), as_limit(limit)])?;
    Ok(removed)
}

/// The instant such that entries until then are past their retention at `now`, and later ones not.
fn retained_from(now: Timestamp) -> i64 {
    let margin = i64::try_from(Revocation::RETENTION_MARGIN.as_millis()).unwrap_or(i64::MAX);
    now.unix_millis().saturating_sub(margin)
}

/// SQLite takes a negative limit for none.
pub(crate) fn as_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
