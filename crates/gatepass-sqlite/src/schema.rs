//! The tables, and the migrations of older files.

use std::{
    fs::File,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use gatepass::{Timestamp, store::ServiceIdentity};
use rusqlite::{
    Connection, ErrorCode, MAIN_DB, OpenFlags, OptionalExtension, TransactionBehavior, ffi,
};

use crate::{
    error::{Failure, OpenError, Unreadable},
    row::Millis,
};

/// One step per schema version, in order. A step that was released never changes.
///
/// `gatepass_sessions` has a rowid although it has its own key. Its rows hold an identity of up to
/// some kilobytes, and without a rowid the inner nodes of the tree would also hold them. Its
/// `purge_at` is `Session::purge_at` or earlier. Otherwise each refresh would have to write the
/// index. The purge finds out in time.
///
/// `gatepass_revocations` needs `AUTOINCREMENT`. Without it, SQLite gives the number of a purged
/// last entry to the next one, and cursors that have passed the number would miss that entry.
///
/// The fifth step adds the indexes for administrators who look for sessions. A refresh changes none
/// of their columns. The sixth step adds the login attempts.
///
/// The second step begins with empty tables. Since then, refresh tokens are bound to issuer and
/// audience, and access tokens carry the number of their session. No older token is valid any more,
/// so users log in again.
const STEPS: [&str; 6] = [
    "
    CREATE TABLE gatepass_sessions (
        id BLOB NOT NULL UNIQUE,
        subject TEXT NOT NULL,
        client TEXT NOT NULL,
        identity_json TEXT NOT NULL,
        device_json TEXT NOT NULL,
        generation INTEGER NOT NULL,
        spent_1 INTEGER,
        spent_2 INTEGER,
        spent_3 INTEGER,
        spent_4 INTEGER,
        recovered INTEGER,
        created_at INTEGER NOT NULL,
        authenticated_at INTEGER NOT NULL,
        last_seen_at INTEGER NOT NULL,
        idle_expires_at INTEGER NOT NULL,
        absolute_expires_at INTEGER NOT NULL,
        access_until INTEGER NOT NULL,
        ended_at INTEGER,
        ended_reason TEXT,
        purge_at INTEGER NOT NULL
    );
    CREATE INDEX gatepass_sessions_subject ON gatepass_sessions (subject);
    CREATE INDEX gatepass_sessions_purge ON gatepass_sessions (purge_at);

    CREATE TABLE gatepass_revocations (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        session BLOB NOT NULL,
        token BLOB,
        until INTEGER NOT NULL
    );
    CREATE UNIQUE INDEX gatepass_revocations_token
        ON gatepass_revocations (token) WHERE token IS NOT NULL;
    CREATE INDEX gatepass_revocations_session ON gatepass_revocations (session, until);
    CREATE INDEX gatepass_revocations_purge ON gatepass_revocations (until);

    INSERT INTO gatepass_meta (key, value) VALUES ('incarnation', lower(hex(randomblob(16))));
",
    "
    DROP TABLE gatepass_sessions;
    DROP TABLE gatepass_revocations;

    CREATE TABLE gatepass_sessions (
        id BLOB NOT NULL UNIQUE,
        account BLOB NOT NULL,
        number INTEGER NOT NULL,
        issuer TEXT NOT NULL,
        audience TEXT NOT NULL,
        client TEXT NOT NULL,
        identity_json TEXT NOT NULL,
        device_json TEXT NOT NULL,
        generation INTEGER NOT NULL,
        rotated_from INTEGER,
        rotated_at INTEGER,
        recovered INTEGER,
        created_at INTEGER NOT NULL,
        authenticated_at INTEGER NOT NULL,
        last_seen_at INTEGER NOT NULL,
        seen_from INTEGER NOT NULL,
        idle_expires_at INTEGER NOT NULL,
        absolute_expires_at INTEGER NOT NULL,
        access_until INTEGER NOT NULL,
        ended_at INTEGER,
        ended_reason TEXT,
        purge_at INTEGER NOT NULL
    );
    CREATE UNIQUE INDEX gatepass_sessions_account ON gatepass_sessions (account, number);
    CREATE INDEX gatepass_sessions_live ON gatepass_sessions (account, number)
        WHERE ended_at IS NULL;
    CREATE INDEX gatepass_sessions_purge ON gatepass_sessions (purge_at);

    CREATE TABLE gatepass_accounts (
        id BLOB PRIMARY KEY,
        last INTEGER NOT NULL,
        until INTEGER NOT NULL,
        up_to INTEGER,
        except_number INTEGER,
        ended_at INTEGER,
        ended_reason TEXT,
        purge_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX gatepass_accounts_purge ON gatepass_accounts (purge_at);

    CREATE TABLE gatepass_revocations (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        account BLOB,
        session BLOB,
        token BLOB,
        up_to INTEGER,
        except_number INTEGER,
        until INTEGER NOT NULL
    );
    CREATE UNIQUE INDEX gatepass_revocations_token
        ON gatepass_revocations (token) WHERE token IS NOT NULL;
    CREATE UNIQUE INDEX gatepass_revocations_cutoff
        ON gatepass_revocations (account) WHERE up_to IS NOT NULL;
    CREATE INDEX gatepass_revocations_session
        ON gatepass_revocations (session, until) WHERE token IS NOT NULL;
    CREATE INDEX gatepass_revocations_account
        ON gatepass_revocations (account, until) WHERE token IS NOT NULL;
    CREATE INDEX gatepass_revocations_purge ON gatepass_revocations (until);

    UPDATE gatepass_meta SET value = lower(hex(randomblob(16))) WHERE key = 'incarnation';
",
    "
    ALTER TABLE gatepass_sessions ADD COLUMN grant_newest INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE gatepass_sessions ADD COLUMN grant_valid_from INTEGER NOT NULL DEFAULT 0;

    ALTER TABLE gatepass_revocations ADD COLUMN grant_newest INTEGER;
    ALTER TABLE gatepass_revocations ADD COLUMN grant_valid_from INTEGER;
    CREATE UNIQUE INDEX gatepass_revocations_grant
        ON gatepass_revocations (session) WHERE grant_newest IS NOT NULL;
",
    "
    CREATE TABLE gatepass_nodes (
        id BLOB PRIMARY KEY,
        at INTEGER NOT NULL,
        heartbeat TEXT NOT NULL
    ) WITHOUT ROWID;
",
    "
    ALTER TABLE gatepass_sessions ADD COLUMN subject TEXT NOT NULL DEFAULT '';
    UPDATE gatepass_sessions SET subject = coalesce(json_extract(identity_json, '$.subject'), '')
        WHERE json_valid(identity_json);
    CREATE INDEX gatepass_sessions_begun ON gatepass_sessions (created_at, id);
    CREATE INDEX gatepass_sessions_subject ON gatepass_sessions (subject, created_at, id);
",
    "
    CREATE TABLE gatepass_attempts (
        key BLOB PRIMARY KEY,
        forgotten_at INTEGER NOT NULL,
        counted_at INTEGER NOT NULL,
        next_at INTEGER NOT NULL,
        known_until INTEGER NOT NULL,
        purge_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX gatepass_attempts_purge ON gatepass_attempts (purge_at);
",
];

/// The table that holds the schema version.
const META: &str = "CREATE TABLE IF NOT EXISTS gatepass_meta (key TEXT PRIMARY KEY, value)";

/// More than the number of different statements, so that a connection prepares each only once.
const STATEMENTS: usize = 64;

/// Opens the connection that writes, and migrates the file to the newest schema. Also returns the
/// log's incarnation.
pub(crate) fn open_writer(
    path: &Path,
    busy_timeout: Duration,
) -> Result<(Connection, String), OpenError> {
    let sqlite = |error| OpenError::new(path.to_owned(), error);
    create_private(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut conn = connect(path, flags, busy_timeout).map_err(sqlite)?;
    // SQLite also opens a file that it may only read, and would fail at the first change.
    if conn.is_readonly(MAIN_DB).map_err(sqlite)? {
        let readonly = ffi::Error::new(ffi::SQLITE_READONLY);
        return Err(sqlite(rusqlite::Error::SqliteFailure(readonly, None)));
    }
    let mode = enter_wal(&conn, busy_timeout).map_err(sqlite)?;
    if mode != "wal" {
        let path = path.to_owned();
        return Err(OpenError::NoWal { path, mode });
    }
    // With FULL, an acknowledged commit survives a power failure, not only a crash of the process.
    // On macOS, that also needs `fullfsync`. The cache holds 16 MiB of pages, so SQLite doesn't
    // read the pages of many thousand sessions again and again. The write-ahead log may grow to 16
    // MiB, so SQLite copies a page that many refreshes change into the file only once.
    conn.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;
         PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 4000",
    )
    .map_err(sqlite)?;
    migrate(&mut conn, path, &STEPS)?;
    let incarnation = conn.query_row(
        "SELECT value FROM gatepass_meta WHERE key = 'incarnation'",
        (),
        |row| row.get(0),
    );
    Ok((conn, incarnation.map_err(sqlite)?))
}

/// Creates an empty file at `path` that only its owner may read, if there is none. SQLite would
/// create one with the usual rights. If this fails, SQLite reports the error of the path.
fn create_private(path: &Path) {
    // For SQLite, these paths mean databases that are not files.
    if path.as_os_str().is_empty() || path == Path::new(":memory:") {
        return;
    }
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let _ = options.open(path);
}

/// Opens a connection that can only read, on a file that [`open_writer`] has opened.
pub(crate) fn open_reader(path: &Path, busy_timeout: Duration) -> Result<Connection, OpenError> {
    let open = || {
        // Not SQLITE_OPEN_READ_ONLY: such a connection can't recover the WAL of a process that
        // crashed.
        let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, busy_timeout)?;
        conn.execute_batch("PRAGMA query_only = ON")?;
        Ok(conn)
    };
    open().map_err(|error| OpenError::new(path.to_owned(), error))
}

pub(crate) fn connect(
    path: &Path,
    flags: OpenFlags,
    busy_timeout: Duration,
) -> rusqlite::Result<Connection> {
    // Each connection is used by one thread only.
    let conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(busy_timeout)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
}

/// Puts the file into WAL mode and returns the mode that it then has.
fn enter_wal(conn: &Connection, busy_timeout: Duration) -> rusqlite::Result<String> {
    let start = Instant::now();
    loop {
        let mode = conn.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0));
        // If two processes change the mode of a new file at once, they would wait for each other.
        // So SQLite refuses one of them at once, and ignores the busy timeout.
        let busy = |error: &rusqlite::Error| {
            error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                && start.elapsed() < busy_timeout
        };
        match mode {
            Err(error) if busy(&error) => thread::sleep(Duration::from_millis(5)),
            mode => return mode,
        }
    }
}

