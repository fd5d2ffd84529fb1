//! The sessions: each change reads the row, lets the core change the session, and writes it back,
//! within one write transaction.

use std::cmp::Reverse;

use gatepass::{
    Advance, Begun, EndReason, EndTarget, NewSession, Purged, Recover, Renew, Revocation,
    RevokeToken, Revoked, Session, SessionId, Subject, Timestamp,
};
use rusqlite::{Connection, Params, params};

use crate::{
    error::Failure,
    log,
    row::{Millis, Stored, columns, json},
    writer::Write,
};

pub(crate) fn begin(write: &Write<'_>, new: NewSession) -> Result<Begun, Failure> {
    let max = new.max_sessions;
    let session = Session::begin(new, write.now);
    let mut ended = Vec::new();
    if let Some(max) = max {
        let kept = usize::try_from(max.get() - 1).unwrap_or(usize::MAX);
        let mut live = not_ended(write.conn, session.subject())?;
        live.retain(|stored| stored.session.is_usable(write.now));
        live.sort_by_key(|stored| newest_first(&stored.session));
        for oldest in live.into_iter().skip(kept) {
            ended.extend(end_one(write, oldest, EndReason::TooManySessions)?);
        }
    }
    insert(write.conn, &session)?;
    Ok(Begun { session, ended })
}

pub(crate) fn advance(write: &Write<'_>, advance: Advance) -> Result<Option<Session>, Failure> {
    let Some(mut stored) = find(write.conn, advance.id)? else {
        return Ok(None);
    };
    let new_grant = advance.grant.is_some();
    if !stored.session.advance(advance, write.now) {
        return Ok(None);
    }
    write_refresh(write.conn, &stored, new_grant)?;
    Ok(Some(stored.session))
}

pub(crate) fn recover(write: &Write<'_>, recover: Recover) -> Result<Option<Session>, Failure> {
    let Some(mut stored) = find(write.conn, recover.id)? else {
        return Ok(None);
    };
    let new_grant = recover.grant.is_some();
    if !stored.session.recover(recover, write.now) {
        return Ok(None);
    }
    write_refresh(write.conn, &stored, new_grant)?;
    Ok(Some(stored.session))
}

pub(crate) fn renew(write: &Write<'_>, renew: Renew) -> Result<Option<Session>, Failure> {
    let Some(mut stored) = find(write.conn, renew.id)? else {
        return Ok(None);
    };
    let new_grant = renew.grant.is_some();
    if !stored.session.renew(renew, write.now) {
        return Ok(None);
    }
    write_refresh(write.conn, &stored, new_grant)?;
    Ok(Some(stored.session))
}

pub(crate) fn end(
    write: &Write<'_>,
    target: &EndTarget,
    reason: EndReason,
) -> Result<Vec<Revocation>, Failure> {
    let mut named = match target {
        EndTarget::Session(id) | EndTarget::SessionOf(id, _) => {
            Vec::from_iter(find(write.conn, *id)?)
        }
        EndTarget::AllOf(subject) | EndTarget::AllOfBut(subject, _) => {
            not_ended(write.conn, subject)?
        }
    };
    match target {
        EndTarget::SessionOf(_, subject) => {
            named.retain(|stored| stored.session.subject() == subject);
        }
        EndTarget::AllOfBut(_, kept) => named.retain(|stored| stored.session.id != *kept),
        EndTarget::Session(_) | EndTarget::AllOf(_) => {}
    }
    let mut ended = Vec::with_capacity(named.len());
    for stored in named {
        ended.extend(end_one(write, stored, reason)?);
    }
    Ok(ended)
}

pub(crate) fn revoke_token(
    write: &Write<'_>,
    token: RevokeToken,
) -> Result<Option<Revocation>, Failure> {
    let stored = find(write.conn, token.session)?;
    let ended = stored
        .as_ref()
        .is_some_and(|stored| stored.session.ended.is_some());
    if ended || log::is_revoked(write.conn, token.token)? {
        return Ok(None);
    }
    if log::live_of(write.conn, token.session, write.now)? >= RevokeToken::MAX_PER_SESSION {
        return match stored {
            Some(stored) => end_one(write, stored, EndReason::TooManyRevocations),
            None => Ok(None),
        };
    }
    let revocation = Revocation {
        target: Revoked::Token(token.token),
        until: token.until,
    };
    log::append(write.conn, token.session, revocation)?;
    Ok(Some(revocation))
}

/// The sessions of `subject` that anybody can still use, newest first.
pub(crate) fn usable(
    conn: &Connection,
    subject: &Subject,
    now: Timestamp,
) -> Result<Vec<Session>, Failure> {
    let stored = not_ended(conn, subject)?.into_iter();
    let mut sessions: Vec<_> = stored
        .map(|stored| stored.session)
        .filter(|session| session.is_usable(now))
        .collect();
    sessions.sort_by_key(newest_first);
    Ok(sessions)
}

pub(crate) fn find(conn: &Connection, id: SessionId) -> Result<Option<Stored>, Failure> {
    conn.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM gatepass_sessions WHERE id = ?1"
    ))?
    .query_and_then([id.as_bytes().as_slice()], Stored::read)?
    .next()
    .transpose()
}

/// How many times as many rows as it may remove a purge looks at, at most.
const ROUNDS: usize = 4;

