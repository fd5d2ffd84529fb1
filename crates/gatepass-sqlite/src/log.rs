//! The revocation log.

use gatepass::{
    SessionId, Timestamp,
    store::{
        AccountId, Cursor, GrantVersion, PullResult, Revocation, RevocationTarget, RevokeForeign,
        RevokeToken, SessionNumber, TokenId, TokenStatus,
    },
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    error::{Failure, Unreadable},
    row::{Millis, cutoff, grant},
};

/// The most entries that one pull returns: some hundred kilobytes.
const BATCH: usize = 5000;

/// Appends the end of a session, the end of an account's sessions, or the grant of a session. The
/// second replaces the account's last such entry, and the third the session's last grant.
pub(crate) fn append(conn: &Connection, revocation: Revocation) -> Result<(), Failure> {
    let until = Millis(revocation.until);
    match &revocation.target {
        RevocationTarget::Session(session) => {
            conn.prepare_cached(
                "INSERT INTO gatepass_revocations (session, until) VALUES (?1, ?2)",
            )?
            .execute(params![session.as_bytes().as_slice(), until])?;
        }
        RevocationTarget::Sessions(account, cutoff) => {
            let account = account.as_bytes().as_slice();
            forget_cutoff(conn, account)?;
            conn.prepare_cached(
                "INSERT INTO gatepass_revocations (account, up_to, except_number, until)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                account,
                cutoff.up_to.get(),
                cutoff.except.map(SessionNumber::get),
                until
            ])?;
        }
        RevocationTarget::Grant(session, grant) => {
            let session = session.as_bytes().as_slice();
            conn.prepare_cached(
                "DELETE FROM gatepass_revocations WHERE session = ?1 AND grant_newest IS NOT NULL",
            )?
            .execute([session])?;
            conn.prepare_cached(
                "INSERT INTO gatepass_revocations (session, grant_newest, grant_valid_from, until)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                session,
                grant.newest.get(),
                grant.valid_from.get(),
                until
            ])?;
        }
        // Only `append_token` knows the account of a token.
        RevocationTarget::Token(_) => {}
    }
    Ok(())
}

/// Appends the revocation of one access token.
pub(crate) fn append_token(conn: &Connection, token: &RevokeToken) -> Result<Revocation, Failure> {
    conn.prepare_cached(
        "INSERT INTO gatepass_revocations (account, session, token, until) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![
        token.account.as_bytes().as_slice(),
        token.session.as_bytes().as_slice(),
        token.token.as_bytes().as_slice(),
        Millis(token.until)
    ])?;
    Ok(Revocation {
        target: RevocationTarget::Token(token.token),
        until: token.until,
    })
}

/// Revokes one token of another issuer, or all tokens of a subject there.
pub(crate) fn revoke_foreign(
    conn: &Connection,
    revoke: RevokeForeign,
    now: Timestamp,
) -> Result<Option<Revocation>, Failure> {
    if let Some(single) = revoke.single() {
        if is_revoked(conn, single.token)? {
            return Ok(None);
        }
        if !is_full(conn, &single, now)? {
            return append_token(conn, &single).map(Some);
        }
    }
    let account = revoke.account.as_bytes().as_slice();
    let before = conn
        .prepare_cached(
            "SELECT up_to, except_number, until FROM gatepass_revocations
             WHERE account = ?1 AND up_to IS NOT NULL",
        )?
        .query_and_then([account], |row| {
            let until = Timestamp::from_unix_millis(row.get(2)?);
            Ok::<_, Failure>(cutoff(row, 0)?.map(|cutoff| (cutoff, until)))
        })?
        .next()
        .transpose()?;
    let revocation = revoke.entry(before.flatten(), now);
    append(conn, revocation)?;
    Ok(Some(revocation))
}

/// Removes the log entry of the account's cutoff. Returns how many there were.
pub(crate) fn forget_cutoff(conn: &Connection, account: &[u8]) -> Result<usize, Failure> {
    let forget = "DELETE FROM gatepass_revocations WHERE account = ?1 AND up_to IS NOT NULL";
    Ok(conn.prepare_cached(forget)?.execute([account])?)
}

/// The number of the last entry that was ever written, even if it has been purged. Only one process
/// writes at a time, so numbers follow the order of commits. A reader that sees an entry sees all
/// entries below it.
pub(crate) fn last_seq(conn: &Connection) -> Result<i64, Failure> {
    let last = conn
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'gatepass_revocations'")?
        .query_row((), |row| row.get(0))
        .optional()?;
    Ok(last.unwrap_or(0))
}

/// The place that `cursor` names, if it is in this log.
pub(crate) fn place(incarnation: &str, cursor: &Cursor) -> Option<i64> {
    let (of, seq) = cursor.as_str().split_once(':')?;
    let seq = seq.parse().ok().filter(|seq| *seq >= 0)?;
    (of == incarnation).then_some(seq)
}

