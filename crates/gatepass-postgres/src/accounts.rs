//! The accounts. A row holds the number of the account's last session, and which of its sessions
//! have ended together.
//!
//! A transaction locks the row of an account while it begins a session, ends all sessions, or
//! revokes a single token. The end of one session waits for the end of all of them, but not for
//! logins: its lock (`FOR KEY SHARE`) conflicts only with `FOR UPDATE`. A transaction locks the
//! account before the session, so two of them can't wait for each other.

use gatepass::{
    Timestamp,
    store::{Account, AccountId, Revocation, SessionNumber},
};
use sqlx::postgres::PgRow;

use crate::{
    error::Failure,
    link::{Link, now},
    log::{append_cutoff, durable},
    row::{account, account_columns, cell, margin, millis, on_the_primary},
    sql::Statement,
};

/// The columns of an account, and the store's time. The second argument sets the time, if it isn't
/// the database's.
macro_rules! timed {
    () => {
        concat!(account_columns!(), ", ", now!("2"), " AS now")
    };
}
/// The account, if there is one, and the store's time. Takes no lock.
pub(crate) async fn find(
    link: &mut Link<'_>,
    id: AccountId,
) -> Result<Option<(Account, Timestamp)>, Failure> {
    let asked = Statement::new(concat!(
        "SELECT pg_catalog.pg_is_in_recovery() AS standby, id IS NOT NULL AS found, ",
        timed!(),
        " FROM (SELECT) AS always LEFT JOIN @accounts ON id {=} $1"
    ));
    let asked = asked.bytes(id.as_bytes()).int(link.dialect().time());
    let row = on_the_primary(link.one(asked).await?)?;
    match cell(&row, "found")? {
        true => timed(&row).map(Some),
        false => Ok(None),
    }
}

/// Locks the account until the transaction ends. Returns it, and the store's time.
pub(crate) async fn lock(
    link: &mut Link<'_>,
    id: AccountId,
) -> Result<Option<(Account, Timestamp)>, Failure> {
    let locked = Statement::new(concat!(
        "SELECT ",
        timed!(),
        " FROM @accounts WHERE id {=} $1 FOR UPDATE"
    ));
    let locked = locked.bytes(id.as_bytes()).int(link.dialect().time());
    link.row(locked).await?.as_ref().map(timed).transpose()
}

fn timed(row: &PgRow) -> Result<(Account, Timestamp), Failure> {
    Ok((account(row)?, millis(row, "now")?))
}