/// Removes at most `limit` sessions that nothing needs any more at `horizon`, and moves on those that
/// were refreshed since their `purge_at` was written.
pub(crate) fn purge(
    conn: &Connection,
    horizon: Timestamp,
    limit: usize,
) -> Result<Purged, Failure> {
    let mut removed = 0;
    let mut more = true;
    for _ in 0..ROUNDS {
        let asked = limit - removed;
        let candidates = due(conn, horizon, asked)?;
        let looked_at = candidates.len();
        for (rowid, purge_at) in candidates {
            if purge_at <= horizon {
                update(
                    conn,
                    "DELETE FROM gatepass_sessions WHERE rowid = ?1",
                    [rowid],
                )?;
                removed += 1;
            } else {
                set_purge_at(conn, rowid, purge_at)?;
            }
        }
        more = looked_at >= asked;
        if removed >= limit || !more {
            break;
        }
    }
    Ok(Purged { removed, more })
}

/// The rows that the purge is to look at by `horizon`, each with its `Session::purge_at` as it is now: said
/// here once more, since a row that cannot be read must still go.
fn due(
    conn: &Connection,
    horizon: Timestamp,
    limit: usize,
) -> Result<Vec<(i64, Timestamp)>, Failure> {
    let margin = i64::try_from(Revocation::RETENTION_MARGIN.as_millis()).unwrap_or(i64::MAX);
    let mut query = conn.prepare_cached(
        "SELECT rowid, CAST(?2 + CASE WHEN ended_at IS NULL THEN max(access_until, idle_expires_at)
                                 ELSE access_until END AS INTEGER)
         FROM gatepass_sessions WHERE purge_at <= ?1 LIMIT ?3",
    )?;
    let rows = query.query_map(
        params![Millis(horizon), margin, log::as_limit(limit)],
        |row| Ok((row.get(0)?, Timestamp::from_unix_millis(row.get(1)?))),
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn set_purge_at(conn: &Connection, rowid: i64, purge_at: Timestamp) -> Result<(), Failure> {
    update(
        conn,
        "UPDATE gatepass_sessions SET purge_at = ?2 WHERE rowid = ?1",
        params![rowid, Millis(purge_at)],
    )
}

fn not_ended(conn: &Connection, subject: &Subject) -> Result<Vec<Stored>, Failure> {
    conn.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM gatepass_sessions WHERE subject = ?1 AND ended_at IS NULL"
    ))?
    .query_and_then([subject.as_str()], Stored::read)?
    .collect()
}

fn newest_first(session: &Session) -> Reverse<(Timestamp, SessionId)> {
    Reverse((session.created_at, session.id))
}

fn end_one(
    write: &Write<'_>,
    mut stored: Stored,
    reason: EndReason,
) -> Result<Option<Revocation>, Failure> {
    let Some(revocation) = stored.session.end(reason, write.now) else {
        return Ok(None);
    };
    let ended_at = stored.session.ended.map(|ended| Millis(ended.at));
    let purge_at = Millis(stored.session.purge_at());
    write
        .conn
        .prepare_cached(
            "UPDATE gatepass_sessions SET ended_at = ?2, ended_reason = ?3, purge_at = ?4
             WHERE rowid = ?1",
        )?
        .execute(params![stored.rowid, ended_at, reason.as_str(), purge_at])?;
    log::append(write.conn, stored.session.id, revocation)?;
    Ok(Some(revocation))
}

/// Writes the columns that an advance, a recovery or a renewal can change. The grant, by far the longest, only
/// if it did.
fn write_refresh(conn: &Connection, stored: &Stored, new_grant: bool) -> Result<(), Failure> {
    let session = &stored.session;
    let [spent_1, spent_2, spent_3, spent_4] = session.spent.map(|spent| spent.map(Millis));
    let changed = params![
        stored.rowid,
        session.generation.get(),
        spent_1,
        spent_2,
        spent_3,
        spent_4,
        session.recovered.map(|generation| generation.get()),
        Millis(session.last_seen_at),
        Millis(session.idle_expires_at),
        Millis(session.access_until),
        Millis(session.authenticated_at),
    ];
    update(
        conn,
        "UPDATE gatepass_sessions SET generation = ?2, spent_1 = ?3, spent_2 = ?4, spent_3 = ?5,
             spent_4 = ?6, recovered = ?7, last_seen_at = ?8, idle_expires_at = ?9,
             access_until = ?10, authenticated_at = ?11
         WHERE rowid = ?1",
        changed,
    )?;
    // Where lifetimes were shortened. Usually it moves on, and the purge finds out.
    if session.purge_at() < stored.purge_at {
        set_purge_at(conn, stored.rowid, session.purge_at())?;
    }
    if new_grant {
        update(
            conn,
            "UPDATE gatepass_sessions SET grant_json = ?2 WHERE rowid = ?1",
            params![stored.rowid, json(&session.grant, "grant_json")?],
        )?;
    }
    Ok(())
}

fn update(conn: &Connection, sql: &str, params: impl Params) -> Result<(), Failure> {
    conn.prepare_cached(sql)?.execute(params)?;
    Ok(())
}

fn insert(conn: &Connection, session: &Session) -> Result<(), Failure> {
    update(
        conn,
        // A session that was just begun has no spent, recovered or ended.
        "INSERT INTO gatepass_sessions (
             id, subject, client, grant_json, device_json, generation, created_at,
             authenticated_at, last_seen_at, idle_expires_at, absolute_expires_at, access_until,
             purge_at
         ) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        params![
            session.id.as_bytes().as_slice(),
            session.subject().as_str(),
            session.client.as_str(),
            json(&session.grant, "grant_json")?,
            json(&session.device, "device_json")?,
            session.generation.get(),
            Millis(session.created_at),
            Millis(session.authenticated_at),
            Millis(session.last_seen_at),
            Millis(session.idle_expires_at),
            Millis(session.absolute_expires_at),
            Millis(session.access_until),
            Millis(session.purge_at()),
        ],
    )
}
