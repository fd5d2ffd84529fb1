//! The examination: finds faults of a file without changing it.

use std::{collections::BTreeSet, ffi::OsString, path::Path, time::Duration};

use gatepass::{
    Timestamp,
    store::{Examination, Finding, Heartbeats, Revocation},
};
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::{
    error::{Failure, OpenError},
    heartbeats, schema,
};

/// How long a row may be due before the examination reports that the purge doesn't keep up. A purge
/// runs once a minute unless configured otherwise.
const OVERDUE: Duration = Duration::from_secs(3600);

/// Examines the file at `path`, at the time `now`.
pub(crate) fn examine(
    path: &Path,
    busy_timeout: Duration,
    now: Timestamp,
) -> Result<Examination, OpenError> {
    let wrong = |error| OpenError::new(path.to_owned(), error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let conn = schema::connect(path, flags, busy_timeout).map_err(wrong)?;
    conn.execute_batch("PRAGMA query_only = ON")
        .map_err(wrong)?;
    let mut findings = Vec::new();
    findings.extend(damage(&conn).map_err(wrong)?);
    findings.extend(mode(&conn).map_err(wrong)?);
    findings.extend(readers(path));
    let (version, known) = (version(&conn).map_err(wrong)?, schema::known());
    match version {
        None => findings.push(Finding::error(
            "no_store",
            "there are no sessions in this file: give the path that the nodes have, or start a node",
        )),
        Some(found) if found > known => findings.push(Finding::error(
            "newer_schema",
            format!(
                "the tables have version {found}, and this release knows versions up to {known}: \
                 use the release of the nodes"
            ),
        )),
        Some(found) if found < known => findings.push(Finding::warning(
            "older_schema",
            format!(
                "the tables have version {found}, and this release knows version {known}: the next \
                 node of this release that starts migrates them"
            ),
        )),
        Some(_) => {
            findings.extend(missing(&conn).map_err(wrong)?);
            findings.extend(overdue(&conn, now).map_err(wrong)?);
            let heartbeats = heartbeats(&conn, now, &mut findings);
            return Ok(Examination::new(findings, heartbeats));
        }
    }
    Ok(Examination::new(findings, None))
}

fn damage(conn: &Connection) -> rusqlite::Result<Option<Finding>> {
    let said: String = conn.query_row("PRAGMA quick_check(1)", (), |row| row.get(0))?;
    Ok((said != "ok").then(|| {
        Finding::error(
            "damaged",
            "the file is damaged (PRAGMA quick_check): stop the nodes and restore a backup, or save \
             what can be read with `sqlite3 FILE .recover`",
        )
    }))
}

fn mode(conn: &Connection) -> rusqlite::Result<Option<Finding>> {
    let mode: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    Ok((mode != "wal").then(|| {
        Finding::warning(
            "journal_mode",
            format!(
                "the journal mode is {mode}, and nodes need wal: another program has changed it. \
                 Start a node, which sets it, or run `PRAGMA journal_mode = wal`"
            ),
        )
    }))
}

/// Finds out whether other users of the machine may read or write the files.
#[cfg(unix)]
fn readers(path: &Path) -> Option<Finding> {
    use std::os::unix::fs::PermissionsExt;

    let files = ["", "-wal", "-shm"].into_iter().filter_map(|suffix| {
        let mut name = OsString::from(path);
        name.push(suffix);
        let mode = std::fs::metadata(&name).ok()?.permissions().mode() & 0o777;
        (mode & 0o077 != 0).then(|| format!("{name:?} (mode {mode:o})"))
    });
    let files = Vec::from_iter(files).join(", ");
    (!files.is_empty()).then(|| {
        Finding::warning(
            "permissions",
            format!(
                "other users of this machine may use {files}, and see who is logged in: run `chmod \
                 600` on it"
            ),
        )
    })
}

#[cfg(not(unix))]
fn readers(_: &Path) -> Option<Finding> {
    None
}

/// The version of the tables, if the file has any.
pub(crate) fn version(conn: &Connection) -> rusqlite::Result<Option<u32>> {
    if !conn.table_exists(None, "gatepass_meta")? {
        return Ok(None);
    }
    conn.query_row(
        "SELECT value FROM gatepass_meta WHERE key = 'schema_version'",
        (),
        |row| row.get(0),
    )
    .optional()
}

/// The tables and indexes that a new file would have and this one lacks.
fn missing(conn: &Connection) -> rusqlite::Result<Vec<Finding>> {
    let names = |conn: &Connection| {
        let mut select = conn.prepare(
            "SELECT type || ' ' || name FROM sqlite_master WHERE name LIKE 'gatepass\\_%' ESCAPE '\\'",
        )?;
        let names = select.query_map((), |row| row.get(0))?;
        names.collect::<rusqlite::Result<BTreeSet<String>>>()
    };
    let (expected, found) = (names(&schema::empty()?)?, names(conn)?);
    let missing = expected.difference(&found).map(|missing| {
        let text = format!(
            "the {missing} is missing, because some program has dropped it: create it again as \
             gatepass-sqlite has it in its schema, or restore a backup"
        );
        Finding::error("missing_index", text)
    });
    Ok(missing.collect())
}

/// Finds rows that a purge should have removed long ago.
fn overdue(conn: &Connection, now: Timestamp) -> rusqlite::Result<Option<Finding>> {
    let before = |margin: Duration| {
        let earlier = i64::try_from((OVERDUE + margin).as_millis()).unwrap_or(i64::MAX);
        now.unix_millis().saturating_sub(earlier)
    };
    let count: i64 = conn.query_row(
        "SELECT (SELECT count(*) FROM gatepass_sessions WHERE purge_at <= ?1)
              + (SELECT count(*) FROM gatepass_accounts
                 WHERE coalesce(nullif(purge_at, 0), ended_at) <= ?1)
              + (SELECT count(*) FROM gatepass_revocations WHERE until <= ?2)",
        [before(Duration::ZERO), before(Revocation::RETENTION_MARGIN)],
        |row| row.get(0),
    )?;
    let last = conn
        .query_row(
            "SELECT value FROM gatepass_meta WHERE key = 'purged_until'",
            (),
            |row| row.get(0),
        )
        .optional()?
        .map(Timestamp::from_unix_millis);
    Ok(Finding::overdue(count.unsigned_abs(), last))
}

fn heartbeats(
    conn: &Connection,
    now: Timestamp,
    findings: &mut Vec<Finding>,
) -> Option<Heartbeats> {
    match heartbeats::read(conn, now) {
        Ok(heartbeats) => Some(heartbeats),
        Err(Failure::Sqlite(_)) => None,
        Err(_) => {
            findings.push(Finding::unreadable_heartbeats());
            None
        }
    }
}
