//! The sessions. Each change reads the row, lets the core change the session, and writes it back,
//! in one write transaction.

use gatepass::{
    Session, SessionId, Timestamp,
    store::{
        Account, AccountId, Advance, BeginOutcome, ChangeIdentity, EndReason, EndSessions,
        GrantEffect, NewSession, Purged, Recover, Renew, Revocation, RevokeToken, SessionNumber,
    },
};
use rusqlite::{Connection, OptionalExtension, Params, params};

use crate::{
    accounts,
    error::Failure,
    log,
    row::{Millis, Stored, columns, json},
    writer::Write,
};

pub(crate) fn begin(write: &Write<'_>, new: NewSession) -> Result<BeginOutcome, Failure> {
    if let Some(stored) = find(write.conn, new.id)? {
        return Ok(BeginOutcome::existing(stored.session));
    }
    let (id, max) = (new.account(), new.max_sessions);
    let account = accounts::find(write.conn, id)?;
    let mut account = account.unwrap_or(Account::new(id));
    let session = account.begin(new, write.now);
    let mut ended = None;
    if let Some(max) = max {
        let number = newest_too_many(write.conn, &account, max.get(), write.now)?;
        ended = number
            .and_then(|number| account.end_up_to(number, EndReason::TooManySessions, write.now));
    }
    accounts::put(write.conn, &account, ended)?;
    insert(write.conn, &session, id)?;
    Ok(BeginOutcome::new(session, ended))
}

/// `Session::is_usable` of a session `s` at the time `?1`.
macro_rules! usable {
    () => {
        "s.ended_at IS NULL AND CASE WHEN s.last_seen_at - ?1 > 10000 THEN ?1
             ELSE max(?1, s.last_seen_at) END
             < min(s.absolute_expires_at, max(s.idle_expires_at, s.access_until))"
    };
}

const _: () = assert!(Session::CLOCK_JITTER.as_millis() == 10_000);

/// `$columns` of the usable sessions of the account `?2`, newest first. `?3` is the last number
/// that its cutoff covers, and `?4` is the exception. Each half uses the index of sessions that
/// have not ended, because a user who often logs in and out leaves many ended ones.
macro_rules! usable_sessions {
    ($columns:expr, $more:literal, $end:literal) => {
        concat!(
            "SELECT s.number AS place, ",
            $columns,
            " FROM gatepass_sessions s INDEXED BY gatepass_sessions_live
              LEFT JOIN gatepass_accounts a ON a.id = s.account
              WHERE s.account = ?2 AND s.number > ?3 AND ",
            usable!(),
            $more,
            " UNION ALL SELECT s.number AS place, ",
            $columns,
            " FROM gatepass_sessions s INDEXED BY gatepass_sessions_live
              LEFT JOIN gatepass_accounts a ON a.id = s.account
              WHERE s.account = ?2 AND s.number = ?4 AND ",
            usable!(),
            $more,
            " ORDER BY place DESC ",
            $end
        )
    };
}

/// The number of the newest session that must end, so that `max` sessions are left with the one
/// that begins.
fn newest_too_many(
    conn: &Connection,
    account: &Account,
    max: u32,
    now: Timestamp,
) -> Result<Option<SessionNumber>, Failure> {
    let select = usable_sessions!("NULL", "", "LIMIT 1 OFFSET ?5");
    let (up_to, except) = bounds(account);
    let number = conn
        .prepare_cached(select)?
        .query_row(
            params![
                Millis(now),
                account.id.as_bytes().as_slice(),
                up_to,
                except,
                max - 1
            ],
            |row| row.get(0),
        )
        .optional()?;
    Ok(number.map(SessionNumber::new))
}

/// The last number that the account's cutoff covers, and the exception, as arguments of statements.
fn bounds(account: &Account) -> (i64, Option<i64>) {
    let up_to = account.cutoff.map(|cutoff| cutoff.up_to.get());
    let except = account.cutoff.and_then(|cutoff| cutoff.except);
    (up_to.unwrap_or(-1), except.map(SessionNumber::get))
}

