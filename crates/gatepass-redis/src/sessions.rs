//! The sessions: what each call asks of the scripts, and what it makes of their answers.

use std::{cmp::Reverse, sync::Arc};

use gatepass::{
    Advance, AdvanceCause, Begun, ClientId, EndReason, EndTarget, Grant, NewSession, Random,
    Recover, Renew, Revocation, RevokeToken, Revoked, SPENT_REMEMBERED, Session, SessionId,
    StoreError, Subject, SystemRandom, Timestamp, TokenId,
};
use redis::Value;

use crate::{
    LAYOUT,
    error::{Failure, Unreadable},
    partition::{Partition, hex},
    route::Servers,
    row::{self, array, instant, int, json, millis, packed, session, session_id, text},
    script::{
        ADVANCE, ALLOW, BEGIN, Call, END, LIST, LOAD, PURGE, REMEMBER, REMEMBERED, REVOKE, Script,
    },
};

const _: () = assert!(SPENT_REMEMBERED == 4, "as the state of a session has it");
const _: () = assert!(
    Revocation::RETENTION_MARGIN.as_millis() == 600_000,
    "as common.lua has it"
);

pub(crate) async fn begin(servers: &Arc<Servers>, new: NewSession) -> Result<Begun, StoreError> {
    let subject = new.grant.subject();
    let partition = Partition::of_subject(subject);
    if Partition::of_session(new.id) != partition {
        return Err(StoreError::unavailable(Unreadable(
            "the subject in a session's id",
        )));
    }
    let kept = new.max_sessions.map(|max| i64::from(max.get()) - 1);
    let call = appending(servers, &BEGIN, partition)?
        .text(hex(new.id.as_bytes()))
        .text(new.client.as_str())
        .text(subject.as_str());
    let call = with_grant(call, Some(&new.grant))?
        .text(json(&new.device, "device").map_err(Failure::from)?)
        .int(millis(new.idle_ttl))
        .int(millis(new.absolute_ttl))
        .int(millis(new.access_ttl))
        .int_or_none(kept);
    let answer = servers.call(partition, call).await?;
    let (now, ended) = begun(&answer).map_err(Failure::from)?;
    let session = Session::begin(new, now);
    Ok(Begun { session, ended })
}

fn begun(answer: &Value) -> Result<(Timestamp, Vec<Revocation>), Unreadable> {
    let [now, ended @ ..] = array(answer, "answer")? else {
        return Err(Unreadable("answer"));
    };
    Ok((instant(now, "time")?, revocations(ended)?))
}

pub(crate) async fn advance(
    servers: &Arc<Servers>,
    advance: Advance,
) -> Result<Option<Session>, StoreError> {
    let spent = usize::try_from(advance.to.gap(advance.from)).unwrap_or(usize::MAX);
    let spent = i64::try_from(spent.min(SPENT_REMEMBERED)).unwrap_or(0);
    let own_ttl = advance.grant.as_ref().and_then(Grant::own_access_ttl);
    let numbers = packed([
        servers.time().unwrap_or(-1),
        advance.from.get().into(),
        advance.to.get().into(),
        spent,
        (advance.cause != AdvanceCause::Refresh).into(),
        (advance.cause == AdvanceCause::Reauthenticate).into(),
        millis(advance.idle_ttl),
        millis(advance.access_ttl),
        own_ttl.map_or(-1, millis),
    ]);
    let call = ADVANCE
        .on([servers.keys.session(advance.id)])
        .text(line(&advance.client))
        .text(numbers);
    let call = match &advance.grant {
        Some(grant) => call.text(json(grant, "grant").map_err(Failure::from)?),
        None => call,
    };
    changed(servers, advance.id, call).await
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
    let call = with_grant(call, recover.grant.as_ref())?;
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
    let call = with_grant(call, renew.grant.as_ref())?;
    changed(servers, renew.id, call).await
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
        [now, row] => Ok((session(id, row)?, instant(now, "time")?)),
        _ => Err(Unreadable("answer")),
    };
    Ok(loaded().map_err(Failure::from)?)
}

