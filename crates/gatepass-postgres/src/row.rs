//! A session as a row and back.

use gatepass::{
    ClientId, Device, EndReason, Ended, Generation, Grant, SPENT_REMEMBERED, Session, SessionId,
    Timestamp,
};
use sqlx::{Decode, Postgres, Row, Type, postgres::PgRow};

use crate::error::{Failure, Unreadable};

/// The columns that [`session`] reads.
macro_rules! columns {
    () => {
        "id, client, grant_json, device_json, generation, spent, recovered, created_at, \
         authenticated_at, last_seen_at, idle_expires_at, absolute_expires_at, access_until, ended_at, \
         ended_reason"
    };
}
pub(crate) use columns;

pub(crate) fn session(row: &PgRow) -> Result<Session, Failure> {
    let client: String = cell(row, "client")?;
    let grant: String = cell(row, "grant_json")?;
    let grant: Grant = serde_json::from_str(&grant).map_err(|_| Unreadable("grant_json"))?;
    let device: String = cell(row, "device_json")?;
    let device: Device = serde_json::from_str(&device).map_err(|_| Unreadable("device_json"))?;
    let instants: Vec<i64> = cell(row, "spent")?;
    let mut spent = [None; SPENT_REMEMBERED];
    for (slot, instant) in spent.iter_mut().zip(instants) {
        *slot = Some(Timestamp::from_unix_millis(instant));
    }
    let recovered: Option<i64> = cell(row, "recovered")?;
    Ok(Session {
        id: session_id(row, "id")?,
        client: ClientId::new(client).map_err(|_| Unreadable("client"))?,
        grant,
        device,
        generation: generation(cell(row, "generation")?, "generation")?,
        spent,
        recovered: recovered
            .map(|recovered| generation(recovered, "recovered"))
            .transpose()?,
        created_at: millis(row, "created_at")?,
        authenticated_at: millis(row, "authenticated_at")?,
        last_seen_at: millis(row, "last_seen_at")?,
        idle_expires_at: millis(row, "idle_expires_at")?,
        absolute_expires_at: millis(row, "absolute_expires_at")?,
        access_until: millis(row, "access_until")?,
        ended: match cell::<Option<i64>>(row, "ended_at")? {
            None => None,
            Some(at) => {
                let reason: String = cell(row, "ended_reason")?;
                Some(Ended {
                    at: Timestamp::from_unix_millis(at),
                    reason: EndReason::from_name(&reason).ok_or(Unreadable("ended_reason"))?,
                })
            }
        },
    })
}

pub(crate) fn cell<'r, T: Decode<'r, Postgres> + Type<Postgres>>(
    row: &'r PgRow,
    name: &'static str,
) -> Result<T, Unreadable> {
    row.try_get(name).map_err(|_| Unreadable(name))
}

pub(crate) fn millis(row: &PgRow, name: &'static str) -> Result<Timestamp, Failure> {
    Ok(Timestamp::from_unix_millis(cell(row, name)?))
}

pub(crate) fn session_id(row: &PgRow, name: &'static str) -> Result<SessionId, Failure> {
    let id: Vec<u8> = cell(row, name)?;
    Ok(SessionId::try_from(id.as_slice()).map_err(|_| Unreadable(name))?)
}

fn generation(number: i64, name: &'static str) -> Result<Generation, Unreadable> {
    let number = u32::try_from(number).map_err(|_| Unreadable(name))?;
    Ok(Generation::new(number))
}

/// A grant or a device as a column holds it.
pub(crate) fn json(
    value: &impl serde::Serialize,
    name: &'static str,
) -> Result<String, Unreadable> {
    serde_json::to_string(value).map_err(|_| Unreadable(name))
}