pub(crate) fn advance(write: &Write<'_>, advance: Advance) -> Result<Option<Session>, Failure> {
    let Some(mut stored) = find(write.conn, advance.id)? else {
        return Ok(None);
    };
    if !stored.session.advance(advance, write.now) {
        return Ok(None);
    }
    write_refresh(write.conn, &stored)?;
    Ok(Some(stored.session))
}

pub(crate) fn recover(write: &Write<'_>, recover: Recover) -> Result<Option<Session>, Failure> {
    let Some(mut stored) = find(write.conn, recover.id)? else {
        return Ok(None);
    };
    if !stored.session.recover(recover, write.now) {
        return Ok(None);
    }
    write_refresh(write.conn, &stored)?;
    Ok(Some(stored.session))
}

pub(crate) fn renew(write: &Write<'_>, renew: Renew) -> Result<Option<Session>, Failure> {
    let Some(mut stored) = find(write.conn, renew.id)? else {
        return Ok(None);
    };
    if !stored.session.renew(renew, write.now) {
        return Ok(None);
    }
    write_refresh(write.conn, &stored)?;
    Ok(Some(stored.session))
}

pub(crate) fn change(
    write: &Write<'_>,
    change: ChangeIdentity,
) -> Result<Option<Session>, Failure> {
    let Some(Stored {
        rowid, mut session, ..
    }) = find(write.conn, change.id)?
    else {
        return Ok(None);
    };
    let is_announced = change.effect != GrantEffect::None;
    if !session.change(change, write.now) {
        return Ok(None);
    }
    update(
        write.conn,
        "UPDATE gatepass_sessions SET identity_json = ?2, grant_newest = ?3, grant_valid_from = ?4,
             access_until = ?5
         WHERE rowid = ?1",
        params![
            rowid,
            json(&session.identity, "identity_json")?,
            session.grant.newest.get(),
            session.grant.valid_from.get(),
            Millis(session.access_until)
        ],
    )?;
    if is_announced {
        log::append(write.conn, session.grant_entry())?;
    }
    Ok(Some(session))
}

pub(crate) fn end(
    write: &Write<'_>,
    target: &EndSessions,
    reason: EndReason,
) -> Result<Option<Revocation>, Failure> {
    match target {
        EndSessions::Session(id) => match find(write.conn, *id)? {
            Some(stored) => end_one(write, stored, reason),
            None => Ok(None),
        },
        EndSessions::SessionOf(id, account) => match find(write.conn, *id)? {
            Some(stored) if stored.session.account() == *account => end_one(write, stored, reason),
            _ => Ok(None),
        },
        EndSessions::AllOf(account) => end_all(write, *account, None, reason),
        EndSessions::AllOfBut(account, kept) => {
            let kept = find(write.conn, *kept)?.map(|stored| stored.session);
            let live = |kept: &Session| kept.account() == *account && kept.ended.is_none();
            end_all(write, *account, kept.filter(live), reason)
        }
    }
}

