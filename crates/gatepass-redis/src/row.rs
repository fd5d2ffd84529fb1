//! Conversions between sessions and replies.

use std::time::Duration;

use gatepass::{
    ClientId, Session, SessionId, Timestamp,
    store::{
        AccountId, Audience, Cutoff, EndReason, Ended, Generation, Grant, GrantVersion, Issuer,
        Rotation, SeenFrom, SessionNumber,
    },
};
use redis::Value;

use crate::{error::Unreadable, partition::unhex};

/// The number of doubles at the beginning of a session.
const STATE: usize = 17;
/// The number of digits of the account's id, which follows.
const OWNER: usize = 32;
/// The number of doubles at the beginning of an account.
const ACCOUNT: usize = 6;

/// The session that a script has changed, or `None` if the change didn't fit. The answer has the
/// new beginning of the row, and the row, whose own beginning may be older.
pub(crate) fn changed(id: SessionId, answer: &Value) -> Result<Option<Session>, Unreadable> {
    match answer {
        Value::Nil => Ok(None),
        Value::Array(answer) => match answer.as_slice() {
            [state, row] => parse(id, bytes(state, "state")?, bytes(row, "session")?).map(Some),
            _ => Err(Unreadable("session")),
        },
        _ => Err(Unreadable("session")),
    }
}

/// A session from its row and the row of its account. `None` if it is unknown.
pub(crate) fn session(
    id: SessionId,
    row: &Value,
    account: &Value,
) -> Result<Option<Session>, Unreadable> {
    let row = match row {
        Value::Nil => return Ok(None),
        row => bytes(row, "session")?,
    };
    let mut session = parse(id, row, row)?;
    if session.ended.is_none() {
        session.ended = end_of(session.number, account)?;
    }
    Ok(Some(session))
}

/// When and why the session with this number ended together with others of its account, if it did.
fn end_of(number: SessionNumber, account: &Value) -> Result<Option<Ended>, Unreadable> {
    let account = match account {
        Value::Nil => return Ok(None),
        account => bytes(account, "account")?,
    };
    let [_last, _until, up_to, except, at, _entry] = doubles(account)?;
    let Some(up_to) = number_of(up_to) else {
        return Ok(None);
    };
    let except = number_of(except);
    if !(Cutoff { up_to, except }).covers(number) {
        return Ok(None);
    }
    let reason = account.get(ACCOUNT * size_of::<f64>()..);
    let reason = reason.and_then(|reason| std::str::from_utf8(reason).ok());
    Ok(Some(Ended {
        at: Timestamp::from_unix_millis(at),
        reason: reason
            .and_then(EndReason::from_name)
            .ok_or(Unreadable("reason"))?,
    }))
}

fn parse(id: SessionId, state: &[u8], row: &[u8]) -> Result<Session, Unreadable> {
    let [
        generation,
        rotated_from,
        rotated_at,
        last_seen_at,
        seen_from,
        idle_expires_at,
        access_until,
    ] = doubles(state)?;
    let rest = row.get(7 * size_of::<f64>()..).unwrap_or_default();
    let [
        absolute_expires_at,
        ended_at,
        _own_access_ttl,
        authenticated_at,
        recovered,
        created_at,
        number,
        grant_newest,
        grant_valid_from,
    ] = doubles(rest)?;
    let lines = row.get(STATE * size_of::<f64>() + OWNER..);
    let lines = lines.and_then(|lines| std::str::from_utf8(lines).ok());
    let mut lines = lines.ok_or(Unreadable("session"))?.split('\n');
    let mut line = |name| lines.next().ok_or(Unreadable(name));
    let (client, issuer, audience) = (line("client")?, line("issuer")?, line("audience")?);
    let (reason, device, identity) = (line("reason")?, line("device")?, line("identity")?);
    let rotation = generation_of(rotated_from).zip(instant_of(rotated_at));
    Ok(Session {
        id,
        number: number_of(number).ok_or(Unreadable("number"))?,
        issuer: Issuer::new(issuer).map_err(|_| Unreadable("issuer"))?,
        audience: Audience::new(audience).map_err(|_| Unreadable("audience"))?,
        client: ClientId::new(client).map_err(|_| Unreadable("client"))?,
        identity: serde_json::from_str(identity).map_err(|_| Unreadable("identity"))?,
        device: serde_json::from_str(device).map_err(|_| Unreadable("device"))?,
        generation: generation_of(generation).ok_or(Unreadable("generation"))?,
        rotated: rotation.map(|(from, at)| Rotation { from, at }),
        recovered: generation_of(recovered),
        created_at: Timestamp::from_unix_millis(created_at),
        authenticated_at: Timestamp::from_unix_millis(authenticated_at),
        last_seen_at: Timestamp::from_unix_millis(last_seen_at),
        seen_from: SeenFrom::from_bits(seen_from),
        idle_expires_at: Timestamp::from_unix_millis(idle_expires_at),
        absolute_expires_at: Timestamp::from_unix_millis(absolute_expires_at),
        access_until: Timestamp::from_unix_millis(access_until),
        grant: grant(grant_newest, grant_valid_from)?,
        ended: match instant_of(ended_at) {
            Some(at) => Some(Ended {
                at,
                reason: EndReason::from_name(reason).ok_or(Unreadable("reason"))?,
            }),
            None => None,
        },
    })
}

