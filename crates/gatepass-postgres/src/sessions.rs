//! The sessions.
//!
//! A refresh is one statement, and so is the end of one session. They repeat `Session::advance` and
//! `Session::end` in SQL. A statement is a transaction: it locks the row, checks its current state,
//! and changes it. All other changes are rarer. They read the rows under a lock, and let the core
//! change them.

use std::num::NonZeroU32;

use gatepass::{
    Session, SessionId, Timestamp,
    store::{
        AccountId, Advance, AdvanceCause, BeginOutcome, EndReason, EndSessions, NewSession,
        Recover, Renew, Revocation, RevocationTarget, RevokeToken, SessionNumber,
    },
};

use crate::{
    accounts,
    error::Failure,
    link::{Link, now},
    log::{self, Room, durable},
    row::{cell, columns, covered, json, margin, millis, on_the_primary, session, session_id},
    sql::Statement,
};

/// The store's time for a session (`Session::time`), which never runs backwards if the clock is a
/// little behind. `$1` is the id everywhere, and `$2` is the time. A refresh passes the column in
/// which it has computed the time once.
macro_rules! at {
    () => {
        at!(now!("2"))
    };
    ($($now:tt)*) => {
        concat!(
            "(CASE WHEN (last_seen_at {-} ",
            $($now)*,
            ") {>} 10000 THEN ",
            $($now)*,
            " ELSE greatest(",
            $($now)*,
            ", last_seen_at) END)"
        )
    };
}

/// The time of a refresh, which the statement has computed once.
macro_rules! advanced_at {
    () => {
        at!("t.now")
    };
}
const _: () = assert!(Session::CLOCK_JITTER.as_millis() == 10_000);

pub(crate) async fn begin(mut conn: Link<'_>, new: NewSession) -> Result<BeginOutcome, Failure> {
    let mut tx = conn.again().begin().await?;
    let mut link = tx.link();
    let session_id = new.id;
    let (id, max) = (new.account(), new.max_sessions);
    // Locks the account. Otherwise two logins at once would not see each other's session.
    let (mut account, now) = accounts::begin(&mut link, id, length(new.absolute_ttl)).await?;
    let bounds = Bounds::of(&account);
    let session = Session::begin(new, account.last, now);
    let too_many = match insert(&mut link, &session, id, bounds, max).await {
        // The session's number is new, because the account is locked. So it is the id that exists.
        Err(Failure::Sqlx(sqlx::Error::Database(error))) if error.is_unique_violation() => {
            tx.rollback().await?;
            let (found, _) = find(conn, session_id).await?;
            // It can only be missing if a purge has run in between.
            let found = found.ok_or(Failure::Sqlx(sqlx::Error::RowNotFound))?;
            return Ok(BeginOutcome::existing(found));
        }
        inserted => inserted?,
    };
    let ended =
        too_many.and_then(|number| account.end_up_to(number, EndReason::TooManySessions, now));
    if let Some(revocation) = ended {
        // The lock of a login lets single sessions end meanwhile. This lock doesn't.
        accounts::lock(&mut link, id).await?;
        accounts::end(&mut link, &account, revocation).await?;
    }
    tx.commit().await?;
    Ok(BeginOutcome::new(session, ended))
}

/// A cutoff, as arguments of statements.
#[derive(Clone, Copy)]
struct Bounds {
    up_to: i64,
    except: Option<i64>,
}

impl Bounds {
    fn of(account: &gatepass::store::Account) -> Self {
        let cutoff = account.cutoff;
        Self {
            up_to: cutoff.map_or(-1, |cutoff| cutoff.up_to.get()),
            except: cutoff
                .and_then(|cutoff| cutoff.except)
                .map(SessionNumber::get),
        }
    }
}

/// `Session::is_usable`, for a session that has not ended by itself.
macro_rules! usable {
    () => {
        concat!(
            at!(),
            " {<} least(absolute_expires_at, greatest(idle_expires_at, access_until))"
        )
    };
}

