//! The revocation log.

use gatepass::{
    Cursor, Pull, Revocation, RevokeToken, Revoked, SessionId, Status, Timestamp, TokenId,
};
use sqlx::postgres::PgRow;

use crate::{
    cursor::{Part, Place, Snapshot},
    error::{Failure, Unreadable},
    link::{Link, Tx, now},
    row::{cell, millis, session_id},
    schema::margin,
    sql::Statement,
};

/// Entries that one pull brings at most: some hundred kilobytes.
const BATCH: usize = 5000;

/// What `$1` to `$5` (a place: what was seen, a part of it, its last row, and where to begin) have not seen.
macro_rules! unseen {
    () => {
        "xid >= $5::text::xid8
         AND NOT pg_visible_in_snapshot(xid, (SELECT $1::text::pg_snapshot))
         AND NOT (pg_visible_in_snapshot(xid, (SELECT $2::text::pg_snapshot))
                  AND (xid, seq) <= ($3::text::xid8, $4))"
    };
}

/// Which log this is. A database that is restored elsewhere takes the row along, and numbers its
/// transactions anew; after a failover or a restore in place some transactions never happened, and their
/// numbers are given again, on a timeline of their own. A replica cannot answer at all: asked where its
/// log of writes ends, the server fails.
macro_rules! incarnation {
    () => {
        "(SELECT value FROM @meta WHERE key = 'incarnation')
         || '-' || (SELECT system_identifier FROM pg_control_system())
         || '-' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)"
    };
}

/// Has the transaction be on disk before anybody sees what it appends, also where `synchronous_commit` is off. What a crash
/// undid after a reader had seen it would leave its number to another entry, which that reader would take for seen.
macro_rules! durable {
    () => {
        "CASE WHEN current_setting('synchronous_commit') = 'off'
              THEN set_config('synchronous_commit', 'local', true) END"
    };
}
pub(crate) use durable;

fn with_place(statement: Statement, place: &Place) -> Statement {
    let nothing = Part {
        of: Snapshot::empty(),
        xid: 0,
        seq: 0,
    };
    let part = place.part.as_ref().unwrap_or(&nothing);
    statement
        .text(place.seen.as_str())
        .text(part.of.as_str())
        .text(part.xid.to_string())
        .int(part.seq)
        .text(place.lowest().to_string())
}