/// Gives out the number of a session that lasts for `absolute_ttl` milliseconds (`Account::begin`),
/// in one statement. Creates the account if there is none, and locks it until the transaction ends.
/// Returns the changed account, and the store's time.
pub(crate) async fn begin(
    link: &mut Link<'_>,
    id: AccountId,
    absolute_ttl: i64,
) -> Result<(Account, Timestamp), Failure> {
    macro_rules! until {
        () => {
            concat!("least(", now!("2"), " {+} $3, 253402300799000)")
        };
    }
    let begin = Statement::new(concat!(
        "INSERT INTO @accounts (id, last, until, purge_at) VALUES ($1, greatest(",
        now!("2"),
        ", 1), ",
        until!(),
        ", ",
        until!(),
        " {+} ",
        margin!(),
        ")
         ON CONFLICT (id) DO UPDATE SET
             last = least(greatest(accounts.last {+} 1, ",
        now!("2"),
        "), 9007199254740991),
             until = greatest(accounts.until, excluded.until)
         RETURNING ",
        timed!()
    ));
    let begin = begin
        .bytes(id.as_bytes())
        .int(link.dialect().time())
        .int(absolute_ttl);
    timed(&link.one(begin).await?)
}

const _: () = assert!(Timestamp::MAX.unix_millis() == 253_402_300_799_000);
const _: () = assert!(SessionNumber::MAX.get() == 9_007_199_254_740_991);

/// Writes the cutoff of a locked account, and appends the same end to the log as `revocation`. The
/// next purge looks at the account.
pub(crate) async fn end(
    link: &mut Link<'_>,
    account: &Account,
    revocation: Revocation,
) -> Result<(), Failure> {
    let cutoff = account.cutoff;
    let reason = account.ended.map(|ended| ended.reason.as_str().to_owned());
    // One statement, so that an application can't commit only half of it in its own transaction.
    let write = Statement::new(concat!(
        "WITH ended AS (
             UPDATE @accounts SET up_to = $2, except_number = $3, ended_at = $4, ended_reason = $5, purge_at = 0
             WHERE id {=} $1
             RETURNING id, up_to, except_number
         )",
        append_cutoff!("SELECT id, up_to, except_number, $6::bigint FROM ended"),
    ));
    let write = write
        .bytes(account.id.as_bytes())
        .int(cutoff.map(|cutoff| cutoff.up_to.get()))
        .int(
            cutoff
                .and_then(|cutoff| cutoff.except)
                .map(SessionNumber::get),
        )
        .int(account.ended.map(|ended| ended.at.unix_millis()))
        .text_or_null(reason)
        .int(revocation.until.unix_millis());
    link.rows(write).await?;
    Ok(())
}

/// The most sessions of one account that a step of a purge looks at. So a step is short even if an
/// account has many sessions whose access tokens may still be valid.
const LOOKED_AT: i64 = 100;

/// The result of a step of the purge of accounts.
pub(crate) struct Purged {
    /// Whether there may be more accounts to look at.
    pub(crate) looked: bool,
    /// Sessions, log entries and accounts that were removed.
    pub(crate) removed: usize,
}

/// Removes at most `limit` accounts that have no session and no cutoff. Corrects `purge_at` of
/// accounts that have begun a session since. It leaves rows that another transaction holds for the
/// next time.
pub(crate) async fn purge_idle(
    mut link: Link<'_>,
    horizon: Timestamp,
    limit: i64,
) -> Result<Purged, Failure> {
    let purge = Statement::new(concat!(
        "WITH due AS MATERIALIZED (
             SELECT id, until {+} ",
        margin!(),
        " AS at FROM @accounts WHERE purge_at {<=} $1 AND up_to IS NULL
             ORDER BY purge_at LIMIT $2 FOR UPDATE SKIP LOCKED
         ), used AS MATERIALIZED (
             SELECT id, at, at {>} $1 OR EXISTS (SELECT FROM @sessions WHERE account {=} due.id) AS used FROM due
         ), moved AS (
             UPDATE @accounts SET purge_at = greatest(used.at, $1 {+} ",
        margin!(),
        ") FROM used WHERE accounts.id {=} used.id AND used.used
         ), gone AS (
             DELETE FROM @accounts USING used WHERE accounts.id {=} used.id AND NOT used.used RETURNING 1
         )
         SELECT (SELECT pg_catalog.count(*) FROM due) AS looked,
             (SELECT pg_catalog.count(*) FROM gone) AS removed"
    ));
    let purge = purge.int(horizon.unix_millis()).int(limit);
    let row = link.one(purge).await?;
    Ok(Purged {
        looked: cell::<i64>(&row, "looked")? == limit,
        removed: usize::try_from(cell::<i64>(&row, "removed")?).unwrap_or(0),
    })
}

/// Looks at one account whose sessions have ended together, if there is one. Removes at most
/// `limit` of these sessions that nothing needs any more at `horizon`. When none is left, removes
/// the log entry, and the account if it has no other session.
pub(crate) async fn purge_ended(
    link: Link<'_>,
    horizon: Timestamp,
    limit: i64,
) -> Result<Purged, Failure> {
    let mut tx = link.begin().await?;
    let mut link = tx.link();
    let due = Statement::new(concat!(
        "SELECT ",
        account_columns!(),
        " FROM @accounts WHERE purge_at {<=} $1 AND up_to IS NOT NULL
          ORDER BY purge_at LIMIT 1 FOR UPDATE SKIP LOCKED"
    ));
    let Some(row) = link.row(due.int(horizon.unix_millis())).await? else {
        tx.rollback().await?;
        return Ok(Purged {
            looked: false,
            removed: 0,
        });
    };
    let account = account(&row)?;
    let covered = purge_covered(&mut link, &account, horizon, limit).await?;
    let mut removed = covered.removed;
    if let Some(first) = covered.left {
        let due = first + Revocation::RETENTION_MARGIN;
        // If a due session stays, another transaction holds it, and later ones can still be
        // removed.
        if due > horizon || removed == 0 {
            // Looks again when the first access token of the remaining sessions can't be valid any
            // more, or in the next round.
            let next = due.unix_millis().max(horizon.unix_millis() + 1);
            move_on(&mut link, account.id, next).await?;
        }
    } else if covered.looked < LOOKED_AT && account.droppable_at() > horizon {
        let later = account.droppable_at();
        move_on(&mut link, account.id, later.unix_millis()).await?;
    } else if covered.looked < LOOKED_AT {
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        if removed < most {
            removed += forget_cutoff(&mut link, account.id).await?;
        }
        if removed < most {
            removed += remove(&mut link, &account, horizon).await?;
        }
    }
    tx.commit().await?;
    Ok(Purged {
        looked: true,
        removed,
    })
}

/// Some of the oldest sessions that a cutoff covers.
struct Covered {
    looked: i64,
    removed: usize,
    /// When the first access token of the remaining sessions expires.
    left: Option<Timestamp>,
}

async fn purge_covered(
    link: &mut Link<'_>,
    account: &Account,
    horizon: Timestamp,
    limit: i64,
) -> Result<Covered, Failure> {
    let cutoff = account.cutoff;
    let purge = Statement::new(concat!(
        "WITH looked AS MATERIALIZED (
             SELECT id, access_until FROM @sessions
             WHERE account {=} $1 AND number {<=} $2 AND ($3 IS NULL OR number {<>} $3)
             ORDER BY number LIMIT $4
         ), held AS MATERIALIZED (
             SELECT id FROM @sessions
             WHERE id {=} ANY (ARRAY(SELECT id FROM looked)) AND (access_until {+} ",
        margin!(),
        ") {<=} $5
             ORDER BY number LIMIT $6 FOR UPDATE SKIP LOCKED
         ), gone AS (
             DELETE FROM @sessions USING held WHERE sessions.id {=} held.id RETURNING 1
         )
         SELECT (SELECT pg_catalog.count(*) FROM looked) AS looked,
             (SELECT pg_catalog.count(*) FROM gone) AS removed,
             (SELECT pg_catalog.min(access_until) FROM looked
              WHERE NOT EXISTS (SELECT FROM held WHERE held.id {=} looked.id)) AS left_until"
    ));
    let purge = purge
        .bytes(account.id.as_bytes())
        .int(cutoff.map(|cutoff| cutoff.up_to.get()))
        .int(
            cutoff
                .and_then(|cutoff| cutoff.except)
                .map(SessionNumber::get),
        )
        .int(LOOKED_AT)
        .int(horizon.unix_millis())
        .int(limit);
    let row = link.one(purge).await?;
    Ok(Covered {
        looked: cell(&row, "looked")?,
        removed: usize::try_from(cell::<i64>(&row, "removed")?).unwrap_or(0),
        left: cell::<Option<i64>>(&row, "left_until")?.map(Timestamp::from_unix_millis),
    })
}

/// Removes the log entry of the account's cutoff. Returns how many there were.
async fn forget_cutoff(link: &mut Link<'_>, id: AccountId) -> Result<usize, Failure> {
    let forget = Statement::new(
        "DELETE FROM @revocations WHERE account {=} $1 AND up_to IS NOT NULL RETURNING 1 AS gone",
    );
    Ok(link.rows(forget.bytes(id.as_bytes())).await?.len())
}

/// Removes the account if it is due and has no session that a purge must remove first. Returns how
/// many rows were removed.
async fn remove(
    link: &mut Link<'_>,
    account: &Account,
    horizon: Timestamp,
) -> Result<usize, Failure> {
    let (id, due) = (account.id, account.purge_at());
    if due > horizon {
        move_on(link, id, due.unix_millis()).await?;
        return Ok(0);
    }
    let remove = Statement::new(
        "DELETE FROM @accounts WHERE id {=} $1
             AND NOT EXISTS (SELECT FROM @sessions WHERE account {=} $1) RETURNING 1 AS gone",
    );
    let removed = link.rows(remove.bytes(id.as_bytes())).await?.len();
    if removed == 0 {
        // The purge removes its sessions first: all of them are due.
        let later = horizon + Revocation::RETENTION_MARGIN;
        move_on(link, id, later.unix_millis()).await?;
    }
    Ok(removed)
}

/// Makes the purge look at the account at `purge_at`.
async fn move_on(link: &mut Link<'_>, id: AccountId, purge_at: i64) -> Result<(), Failure> {
    let moved = Statement::new("UPDATE @accounts SET purge_at = $2 WHERE id {=} $1");
    link.rows(moved.bytes(id.as_bytes()).int(purge_at)).await?;
    Ok(())
}