/// Stores the horizon of a purge for later processes.
pub(crate) fn remember_horizon(conn: &Connection, horizon: Timestamp) -> Result<(), Failure> {
    conn.prepare_cached(
        "INSERT OR REPLACE INTO gatepass_meta (key, value) VALUES ('purged_until', ?1)",
    )?
    .execute([Millis(horizon)])?;
    Ok(())
}

/// Remembers `identities` if the store knows none yet, or if `join`. Returns those that it knew
/// before.
pub(crate) fn introduce(
    conn: &Connection,
    identities: &[ServiceIdentity],
    join: bool,
) -> Result<Vec<ServiceIdentity>, Failure> {
    let known = conn
        .prepare_cached("SELECT value FROM gatepass_meta WHERE key >= 'identity ' AND key < 'identity!' ORDER BY key")?
        .query_and_then((), |row| {
            let text: String = row.get(0)?;
            ServiceIdentity::from_text(&text).ok_or(Failure::from(Unreadable("identity")))
        })?
        .collect::<Result<Vec<_>, Failure>>()?;
    if known.is_empty() || join {
        let new = identities.iter().filter(|one| !known.contains(one));
        for (number, identity) in (known.len()..).zip(new) {
            conn.prepare_cached("INSERT INTO gatepass_meta (key, value) VALUES (?1, ?2)")?
                .execute((format!("identity {number:04}"), identity.to_text()))?;
        }
    }
    Ok(known)
}