/// Whether a session has not ended by itself, for a statement that looks it up by its id.
///
/// `ended_at IS NULL` is the condition of a partial index. While the table is small, the planner
/// uses that index and reads all live sessions to find one. A connection keeps this plan when the
/// table has grown. The planner can't match this expression to that index, so it uses the primary
/// key.
macro_rules! lives {
    () => {
        "NOT coalesce(s.ended_at {=} s.ended_at, false)"
    };
}

/// The identity's own idle lifetime, if that is the first member of its JSON. Otherwise the
/// argument.
macro_rules! idle_ttl {
    () => {
        r#"coalesce(pg_catalog.substring(s.identity_json,
             '^."idle_ttl":([0-9]+)'::pg_catalog.text)::bigint, $8)"#
    };
}

/// If the clock has gone back, this doesn't lower the idle end.
macro_rules! idle_expires_at {
    () => {
        concat!(
            "least(greatest(",
            advanced_at!(),
            " {+} ",
            idle_ttl!(),
            ", CASE WHEN last_seen_at {>} ",
            advanced_at!(),
            " THEN idle_expires_at END), absolute_expires_at)"
        )
    };
}

/// Never lowers the end, because older tokens with a longer lifetime may still be in use.
macro_rules! access_until {
    () => {
        concat!(
            "greatest(access_until, least(",
            advanced_at!(),
            " {+} coalesce(",
            "own_access_ttl",
            ", $9), absolute_expires_at))"
        )
    };
}

/// `SeenFrom::or`: each half of `$7` that is unknown stays as it was.
macro_rules! seen_from {
    () => {
        "((CASE WHEN ($7 {>>} 24) {=} 0 THEN seen_from ELSE $7 END {&} 281474959933440)
          {|} (CASE WHEN ($7 {&} 16777215) {=} 0 THEN seen_from ELSE $7 END {&} 16777215))"
    };
}

