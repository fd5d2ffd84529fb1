//! The sessions.
//!
//! A refresh and an end are one statement each, which says in SQL what `Session::advance` and
//! `Session::end` say: the row is locked, looked at as it is by then, and changed, and a statement is a
//! transaction. All else is rarer, reads the row under a lock, and lets the core change it.

use std::cmp::Reverse;

use gatepass::{
    Advance, AdvanceCause, Begun, EndReason, EndTarget, NewSession, Recover, Renew, Revocation,
    RevokeToken, Revoked, SPENT_REMEMBERED, Session, SessionId, Subject, Timestamp,
};

use crate::{
    error::Failure,
    link::{Link, Tx, now},
    log::{self, Room, durable},
    row::{cell, columns, json, millis, session, session_id},
    schema::margin,
    sql::Statement,
};

const _: () = assert!(
    SPENT_REMEMBERED == 4,
    "as the statement of a refresh has it"
);

pub(crate) async fn begin(mut link: Link<'_>, new: NewSession) -> Result<Begun, Failure> {
    let Some(max) = new.max_sessions else {
        let session = Session::begin(new, link.now().await?);
        insert(&mut link, &session).await?;
        let ended = Vec::new();
        return Ok(Begun { session, ended });
    };
    let mut tx = link.begin().await?;
    let mut link = tx.link();
    let subject = new.grant.subject().clone();
    // Two logins would not see each other.
    lock_subject(&mut link, &subject).await?;
    let now = link.now().await?;
    let session = Session::begin(new, now);
    let kept = usize::try_from(max.get() - 1).unwrap_or(usize::MAX);
    let mut usable = of_subject(&mut link, &subject, true).await?.0;
    usable.retain(|session| session.is_usable(now));
    usable.sort_by_key(newest_first);
    let mut ended = Vec::new();
    for oldest in usable.into_iter().skip(kept) {
        let target = EndTarget::Session(oldest.id);
        ended.extend(end(link.again(), target, EndReason::TooManySessions).await?);
    }
    insert(&mut link, &session).await?;
    tx.commit().await?;
    Ok(Begun { session, ended })
}

/// The instant of a change by the session's own time, which never runs backwards. `$1` is the id
/// everywhere, `$2` the time.
macro_rules! at {
    () => {
        concat!("greatest(", now!("2"), ", last_seen_at)")
    };
}

macro_rules! idle_expires_at {
    () => {
        concat!("least(", at!(), " {+} $7, absolute_expires_at)")
    };
}

/// Never lowered: tokens that were issued with a longer lifetime are still about.
macro_rules! access_until {
    () => {
        concat!(
            "greatest(access_until, least(",
            at!(),
            " {+} coalesce(",
            own_access_ttl!(),
            ", $8), absolute_expires_at))"
        )
    };
}

macro_rules! own_access_ttl {
    () => {
        "CASE WHEN $9 IS NULL THEN own_access_ttl ELSE $10 END"
    };
}

