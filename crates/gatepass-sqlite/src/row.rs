//! Conversions between sessions and rows.

use gatepass::{
    ClientId, Device, Identity, Session, SessionId, Timestamp,
    store::{
        Account, AccountId, Audience, Cutoff, EndReason, Ended, Generation, Grant, GrantVersion,
        Issuer, Rotation, SeenFrom, SessionNumber,
    },
};
use rusqlite::{
    Row,
    types::{FromSql, ToSql, ToSqlOutput},
};

use crate::error::{Failure, Unreadable};

/// A session and its place in the table.
pub(crate) struct Stored {
    pub(crate) rowid: i64,
    /// When the purge looks at the row. Never later than `Session::purge_at`.
    pub(crate) purge_at: Timestamp,
    pub(crate) session: Session,
}

/// The columns that [`Stored::read`] reads, of a session `s` and its account `a`.
macro_rules! columns {
    () => {
        "s.rowid, s.purge_at, s.id, s.number, s.issuer, s.audience, s.client, s.identity_json, s.device_json,
         s.generation, s.rotated_from, s.rotated_at, s.recovered, s.created_at, s.authenticated_at,
         s.last_seen_at, s.seen_from, s.idle_expires_at, s.absolute_expires_at, s.access_until,
         s.grant_newest, s.grant_valid_from, s.ended_at, s.ended_reason,
         iif(s.number <= a.up_to AND s.number IS NOT a.except_number, a.ended_at, NULL), a.ended_reason"
    };
}
pub(crate) use columns;

impl Stored {
    pub(crate) fn read(row: &Row<'_>) -> Result<Self, Failure> {
        Self::read_from(row, 0)
    }

    /// The session in the columns from `first` on.
    pub(crate) fn read_from(row: &Row<'_>, first: usize) -> Result<Self, Failure> {
        let mut cells = Cells { row, next: first };
        let rowid = cells.take("rowid")?;
        let purge_at = cells.time("purge_at")?;
        let id: Vec<u8> = cells.take("id")?;
        let id = SessionId::try_from(id.as_slice()).map_err(|_| Unreadable("id"))?;
        let number = cells.number("number")?;
        let issuer: String = cells.take("issuer")?;
        let issuer = Issuer::new(issuer).map_err(|_| Unreadable("issuer"))?;
        let audience: String = cells.take("audience")?;
        let audience = Audience::new(audience).map_err(|_| Unreadable("audience"))?;
        let client: String = cells.take("client")?;
        let client = ClientId::new(client).map_err(|_| Unreadable("client"))?;
        let identity: String = cells.take("identity_json")?;
        let identity: Identity =
            serde_json::from_str(&identity).map_err(|_| Unreadable("identity_json"))?;
        let device: String = cells.take("device_json")?;
        let device: Device =
            serde_json::from_str(&device).map_err(|_| Unreadable("device_json"))?;
        let generation = Generation::new(cells.take("generation")?);
        let from: Option<u32> = cells.take("rotated_from")?;
        let at = cells.optional_time("rotated_at")?;
        let rotated = from.zip(at).map(|(from, at)| Rotation {
            from: Generation::new(from),
            at,
        });
        let recovered: Option<u32> = cells.take("recovered")?;
        let session = Session {
            id,
            number,
            issuer,
            audience,
            client,
            identity,
            device,
            generation,
            rotated,
            recovered: recovered.map(Generation::new),
            created_at: cells.time("created_at")?,
            authenticated_at: cells.time("authenticated_at")?,
            last_seen_at: cells.time("last_seen_at")?,
            seen_from: SeenFrom::from_bits(cells.take("seen_from")?),
            idle_expires_at: cells.time("idle_expires_at")?,
            absolute_expires_at: cells.time("absolute_expires_at")?,
            access_until: cells.time("access_until")?,
            grant: cells.grant()?.ok_or(Unreadable("grant_newest"))?,
            ended: {
                let own = cells.ended()?;
                let with_others = cells.ended()?;
                own.or(with_others)
            },
        };
        Ok(Self {
            rowid,
            purge_at,
            session,
        })
    }
}

/// The columns that [`account`] reads.
macro_rules! account_columns {
    () => {
        "id, last, until, up_to, except_number, ended_at, ended_reason"
    };
}
pub(crate) use account_columns;

/// Reads an account from its row.
pub(crate) fn account(row: &Row<'_>) -> Result<Account, Failure> {
    let mut cells = Cells { row, next: 0 };
    let id: Vec<u8> = cells.take("id")?;
    let id = AccountId::try_from(id.as_slice()).map_err(|_| Unreadable("id"))?;
    let (last, until) = (cells.number("last")?, cells.time("until")?);
    Ok(Account {
        id,
        last,
        until,
        cutoff: cells.cutoff()?,
        ended: cells.ended()?,
    })
}

/// Reads a cutoff from two columns, the first of which is `first`.
pub(crate) fn cutoff(row: &Row<'_>, first: usize) -> Result<Option<Cutoff>, Failure> {
    Ok(Cells { row, next: first }.cutoff()?)
}

/// Reads a grant from two columns, the first of which is `first`.
pub(crate) fn grant(row: &Row<'_>, first: usize) -> Result<Option<Grant>, Failure> {
    Ok(Cells { row, next: first }.grant()?)
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

    fn number(&mut self, name: &'static str) -> Result<SessionNumber, Unreadable> {
        self.take(name).map(SessionNumber::new)
    }

    fn cutoff(&mut self) -> Result<Option<Cutoff>, Unreadable> {
        let up_to: Option<i64> = self.take("up_to")?;
        let except: Option<i64> = self.take("except_number")?;
        Ok(up_to.map(|up_to| Cutoff {
            up_to: SessionNumber::new(up_to),
            except: except.map(SessionNumber::new),
        }))
    }

    fn grant(&mut self) -> Result<Option<Grant>, Unreadable> {
        let newest: Option<u32> = self.take("grant_newest")?;
        let valid_from: Option<u32> = self.take("grant_valid_from")?;
        let both = newest.zip(valid_from);
        Ok(both.map(|(newest, valid_from)| Grant {
            newest: GrantVersion::new(newest),
            valid_from: GrantVersion::new(valid_from),
        }))
    }

    fn ended(&mut self) -> Result<Option<Ended>, Unreadable> {
        let at = self.optional_time("ended_at")?;
        let reason: Option<String> = self.take("ended_reason")?;
        let Some(at) = at else {
            return Ok(None);
        };
        let reason = reason.as_deref().and_then(EndReason::from_name);
        let reason = reason.ok_or(Unreadable("ended_reason"))?;
        Ok(Some(Ended { at, reason }))
    }

    fn optional_time(&mut self, name: &'static str) -> Result<Option<Timestamp>, Unreadable> {
        let millis: Option<i64> = self.take(name)?;
        Ok(millis.map(Timestamp::from_unix_millis))
    }
}

/// A time in a column: milliseconds since 1970.
pub(crate) struct Millis(pub(crate) Timestamp);

impl ToSql for Millis {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.unix_millis().into())
    }
}

/// The JSON of an identity or a device, for a column.
pub(crate) fn json(
    value: &impl serde::Serialize,
    name: &'static str,
) -> Result<String, Unreadable> {
    serde_json::to_string(value).map_err(|_| Unreadable(name))
}