fn end_all(
    write: &Write<'_>,
    account: AccountId,
    kept: Option<Session>,
    reason: EndReason,
) -> Result<Option<Revocation>, Failure> {
    let Some(mut account) = accounts::find(write.conn, account)? else {
        return Ok(None);
    };
    let ended = account.end_all(kept.map(|kept| kept.number), reason, write.now);
    if ended.is_some() {
        accounts::put(write.conn, &account, ended)?;
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
    match stored {
        Some(stored) if log::is_full(write.conn, &token, write.now)? => {
            end_one(write, stored, EndReason::TooManyRevocations)
        }
        _ => log::append_token(write.conn, &token).map(Some),
    }
}

/// The newest usable sessions of `account`, with numbers below `before`.
pub(crate) fn usable(
    conn: &mut Connection,
    account: AccountId,
    before: Option<SessionNumber>,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<Session>, Failure> {
    // Reads in one transaction. Otherwise the list could show two sessions together although one
    // began only after the other had ended.
    let tx = conn.transaction()?;
    let Some(account) = accounts::find(&tx, account)? else {
        return Ok(Vec::new());
    };
    let select = usable_sessions!(columns!(), " AND s.number < ?5", "LIMIT ?6");
    let before = before.map_or(i64::MAX, SessionNumber::get);
    let (up_to, except) = bounds(&account);
    let id = account.id.as_bytes().as_slice();
    let limit = log::as_limit(limit);
    tx.prepare_cached(select)?
        .query_and_then(
            params![Millis(now), id, up_to, except, before, limit],
            |row| Ok(Stored::read_from(row, 1)?.session),
        )?
        .collect()
}

pub(crate) fn find(conn: &Connection, id: SessionId) -> Result<Option<Stored>, Failure> {
    conn.prepare_cached(concat!(
        "SELECT ",
        columns!(),
        " FROM gatepass_sessions s LEFT JOIN gatepass_accounts a ON a.id = s.account WHERE s.id = ?1"
    ))?
    .query_and_then([id.as_bytes().as_slice()], Stored::read)?
    .next()
    .transpose()
}

/// A purge looks at no more than this many times the rows that it may remove.
const ROUNDS: usize = 4;

/// Removes at most `limit` sessions that nothing needs any more at `horizon`. Corrects `purge_at`
/// of sessions that were refreshed since it was written.
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
    Ok(Purged::new(removed, more))
}

/// The rows that are due at `horizon`, each with its current `Session::purge_at`. This repeats
/// `Session::purge_at` in SQL, because a purge must also remove a row that can't be read.
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
            "UPDATE gatepass_sessions SET ended_at = ?2, ended_reason = ?3, purge_at = ?4,
                 access_until = ?5
             WHERE rowid = ?1",
        )?
        .execute(params![
            stored.rowid,
            ended_at,
            reason.as_str(),
            purge_at,
            Millis(stored.session.access_until)
        ])?;
    log::append(write.conn, revocation)?;
    Ok(Some(revocation))
}

/// Writes the columns that a refresh, a recovery or a renewal can change.
fn write_refresh(conn: &Connection, stored: &Stored) -> Result<(), Failure> {
    let session = &stored.session;
    let changed = params![
        stored.rowid,
        session.generation.get(),
        session.rotated.map(|rotation| rotation.from.get()),
        session.rotated.map(|rotation| Millis(rotation.at)),
        session.recovered.map(|generation| generation.get()),
        Millis(session.last_seen_at),
        session.seen_from.bits(),
        Millis(session.idle_expires_at),
        Millis(session.access_until),
        Millis(session.authenticated_at),
    ];
    update(
        conn,
        "UPDATE gatepass_sessions SET generation = ?2, rotated_from = ?3, rotated_at = ?4,
             recovered = ?5, last_seen_at = ?6, seen_from = ?7, idle_expires_at = ?8,
             access_until = ?9, authenticated_at = ?10
         WHERE rowid = ?1",
        changed,
    )?;
    // It is earlier if lifetimes were shortened. Usually it is later, and the purge finds out.
    if session.purge_at() < stored.purge_at {
        set_purge_at(conn, stored.rowid, session.purge_at())?;
    }
    Ok(())
}

fn update(conn: &Connection, sql: &str, params: impl Params) -> Result<(), Failure> {
    conn.prepare_cached(sql)?.execute(params)?;
    Ok(())
}

fn insert(conn: &Connection, session: &Session, account: AccountId) -> Result<(), Failure> {
    update(
        conn,
        // A new session has no rotation, recovery or end.
        "INSERT INTO gatepass_sessions (
             id, account, number, issuer, audience, client, identity_json, device_json, generation,
             created_at, authenticated_at, last_seen_at, seen_from, idle_expires_at,
             absolute_expires_at, access_until, purge_at, subject
         ) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
        params![
            session.id.as_bytes().as_slice(),
            account.as_bytes().as_slice(),
            session.number.get(),
            session.issuer.as_str(),
            session.audience.as_str(),
            session.client.as_str(),
            json(&session.identity, "identity_json")?,
            json(&session.device, "device_json")?,
            session.generation.get(),
            Millis(session.created_at),
            Millis(session.authenticated_at),
            Millis(session.last_seen_at),
            session.seen_from.bits(),
            Millis(session.idle_expires_at),
            Millis(session.absolute_expires_at),
            Millis(session.access_until),
            Millis(session.purge_at()),
            session.subject().as_str(),
        ],
    )
}
