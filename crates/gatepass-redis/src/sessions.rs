//! The sessions. Each call builds the arguments of a script and reads its answer.

use std::{sync::Arc, time::Duration};

use gatepass::{
    ClientId, Session, SessionId, StoreError, Timestamp,
    store::{
        AccountId, Advance, AdvanceCause, BeginOutcome, ChangeIdentity, EndReason, EndSessions,
        GrantEffect, NewSession, Random, Recover, Renew, Revocation, RevocationTarget,
        RevokeForeign, RevokeToken, SeenFrom, ServiceIdentity, SessionNumber, StoreErrorKind,
        SystemRandom, TokenId,
    },
};
use redis::Value;

use crate::{
    error::{Failure, Unreadable},
    partition::{LAYOUT, Partition, hex},
    route::Servers,
    row::{
        self, array, bytes, cutoff, instant, int, json, millis, packed, session, session_id,
        session_number, text,
    },
    script::{
        ADVANCE, ALLOW, BEGIN, CHANGE, CUTOFF, Call, END, INTRODUCE, LIST, LOAD, PURGE, REMEMBER,
        REMEMBERED, REVOKE, REVOKE_FOREIGN, Script,
    },
};

const _: () = assert!(
    Revocation::RETENTION_MARGIN.as_millis() == 600_000
        && Session::CLOCK_JITTER.as_millis() == 10_000
        && SessionNumber::MAX.get() == 9_007_199_254_740_991,
    "as common.lua, advance.lua and begin.lua have it"
);

/// The most sessions of an account that one call reads.
const PAGE: usize = 500;

pub(crate) async fn begin(
    servers: &Arc<Servers>,
    new: NewSession,
) -> Result<BeginOutcome, StoreError> {
    let account = new.account();
    if new.id.prefix() != account.prefix() {
        return Err(StoreError::unavailable(Unreadable(
            "the account in a session's id",
        )));
    }
    let partition = Partition::of_account(account);
    let kept = new.max_sessions.map(|max| i64::from(max.get()) - 1);
    let identity = json(&new.identity, "identity").map_err(Failure::from)?;
    let device = json(&new.device, "device").map_err(Failure::from)?;
    let lines = [
        new.client.as_str(),
        new.issuer.as_str(),
        new.audience.as_str(),
        "",
        &device,
        &identity,
    ];
    let call = appending(servers, &BEGIN, partition)?
        .text(hex(new.id.as_bytes()))
        .text(hex(account.as_bytes()))
        .text(lines.join("\n"))
        .int_or_none(new.identity.own_access_ttl().map(millis))
        .int(millis(new.idle_ttl))
        .int(millis(new.absolute_ttl))
        .int(millis(new.access_ttl))
        .int(SeenFrom::of(&new.device).bits())
        .int_or_none(kept)
        .int_or_none(new.authenticated_at.map(Timestamp::unix_millis));
    let id = new.id;
    let answer = servers.call(partition, call).await?;
    let begun = move || match array(&answer, "answer")? {
        [now, number, ended @ ..] => {
            let session = Session::begin(new, session_number(number)?, instant(now, "time")?);
            let ended = ended.first().map(|ended| revocation(ended, account));
            Ok(Some(BeginOutcome::new(session, ended.transpose()?)))
        }
        [_] => Ok(None),
        _ => Err(Unreadable("answer")),
    };
    if let Some(begun) = begun().map_err(Failure::from)? {
        return Ok(begun);
    }
    let (found, _) = load(servers, id).await?;
    // It can only be missing if a purge has run in between.
    let found = found.ok_or_else(|| StoreError::new(StoreErrorKind::Busy))?;
    Ok(BeginOutcome::existing(found))
}

/// Reads from an answer which sessions of `account` a script has revoked.
fn revocation(answer: &Value, account: AccountId) -> Result<Revocation, Unreadable> {
    match array(answer, "answer")? {
        [_, up_to, except, until] => Ok(Revocation {
            target: RevocationTarget::Sessions(account, cutoff(up_to, except)?),
            until: instant(until, "until")?,
        }),
        _ => Err(Unreadable("answer")),
    }
}

