//! A session as a reply and back.

use std::time::Duration;

use gatepass::{
    ClientId, Device, EndReason, Ended, Generation, Grant, SPENT_REMEMBERED, Session, SessionId,
    Timestamp,
};
use redis::Value;

use crate::{error::Unreadable, partition::unhex};

/// What the scripts return of a session: its fields in one order. None if it is unknown.
pub(crate) fn session(id: SessionId, row: &Value) -> Result<Option<Session>, Unreadable> {
    let Value::Array(row) = row else {
        return Ok(None);
    };
    let [
        client,
        grant,
        device,
        generation,
        spent,
        recovered,
        created_at,
        authenticated_at,
        last_seen_at,
        idle_expires_at,
        absolute_expires_at,
        access_until,
        ended_at,
        ended_reason,
        ..,
    ] = row.as_slice()
    else {
        return Err(Unreadable("session"));
    };
    if matches!(client, Value::Nil) {
        return Ok(None);
    }
    let client = ClientId::new(text(client, "client")?).map_err(|_| Unreadable("client"))?;
    let grant: Grant =
        serde_json::from_str(text(grant, "grant")?).map_err(|_| Unreadable("grant"))?;
    let device: Device =
        serde_json::from_str(text(device, "device")?).map_err(|_| Unreadable("device"))?;
    Ok(Some(Session {
        id,
        client,
        grant,
        device,
        generation: number_of(generation, "generation")?,
        spent: instants(text(spent, "spent")?)?,
        recovered: match recovered {
            Value::Nil => None,
            recovered => Some(number_of(recovered, "recovered")?),
        },
        created_at: instant(created_at, "created_at")?,
        authenticated_at: instant(authenticated_at, "authenticated_at")?,
        last_seen_at: instant(last_seen_at, "last_seen_at")?,
        idle_expires_at: instant(idle_expires_at, "idle_expires_at")?,
        absolute_expires_at: instant(absolute_expires_at, "absolute_expires_at")?,
        access_until: instant(access_until, "access_until")?,
        ended: match ended_at {
            Value::Nil => None,
            at => Some(Ended {
                at: instant(at, "ended_at")?,
                reason: EndReason::from_name(text(ended_reason, "ended_reason")?)
                    .ok_or(Unreadable("ended_reason"))?,
            }),
        },
    }))
}

fn instants(text: &str) -> Result<[Option<Timestamp>; SPENT_REMEMBERED], Unreadable> {
    let mut spent = [None; SPENT_REMEMBERED];
    let instants = text.split(',').filter(|instant| !instant.is_empty());
    for (slot, instant) in spent.iter_mut().zip(instants) {
        let millis = instant.parse().map_err(|_| Unreadable("spent"))?;
        *slot = Some(Timestamp::from_unix_millis(millis));
    }
    Ok(spent)
}

pub(crate) fn text<'v>(value: &'v Value, name: &'static str) -> Result<&'v str, Unreadable> {
    match value {
        Value::BulkString(text) => std::str::from_utf8(text).map_err(|_| Unreadable(name)),
        Value::SimpleString(text) => Ok(text),
        _ => Err(Unreadable(name)),
    }
}

/// A number, which the server has either as one or as digits.
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

pub(crate) fn array<'v>(value: &'v Value, name: &'static str) -> Result<&'v [Value], Unreadable> {
    match value {
        Value::Array(values) => Ok(values),
        _ => Err(Unreadable(name)),
    }
}

fn number_of(value: &Value, name: &'static str) -> Result<Generation, Unreadable> {
    let number = u32::try_from(int(value, name)?).map_err(|_| Unreadable(name))?;
    Ok(Generation::new(number))
}

/// A grant or a device as a field holds it.
pub(crate) fn json(
    value: &impl serde::Serialize,
    name: &'static str,
) -> Result<String, Unreadable> {
    serde_json::to_string(value).map_err(|_| Unreadable(name))
}

/// A lifetime in milliseconds. Longer ones than there is time end with it.
pub(crate) fn millis(length: Duration) -> i64 {
    let longest = Timestamp::MAX.unix_millis();
    i64::try_from(length.as_millis()).unwrap_or(longest).min(longest)
}
