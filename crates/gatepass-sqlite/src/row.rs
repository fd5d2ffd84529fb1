//! A session as a row and back.

use gatepass::{
    ClientId, Device, EndReason, Ended, Generation, Grant, SPENT_REMEMBERED, Session, SessionId,
    Timestamp,
};
use rusqlite::{
    Row,
    types::{FromSql, ToSql, ToSqlOutput},
};

use crate::error::{Failure, Unreadable};

/// A session and where it stands.
pub(crate) struct Stored {
    pub(crate) rowid: i64,
    /// When the purge looks at the row; not later than `Session::purge_at`.
    pub(crate) purge_at: Timestamp,
    pub(crate) session: Session,
}

/// The columns that [`Stored::read`] reads, by name.
macro_rules! columns {
    () => {
        "rowid, purge_at, id, client, grant_json, device_json, generation, spent_1, spent_2, spent_3, spent_4, \
         recovered, created_at, authenticated_at, last_seen_at, idle_expires_at, \
         absolute_expires_at, access_until, ended_at, ended_reason"
    };
}
pub(crate) use columns;

impl Stored {
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, Failure> {
        let mut cells = Cells { row, next: 0 };
        let rowid = cells.take("rowid")?;
        let purge_at = cells.time("purge_at")?;
        let id: Vec<u8> = cells.take("id")?;
        let id = SessionId::try_from(id.as_slice()).map_err(|_| Unreadable("id"))?;
        let client: String = cells.take("client")?;
        let client = ClientId::new(client).map_err(|_| Unreadable("client"))?;
        let grant: String = cells.take("grant_json")?;
        let grant: Grant = serde_json::from_str(&grant).map_err(|_| Unreadable("grant_json"))?;
        let device: String = cells.take("device_json")?;
        let device: Device =
            serde_json::from_str(&device).map_err(|_| Unreadable("device_json"))?;
        let generation = Generation::new(cells.take("generation")?);
        let mut spent = [None; SPENT_REMEMBERED];
        for (slot, name) in spent
            .iter_mut()
            .zip(["spent_1", "spent_2", "spent_3", "spent_4"])
        {
            *slot = cells.optional_time(name)?;
        }
        let recovered: Option<u32> = cells.take("recovered")?;
        let session = Session {
            id,
            client,
            grant,
            device,
            generation,
            spent,
            recovered: recovered.map(Generation::new),
            created_at: cells.time("created_at")?,
            authenticated_at: cells.time("authenticated_at")?,
            last_seen_at: cells.time("last_seen_at")?,
            idle_expires_at: cells.time("idle_expires_at")?,
            absolute_expires_at: cells.time("absolute_expires_at")?,
            access_until: cells.time("access_until")?,
            ended: match cells.optional_time("ended_at")? {
                None => None,
                Some(at) => {
                    let reason: String = cells.take("ended_reason")?;
                    let reason = EndReason::from_name(&reason).ok_or(Unreadable("ended_reason"))?;
                    Some(Ended { at, reason })
                }
            },
        };
        Ok(Self {
            rowid,
            purge_at,
            session,
        })
    }
}

/// The cells of a row, one after the other.
struct Cells<'a> {
    row: &'a Row<'a>,
    next: usize,
}

impl Cells<'_> {
    fn take<T: FromSql>(&mut self, name: &'static str) -> Result<T, Unreadable> {
        let cell = self.row.get(self.next);
        self.next += 1;
        cell.map_err(|_| Unreadable(name))
    }

    fn time(&mut self, name: &'static str) -> Result<Timestamp, Unreadable> {
        self.take(name).map(Timestamp::from_unix_millis)
    }

    fn optional_time(&mut self, name: &'static str) -> Result<Option<Timestamp>, Unreadable> {
        let millis: Option<i64> = self.take(name)?;
        Ok(millis.map(Timestamp::from_unix_millis))
    }
}

/// A time as a column holds it: milliseconds since 1970.
pub(crate) struct Millis(pub(crate) Timestamp);

impl ToSql for Millis {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.unix_millis().into())
    }
}

/// A grant or a device as a column holds it.
pub(crate) fn json(
    value: &impl serde::Serialize,
    name: &'static str,
) -> Result<String, Unreadable> {
    serde_json::to_string(value).map_err(|_| Unreadable(name))
}