/// `Session::advance`, in one statement. Of two that wait for the same row, the second finds the
/// generation that the first has made of it.
const ADVANCE: &str = concat!(
    "UPDATE @sessions SET
         generation = $5,
         spent = (pg_catalog.array_fill(",
    at!(),
    ", ARRAY[$6::int]) {||} spent)[1:4],
         last_seen_at = ",
    at!(),
    ",
         authenticated_at = CASE WHEN $12 THEN ",
    at!(),
    " ELSE authenticated_at END,
         idle_expires_at = ",
    idle_expires_at!(),
    ",
         access_until = ",
    access_until!(),
    ",
         purge_at = least(purge_at, greatest(",
    idle_expires_at!(),
    ", ",
    access_until!(),
    ") {+} ",
    margin!(),
    "),
         grant_json = coalesce($9, grant_json),
         own_access_ttl = ",
    own_access_ttl!(),
    "
     WHERE id {=} $1 AND client {=} $3 AND generation {=} $4 AND ended_at IS NULL
         AND ",
    at!(),
    " {<} absolute_expires_at AND ($11 OR ",
    at!(),
    " {<} idle_expires_at)
     RETURNING ",
    columns!()
);

pub(crate) async fn advance(
    mut link: Link<'_>,
    advance: Advance,
) -> Result<Option<Session>, Failure> {
    let grant = advance.grant.as_ref();
    let spent = usize::try_from(advance.to.gap(advance.from)).unwrap_or(usize::MAX);
    let spent = spent.min(SPENT_REMEMBERED);
    let statement = Statement::new(ADVANCE)
        .bytes(advance.id.as_bytes())
        .int(link.dialect().time())
        .text(advance.client.as_str())
        .int(i64::from(advance.from.get()))
        .int(i64::from(advance.to.get()))
        .int(i64::try_from(spent).ok())
        .int(length(advance.idle_ttl))
        .int(length(advance.access_ttl))
        .text_or_null(grant.map(|grant| json(grant, "grant_json")).transpose()?)
        .int(grant.and_then(gatepass::Grant::own_access_ttl).map(length))
        .bool(advance.cause != AdvanceCause::Refresh)
        .bool(advance.cause == AdvanceCause::Reauthenticate);
    let row = link.row(statement).await?;
    row.map(|row| session(&row)).transpose()
}

pub(crate) async fn recover(link: Link<'_>, recover: Recover) -> Result<Option<Session>, Failure> {
    let new_grant = recover.grant.is_some();
    let change = |session: &mut Session, now| session.recover(recover.clone(), now);
    changed(link, recover.id, new_grant, change).await
}

pub(crate) async fn renew(link: Link<'_>, renew: Renew) -> Result<Option<Session>, Failure> {
    let new_grant = renew.grant.is_some();
    let change = |session: &mut Session, now| session.renew(renew.clone(), now);
    changed(link, renew.id, new_grant, change).await
}

/// Has the core change the session, while nobody else can, and writes what a recovery or a renewal can have
/// changed.
async fn changed(
    link: Link<'_>,
    id: SessionId,
    new_grant: bool,
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
    let grant = new_grant.then(|| json(&session.grant, "grant_json"));
    let write = Statement::new(
        "UPDATE @sessions SET recovered = $2, access_until = $3, purge_at = least(purge_at, $4),
             grant_json = coalesce($5, grant_json), own_access_ttl = $6
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
        .int(session.purge_at().unix_millis())
        .text_or_null(grant.transpose()?)
        .int(session.grant.own_access_ttl().map(length));
    link.rows(write).await?;
    tx.commit().await?;
    Ok(Some(session))
}

/// The session, which nobody else changes until the transaction ends.
async fn lock(link: &mut Link<'_>, id: SessionId) -> Result<Option<Session>, Failure> {
    let locked = Statement::new(concat!(
        "SELECT ",
        columns!(),
        " FROM @sessions WHERE id {=} $1 FOR UPDATE"
    ));
    let row = link.row(locked.bytes(id.as_bytes())).await?;
    row.map(|row| session(&row)).transpose()
}

/// `Session::end` for all that the condition names, and their entries in the log, in one statement. The
/// rows are locked in one order, so that two of these cannot wait for each other.
macro_rules! end {
    ($condition:literal) => {
        concat!(
            "WITH ended AS (
                 UPDATE @sessions SET ended_at = ",
            at!(),
            ", ended_reason = $3, purge_at = access_until {+} ",
            margin!(),
            " WHERE id {=} ANY (SELECT id FROM @sessions WHERE ",
            $condition,
            " AND ended_at IS NULL ORDER BY id FOR UPDATE)
                 RETURNING id, access_until
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
    target: EndTarget,
    reason: EndReason,
) -> Result<Vec<Revocation>, Failure> {
    let (EndTarget::AllOf(subject) | EndTarget::AllOfBut(subject, _)) = &target else {
        return end_now(link, target, reason).await;
    };
    let mut tx = link.begin().await?;
    lock_subject(&mut tx.link(), subject).await?;
    let ended = end_now(tx.link(), target, reason).await?;
    tx.commit().await?;
    Ok(ended)
}

/// Waits until no session of `subject` is being begun, and has others wait until the transaction is over.
///
/// Rows that are not there yet cannot be locked. A statement that ends all sessions and waits for the lock of one
/// would otherwise spare those that were begun meanwhile, when others have seen them beside those that it ends.
async fn lock_subject(link: &mut Link<'_>, subject: &Subject) -> Result<(), Failure> {
    let lock = Statement::new(
        "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))::pg_catalog.text",
    );
    link.rows(lock.text(lock_name(link, subject))).await?;
    Ok(())
}

fn lock_name(link: &Link<'_>, subject: &Subject) -> String {
    format!("gatepass {} {}", link.dialect().schema, subject.as_str())
}

async fn end_now(
    mut link: Link<'_>,
    target: EndTarget,
    reason: EndReason,
) -> Result<Vec<Revocation>, Failure> {
    let (text, id, subject) = match target {
        EndTarget::Session(id) => (end!("id {=} $1"), Some(id), None),
        EndTarget::SessionOf(id, subject) => (
            end!("id {=} $1 AND subject {=} $4"),
            Some(id),
            Some(subject),
        ),
        EndTarget::AllOf(subject) => (
            end!("$1 IS NOT NULL AND subject {=} $4"),
            None,
            Some(subject),
        ),
        EndTarget::AllOfBut(subject, kept) => (
            end!("id {<>} $1 AND subject {=} $4"),
            Some(kept),
            Some(subject),
        ),
    };
    let mut end = Statement::new(text)
        .bytes(id.as_ref().map_or(&[], |id| id.as_bytes()))
        .int(link.dialect().time())
        .text(reason.as_str());
    if let Some(subject) = subject {
        end = end.text(subject.as_str());
    }
    let ended = link.rows(end).await?;
    let revocation = |row| {
        Ok(Revocation {
            target: Revoked::Session(session_id(row, "id")?),
            until: millis(row, "access_until")?,
        })
    };
    ended.iter().map(revocation).collect()
}

pub(crate) async fn revoke_token(
    link: Link<'_>,
    token: RevokeToken,
) -> Result<Option<Revocation>, Failure> {
    let mut tx = link.begin().await?;
    let session = lock(&mut tx.link(), token.session).await?;
    if session
        .as_ref()
        .is_some_and(|session| session.ended.is_some())
    {
        tx.rollback().await?;
        return Ok(None);
    }
    let revocation = match log::room(&mut tx, token).await? {
        Room::Revoked => None,
        Room::Free => log::append(&mut tx, token).await?,
        Room::Full => end_one(&mut tx, token.session).await?,
    };
    tx.commit().await?;
    Ok(revocation)
}

async fn end_one(tx: &mut Tx<'_>, id: SessionId) -> Result<Option<Revocation>, Failure> {
    let target = EndTarget::Session(id);
    let ended = end(tx.link(), target, EndReason::TooManyRevocations).await?;
    Ok(ended.into_iter().next())
}

/// The sessions of `subject` that anybody can still use, newest first.
pub(crate) async fn usable(mut link: Link<'_>, subject: Subject) -> Result<Vec<Session>, Failure> {
    let (mut sessions, now) = of_subject(&mut link, &subject, false).await?;
    sessions.retain(|session| session.is_usable(now));
    sessions.sort_by_key(newest_first);
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
        " AS now, pg_catalog.pg_is_in_recovery() AS standby, id IS NOT NULL AS found, ",
        columns!(),
        " FROM (SELECT) AS always LEFT JOIN @sessions ON id {=} $1"
    ));
    let asked = asked.bytes(id.as_bytes()).int(link.dialect().time());
    let row = link.one(asked).await?;
    // What a replica does not know yet would be decided on as if it had not happened.
    if cell(&row, "standby")? {
        return Err(Failure::Standby);
    }
    let found: bool = cell(&row, "found")?;
    let session = found.then(|| session(&row)).transpose()?;
    Ok((session, millis(&row, "now")?))
}

/// The sessions of `subject` that have not ended, and the store's time.
async fn of_subject(
    link: &mut Link<'_>,
    subject: &Subject,
    lock: bool,
) -> Result<(Vec<Session>, Timestamp), Failure> {
    macro_rules! select {
        ($lock:literal) => {
            concat!(
                "SELECT ",
                columns!(),
                ", ",
                now!("2"),
                " AS now FROM @sessions WHERE subject {=} $1 AND ended_at IS NULL",
                $lock
            )
        };
    }
    let text = match lock {
        true => select!(" ORDER BY id FOR UPDATE"),
        false => select!(""),
    };
    let asked = Statement::new(text)
        .text(subject.as_str())
        .int(link.dialect().time());
    let rows = link.rows(asked).await?;
    let now = match rows.first() {
        Some(row) => millis(row, "now")?,
        None => Timestamp::EPOCH,
    };
    let sessions = rows.iter().map(session).collect::<Result<_, _>>()?;
    Ok((sessions, now))
}

fn newest_first(session: &Session) -> Reverse<(Timestamp, SessionId)> {
    Reverse((session.created_at, session.id))
}

/// What one step of a purge did.
pub(crate) struct Purged {
    /// Rows that were due by their `purge_at`, whether they went or not.
    pub(crate) looked_at: usize,
    /// Rows that went.
    pub(crate) removed: usize,
}

/// Removes at most `limit` sessions that nothing needs any more at `horizon`, and moves on those that were
/// refreshed since their `purge_at` was written. What another transaction holds is left for the next time.
///
/// `Session::purge_at` is said here once more, since a row that cannot be read must still go.
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

async fn insert(link: &mut Link<'_>, session: &Session) -> Result<(), Failure> {
    // A session that was just begun has no spent, recovered or ended. The lock is held until it is committed.
    let insert = Statement::new(
        "INSERT INTO @sessions (
             id, subject, client, grant_json, own_access_ttl, device_json, generation, spent,
             created_at, authenticated_at, last_seen_at, idle_expires_at, absolute_expires_at,
             access_until, purge_at
         ) VALUES ($1, $2, $3, $4, $5, $6, $7, ARRAY[]::bigint[], $8, $9, $10, $11, $12, $13, $14)
         RETURNING pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtextextended($15, 0))::pg_catalog.text",
    );
    let insert = insert
        .bytes(session.id.as_bytes())
        .text(session.subject().as_str())
        .text(session.client.as_str())
        .text(json(&session.grant, "grant_json")?)
        .int(session.grant.own_access_ttl().map(length))
        .text(json(&session.device, "device_json")?)
        .int(i64::from(session.generation.get()))
        .int(session.created_at.unix_millis())
        .int(session.authenticated_at.unix_millis())
        .int(session.last_seen_at.unix_millis())
        .int(session.idle_expires_at.unix_millis())
        .int(session.absolute_expires_at.unix_millis())
        .int(session.access_until.unix_millis())
        .int(session.purge_at().unix_millis())
        .text(lock_name(link, session.subject()));
    link.rows(insert).await?;
    Ok(())
}

/// A lifetime in milliseconds, small enough to be added to any instant.
fn length(ttl: std::time::Duration) -> i64 {
    let longest = Timestamp::MAX.unix_millis();
    i64::try_from(ttl.as_millis()).map_or(longest, |ttl| ttl.min(longest))
}