pub(crate) fn pull(
    conn: &mut Connection,
    incarnation: &str,
    after: Option<&Cursor>,
) -> Result<PullResult, Failure> {
    let after = match after.map(|cursor| place(incarnation, cursor)) {
        None => 0,
        Some(Some(seq)) => seq,
        Some(None) => return Ok(PullResult::Reset),
    };
    // Reads the entries and the last number in one transaction. A number that is read later would
    // move the cursor past entries that were not read.
    let tx = conn.transaction()?;
    let last = last_seq(&tx)?;
    if after > last {
        return Ok(PullResult::Reset);
    }
    let mut entries = Vec::new();
    let mut reached = after;
    let mut select = tx.prepare_cached(
        "SELECT seq, account, session, token, up_to, except_number, grant_newest, grant_valid_from, until
         FROM gatepass_revocations WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    for entry in select.query_and_then(params![after, as_limit(BATCH)], read)? {
        let (seq, revocation) = entry?;
        entries.push(revocation);
        reached = seq;
    }
    let more = entries.len() == BATCH && reached < last;
    // The last entries may have been purged. A cursor that stayed before them would be behind
    // forever.
    let seq = if more { reached } else { last };
    let next = Cursor::new(format!("{incarnation}:{seq}"));
    Ok(PullResult::entries(entries, next, more))
}

fn read(row: &Row<'_>) -> Result<(i64, Revocation), Failure> {
    let seq = row.get(0)?;
    let bytes = |column| row.get::<_, Option<Vec<u8>>>(column);
    let session = |session: Vec<u8>| {
        let session = SessionId::try_from(session.as_slice());
        session.map_err(|_| Unreadable("session"))
    };
    let (cutoff, grant) = (cutoff(row, 4)?, grant(row, 6)?);
    let target = match (bytes(1)?, bytes(2)?, bytes(3)?, cutoff, grant) {
        (Some(account), None, None, Some(cutoff), None) => {
            let account = AccountId::try_from(account.as_slice());
            let account = account.map_err(|_| Unreadable("account"))?;
            RevocationTarget::Sessions(account, cutoff)
        }
        (_, Some(_), Some(token), None, None) => {
            let token = TokenId::try_from(token.as_slice());
            RevocationTarget::Token(token.map_err(|_| Unreadable("token"))?)
        }
        (None, Some(id), None, None, None) => RevocationTarget::Session(session(id)?),
        (None, Some(id), None, None, Some(grant)) => RevocationTarget::Grant(session(id)?, grant),
        _ => return Err(Unreadable("revocation").into()),
    };
    let until = Timestamp::from_unix_millis(row.get(8)?);
    Ok((seq, Revocation { target, until }))
}

pub(crate) fn status(
    conn: &Connection,
    session: SessionId,
    token: TokenId,
    version: GrantVersion,
    now: Timestamp,
) -> Result<TokenStatus, Failure> {
    // This repeats `Session::purge_at` in SQL.
    let mut select = conn.prepare_cached(
        "SELECT ended OR EXISTS (SELECT 1 FROM gatepass_revocations WHERE token = ?2),
             ?3 < grant_valid_from,
             CASE WHEN ended THEN access_until ELSE max(access_until, idle_expires_at) END <= ?4
         FROM (SELECT s.ended_at IS NOT NULL
                   OR coalesce(s.number <= a.up_to AND s.number IS NOT a.except_number, false) AS ended,
                   s.grant_valid_from, s.access_until, s.idle_expires_at
               FROM gatepass_sessions s LEFT JOIN gatepass_accounts a ON a.id = s.account
               WHERE s.id = ?1)",
    )?;
    let of_token = params![
        session.as_bytes().as_slice(),
        token.as_bytes().as_slice(),
        version.get(),
        retained_from(now)
    ];
    let found = select.query_row(of_token, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    Ok(match found.optional()? {
        None | Some((_, _, true)) => TokenStatus::Unknown,
        Some((true, _, false)) => TokenStatus::Revoked,
        Some((false, true, false)) => TokenStatus::Stale,
        Some((false, false, false)) => TokenStatus::Live,
    })
}

pub(crate) fn is_revoked(conn: &Connection, token: TokenId) -> Result<bool, Failure> {
    let revoked = conn
        .prepare_cached("SELECT 1 FROM gatepass_revocations WHERE token = ?1")?
        .exists([token.as_bytes().as_slice()])?;
    Ok(revoked)
}

/// Whether the session or its account already has the most entries of single tokens that it may
/// have.
pub(crate) fn is_full(
    conn: &Connection,
    token: &RevokeToken,
    now: Timestamp,
) -> Result<bool, Failure> {
    let mut full = conn.prepare_cached(
        "SELECT (SELECT count(*) FROM gatepass_revocations
                 WHERE session = ?1 AND token IS NOT NULL AND until > ?3) >= ?4
             OR (SELECT count(*) FROM gatepass_revocations
                 WHERE account = ?2 AND token IS NOT NULL AND until > ?3) >= ?5",
    )?;
    let full = full.query_row(
        params![
            token.session.as_bytes().as_slice(),
            token.account.as_bytes().as_slice(),
            retained_from(now),
            as_limit(RevokeToken::MAX_PER_SESSION),
            as_limit(RevokeToken::MAX_PER_ACCOUNT),
        ],
        |row| row.get(0),
    )?;
    Ok(full)
}

/// Removes at most `limit` entries whose retention is over at `horizon`.
pub(crate) fn purge(conn: &Connection, horizon: Timestamp, limit: usize) -> Result<usize, Failure> {
    let removed = conn
        .prepare_cached(
            "DELETE FROM gatepass_revocations WHERE seq IN
                 (SELECT seq FROM gatepass_revocations WHERE until <= ?1 LIMIT ?2)",
        )?
        .execute(params![retained_from(horizon), as_limit(limit)])?;
    Ok(removed)
}

/// The instant that separates entries whose retention is over at `now` from later ones.
fn retained_from(now: Timestamp) -> i64 {
    let margin = i64::try_from(Revocation::RETENTION_MARGIN.as_millis()).unwrap_or(i64::MAX);
    now.unix_millis().saturating_sub(margin)
}

/// The limit as an argument. SQLite would treat a negative one as no limit.
pub(crate) fn as_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
