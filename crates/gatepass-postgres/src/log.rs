//! The revocation log.

use gatepass::{
    SessionId, Timestamp,
    store::{
        Cursor, GrantVersion, PullResult, Revocation, RevocationTarget, RevokeForeign, RevokeToken,
        TokenId, TokenStatus,
    },
};
use sqlx::postgres::PgRow;

use crate::{
    cursor::{self, Part, Place, Row, Snapshot, Unseen},
    error::{Failure, Unreadable},
    link::{Link, Tx, now},
    row::{account_id, cell, covered, cutoff, grant, margin, millis, on_the_primary, session_id},
    sql::Statement,
};

/// The most entries that one pull returns: some hundred kilobytes.
const BATCH: usize = 5000;

/// The most rows of each kind that a statement reads: one more than a pull returns, to see whether
/// there are more.
macro_rules! limit {
    () => {
        "5001"
    };
}

const _: () = assert!(BATCH + 1 == 5001, "as the statement of a pull has it");

/// The columns of an entry.
macro_rules! entry {
    () => {
        "xid, seq, account, session, token, up_to, except_number, grant_newest, grant_valid_from, until"
    };
}

/// The snapshot of the statement.
macro_rules! now_seen {
    () => {
        "pg_catalog.pg_current_snapshot()"
    };
}

/// The number after the last transaction that the statement may see.
macro_rules! now_end {
    () => {
        concat!("pg_catalog.pg_snapshot_xmax(", now_seen!(), ")")
    };
}

/// The transactions below that number that still run.
macro_rules! now_running {
    () => {
        concat!(
            "ARRAY(SELECT pg_catalog.pg_snapshot_xip(",
            now_seen!(),
            "))"
        )
    };
}

/// The rows that [`Unseen`] names as `$1` to `$5`, without restored ones. There are two kinds. Each
/// reads one range or some points of the index. A condition on the snapshot alone would read all
/// rows since the oldest open transaction of the whole cluster.
macro_rules! after {
    ($columns:expr, $limit:expr) => {
        concat!(
            "(SELECT ",
            $columns,
            " FROM @revocations
              WHERE ROW(xid, seq) {>} ROW($1::pg_catalog.text::pg_catalog.xid8, $2)
                  AND xid {<} ",
            now_end!(),
            " AND pg_catalog.pg_visible_in_snapshot(xid, ",
            now_seen!(),
            ") ORDER BY xid, seq LIMIT ",
            $limit,
            ")"
        )
    };
}

macro_rules! late {
    ($columns:expr, $limit:expr) => {
        concat!(
            "(SELECT ",
            $columns,
            " FROM @revocations
              WHERE xid {=} ANY ($3::pg_catalog.text::pg_catalog.xid8[])
                  AND (xid {<>} $4::pg_catalog.text::pg_catalog.xid8 OR seq {>} $5)
                  AND pg_catalog.pg_visible_in_snapshot(xid, ",
            now_seen!(),
            ") ORDER BY xid, seq LIMIT ",
            $limit,
            ")"
        )
    };
}

/// Restored rows after `$6` and `$7` that match `$condition`, if `$8` is true.
macro_rules! restored {
    ($condition:expr) => {
        concat!(
            "(SELECT true AS restored, ",
            entry!(),
            " FROM @revocations
              WHERE $8 AND ",
            $condition,
            " AND ROW(xid, seq) {>} ROW($6::pg_catalog.text::pg_catalog.xid8, $7)
              ORDER BY xid, seq LIMIT ",
            limit!(),
            ")"
        )
    };
}

/// The identity of this log. A database that is restored elsewhere has the same row in `meta`, but
/// numbers its transactions anew. After a failover or a restore in place, some transactions never
/// happened, and the server uses their numbers again, on a new timeline. On a replica, this
/// statement fails, because it asks for the end of the write-ahead log.
macro_rules! incarnation {
    () => {
        "(SELECT value FROM @meta WHERE key {=} 'incarnation'::pg_catalog.text)
         {||} '-'::pg_catalog.text
         {||} (SELECT system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system())
         {||} '-'::pg_catalog.text
         {||} pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8)"
    };
}

/// Makes the server write the transaction to disk before any reader sees its entries, even if
/// `synchronous_commit` is off. Otherwise a crash could undo an entry that a reader has seen.
/// Another entry would then get its number, and that reader would skip it.
macro_rules! durable {
    () => {
        "CASE WHEN pg_catalog.current_setting('synchronous_commit') {=} 'off'::pg_catalog.text
              THEN pg_catalog.set_config('synchronous_commit', 'local', true) END"
    };
}
pub(crate) use durable;