/// The numbers at the beginning of a session or an account. Each is an integer below 2^53.
fn doubles<const N: usize>(state: &[u8]) -> Result<[i64; N], Unreadable> {
    let (chunks, _) = state.as_chunks();
    let chunks: &[[u8; 8]; N] = chunks.first_chunk().ok_or(Unreadable("state"))?;
    Ok(chunks.map(|chunk| f64::from_le_bytes(chunk) as i64))
}

/// Numbers, packed for scripts.
pub(crate) fn packed<const N: usize>(numbers: [i64; N]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| (*number as f64).to_le_bytes())
        .collect()
}

fn instant_of(millis: i64) -> Option<Timestamp> {
    (millis >= 0).then(|| Timestamp::from_unix_millis(millis))
}

fn generation_of(number: i64) -> Option<Generation> {
    u32::try_from(number).ok().map(Generation::new)
}

fn grant(newest: i64, valid_from: i64) -> Result<Grant, Unreadable> {
    let version = |number| u32::try_from(number).map_err(|_| Unreadable("grant"));
    Ok(Grant {
        newest: GrantVersion::new(version(newest)?),
        valid_from: GrantVersion::new(version(valid_from)?),
    })
}

/// A grant from an entry of the log.
pub(crate) fn grant_of(newest: &Value, valid_from: &Value) -> Result<Grant, Unreadable> {
    grant(int(newest, "grant")?, int(valid_from, "grant")?)
}

fn number_of(number: i64) -> Option<SessionNumber> {
    (number >= 0).then(|| SessionNumber::new(number))
}

/// The number of a session, from a script's answer.
pub(crate) fn session_number(value: &Value) -> Result<SessionNumber, Unreadable> {
    number_of(int(value, "number")?).ok_or(Unreadable("number"))
}

/// A cutoff. -1 means no exception.
pub(crate) fn cutoff(up_to: &Value, except: &Value) -> Result<Cutoff, Unreadable> {
    Ok(Cutoff {
        up_to: session_number(up_to)?,
        except: number_of(int(except, "number")?),
    })
}

pub(crate) fn bytes<'v>(value: &'v Value, name: &'static str) -> Result<&'v [u8], Unreadable> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        _ => Err(Unreadable(name)),
    }
}

pub(crate) fn text<'v>(value: &'v Value, name: &'static str) -> Result<&'v str, Unreadable> {
    match value {
        Value::BulkString(text) => std::str::from_utf8(text).map_err(|_| Unreadable(name)),
        Value::SimpleString(text) => Ok(text),
        _ => Err(Unreadable(name)),
    }
}

/// A number, which the server returns as a number or as digits.
pub(crate) fn int(value: &Value, name: &'static str) -> Result<i64, Unreadable> {
    match value {
        Value::Int(int) => Ok(*int),
        value => text(value, name)?.parse().map_err(|_| Unreadable(name)),
    }
}

pub(crate) fn instant(value: &Value, name: &'static str) -> Result<Timestamp, Unreadable> {
    Ok(Timestamp::from_unix_millis(int(value, name)?))
}

pub(crate) fn session_id(value: &Value) -> Result<SessionId, Unreadable> {
    let id = unhex(text(value, "session id")?.as_bytes()).ok_or(Unreadable("session id"))?;
    SessionId::try_from(id.as_slice()).map_err(|_| Unreadable("session id"))
}

pub(crate) fn account_id(value: &Value) -> Result<AccountId, Unreadable> {
    let id = unhex(text(value, "account")?.as_bytes()).ok_or(Unreadable("account"))?;
    AccountId::try_from(id.as_slice()).map_err(|_| Unreadable("account"))
}

pub(crate) fn array<'v>(value: &'v Value, name: &'static str) -> Result<&'v [Value], Unreadable> {
    match value {
        Value::Array(values) => Ok(values),
        _ => Err(Unreadable(name)),
    }
}

/// The JSON of an identity or a device, for a field.
pub(crate) fn json(
    value: &impl serde::Serialize,
    name: &'static str,
) -> Result<String, Unreadable> {
    serde_json::to_string(value).map_err(|_| Unreadable(name))
}

/// A lifetime in milliseconds. A longer one ends with the greatest time.
pub(crate) fn millis(length: Duration) -> i64 {
    let longest = Timestamp::MAX.unix_millis();
    i64::try_from(length.as_millis())
        .unwrap_or(longest)
        .min(longest)
}