/// `Session::advance`, in one statement. If two refreshes wait for the same row, the second one
/// finds the generation that the first one wrote.
///
/// The statement reads the account without a lock. So a refresh that overlaps with the end of all
/// sessions may still change the row. That is the same as a refresh before the end: the cutoff
/// covers the tokens that it issues.
///
/// `OFFSET 0` makes the server compute the time once. Without it, the planner copies the expression
/// to each use, which costs more than to update the row.
const ADVANCE: &str = concat!(
    "UPDATE @sessions AS s SET
         generation = $5,
         rotated_from = CASE WHEN $5 {<>} $4 THEN $4 ELSE rotated_from END,
         rotated_at = CASE WHEN $5 {<>} $4 THEN ",
    advanced_at!(),
    " ELSE rotated_at END,
         last_seen_at = ",
    advanced_at!(),
    ",
         seen_from = ",
    seen_from!(),
    ",
         authenticated_at = CASE WHEN $11 THEN ",
    advanced_at!(),
    " ELSE authenticated_at END,
         idle_expires_at = ",
    idle_expires_at!(),
    ",
         access_until = ",
    access_until!(),
    ",
         purge_at = least(s.purge_at, greatest(",
    idle_expires_at!(),
    ", ",
    access_until!(),
    ") {+} ",
    margin!(),
    ")
     FROM @accounts AS a, (SELECT ",
    now!("2"),
    " AS now OFFSET 0) AS t
     WHERE s.id {=} $1 AND a.id {=} s.account AND client {=} $3 AND generation {=} $4
         AND ",
    lives!(),
    " AND NOT ",
    covered!(),
    " AND ($6 IS NULL OR rotated_at IS NULL OR rotated_at {>} ",
    advanced_at!(),
    " OR (",
    advanced_at!(),
    " {-} rotated_at) {>} $6)
         AND ",
    advanced_at!(),
    " {<} absolute_expires_at AND ($10 OR ",
    advanced_at!(),
    " {<} idle_expires_at)
     RETURNING ",
    columns!()
);

pub(crate) async fn advance(
    mut link: Link<'_>,
    advance: Advance,
) -> Result<Option<Session>, Failure> {
    let rotates = advance.to == advance.from.next() && !advance.overlap.is_zero();
    let statement = Statement::new(ADVANCE)
        .bytes(advance.id.as_bytes())
        .int(link.dialect().time())
        .text(advance.client.as_str())
        .int(i64::from(advance.from.get()))
        .int(i64::from(advance.to.get()))
        .int(rotates.then(|| length(advance.overlap)))
        .int(advance.seen_from.bits())
        .int(length(advance.idle_ttl))
        .int(length(advance.access_ttl))
        .bool(advance.cause != AdvanceCause::Refresh)
        .bool(advance.cause == AdvanceCause::Reauthenticate);
    let row = link.row(statement).await?;
    row.map(|row| session(&row)).transpose()
}

pub(crate) async fn recover(link: Link<'_>, recover: Recover) -> Result<Option<Session>, Failure> {
    let change = |session: &mut Session, now| session.recover(recover.clone(), now);
    changed(link, recover.id, change).await
}

pub(crate) async fn renew(link: Link<'_>, renew: Renew) -> Result<Option<Session>, Failure> {
    let change = |session: &mut Session, now| session.renew(renew.clone(), now);
    changed(link, renew.id, change).await
}

/// Locks the session, lets the core change it, and writes the columns that a recovery or a renewal
/// can change.
async fn changed(
    link: Link<'_>,
    id: SessionId,
    change: impl Fn(&mut Session, Timestamp) -> bool + Send,
) -> Result<Option<Session>, Failure> {
    let mut tx = link.begin().await?;
    let mut link = tx.link();
    let found = lock(&mut link, id).await?;
    let now = link.now().await?;
    let Some(session) = found.and_then(|mut session| change(&mut session, now).then_some(session))
    else {
        tx.rollback().await?;
        return Ok(None);
    };
    let write = Statement::new(
        "UPDATE @sessions SET recovered = $2, access_until = $3, purge_at = least(purge_at, $4)
         WHERE id {=} $1",
    );
    let write = write
        .bytes(id.as_bytes())
        .int(
            session
                .recovered
                .map(|recovered| i64::from(recovered.get())),
        )
        .int(session.access_until.unix_millis())
        .int(session.purge_at().unix_millis());
    link.rows(write).await?;
    tx.commit().await?;
    Ok(Some(session))
}

/// Locks the session and reads it. No other transaction changes it until this one ends.
pub(crate) async fn lock(link: &mut Link<'_>, id: SessionId) -> Result<Option<Session>, Failure> {
    let locked = Statement::new(concat!(
        "SELECT ",
        columns!(),
        " FROM @sessions AS s LEFT JOIN @accounts AS a ON a.id {=} s.account
         WHERE s.id {=} $1 FOR UPDATE OF s"
    ));
    let row = link.row(locked.bytes(id.as_bytes())).await?;
    row.map(|row| session(&row)).transpose()
}

/// `Session::end` and its log entry, in one statement. If all sessions of the account are ending,
/// it waits for that, and then sees whether this one is left to end.
macro_rules! end {
    ($condition:literal) => {
        concat!(
            "WITH held AS MATERIALIZED (
                 SELECT s.id FROM @sessions AS s JOIN @accounts AS a ON a.id {=} s.account
                 WHERE s.id {=} $1",
            $condition,
            " AND ",
            lives!(),
            " AND NOT ",
            covered!(),
            " FOR KEY SHARE OF a
             ), ended AS (
                 UPDATE @sessions AS s SET ended_at = ",
            at!(),
            ", ended_reason = $3, access_until = greatest(access_until, ",
            at!(),
            "), purge_at = greatest(access_until, ",
            at!(),
            ") {+} ",
            margin!(),
            " WHERE id {=} ANY (SELECT held.id FROM held) AND ",
            lives!(),
            " RETURNING id, access_until
             ), logged AS (
                 INSERT INTO @revocations (session, until) SELECT id, access_until FROM ended
             )
             SELECT id, access_until, ",
            durable!(),
            " FROM ended"
        )
    };
}

pub(crate) async fn end(
    link: Link<'_>,
    target: EndSessions,
    reason: EndReason,
) -> Result<Option<Revocation>, Failure> {
    match target {
        EndSessions::Session(id) => end_one(link, id, None, reason).await,
        EndSessions::SessionOf(id, account) => end_one(link, id, Some(account), reason).await,
        EndSessions::AllOf(account) => end_all(link, account, None, reason).await,
        EndSessions::AllOfBut(account, kept) => end_all(link, account, Some(kept), reason).await,
    }
}

async fn end_one(
    mut link: Link<'_>,
    id: SessionId,
    account: Option<AccountId>,
    reason: EndReason,
) -> Result<Option<Revocation>, Failure> {
    let text = match account {
        None => end!(""),
        Some(_) => end!(" AND s.account {=} $4"),
    };
    let mut end = Statement::new(text)
        .bytes(id.as_bytes())
        .int(link.dialect().time())
        .text(reason.as_str());
    if let Some(account) = account {
        end = end.bytes(account.as_bytes());
    }
    let Some(row) = link.row(end).await? else {
        return Ok(None);
    };
    Ok(Some(Revocation {
        target: RevocationTarget::Session(session_id(&row, "id")?),
        until: millis(&row, "access_until")?,
    }))
}

/// `Account::end_all` and its log entry: one row each, however many sessions there are.
async fn end_all(
    mut link: Link<'_>,
    id: AccountId,
    kept: Option<SessionId>,
    reason: EndReason,
) -> Result<Option<Revocation>, Failure> {
    // Looks without a lock first, so that a client that ends its sessions again and again doesn't
    // delay its logins.
    let Some((mut account, now)) = accounts::find(&mut link, id).await? else {
        return Ok(None);
    };
    let number = live_number(&mut link, id, kept).await?;
    if account.end_all(number, reason, now).is_none() {
        return Ok(None);
    }
    let mut tx = link.begin().await?;
    let ended = end_all_within(&mut tx.link(), id, kept, reason).await?;
    match ended {
        Some(_) => tx.commit().await?,
        None => tx.rollback().await?,
    }
    Ok(ended)
}

/// Ends the sessions that `target` names, in the open transaction. The transaction holds the locks
/// until it ends.
pub(crate) async fn end_within(
    mut link: Link<'_>,
    target: EndSessions,
    reason: EndReason,
) -> Result<Option<Revocation>, Failure> {
    match target {
        EndSessions::AllOf(account) => end_all_within(&mut link, account, None, reason).await,
        EndSessions::AllOfBut(account, kept) => {
            end_all_within(&mut link, account, Some(kept), reason).await
        }
        // One statement, in its own transaction or in this one.
        EndSessions::Session(_) | EndSessions::SessionOf(..) => end(link, target, reason).await,
    }
}

async fn end_all_within(
    link: &mut Link<'_>,
    id: AccountId,
    kept: Option<SessionId>,
    reason: EndReason,
) -> Result<Option<Revocation>, Failure> {
    let Some((mut account, now)) = accounts::lock(link, id).await? else {
        return Ok(None);
    };
    let number = live_number(link, id, kept).await?;
    let ended = account.end_all(number, reason, now);
    if let Some(revocation) = ended {
        accounts::end(link, &account, revocation).await?;
    }
    Ok(ended)
}

/// The number of the session `id`, if it belongs to this account and has not ended.
async fn live_number(
    link: &mut Link<'_>,
    account: AccountId,
    id: Option<SessionId>,
) -> Result<Option<SessionNumber>, Failure> {
    let Some(id) = id else {
        return Ok(None);
    };
    let (session, _) = find(link.again(), id).await?;
    let session = session.filter(|one| one.account() == account && one.ended.is_none());
    Ok(session.map(|session| session.number))
}

pub(crate) async fn revoke_token(
    mut link: Link<'_>,
    token: RevokeToken,
) -> Result<Option<Revocation>, Failure> {
    // Looks without a lock first, so that a client that revokes one token again and again delays no
    // other call.
    if is_over(link.again(), token).await? {
        return Ok(None);
    }
    let mut tx = link.begin().await?;
    // Without this lock, two revocations at once could each see room for one more. It also keeps
    // sessions of the account from ending meanwhile.
    accounts::lock(&mut tx.link(), token.account).await?;
    let (session, _) = find(tx.link(), token.session).await?;
    if session
        .as_ref()
        .is_some_and(|session| session.ended.is_some())
    {
        tx.rollback().await?;
        return Ok(None);
    }
    let revocation = match log::room(&mut tx.link(), token).await? {
        Room::Revoked => None,
        Room::Full if session.is_some() => {
            let reason = EndReason::TooManyRevocations;
            end_one(tx.link(), token.session, None, reason).await?
        }
        Room::Free | Room::Full => log::append(&mut tx, token).await?,
    };
    tx.commit().await?;
    Ok(revocation)
}

/// Whether the token is revoked, or its session has ended.
async fn is_over(mut link: Link<'_>, token: RevokeToken) -> Result<bool, Failure> {
    let (session, _) = find(link.again(), token.session).await?;
    let ended = session.is_some_and(|session| session.ended.is_some());
    Ok(ended || matches!(log::room(&mut link, token).await?, Room::Revoked))
}

/// The newest usable sessions of an account, with numbers below `before`.
pub(crate) async fn usable(
    mut link: Link<'_>,
    account: AccountId,
    before: Option<SessionNumber>,
    limit: usize,
) -> Result<Vec<Session>, Failure> {
    macro_rules! part {
        ($condition:literal) => {
            concat!(
                "(SELECT ",
                columns!(),
                " FROM @sessions AS s JOIN @accounts AS a ON a.id {=} s.account
                  WHERE s.account {=} $1 AND s.ended_at IS NULL AND s.number {<} $3 AND s.number ",
                $condition,
                " AND ",
                usable!(),
                " ORDER BY s.number DESC LIMIT $4)"
            )
        };
    }
    // Each part uses the index.
    let asked = Statement::new(concat!(
        "SELECT pg_catalog.pg_is_in_recovery() AS standby, listed.id IS NOT NULL AS found, listed.*
         FROM (SELECT) AS always LEFT JOIN (",
        part!("{>} coalesce((SELECT up_to FROM @accounts WHERE id {=} $1), -1)"),
        " UNION ALL ",
        part!("{=} (SELECT except_number FROM @accounts WHERE id {=} $1)"),
        " ORDER BY number DESC LIMIT $4) AS listed ON true ORDER BY listed.number DESC"
    ));
    let asked = asked
        .bytes(account.as_bytes())
        .int(link.dialect().time())
        .int(before.map_or(i64::MAX, SessionNumber::get))
        .int(i64::try_from(limit).unwrap_or(i64::MAX));
    let mut sessions = Vec::new();
    for row in link.rows(asked).await? {
        let row = on_the_primary(row)?;
        if cell(&row, "found")? {
            sessions.push(session(&row)?);
        }
    }
    Ok(sessions)
}

/// The session, and the store's time.
pub(crate) async fn find(
    mut link: Link<'_>,
    id: SessionId,
) -> Result<(Option<Session>, Timestamp), Failure> {
    let asked = Statement::new(concat!(
        "SELECT ",
        now!("2"),
        " AS now, pg_catalog.pg_is_in_recovery() AS standby, s.id IS NOT NULL AS found, ",
        columns!(),
        " FROM (SELECT) AS always LEFT JOIN @sessions AS s ON s.id {=} $1
          LEFT JOIN @accounts AS a ON a.id {=} s.account"
    ));
    let asked = asked.bytes(id.as_bytes()).int(link.dialect().time());
    let row = on_the_primary(link.one(asked).await?)?;
    let found: bool = cell(&row, "found")?;
    let session = found.then(|| session(&row)).transpose()?;
    Ok((session, millis(&row, "now")?))
}

/// The result of one step of a purge.
pub(crate) struct Purged {
    /// Rows whose `purge_at` was due, whether they were removed or not.
    pub(crate) looked_at: usize,
    /// Rows that were removed.
    pub(crate) removed: usize,
}

/// Removes at most `limit` sessions that nothing needs any more at `horizon`. Corrects `purge_at`
/// of sessions that were refreshed since it was written. It leaves rows that another transaction
/// holds for the next time.
///
/// This repeats `Session::purge_at` in SQL, because a purge must also remove a row that can't be
/// read.
pub(crate) async fn purge(
    mut link: Link<'_>,
    horizon: Timestamp,
    limit: i64,
) -> Result<Purged, Failure> {
    let purge = Statement::new(concat!(
        "WITH due AS MATERIALIZED (
             SELECT id, CASE WHEN ended_at IS NULL THEN greatest(access_until, idle_expires_at)
                             ELSE access_until END {+} ",
        margin!(),
        " AS at
             FROM @sessions WHERE purge_at {<=} $1 ORDER BY purge_at LIMIT $2 FOR UPDATE SKIP LOCKED
         ), moved AS (
             UPDATE @sessions SET purge_at = due.at FROM due
             WHERE sessions.id {=} due.id AND due.at {>} $1
         ), gone AS (
             DELETE FROM @sessions USING due WHERE sessions.id {=} due.id AND due.at {<=} $1 RETURNING 1
         )
         SELECT (SELECT pg_catalog.count(*) FROM due) AS looked_at,
             (SELECT pg_catalog.count(*) FROM gone) AS removed"
    ));
    let purge = purge.int(horizon.unix_millis()).int(limit);
    let row = link.one(purge).await?;
    let count = |name| Ok::<_, Failure>(usize::try_from(cell::<i64>(&row, name)?).unwrap_or(0));
    Ok(Purged {
        looked_at: count("looked_at")?,
        removed: count("removed")?,
    })
}

/// Writes a session that begins. Returns the number of the newest session that must end, so that
/// `max` are left. The account is locked, so this sees all sessions that have begun.
async fn insert(
    link: &mut Link<'_>,
    session: &Session,
    account: AccountId,
    bounds: Bounds,
    max: Option<NonZeroU32>,
) -> Result<Option<SessionNumber>, Failure> {
    // A new session has no rotation, recovery or end. The rest of a statement doesn't see a row
    // that the statement itself writes.
    let insert = Statement::new(concat!(
        "WITH begun AS (
             INSERT INTO @sessions (
                 account, id, number, issuer, audience, client, identity_json, own_access_ttl, device_json,
                 generation, created_at, authenticated_at, last_seen_at, seen_from, idle_expires_at,
                 absolute_expires_at, access_until, purge_at, subject
             ) VALUES (
                 $1, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24
             )
         )
         SELECT number FROM (
             (SELECT number FROM @sessions
              WHERE account {=} $1 AND ended_at IS NULL AND number {>} $3 AND ",
        usable!(),
        " ORDER BY number DESC LIMIT $5)
             UNION ALL
             (SELECT number FROM @sessions
              WHERE account {=} $1 AND ended_at IS NULL AND number {=} $4 AND ",
        usable!(),
        ")) AS usable ORDER BY number DESC OFFSET $6 LIMIT 1"
    ));
    let max = max.map(|max| i64::from(max.get()));
    let insert = insert
        .bytes(account.as_bytes())
        .int(link.dialect().time())
        .int(bounds.up_to)
        .int(bounds.except)
        .int(max.unwrap_or(0))
        .int(max.map_or(i64::MAX, |max| max - 1))
        .bytes(session.id.as_bytes())
        .int(session.number.get())
        .text(session.issuer.as_str())
        .text(session.audience.as_str())
        .text(session.client.as_str())
        .text(json(&session.identity, "identity_json")?)
        .int(session.identity.own_access_ttl().map(length))
        .text(json(&session.device, "device_json")?)
        .int(i64::from(session.generation.get()))
        .int(session.created_at.unix_millis())
        .int(session.authenticated_at.unix_millis())
        .int(session.last_seen_at.unix_millis())
        .int(session.seen_from.bits())
        .int(session.idle_expires_at.unix_millis())
        .int(session.absolute_expires_at.unix_millis())
        .int(session.access_until.unix_millis())
        .int(session.purge_at().unix_millis())
        .text(session.subject().as_str());
    let row = link.row(insert).await?;
    let number = row.map(|row| cell(&row, "number")).transpose()?;
    Ok(number.map(SessionNumber::new))
}

/// A lifetime in milliseconds, small enough to add to any instant.
pub(crate) fn length(ttl: std::time::Duration) -> i64 {
    let longest = Timestamp::MAX.unix_millis();
    i64::try_from(ttl.as_millis()).map_or(longest, |ttl| ttl.min(longest))
}