/// Adds the arguments `$1` to `$5`.
fn with_unseen(statement: Statement, place: &Place) -> Statement {
    let Unseen { after, late, but } = place.unseen();
    statement
        .text(after.xid.to_string())
        .int(after.seq)
        .text(format!("{{{}}}", cursor::listed(&late)))
        .text(but.xid.to_string())
        .int(but.seq)
}

pub(crate) async fn pull(mut link: Link<'_>, after: Option<Cursor>) -> Result<PullResult, Failure> {
    let place = match after.as_ref().map(Place::parse) {
        None => Place::start(),
        Some(Some(place)) => place,
        Some(None) => return Ok(PullResult::Reset),
    };
    // One statement has one snapshot, so the rows belong exactly to the transactions that were over
    // in it.
    let asked = Statement::new(concat!(
        "SELECT log.incarnation, log.snapshot, log.last, entry.restored,
             entry.xid::pg_catalog.text AS xid, entry.seq, entry.account, entry.session, entry.token,
             entry.up_to, entry.except_number, entry.grant_newest, entry.grant_valid_from, entry.until
         FROM (SELECT ",
        incarnation!(),
        " AS incarnation, ",
        now_seen!(),
        "::pg_catalog.text AS snapshot,
             (SELECT xid::pg_catalog.text FROM @revocations WHERE xid {<} ",
        now_end!(),
        " ORDER BY revocations.xid DESC, seq DESC LIMIT 1) AS last) AS log
         LEFT JOIN (",
        after!(
            concat!("false AS restored, ", entry!()),
            limit!()
        ),
        " UNION ALL ",
        late!(
            concat!("false AS restored, ", entry!()),
            limit!()
        ),
        " UNION ALL ",
        restored!(concat!("xid {>=} ", now_end!())),
        " UNION ALL ",
        restored!(concat!("xid {=} ANY (", now_running!(), ")")),
        " ORDER BY restored, xid, seq LIMIT ",
        limit!(),
        ") AS entry ON true
         ORDER BY entry.restored, entry.xid, entry.seq"
    ));
    let restored = place.restored.unwrap_or(Row::FIRST);
    let asked = with_unseen(asked, &place)
        .text(restored.xid.to_string())
        .int(restored.seq)
        .bool(place.restored.is_some());
    let rows = link.rows(asked).await?;
    let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let incarnation: String = cell(first, "incarnation")?;
    if after.is_some() && place.incarnation != incarnation {
        return Ok(PullResult::Reset);
    }
    let snapshot: String = cell(first, "snapshot")?;
    let now = Snapshot::parse(&snapshot).ok_or(Unreadable("snapshot"))?;
    if place.is_ahead_of(&now) {
        return Ok(PullResult::Reset);
    }
    let newest: Option<String> = cell(first, "last")?;
    let newest = newest.map(|xid| xid.parse().map_err(|_| Unreadable("last")));
    let page = Page {
        incarnation,
        now,
        newest: newest.transpose()?,
        more: rows.len() > BATCH,
    };
    let mut entries = Vec::with_capacity(rows.len());
    let mut last = None;
    for row in rows.iter().take(BATCH) {
        let Some(xid) = cell::<Option<String>>(row, "xid")? else {
            break;
        };
        entries.push(read(row)?);
        let xid = xid.parse().map_err(|_| Unreadable("xid"))?;
        let seq = cell(row, "seq")?;
        last = Some((cell(row, "restored")?, Row { xid, seq }));
    }
    let more = page.more;
    let next = page.after(place, last)?;
    Ok(PullResult::entries(entries, Cursor::from(&next), more))
}

/// The answer to a pull, without its entries.
struct Page {
    incarnation: String,
    /// The transactions that were over.
    now: Snapshot,
    /// The last transaction that has a row.
    newest: Option<u64>,
    /// Whether this is only a part of the answer.
    more: bool,
}

impl Page {
    /// The place after this page. The page began at `place` and ended with the row `last`, which
    /// may be a restored one.
    ///
    /// A page that is only a part must have new rows. Otherwise a reader that pulls until there are
    /// no more would pull forever.
    fn after(self, place: Place, last: Option<(bool, Row)>) -> Result<Place, Unreadable> {
        let (incarnation, now) = (self.incarnation, self.now);
        let (seen, part, restored) = match last {
            Some((false, last)) if self.more => {
                let next = Part { of: now, last };
                let next = Place {
                    incarnation,
                    part: Some(next),
                    ..place.clone()
                };
                let progresses = next.has_seen(last) && !place.has_seen(last);
                return progresses.then_some(next).ok_or(Unreadable("xid"));
            }
            Some((true, last)) if self.more => {
                let before = place.restored.unwrap_or(last);
                if last <= before {
                    return Err(Unreadable("xid"));
                }
                // All other rows came before the restored ones.
                (now.certain(&place.seen, self.newest), None, Some(last))
            }
            _ => (now.certain(&place.seen, self.newest), None, None),
        };
        Ok(Place {
            incarnation,
            seen,
            part,
            restored,
        })
    }
}

/// Whether there are entries whose transaction has not yet begun or ended in this cluster.
pub(crate) async fn has_restored(mut link: Link<'_>) -> Result<bool, Failure> {
    let asked = Statement::new(concat!(
        "SELECT coalesce(
             (SELECT true FROM @revocations WHERE xid {>=} ",
        now_end!(),
        " ORDER BY xid, seq LIMIT 1),
             (SELECT true FROM @revocations WHERE xid {=} ANY (",
        now_running!(),
        ") ORDER BY xid, seq LIMIT 1), false) AS restored"
    ));
    Ok(cell(&link.one(asked).await?, "restored")?)
}

/// Gives the number of this transaction to some of these entries. It must be the first statement
/// that gives the transaction a number.
pub(crate) async fn restamp(mut link: Link<'_>) -> Result<(), Failure> {
    let restamp = Statement::new(concat!(
        "UPDATE @revocations SET xid = pg_catalog.pg_current_xact_id(), seq = DEFAULT WHERE ctid {=} ANY (ARRAY(
             (SELECT ctid FROM @revocations WHERE xid {>=} ",
        now_end!(),
        " ORDER BY xid, seq LIMIT ",
        limit!(),
        ") UNION ALL
             (SELECT ctid FROM @revocations WHERE xid {=} ANY (",
        now_running!(),
        ") ORDER BY xid, seq LIMIT ",
        limit!(),
        ")))"
    ));
    link.rows(restamp).await?;
    Ok(())
}

/// Whether there are entries after `place`, or `place` is in another log.
pub(crate) async fn has_more(mut link: Link<'_>, place: Place) -> Result<bool, Failure> {
    let asked = Statement::new(concat!(
        "SELECT coalesce(",
        after!("true", "1"),
        ", ",
        late!("true", "1"),
        ", false) OR $6 {<>} (",
        incarnation!(),
        ") AS more"
    ));
    let asked = with_unseen(asked, &place).text(place.incarnation);
    Ok(cell(&link.one(asked).await?, "more")?)
}

fn read(row: &PgRow) -> Result<Revocation, Failure> {
    let is_there = |name| Ok::<_, Unreadable>(cell::<Option<Vec<u8>>>(row, name)?.is_some());
    let (account, session) = (is_there("account")?, is_there("session")?);
    let token: Option<Vec<u8>> = cell(row, "token")?;
    let target = match (account, session, token, cutoff(row)?, grant(row)?) {
        (true, false, None, Some(cutoff), None) => {
            RevocationTarget::Sessions(account_id(row, "account")?, cutoff)
        }
        (_, true, Some(token), None, None) => TokenId::try_from(token.as_slice())
            .map(RevocationTarget::Token)
            .map_err(|_| Unreadable("token"))?,
        (false, true, None, None, None) => RevocationTarget::Session(session_id(row, "session")?),
        (false, true, None, None, Some(grant)) => {
            RevocationTarget::Grant(session_id(row, "session")?, grant)
        }
        _ => return Err(Unreadable("revocation").into()),
    };
    let until = millis(row, "until")?;
    Ok(Revocation { target, until })
}

pub(crate) async fn status(
    mut link: Link<'_>,
    session: SessionId,
    token: TokenId,
    version: GrantVersion,
) -> Result<TokenStatus, Failure> {
    // This repeats `Session::purge_at` in SQL.
    let asked = Statement::new(concat!(
        "SELECT pg_catalog.pg_is_in_recovery() AS standby, found.ended, found.stale, (CASE WHEN found.ended
                 THEN found.access_until ELSE greatest(found.access_until, found.idle_expires_at) END {+} ",
        margin!(),
        ") {<=} ",
        now!("4"),
        " AS past, EXISTS (SELECT 1 FROM @revocations WHERE token {=} $2) AS revoked
         FROM (SELECT) AS always LEFT JOIN (
             SELECT s.ended_at IS NOT NULL OR ",
        covered!(),
        " AS ended, s.access_until, s.idle_expires_at, s.grant_valid_from {>} $3 AS stale
             FROM @sessions AS s LEFT JOIN @accounts AS a ON a.id {=} s.account WHERE s.id {=} $1
         ) AS found ON true"
    ));
    let asked = asked
        .bytes(session.as_bytes())
        .bytes(token.as_bytes())
        .int(i64::from(version.get()))
        .int(link.dialect().time());
    let row = on_the_primary(link.one(asked).await?)?;
    let is = |name| cell::<Option<bool>>(&row, name);
    let ended = match (is("ended")?, is("past")?) {
        (Some(ended), Some(false)) => ended,
        _ => return Ok(TokenStatus::Unknown),
    };
    if ended || cell(&row, "revoked")? {
        return Ok(TokenStatus::Revoked);
    }
    Ok(match is("stale")? {
        Some(true) => TokenStatus::Stale,
        _ => TokenStatus::Live,
    })
}

/// Whether there is room for the revocation of a token.
pub(crate) enum Room {
    /// The token is already revoked.
    Revoked,
    /// The token's session or account has the most entries that it may have.
    Full,
    /// The token can be revoked.
    Free,
}

/// Checks whether there is room to revoke `token`. If the caller holds the account's row, the
/// answer stays true.
pub(crate) async fn room(link: &mut Link<'_>, token: RevokeToken) -> Result<Room, Failure> {
    macro_rules! live {
        ($of:literal) => {
            concat!(
                "(SELECT pg_catalog.count(*) FROM @revocations WHERE ",
                $of,
                " AND token IS NOT NULL AND until {>} (",
                now!("2"),
                " {-} ",
                margin!(),
                "))"
            )
        };
    }
    let asked = Statement::new(concat!(
        "SELECT EXISTS (SELECT 1 FROM @revocations WHERE token {=} $1) AS revoked, ",
        live!("session {=} $3"),
        " AS of_session, ",
        live!("account {=} $4"),
        " AS of_account"
    ));
    let asked = asked
        .bytes(token.token.as_bytes())
        .int(link.dialect().time())
        .bytes(token.session.as_bytes())
        .bytes(token.account.as_bytes());
    let row = link.one(asked).await?;
    let is_full = |name, most| {
        let live: i64 = cell(&row, name)?;
        Ok::<_, Failure>(usize::try_from(live).is_ok_and(|live| live >= most))
    };
    let full = is_full("of_session", RevokeToken::MAX_PER_SESSION)?
        || is_full("of_account", RevokeToken::MAX_PER_ACCOUNT)?;
    Ok(match cell(&row, "revoked")? {
        true => Room::Revoked,
        false if full => Room::Full,
        false => Room::Free,
    })
}

/// Appends the end of an account's sessions, which `$rows` selects. It replaces the account's last
/// such entry. Readers that are behind get only the new entry, which includes the older one.
macro_rules! append_cutoff {
    ($rows:literal) => {
        concat!(
            " INSERT INTO @revocations (account, up_to, except_number, until) ",
            $rows,
            " ON CONFLICT (account) WHERE up_to IS NOT NULL DO UPDATE SET
                 xid = pg_catalog.pg_current_xact_id(), up_to = excluded.up_to,
                 except_number = excluded.except_number, until = excluded.until
             RETURNING ",
            durable!()
        )
    };
}
pub(crate) use append_cutoff;

/// Appends the grant of a session. It replaces the session's last grant.
pub(crate) async fn append_grant(link: &mut Link<'_>, entry: Revocation) -> Result<(), Failure> {
    let RevocationTarget::Grant(session, grant) = entry.target else {
        return Ok(());
    };
    let append = Statement::new(concat!(
        "INSERT INTO @revocations (session, grant_newest, grant_valid_from, until) VALUES ($1, $2, $3, $4)
         ON CONFLICT (session) WHERE grant_newest IS NOT NULL DO UPDATE SET
             xid = pg_catalog.pg_current_xact_id(), grant_newest = excluded.grant_newest,
             grant_valid_from = excluded.grant_valid_from, until = excluded.until
         RETURNING ",
        durable!()
    ));
    let append = append
        .bytes(session.as_bytes())
        .int(i64::from(grant.newest.get()))
        .int(i64::from(grant.valid_from.get()))
        .int(entry.until.unix_millis());
    link.rows(append).await?;
    Ok(())
}

/// Appends the revocation of `token`, unless it is already there.
pub(crate) async fn append(
    tx: &mut Tx<'_>,
    token: RevokeToken,
) -> Result<Option<Revocation>, Failure> {
    let append = Statement::new(concat!(
        "WITH logged AS (
             INSERT INTO @revocations (session, token, until, account) VALUES ($1, $2, $3, $4)
             ON CONFLICT (token) WHERE token IS NOT NULL DO NOTHING
             RETURNING 1
         )
         SELECT ",
        durable!(),
        " FROM logged"
    ));
    let mut link = tx.link();
    let append = append
        .bytes(token.session.as_bytes())
        .bytes(token.token.as_bytes())
        .int(token.until.unix_millis())
        .bytes(token.account.as_bytes());
    let appended = link.row(append).await?;
    Ok(appended.map(|_| Revocation {
        target: RevocationTarget::Token(token.token),
        until: token.until,
    }))
}

/// Revokes one token of another issuer, or all tokens of a subject there.
pub(crate) async fn revoke_foreign(
    mut link: Link<'_>,
    revoke: RevokeForeign,
) -> Result<Option<Revocation>, Failure> {
    let Some(single) = revoke.single() else {
        return append_foreign(&mut link, revoke).await.map(Some);
    };
    // Looks without a lock first, as for a token of gatepass.
    if let Room::Revoked = room(&mut link.again(), single).await? {
        return Ok(None);
    }
    let mut tx = link.begin().await?;
    // Without a lock, two revocations at once could each see room for one more. There is no row to
    // lock.
    let lock = Statement::new("SELECT pg_catalog.pg_advisory_xact_lock($1) IS NULL AS locked");
    let [a, b, c, d, e, f, g, h, ..] = *revoke.account.as_bytes();
    let lock = lock.int(i64::from_be_bytes([a, b, c, d, e, f, g, h]));
    tx.link().one(lock).await?;
    let revocation = match room(&mut tx.link(), single).await? {
        Room::Revoked => None,
        Room::Free => append(&mut tx, single).await?,
        Room::Full => Some(append_foreign(&mut tx.link(), revoke).await?),
    };
    tx.commit().await?;
    Ok(revocation)
}

/// Appends the revocation of all tokens that a subject of another issuer got up to now
/// ([`RevokeForeign::entry`]). It replaces the subject's last such entry.
async fn append_foreign(link: &mut Link<'_>, revoke: RevokeForeign) -> Result<Revocation, Failure> {
    let append = Statement::new(concat!(
        "INSERT INTO @revocations (account, up_to, until) VALUES ($1, least(",
        now!("2"),
        ", 9007199254740991), least(",
        now!("2"),
        " {+} $3, 253402300799000))
         ON CONFLICT (account) WHERE up_to IS NOT NULL DO UPDATE SET
             xid = pg_catalog.pg_current_xact_id(),
             up_to = greatest(revocations.up_to, excluded.up_to),
             until = greatest(revocations.until, excluded.until)
         RETURNING up_to, except_number, until, ",
        durable!()
    ));
    let lifetime = i64::try_from(revoke.lifetime.as_millis()).unwrap_or(i64::MAX);
    let append = append
        .bytes(revoke.account.as_bytes())
        .int(link.dialect().time())
        .int(lifetime.min(Timestamp::MAX.unix_millis()));
    let row = link.one(append).await?;
    let cutoff = cutoff(&row)?.ok_or(Unreadable("up_to"))?;
    Ok(Revocation {
        target: RevocationTarget::Sessions(revoke.account, cutoff),
        until: millis(&row, "until")?,
    })
}

/// The channel for notifications of new entries in the log.
pub(crate) fn channel(schema: &str) -> String {
    format!("{schema}_revocations")
}

/// Removes at most `limit` entries whose retention is over at `horizon`, except those that another
/// transaction holds.
pub(crate) async fn purge(
    mut link: Link<'_>,
    horizon: Timestamp,
    limit: i64,
) -> Result<usize, Failure> {
    // A restamp or a newer cutoff may move an entry meanwhile. Then this step doesn't find it, and
    // the next one does.
    let purge = Statement::new(concat!(
        "WITH gone AS (
             DELETE FROM @revocations WHERE ctid {=} ANY (ARRAY(
                 SELECT ctid FROM @revocations WHERE until {<=} ($1 {-} ",
        margin!(),
        ") ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED))
             RETURNING 1
         )
         SELECT pg_catalog.count(*) AS gone FROM gone"
    ));
    let purge = purge.int(horizon.unix_millis()).int(limit);
    let gone: i64 = cell(&link.one(purge).await?, "gone")?;
    Ok(usize::try_from(gone).unwrap_or(0))
}
