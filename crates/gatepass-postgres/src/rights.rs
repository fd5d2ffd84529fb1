//! Changes of the rights of sessions.

use gatepass::{
    Session,
    store::{ChangeIdentity, GrantEffect},
};

use crate::{
    error::Failure,
    link::Link,
    log,
    row::json,
    sessions::{length, lock},
    sql::Statement,
};

/// `Session::change`, and its log entry. If the end of all sessions overlaps with it, that end
/// counts as later.
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

/// The same in the open transaction, which holds the session's lock until it ends.
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
