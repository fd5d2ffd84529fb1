//! Conversions between sessions and rows.

use gatepass::{
    ClientId, Device, Identity, Session, SessionId, Timestamp,
    store::{
        Account, AccountId, Audience, Cutoff, EndReason, Ended, Generation, Grant, GrantVersion,
        Issuer, Revocation, Rotation, SeenFrom, SessionNumber,
    },
};
use sqlx::{Decode, Postgres, Row, Type, postgres::PgRow};

use crate::error::{Failure, Unreadable};

/// Whether the cutoff of the account `a` covers the session `s`.
macro_rules! covered {
    () => {
        "coalesce(s.number {<=} a.up_to AND (a.except_number IS NULL OR s.number {<>} a.except_number), false)"
    };
}
pub(crate) use covered;

/// How long an entry is kept after its `until`, in milliseconds, as SQL.
macro_rules! margin {
    () => {
        "600000"
    };
}
pub(crate) use margin;

const _: () = assert!(Revocation::RETENTION_MARGIN.as_millis() == 600_000);

/// The columns that [`session`] reads, of a session `s` and its account `a`.
macro_rules! columns {
    () => {
        concat!(
            "s.id, s.number, s.issuer, s.audience, s.client, s.identity_json, s.device_json, s.generation,
             s.rotated_from, s.rotated_at, s.recovered, s.created_at, s.authenticated_at,
             s.last_seen_at, s.seen_from, s.idle_expires_at, s.absolute_expires_at, s.access_until,
             s.grant_newest, s.grant_valid_from, s.ended_at, s.ended_reason, CASE WHEN ",
            covered!(),
            " THEN a.ended_at END AS with_others_at, a.ended_reason AS with_others_reason"
        )
    };
}
pub(crate) use columns;

pub(crate) fn session(row: &PgRow) -> Result<Session, Failure> {
    let issuer: String = cell(row, "issuer")?;
    let audience: String = cell(row, "audience")?;
    let client: String = cell(row, "client")?;
    let identity: String = cell(row, "identity_json")?;
    let identity: Identity =
        serde_json::from_str(&identity).map_err(|_| Unreadable("identity_json"))?;
    let device: String = cell(row, "device_json")?;
    let device: Device = serde_json::from_str(&device).map_err(|_| Unreadable("device_json"))?;
    let rotated_from = optional_generation(row, "rotated_from")?;
    let rotated_at = optional_millis(row, "rotated_at")?;
    let ended = ended(row, "ended_at", "ended_reason")?;
    let with_others = self::ended(row, "with_others_at", "with_others_reason")?;
    Ok(Session {
        id: session_id(row, "id")?,
        number: SessionNumber::new(cell(row, "number")?),
        issuer: Issuer::new(issuer).map_err(|_| Unreadable("issuer"))?,
        audience: Audience::new(audience).map_err(|_| Unreadable("audience"))?,
        client: ClientId::new(client).map_err(|_| Unreadable("client"))?,
        identity,
        device,
        generation: generation(cell(row, "generation")?, "generation")?,
        rotated: rotated_from
            .zip(rotated_at)
            .map(|(from, at)| Rotation { from, at }),
        recovered: optional_generation(row, "recovered")?,
        created_at: millis(row, "created_at")?,
        authenticated_at: millis(row, "authenticated_at")?,
        last_seen_at: millis(row, "last_seen_at")?,
        seen_from: SeenFrom::from_bits(cell(row, "seen_from")?),
        idle_expires_at: millis(row, "idle_expires_at")?,
        absolute_expires_at: millis(row, "absolute_expires_at")?,
        access_until: millis(row, "access_until")?,
        grant: grant(row)?.ok_or(Unreadable("grant_newest"))?,
        ended: ended.or(with_others),
    })
}

/// Returns the row, or an error if its column `standby` says that a standby answered. A standby may
/// not know yet of an end that the primary has committed.
pub(crate) fn on_the_primary(row: PgRow) -> Result<PgRow, Failure> {
    match cell(&row, "standby")? {
        true => Err(Failure::Standby),
        false => Ok(row),
    }
}

/// The columns that [`account`] reads.
macro_rules! account_columns {
    () => {
        "id, last, until, up_to, except_number, ended_at, ended_reason"
    };
}
pub(crate) use account_columns;

pub(crate) fn account(row: &PgRow) -> Result<Account, Failure> {
    Ok(Account {
        id: account_id(row, "id")?,
        last: SessionNumber::new(cell(row, "last")?),
        until: millis(row, "until")?,
        cutoff: cutoff(row)?,
        ended: ended(row, "ended_at", "ended_reason")?,
    })
}

/// The cutoff of an account or of an entry of the log.
pub(crate) fn cutoff(row: &PgRow) -> Result<Option<Cutoff>, Unreadable> {
    let up_to: Option<i64> = cell(row, "up_to")?;
    let except: Option<i64> = cell(row, "except_number")?;
    Ok(up_to.map(|up_to| Cutoff {
        up_to: SessionNumber::new(up_to),
        except: except.map(SessionNumber::new),
    }))
}

/// The grant of a session or of an entry of the log.
pub(crate) fn grant(row: &PgRow) -> Result<Option<Grant>, Unreadable> {
    let version = |name| {
        let number: Option<i64> = cell(row, name)?;
        let version = |number| u32::try_from(number).map_err(|_| Unreadable(name));
        Ok(number.map(version).transpose()?.map(GrantVersion::new))
    };
    let both = version("grant_newest")?.zip(version("grant_valid_from")?);
    Ok(both.map(|(newest, valid_from)| Grant { newest, valid_from }))
}

fn ended(row: &PgRow, at: &'static str, reason: &'static str) -> Result<Option<Ended>, Unreadable> {
    let Some(at) = optional_millis(row, at)? else {
        return Ok(None);
    };
    let name: Option<String> = cell(row, reason)?;
    let name = name.as_deref().and_then(EndReason::from_name);
    let reason = name.ok_or(Unreadable(reason))?;
    Ok(Some(Ended { at, reason }))
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

fn optional_millis(row: &PgRow, name: &'static str) -> Result<Option<Timestamp>, Unreadable> {
    let millis: Option<i64> = cell(row, name)?;
    Ok(millis.map(Timestamp::from_unix_millis))
}

pub(crate) fn account_id(row: &PgRow, name: &'static str) -> Result<AccountId, Failure> {
    let id: Vec<u8> = cell(row, name)?;
    Ok(AccountId::try_from(id.as_slice()).map_err(|_| Unreadable(name))?)
}

pub(crate) fn session_id(row: &PgRow, name: &'static str) -> Result<SessionId, Failure> {
    let id: Vec<u8> = cell(row, name)?;
    Ok(SessionId::try_from(id.as_slice()).map_err(|_| Unreadable(name))?)
}

fn generation(number: i64, name: &'static str) -> Result<Generation, Unreadable> {
    let number = u32::try_from(number).map_err(|_| Unreadable(name))?;
    Ok(Generation::new(number))
}

fn optional_generation(row: &PgRow, name: &'static str) -> Result<Option<Generation>, Unreadable> {
    let number: Option<i64> = cell(row, name)?;
    number.map(|number| generation(number, name)).transpose()
}

/// The JSON of an identity or a device, for a column.
pub(crate) fn json(
    value: &impl serde::Serialize,
    name: &'static str,
) -> Result<String, Unreadable> {
    serde_json::to_string(value).map_err(|_| Unreadable(name))
}
