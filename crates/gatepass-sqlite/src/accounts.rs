//! The accounts. A row holds the number of the account's last session, and which of its sessions
//! have ended together.

use gatepass::{
    Timestamp,
    store::{Account, AccountId, Purged, Revocation, SessionNumber},
};
use rusqlite::{Connection, params};

use crate::{
    error::Failure,
    log,
    row::{self, Millis, account_columns},
};

pub(crate) fn find(conn: &Connection, id: AccountId) -> Result<Option<Account>, Failure> {
    conn.prepare_cached(concat!(
        "SELECT ",
        account_columns!(),
        " FROM gatepass_accounts WHERE id = ?1"
    ))?
    .query_and_then([id.as_bytes().as_slice()], row::account)?
    .next()
    .transpose()
}

/// Writes the account, and appends the end `ended` to the log. If there is one, the next purge
/// looks at the account.
pub(crate) fn put(
    conn: &Connection,
    account: &Account,
    ended: Option<Revocation>,
) -> Result<(), Failure> {
    if let Some(revocation) = ended {
        log::append(conn, revocation)?;
    }
    let purge_at = match ended {
        Some(_) => Timestamp::EPOCH,
        None => account.purge_at(),
    };
    conn.prepare_cached(
        "INSERT INTO gatepass_accounts
             (id, last, until, up_to, except_number, ended_at, ended_reason, purge_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (id) DO UPDATE SET
             last = excluded.last, until = excluded.until, up_to = excluded.up_to,
             except_number = excluded.except_number, ended_at = excluded.ended_at,
             ended_reason = excluded.ended_reason, purge_at = min(purge_at, excluded.purge_at)",
    )?
    .execute(params![
        account.id.as_bytes().as_slice(),
        account.last.get(),
        Millis(account.until),
        account.cutoff.map(|cutoff| cutoff.up_to.get()),
        account
            .cutoff
            .and_then(|cutoff| cutoff.except)
            .map(SessionNumber::get),
        account.ended.map(|ended| Millis(ended.at)),
        account.ended.map(|ended| ended.reason.as_str()),
        Millis(purge_at),
    ])?;
    Ok(())
}

/// The most accounts that a purge looks at, and the most sessions of one account. So a step is
/// short even if an account has many sessions whose access tokens may still be valid.
const LOOKED_AT: usize = 100;

/// Removes sessions that ended together and that nothing needs any more at `horizon`, their log
/// entries, and accounts without sessions: at most `limit` in all.
pub(crate) fn purge(
    conn: &Connection,
    horizon: Timestamp,
    limit: usize,
) -> Result<Purged, Failure> {
    let due = conn
        .prepare_cached(concat!(
            "SELECT ",
            account_columns!(),
            " FROM gatepass_accounts WHERE purge_at <= ?1 ORDER BY purge_at LIMIT ?2"
        ))?
        .query_and_then(
            params![Millis(horizon), log::as_limit(LOOKED_AT.min(limit))],
            row::account,
        )?
        .collect::<Result<Vec<_>, Failure>>()?;
    let mut purged = Purged::new(0, due.len() >= LOOKED_AT.min(limit));
    for account in due {
        let left = limit.saturating_sub(purged.removed);
        let of_one = purge_one(conn, &account, horizon, left)?;
        purged.removed += of_one.removed;
        purged.more |= of_one.more;
    }
    Ok(purged)
}

fn purge_one(
    conn: &Connection,
    account: &Account,
    horizon: Timestamp,
    limit: usize,
) -> Result<Purged, Failure> {
    let id = account.id.as_bytes().as_slice();
    // The account and its log entry go with the last of its sessions.
    let most = LOOKED_AT.min(limit.saturating_sub(2));
    if most == 0 {
        return Ok(Purged::new(0, true));
    }
    let covered = covered(conn, account, most)?;
    let seen_all = covered.len() < most;
    let (due, later): (Vec<_>, Vec<_>) = covered
        .into_iter()
        .partition(|(_, access_until)| *access_until + Revocation::RETENTION_MARGIN <= horizon);
    for (rowid, _) in &due {
        conn.prepare_cached("DELETE FROM gatepass_sessions WHERE rowid = ?1")?
            .execute([rowid])?;
    }
    let first_later = later.iter().map(|(_, access_until)| *access_until).min();
    let entries = match first_later {
        // Looks again when the first access token of the remaining sessions can't be valid any
        // more.
        Some(access_until) => {
            set_purge_at(conn, id, access_until + Revocation::RETENTION_MARGIN)?;
            0
        }
        // Looks again in the next step.
        None if !seen_all => 0,
        None if account.droppable_at() > horizon => {
            set_purge_at(conn, id, account.droppable_at())?;
            0
        }
        None if account.purge_at() > horizon => {
            set_purge_at(conn, id, account.purge_at())?;
            log::forget_cutoff(conn, id)?
        }
        None => remove(conn, id, horizon)?,
    };
    let more = first_later.is_none() && !seen_all;
    Ok(Purged::new(due.len() + entries, more))
}

/// Some of the oldest sessions that the account's cutoff covers, each with the time when its last
/// access token expires.
fn covered(
    conn: &Connection,
    account: &Account,
    limit: usize,
) -> Result<Vec<(i64, Timestamp)>, Failure> {
    let Some(cutoff) = account.cutoff else {
        return Ok(Vec::new());
    };
    let mut select = conn.prepare_cached(
        "SELECT rowid, access_until FROM gatepass_sessions
         WHERE account = ?1 AND number <= ?2 AND number IS NOT ?3 ORDER BY number LIMIT ?4",
    )?;
    let covered = select.query_map(
        params![
            account.id.as_bytes().as_slice(),
            cutoff.up_to.get(),
            cutoff.except.map(SessionNumber::get),
            log::as_limit(limit)
        ],
        |row| Ok((row.get(0)?, Timestamp::from_unix_millis(row.get(1)?))),
    )?;
    Ok(covered.collect::<Result<_, _>>()?)
}

/// Removes the account, unless a purge has yet to remove a session of it.
fn remove(conn: &Connection, id: &[u8], horizon: Timestamp) -> Result<usize, Failure> {
    let forgotten = log::forget_cutoff(conn, id)?;
    let removed = conn
        .prepare_cached(
            "DELETE FROM gatepass_accounts WHERE id = ?1
             AND NOT EXISTS (SELECT 1 FROM gatepass_sessions WHERE account = ?1)",
        )?
        .execute([id])?;
    if removed == 0 {
        // The purge removes its sessions first: all of them are due.
        set_purge_at(conn, id, horizon + Revocation::RETENTION_MARGIN)?;
    }
    Ok(forgotten + removed)
}

fn set_purge_at(conn: &Connection, id: &[u8], purge_at: Timestamp) -> Result<(), Failure> {
    conn.prepare_cached("UPDATE gatepass_accounts SET purge_at = ?2 WHERE id = ?1")?
        .execute(params![id, Millis(purge_at)])?;
    Ok(())
}