pub(crate) async fn pull(mut link: Link<'_>, after: Option<Cursor>) -> Result<Pull, Failure> {
    let place = match after.as_ref().map(Place::parse) {
        None => None,
        Some(Some(place)) => Some(place),
        Some(None) => return Ok(Pull::Reset),
    };
    let known = place.as_ref().map(|place| place.incarnation.clone());
    let place = place.unwrap_or(Place {
        incarnation: String::new(),
        seen: Snapshot::empty(),
        part: None,
    });
    // One statement has one snapshot, so that the rows are exactly those that it says were over.
    let asked = Statement::new(concat!(
        "SELECT log.incarnation, log.snapshot, log.last,
             entry.xid::text AS xid, entry.seq, entry.session, entry.token, entry.until
         FROM (SELECT ",
        incarnation!(),
        " AS incarnation, pg_current_snapshot()::text AS snapshot,
             (SELECT xid::text FROM @revocations ORDER BY revocations.xid DESC, seq DESC LIMIT 1) AS last) AS log
         LEFT JOIN (SELECT * FROM @revocations WHERE ",
        unseen!(),
        " ORDER BY xid, seq LIMIT $6) AS entry ON true
         ORDER BY entry.xid, entry.seq"
    ));
    // One more tells whether there is more.
    let limit = i64::try_from(BATCH + 1).unwrap_or(i64::MAX);
    let rows = link.rows(with_place(asked, &place).int(limit)).await?;
    let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let incarnation: String = cell(first, "incarnation")?;
    if known.is_some_and(|known| known != incarnation) {
        return Ok(Pull::Reset);
    }
    let snapshot: String = cell(first, "snapshot")?;
    let now = Snapshot::parse(&snapshot).ok_or(Unreadable("snapshot"))?;
    if place.is_ahead_of(&now) {
        return Ok(Pull::Reset);
    }
    let newest: Option<String> = cell(first, "last")?;
    let newest = newest.map(|xid| xid.parse().map_err(|_| Unreadable("last")));
    let newest = newest.transpose()?;
    let mut entries = Vec::with_capacity(rows.len());
    let mut last = None;
    for row in rows.iter().take(BATCH) {
        let Some(xid) = cell::<Option<String>>(row, "xid")? else {
            break;
        };
        entries.push(read(row)?);
        let xid = xid.parse().map_err(|_| Unreadable("xid"))?;
        last = Some((xid, cell(row, "seq")?));
    }
    let more = rows.len() > BATCH;
    let next = match last {
        Some((xid, seq)) if more => Place {
            incarnation,
            seen: place.seen,
            part: Some(Part { of: now, xid, seq }),
        },
        _ => Place {
            incarnation,
            seen: now.certain(&place.seen, newest),
            part: None,
        },
    };
    Ok(Pull::Entries {
        entries,
        next: Cursor::from(&next),
        more,
    })
}

/// Whether there is anything after `place`, of whichever log it is one.
pub(crate) async fn has_more(mut link: Link<'_>, place: Place) -> Result<bool, Failure> {
    let asked = Statement::new(concat!(
        "SELECT EXISTS (SELECT 1 FROM @revocations WHERE ",
        unseen!(),
        ") OR $6 <> ",
        incarnation!(),
        " AS more"
    ));
    let asked = with_place(asked, &place).text(place.incarnation);
    Ok(cell(&link.one(asked).await?, "more")?)
}

fn read(row: &PgRow) -> Result<Revocation, Failure> {
    let token: Option<Vec<u8>> = cell(row, "token")?;
    let target = match token {
        None => Revoked::Session(session_id(row, "session")?),
        Some(token) => TokenId::try_from(token.as_slice())
            .map(Revoked::Token)
            .map_err(|_| Unreadable("token"))?,
    };
    let until = millis(row, "until")?;
    Ok(Revocation { target, until })
}

pub(crate) async fn status(
    mut link: Link<'_>,
    session: SessionId,
    token: TokenId,
) -> Result<Status, Failure> {
    let asked = Statement::new(
        "SELECT pg_is_in_recovery() AS standby,
             (SELECT ended_at IS NOT NULL FROM @sessions WHERE id = $1) AS ended,
             EXISTS (SELECT 1 FROM @revocations WHERE token = $2) AS revoked",
    );
    let asked = asked.bytes(session.as_bytes()).bytes(token.as_bytes());
    let row = link.one(asked).await?;
    if cell(&row, "standby")? {
        return Err(Failure::Standby);
    }
    let revoked: bool = cell(&row, "revoked")?;
    Ok(match cell::<Option<bool>>(&row, "ended")? {
        None => Status::Unknown,
        Some(ended) if ended || revoked => Status::Revoked,
        Some(_) => Status::Live,
    })
}

/// What is to become of a token that is to be revoked.
pub(crate) enum Room {
    /// It is revoked already.
    Revoked,
    /// Its session has as many entries as it may have.
    Full,
    /// It can be.
    Free,
}

/// Looks whether `token` can be revoked. Whoever asks holds the session's row, so that the answer stays true.
pub(crate) async fn room(tx: &mut Tx<'_>, token: RevokeToken) -> Result<Room, Failure> {
    let asked = Statement::new(concat!(
        "SELECT EXISTS (SELECT 1 FROM @revocations WHERE token = $1) AS revoked,
             (SELECT count(*) FROM @revocations
              WHERE session = $2 AND until > ",
        now!("3"),
        " - ",
        margin!(),
        ") AS live"
    ));
    let mut link = tx.link();
    let asked = asked
        .bytes(token.token.as_bytes())
        .bytes(token.session.as_bytes())
        .int(link.dialect().time());
    let row = link.one(asked).await?;
    let live: i64 = cell(&row, "live")?;
    let full = usize::try_from(live).is_ok_and(|live| live >= RevokeToken::MAX_PER_SESSION);
    Ok(match cell(&row, "revoked")? {
        true => Room::Revoked,
        false if full => Room::Full,
        false => Room::Free,
    })
}

/// Appends the revocation of `token`, unless another has.
pub(crate) async fn append(
    tx: &mut Tx<'_>,
    token: RevokeToken,
) -> Result<Option<Revocation>, Failure> {
    let append = Statement::new(concat!(
        "WITH logged AS (
             INSERT INTO @revocations (session, token, until) VALUES ($1, $2, $3)
             ON CONFLICT (token) WHERE token IS NOT NULL DO NOTHING
             RETURNING 1
         )
         SELECT pg_notify($4, '')::text, ",
        durable!(),
        " FROM logged"
    ));
    let mut link = tx.link();
    let append = append
        .bytes(token.session.as_bytes())
        .bytes(token.token.as_bytes())
        .int(token.until.unix_millis())
        .text(channel(&link.dialect().schema));
    let appended = link.row(append).await?;
    Ok(appended.map(|_| Revocation {
        target: Revoked::Token(token.token),
        until: token.until,
    }))
}

/// Where it is told that there may be more.
pub(crate) fn channel(schema: &str) -> String {
    format!("{schema}_revocations")
}

/// Removes at most `limit` entries that are past their retention at `horizon`, but for those that another
/// transaction holds.
pub(crate) async fn purge(
    mut link: Link<'_>,
    horizon: Timestamp,
    limit: i64,
) -> Result<usize, Failure> {
    // Nothing changes an entry once it is there, so that its place stays its own.
    let purge = Statement::new(concat!(
        "WITH gone AS (
             DELETE FROM @revocations WHERE ctid = ANY (ARRAY(
                 SELECT ctid FROM @revocations WHERE until <= $1 - ",
        margin!(),
        " ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED))
             RETURNING 1
         )
         SELECT count(*) AS gone FROM gone"
    ));
    let purge = purge.int(horizon.unix_millis()).int(limit);
    let gone: i64 = cell(&link.one(purge).await?, "gone")?;
    Ok(usize::try_from(gone).unwrap_or(0))
}