pub(crate) async fn end(
    servers: &Arc<Servers>,
    target: EndTarget,
    reason: EndReason,
) -> Result<Vec<Revocation>, StoreError> {
    let (how, id, subject) = match target {
        EndTarget::Session(id) => ("session", Some(id), None),
        EndTarget::SessionOf(id, subject) => ("session_of", Some(id), Some(subject)),
        EndTarget::AllOf(subject) => ("all", None, Some(subject)),
        EndTarget::AllOfBut(subject, id) => ("all", Some(id), Some(subject)),
    };
    let partition = match (&subject, id) {
        (Some(subject), _) => Partition::of_subject(subject),
        (None, Some(id)) => Partition::of_session(id),
        (None, None) => return Ok(Vec::new()),
    };
    let call = appending(servers, &END, partition)?
        .text(reason.as_str())
        .text(how)
        .text(id.map(|id| hex(id.as_bytes())).unwrap_or_default())
        .text(subject.as_ref().map_or("", Subject::as_str));
    let answer = servers.call(partition, call).await?;
    let ended = array(&answer, "answer").and_then(revocations);
    Ok(ended.map_err(Failure::from)?)
}

pub(crate) async fn revoke_token(
    servers: &Arc<Servers>,
    token: RevokeToken,
) -> Result<Option<Revocation>, StoreError> {
    let partition = Partition::of_session(token.session);
    let most = i64::try_from(RevokeToken::MAX_PER_SESSION).unwrap_or(i64::MAX);
    let call = appending(servers, &REVOKE, partition)?
        .text(hex(token.session.as_bytes()))
        .text(hex(token.token.as_bytes()))
        .int(token.until.unix_millis())
        .int(most);
    let answer = servers.call(partition, call).await?;
    let revoked = || {
        let Value::Array(revoked) = &answer else {
            return Ok(None);
        };
        let [what, until] = revoked.as_slice() else {
            return Err(Unreadable("answer"));
        };
        let target = match text(what, "answer")? {
            "token" => Revoked::Token(token.token),
            _ => Revoked::Session(token.session),
        };
        let until = instant(until, "until")?;
        Ok(Some(Revocation { target, until }))
    };
    Ok(revoked().map_err(Failure::from)?)
}

pub(crate) async fn usable(
    servers: &Arc<Servers>,
    subject: &Subject,
) -> Result<Vec<Session>, StoreError> {
    let partition = Partition::of_subject(subject);
    let call = timed(servers, &LIST, partition, None).text(subject.as_str());
    let answer = servers.call(partition, call).await?;
    let (now, mut sessions) = listed(&answer).map_err(Failure::from)?;
    sessions.retain(|session| session.is_usable(now));
    sessions.sort_by_key(|session| Reverse((session.created_at, session.id)));
    Ok(sessions)
}

fn listed(answer: &Value) -> Result<(Timestamp, Vec<Session>), Unreadable> {
    let [now, rows @ ..] = array(answer, "answer")? else {
        return Err(Unreadable("answer"));
    };
    let mut sessions = Vec::new();
    for pair in rows.chunks(2) {
        let [id, row] = pair else {
            return Err(Unreadable("answer"));
        };
        sessions.extend(session(session_id(id)?, row)?);
    }
    Ok((instant(now, "time")?, sessions))
}

/// How many a batch has removed, and how many it has looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purged {
    pub(crate) removed: usize,
    pub(crate) looked_at: usize,
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
        [removed, looked_at] => Ok(Purged {
            removed: count(removed)?,
            looked_at: count(looked_at)?,
        }),
        _ => Err(Unreadable("answer")),
    };
    Ok(purged().map_err(Failure::from)?)
}

/// Notes how far a purge goes, and returns how far it may go.
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

/// A call that begins with the time.
fn timed(
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

/// A call that appends to the log, which gets a name if it has none: somebody may have emptied the server.
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

/// The client as a session has it: no other client's line begins with it.
fn line(client: &ClientId) -> String {
    format!("{client}\n")
}

fn with_grant(call: Call, grant: Option<&Grant>) -> Result<Call, StoreError> {
    let Some(grant) = grant else {
        return Ok(call.text("").text(""));
    };
    let own_ttl = grant.own_access_ttl().map(millis);
    let grant = json(grant, "grant").map_err(Failure::from)?;
    Ok(call.text(grant).int_or_none(own_ttl))
}

/// Pairs of a session's id and until when its tokens may live.
fn revocations(pairs: &[Value]) -> Result<Vec<Revocation>, Unreadable> {
    let pairs = pairs.chunks(2).map(|pair| match pair {
        [id, until] => Ok(Revocation {
            target: Revoked::Session(session_id(id)?),
            until: instant(until, "until")?,
        }),
        _ => Err(Unreadable("answer")),
    });
    pairs.collect()
}