/// The horizon of the last purge.
pub(crate) fn last_horizon(conn: &Connection) -> Result<Option<Timestamp>, Failure> {
    let last = conn
        .prepare_cached("SELECT value FROM gatepass_meta WHERE key = 'purged_until'")?
        .query_row((), |row| row.get(0))
        .optional()?;
    Ok(last.map(Timestamp::from_unix_millis))
}

/// The newest version of the tables.
pub(crate) fn known() -> u32 {
    u32::try_from(STEPS.len()).unwrap_or(u32::MAX)
}

/// A database in memory with the tables of the newest version.
pub(crate) fn empty() -> rusqlite::Result<Connection> {
    let conn = Connection::open_in_memory()?;
    conn.execute_batch(META)?;
    STEPS.iter().try_for_each(|step| conn.execute_batch(step))?;
    Ok(conn)
}

/// Migrates the file to the schema that `steps` lead to.
fn migrate(conn: &mut Connection, path: &Path, steps: &[&str]) -> Result<(), OpenError> {
    let sqlite = |error| OpenError::new(path.to_owned(), error);
    // Takes the lock before it reads the version. So one of several processes migrates, and the
    // others find it done.
    let tx = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(sqlite)?;
    tx.execute_batch(META).map_err(sqlite)?;
    let version: Option<u32> = tx
        .query_row(
            "SELECT value FROM gatepass_meta WHERE key = 'schema_version'",
            (),
            |row| row.get(0),
        )
        .optional()
        .map_err(sqlite)?;
    let found = version.unwrap_or(0);
    let known = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    if found > known {
        let path = path.to_owned();
        return Err(OpenError::NewerSchema { path, found, known });
    }
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    for step in steps.iter().skip(done) {
        tx.execute_batch(step).map_err(sqlite)?;
    }
    if found < known {
        tx.execute(
            "INSERT OR REPLACE INTO gatepass_meta (key, value) VALUES ('schema_version', ?1)",
            [known],
        )
        .map_err(sqlite)?;
    }
    tx.commit().map_err(sqlite)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier};

    use gatepass::Identity;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A test that kills the process would not show this: only a power failure loses an unsynced
    /// commit.
    #[test]
    fn a_commit_is_on_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions.db");
        // On a new file, and on an existing one.
        for _ in 0..2 {
            let (conn, _) = open_writer(&path, PATIENCE).unwrap();
            let number = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            let full = 2;
            assert_eq!(number("synchronous").unwrap(), full);
            assert_eq!(number("fullfsync").unwrap(), 1);
            let mode = conn.pragma_query_value(None, "journal_mode", |row| row.get(0));
            assert_eq!(mode, Ok("wal".to_owned()));
        }
    }

    /// Sessions of the first schema had no number, and their tokens are no longer valid.
    #[test]
    fn a_file_of_the_first_schema_begins_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions.db");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut conn = connect(&path, flags, PATIENCE).unwrap();
        migrate(&mut conn, &path, &STEPS[..1]).unwrap();
        conn.execute_batch(
            "INSERT INTO gatepass_sessions VALUES (x'01', 'alice', 'web', '{}', '{}', 0, NULL, NULL,
                 NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, NULL, NULL, 0);
             INSERT INTO gatepass_revocations (session, until) VALUES (x'01', 0);
             CREATE TABLE of_the_application (n); INSERT INTO of_the_application VALUES (1)",
        )
        .unwrap();
        let meta = "SELECT value FROM gatepass_meta WHERE key = 'incarnation'";
        let before: String = conn.query_row(meta, (), |row| row.get(0)).unwrap();
        drop(conn);

        let (conn, incarnation) = open_writer(&path, PATIENCE).unwrap();
        assert_ne!(
            incarnation, before,
            "no place in the old log is one in the new"
        );
        let count = |table: &str| {
            let count = format!("SELECT count(*) FROM {table}");
            conn.query_row(&count, (), |row| row.get::<_, i64>(0))
                .unwrap()
        };
        assert_eq!(count("gatepass_sessions"), 0);
        assert_eq!(count("gatepass_revocations"), 0);
        assert_eq!(count("of_the_application"), 1);
    }

    #[test]
    fn a_session_of_an_older_schema_is_found_by_its_subject() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions.db");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut conn = connect(&path, flags, PATIENCE).unwrap();
        migrate(&mut conn, &path, &STEPS[..4]).unwrap();
        let claims = serde_json::json!({ "subject": "bob", "null": "\u{0}" });
        let subjects = ["alice", r#"a"\l\\"#, "jürgen"];
        for (number, subject) in (0_i64..).zip(subjects) {
            let identity = Identity::new(subject).unwrap().claims(&claims).unwrap();
            conn.execute(
                "INSERT INTO gatepass_sessions VALUES (?1, x'01', ?1, 'i', 'a', 'c', ?2, '{}', 0,
                     NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, 0, 0, 0)",
                (number, serde_json::to_string(&identity).unwrap()),
            )
            .unwrap();
        }
        // A row that can't be read must not stop the migration.
        let damage = "INSERT INTO gatepass_sessions SELECT 9, account, 9, issuer, audience, client,
             '{', device_json, 0, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, 0, 0, 0
             FROM gatepass_sessions LIMIT 1";
        conn.execute_batch(damage).unwrap();
        drop(conn);
        let (conn, _) = open_writer(&path, PATIENCE).unwrap();
        let mut found = conn
            .prepare("SELECT subject FROM gatepass_sessions ORDER BY number")
            .unwrap();
        let found = found.query_map((), |row| row.get::<_, String>(0)).unwrap();
        let expected = subjects.into_iter().chain([""]);
        assert!(found.map(Result::unwrap).eq(expected));
    }

    #[test]
    fn of_many_that_find_an_older_schema_one_migrates_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions.db");
        let (_, incarnation) = open_writer(&path, PATIENCE).unwrap();
        // This step would fail if it ran twice.
        let newer = [
            &STEPS[..],
            &["ALTER TABLE gatepass_sessions ADD COLUMN later"],
        ]
        .concat();
        let start = Arc::new(Barrier::new(6));
        let openers = (0..6).map(|_| {
            let (path, start, newer) = (path.clone(), Arc::clone(&start), newer.clone());
            thread::spawn(move || {
                let mut conn = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE, PATIENCE).unwrap();
                start.wait();
                migrate(&mut conn, &path, &newer).unwrap();
            })
        });
        for opener in Vec::from_iter(openers) {
            opener.join().unwrap();
        }
        let conn = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE, PATIENCE).unwrap();
        let meta = |key: &str| {
            let select = "SELECT CAST(value AS TEXT) FROM gatepass_meta WHERE key = ?1";
            conn.query_row(select, [key], |row| row.get::<_, String>(0))
        };
        assert_eq!(meta("incarnation").unwrap(), incarnation);
        assert_eq!(meta("schema_version").unwrap(), newer.len().to_string());
        let found = open_writer(&path, PATIENCE).unwrap_err();
        assert!(matches!(found, OpenError::NewerSchema { .. }), "{found:?}");
    }

    #[test]
    fn a_migration_that_fails_leaves_the_file_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions.db");
        let (mut conn, incarnation) = open_writer(&path, PATIENCE).unwrap();
        let newer = [&STEPS[..], &["CREATE TABLE gatepass_new (n)", "a mistake"]].concat();
        migrate(&mut conn, &path, &newer).unwrap_err();
        drop(conn);
        let (conn, again) = open_writer(&path, PATIENCE).unwrap();
        assert_eq!(again, incarnation);
        assert!(!conn.table_exists(None, "gatepass_new").unwrap());
    }
}