pub(crate) async fn advance(
    servers: &Arc<Servers>,
    advance: Advance,
) -> Result<Option<Session>, StoreError> {
    let overlap = Some(advance.overlap).filter(|overlap| *overlap > Duration::ZERO);
    let numbers = packed([
        servers.time().unwrap_or(-1),
        advance.from.get().into(),
        advance.to.get().into(),
        (advance.cause != AdvanceCause::Refresh).into(),
        (advance.cause == AdvanceCause::Reauthenticate).into(),
        overlap.map_or(-1, millis),
        advance.seen_from.bits(),
        millis(advance.idle_ttl),
        millis(advance.access_ttl),
    ]);
    let call = || {
        ADVANCE
            .on([servers.keys.session(advance.id)])
            .text(line(&advance.client))
            .text(&numbers)
    };
    let partition = Partition::of_session(advance.id);
    let mut answer = servers.call(partition, call()).await?;
    if let Value::BulkString(_) = answer {
        // The cluster is moving the slot. If all sessions end after this call has read the cutoff,
        // that end overlaps with the refresh, and also covers the tokens that the refresh issues.
        let account = row::account_id(&answer).map_err(Failure::from)?;
        let call_for_cutoff = CUTOFF.on([servers.keys.account(account)]);
        let cutoff = servers.call(partition, call_for_cutoff).await?;
        let cutoff = bytes(&cutoff, "cutoff").map_err(Failure::from)?;
        answer = servers.call(partition, call().text(cutoff)).await?;
    }
    Ok(row::changed(advance.id, &answer).map_err(Failure::from)?)
}

pub(crate) async fn recover(
    servers: &Arc<Servers>,
    recover: Recover,
) -> Result<Option<Session>, StoreError> {
    let partition = Partition::of_session(recover.id);
    let call = timed(servers, &ALLOW, partition, Some(recover.id))
        .text(line(&recover.client))
        .int(recover.generation.get().into())
        .int(millis(recover.access_ttl));
    changed(servers, recover.id, call).await
}

pub(crate) async fn renew(
    servers: &Arc<Servers>,
    renew: Renew,
) -> Result<Option<Session>, StoreError> {
    let partition = Partition::of_session(renew.id);
    let call = timed(servers, &ALLOW, partition, Some(renew.id))
        .text(line(&renew.client))
        .text("")
        .int(millis(renew.access_ttl));
    changed(servers, renew.id, call).await
}

pub(crate) async fn change(
    servers: &Arc<Servers>,
    change: ChangeIdentity,
) -> Result<Option<Session>, StoreError> {
    let identity = json(&change.identity, "identity").map_err(Failure::from)?;
    let effect = match change.effect {
        GrantEffect::None => "none",
        GrantEffect::Offer => "offer",
        GrantEffect::Enforce => "enforce",
    };
    let call = appending(servers, &CHANGE, Partition::of_session(change.id))?
        .text(hex(change.id.as_bytes()))
        .int(change.from.get().into())
        .text(identity)
        .int_or_none(change.identity.own_access_ttl().map(millis))
        .text(effect);
    changed(servers, change.id, call).await
}

async fn changed(
    servers: &Arc<Servers>,
    id: SessionId,
    call: Call,
) -> Result<Option<Session>, StoreError> {
    let answer = servers.call(Partition::of_session(id), call).await?;
    Ok(row::changed(id, &answer).map_err(Failure::from)?)
}

pub(crate) async fn load(
    servers: &Arc<Servers>,
    id: SessionId,
) -> Result<(Option<Session>, Timestamp), StoreError> {
    let partition = Partition::of_session(id);
    let call = timed(servers, &LOAD, partition, Some(id));
    let answer = servers.call(partition, call).await?;
    let loaded = || match array(&answer, "answer")? {
        [now, row, account] => Ok((session(id, row, account)?, instant(now, "time")?)),
        [now, ..] => Ok((None, instant(now, "time")?)),
        [] => Err(Unreadable("answer")),
    };
    Ok(loaded().map_err(Failure::from)?)
}

pub(crate) async fn end(
    servers: &Arc<Servers>,
    target: EndSessions,
    reason: EndReason,
) -> Result<Option<Revocation>, StoreError> {
    let (how, id, account) = match target {
        EndSessions::Session(id) => ("session", Some(id), None),
        EndSessions::SessionOf(id, account) => ("session_of", Some(id), Some(account)),
        EndSessions::AllOf(account) => ("all", None, Some(account)),
        EndSessions::AllOfBut(account, id) => ("all", Some(id), Some(account)),
    };
    let partition = match (account, id) {
        (Some(account), _) => Partition::of_account(account),
        (None, Some(id)) => Partition::of_session(id),
        (None, None) => return Ok(None),
    };
    // A session of another partition belongs to another account, so this call neither ends nor
    // keeps it.
    let id = id.filter(|id| Partition::of_session(*id) == partition);
    let call = appending(servers, &END, partition)?
        .text(reason.as_str())
        .text(how)
        .text(id.map(|id| hex(id.as_bytes())).unwrap_or_default())
        .text(
            account
                .map(|account| hex(account.as_bytes()))
                .unwrap_or_default(),
        );
    let answer = servers.call(partition, call).await?;
    let ended = || match (&answer, id, account) {
        (Value::Array(ended), Some(id), _) if how != "all" => match ended.as_slice() {
            [_, until] => Ok(Some(Revocation {
                target: RevocationTarget::Session(id),
                until: instant(until, "until")?,
            })),
            _ => Err(Unreadable("answer")),
        },
        (Value::Array(_), _, Some(account)) => revocation(&answer, account).map(Some),
        (Value::Nil, ..) => Ok(None),
        _ => Err(Unreadable("answer")),
    };
    Ok(ended().map_err(Failure::from)?)
}

