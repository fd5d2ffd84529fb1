//! Changes of the rights of sessions, and the scan that finds the sessions.

use gatepass::{
    Session, SessionId,
    store::{ChangeIdentity, GrantEffect},
};

use crate::{
    error::Failure,
    link::{Link, now},
    log,
    row::{cell, columns, covered, json, millis, on_the_primary, session},
    sessions::{length, lock},
    sql::Statement,
};

/// `Session::change`, and its entry in the log. An end of all sessions that overlaps with it comes
/// after it.
pub(crate) async fn change(
    link: Link<'_>,
    change: ChangeIdentity,
) -> Result<Option<Session>, Failure> {
    let mut tx = link.begin().await?;
    let changed = change_within(&mut tx.link(), change).await?;
    match changed {
        Some(_) => tx.commit().await?,
        None => tx.rollback().await?,
    }
    Ok(changed)
}

/// The same in the transaction that is open. It holds the lock of the session until that ends.
pub(crate) async fn change_within(
    link: &mut Link<'_>,
    change: ChangeIdentity,
) -> Result<Option<Session>, Failure> {
    let found = lock(link, change.id).await?;
    let now = link.now().await?;
    let is_announced = change.effect != GrantEffect::None;
    let Some(session) =
        found.and_then(|mut session| session.change(change, now).then_some(session))
    else {
        return Ok(None);
    };
    let write = Statement::new(
        "UPDATE @sessions SET identity_json = $2, own_access_ttl = $3, grant_newest = $4,
             grant_valid_from = $5, access_until = $6
         WHERE id {=} $1",
    );
    let write = write
        .bytes(session.id.as_bytes())
        .text(json(&session.identity, "identity_json")?)
        .int(session.identity.own_access_ttl().map(length))
        .int(i64::from(session.grant.newest.get()))
        .int(i64::from(session.grant.valid_from.get()))
        .int(session.access_until.unix_millis());
    link.rows(write).await?;
    if is_announced {
        log::append_grant(link, session.grant_entry()).await?;
    }
    Ok(Some(session))
}

/// The usable ones of the next `limit` sessions behind `after`, in the order of their ids, and the
/// id of the last one.
pub(crate) async fn scan(
    mut link: Link<'_>,
    after: Option<SessionId>,
    limit: usize,
) -> Result<(Vec<Session>, Option<SessionId>), Failure> {
    let asked = Statement::new(concat!(
        "SELECT ",
        now!("3"),
        " AS now, pg_catalog.pg_is_in_recovery() AS standby, part.id IS NOT NULL AS found, part.*
         FROM (SELECT) AS always LEFT JOIN (SELECT ",
        columns!(),
        " FROM @sessions AS s LEFT JOIN @accounts AS a ON a.id {=} s.account
          WHERE s.id {>} $1 ORDER BY s.id LIMIT $2) AS part ON true ORDER BY part.id"
    ));
    let asked = asked
        .bytes(after.as_ref().map_or(&[], |id| id.as_bytes().as_slice()))
        .int(i64::try_from(limit).unwrap_or(i64::MAX))
        .int(link.dialect().time());
    let (mut sessions, mut last) = (Vec::new(), None);
    for row in link.rows(asked).await? {
        let row = on_the_primary(row)?;
        if cell(&row, "found")? {
            let (session, now) = (session(&row)?, millis(&row, "now")?);
            last = Some(session.id);
            sessions.extend(Some(session).filter(|session| session.is_usable(now)));
        }
    }
    Ok((sessions, last))
}