pub(crate) async fn revoke_token(
    servers: &Arc<Servers>,
    token: RevokeToken,
) -> Result<Option<Revocation>, StoreError> {
    let partition = Partition::of_session(token.session);
    let most = |most: usize| i64::try_from(most).unwrap_or(i64::MAX);
    let call = appending(servers, &REVOKE, partition)?
        .text(hex(token.session.as_bytes()))
        .text(hex(token.token.as_bytes()))
        .int(token.until.unix_millis())
        .text(hex(token.account.as_bytes()))
        .int(most(RevokeToken::MAX_PER_SESSION))
        .int(most(RevokeToken::MAX_PER_ACCOUNT));
    let answer = servers.call(partition, call).await?;
    let revoked = || {
        let Value::Array(revoked) = &answer else {
            return Ok(None);
        };
        let [what, until] = revoked.as_slice() else {
            return Err(Unreadable("answer"));
        };
        let target = match text(what, "answer")? {
            "token" => RevocationTarget::Token(token.token),
            _ => RevocationTarget::Session(token.session),
        };
        let until = instant(until, "until")?;
        Ok(Some(Revocation { target, until }))
    };
    Ok(revoked().map_err(Failure::from)?)
}

pub(crate) async fn revoke_foreign(
    servers: &Arc<Servers>,
    revoke: RevokeForeign,
) -> Result<Option<Revocation>, StoreError> {
    let partition = Partition::of_account(revoke.account);
    let single = revoke.single();
    let most = i64::try_from(RevokeForeign::MAX_PER_SUBJECT).unwrap_or(i64::MAX);
    let call = appending(servers, &REVOKE_FOREIGN, partition)?
        .text(single.map_or_else(String::new, |single| hex(single.token.as_bytes())))
        .text(single.map_or_else(String::new, |single| hex(single.session.as_bytes())))
        .int(single.map_or(0, |single| single.until.unix_millis()))
        .text(hex(revoke.account.as_bytes()))
        .int(most)
        .int(millis(revoke.lifetime));
    let answer = servers.call(partition, call).await?;
    let revoked = || match (&answer, single) {
        (Value::Array(revoked), Some(single)) if revoked.len() == 2 => Ok(Some(Revocation {
            target: RevocationTarget::Token(single.token),
            until: single.until,
        })),
        (Value::Array(_), _) => revocation(&answer, revoke.account).map(Some),
        _ => Ok(None),
    };
    Ok(revoked().map_err(Failure::from)?)
}

/// How often a call starts a list again because sessions ended while it read the list.
const LIST_ATTEMPTS: usize = 3;

/// The usable sessions of `account`, read in pages of bounded size.
pub(crate) async fn usable(
    servers: &Arc<Servers>,
    account: AccountId,
    before: Option<SessionNumber>,
    limit: usize,
) -> Result<Vec<Session>, StoreError> {
    for _ in 0..LIST_ATTEMPTS {
        if let Some(sessions) = pages(servers, account, before, limit).await? {
            return Ok(sessions);
        }
    }
    Err(StoreError::new(StoreErrorKind::Busy))
}

/// `None` if the account changed between two pages. Sessions from different moments may never have
/// been usable at the same time.
async fn pages(
    servers: &Arc<Servers>,
    account: AccountId,
    mut before: Option<SessionNumber>,
    limit: usize,
) -> Result<Option<Vec<Session>>, StoreError> {
    let (mut sessions, mut cutoff) = (Vec::new(), None);
    while sessions.len() < limit {
        // Some of the sessions that it reads may have expired.
        let most = (limit - sessions.len()).clamp(10, PAGE);
        let partition = Partition::of_account(account);
        let call = timed(servers, &LIST, partition, None)
            .text(hex(account.as_bytes()))
            .int_or_none(before.map(SessionNumber::get))
            .int(i64::try_from(most).unwrap_or(i64::MAX));
        let answer = servers.call(partition, call).await?;
        let page = listed(&answer).map_err(Failure::from)?;
        if *cutoff.get_or_insert(page.cutoff) != page.cutoff {
            return Ok(None);
        }
        sessions.extend(page.usable);
        match page.last {
            Some(last) => before = Some(last),
            None => break,
        }
    }
    sessions.truncate(limit);
    Ok(Some(sessions))
}

struct Page {
    usable: Vec<Session>,
    /// The cutoff of the account, in the format of its row.
    cutoff: Option<[u8; 16]>,
    /// The number of the last session that was read, if there may be more.
    last: Option<SessionNumber>,
}

fn listed(answer: &Value) -> Result<Page, Unreadable> {
    let [now, account, last, rows @ ..] = array(answer, "answer")? else {
        return Err(Unreadable("answer"));
    };
    let now = instant(now, "time")?;
    let mut usable = Vec::new();
    for pair in rows.chunks(2) {
        let [id, row] = pair else {
            return Err(Unreadable("answer"));
        };
        let session = session(session_id(id)?, row, account)?;
        usable.extend(session.filter(|session| session.is_usable(now)));
    }
    let last = match last {
        Value::Nil => None,
        last => Some(session_number(last)?),
    };
    let cutoff = match account {
        Value::Nil => None,
        row => bytes(row, "account")?
            .get(16..)
            .and_then(<[u8]>::first_chunk)
            .copied(),
    };
    Ok(Page {
        usable,
        cutoff,
        last,
    })
}

/// Remembers the services that use the store. Returns those that used it before.
pub(crate) async fn introduce(
    servers: &Arc<Servers>,
    identities: &[ServiceIdentity],
    join: bool,
) -> Result<Vec<ServiceIdentity>, StoreError> {
    let partition = Partition::first();
    let call = timed(servers, &INTRODUCE, partition, None).int(join.into());
    let call = identities
        .iter()
        .fold(call, |call, identity| call.text(identity.to_text()));
    let answer = servers.call(partition, call).await?;
    let known = text(&answer, "identities").map_err(Failure::from)?.lines();
    let known = known.map(|line| ServiceIdentity::from_text(line).ok_or(Unreadable("identities")));
    Ok(known.collect::<Result<_, _>>().map_err(Failure::from)?)
}

/// The result of one batch: how many rows it has removed, how many it has looked at, and whether
/// there may be more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purged {
    pub(crate) removed: usize,
    pub(crate) looked_at: usize,
    pub(crate) more: bool,
}

pub(crate) async fn purge(
    servers: &Arc<Servers>,
    partition: Partition,
    horizon: Timestamp,
    limit: usize,
) -> Result<Purged, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let call = timed(servers, &PURGE, partition, None)
        .int(horizon.unix_millis())
        .int(limit);
    let answer = servers.call(partition, call).await?;
    let count = |value| usize::try_from(int(value, "count")?).map_err(|_| Unreadable("count"));
    let purged = || match array(&answer, "answer")? {
        [removed, looked_at, more] => Ok(Purged {
            removed: count(removed)?,
            looked_at: count(looked_at)?,
            more: int(more, "more")? == 1,
        }),
        _ => Err(Unreadable("answer")),
    };
    Ok(purged().map_err(Failure::from)?)
}

/// Stores the horizon of a purge, and returns the horizon that the purge may use.
pub(crate) async fn remember_horizon(
    servers: &Arc<Servers>,
    horizon: Timestamp,
) -> Result<Timestamp, StoreError> {
    let partition = Partition::first();
    let call = timed(servers, &REMEMBER, partition, None).int(horizon.unix_millis());
    let answer = servers.call(partition, call).await?;
    Ok(instant(&answer, "horizon").map_err(Failure::from)?)
}

pub(crate) async fn last_horizon(servers: &Arc<Servers>) -> Result<Option<Timestamp>, StoreError> {
    let partition = Partition::first();
    let call = REMEMBERED.on([servers.keys.meta(partition)]);
    match servers.call(partition, call).await? {
        Value::Nil => Ok(None),
        at => Ok(Some(instant(&at, "purged_until").map_err(Failure::from)?)),
    }
}

/// A call whose first argument is the time.
pub(crate) fn timed(
    servers: &Servers,
    script: &'static Script,
    partition: Partition,
    session: Option<SessionId>,
) -> Call {
    let meta = servers.keys.meta(partition);
    let call = match session {
        Some(id) => script.on([meta, servers.keys.session(id)]),
        None => script.on([meta]),
    };
    call.int_or_none(servers.time())
}

/// A call that appends to the log. The log gets a name if it has none, for example after a
/// `FLUSHALL`.
fn appending(
    servers: &Servers,
    script: &'static Script,
    partition: Partition,
) -> Result<Call, StoreError> {
    Ok(timed(servers, script, partition, None)
        .text(incarnation()?)
        .int(LAYOUT.into()))
}

/// A name for a log.
pub(crate) fn incarnation() -> Result<String, StoreError> {
    let mut name = [0; 16];
    let random = SystemRandom.fill(&mut name);
    random.map_err(StoreError::unavailable)?;
    Ok(hex(TokenId::from_bytes(name).as_bytes()))
}

/// The client as a line of a session. No other client's line begins with it.
fn line(client: &ClientId) -> String {
    format!("{client}\n")
}
