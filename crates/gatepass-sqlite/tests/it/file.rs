//! Features and failures that only a store in a file has.

use std::{
    collections::HashSet,
    error::Error,
    fs,
    path::PathBuf,
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use gatepass::{
    Clock,
    store::{
        Cursor, EndReason, EndSessions, GrantVersion, PullResult, Revocation, RevocationLog,
        SessionStore, StoreErrorKind, TokenId, TokenStatus,
    },
};
use gatepass_sqlite::{OpenError, SqliteStore};
use gatepass_testkit::{
    ManualClock,
    sessions::{account, advance_of, attempt_with_names, begin, end, token_of},
};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::task::JoinSet;

const DAY: Duration = Duration::from_secs(86400);

/// A path for a file, and a clock.
struct Place {
    directory: TempDir,
    clock: ManualClock,
}

impl Place {
    fn new() -> Self {
        Self {
            directory: TempDir::new().unwrap(),
            clock: ManualClock::new(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("sessions.db")
    }

    fn open(&self) -> SqliteStore {
        let builder = SqliteStore::builder(self.path()).clock(self.clock.clone());
        builder.open().unwrap()
    }

    /// A connection of the application.
    fn connect(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    fn refused(&self) -> OpenError {
        SqliteStore::open(self.path()).unwrap_err()
    }
}

/// A user that no error may name.
const USER: &str = "alice@secret.example";

async fn pull(store: &SqliteStore, after: Option<&Cursor>) -> (Vec<Revocation>, Cursor) {
    match store.pull(after).await.unwrap() {
        PullResult::Entries { entries, next, .. } => (entries, next),
        PullResult::Reset => panic!("{after:?} is a place in this log"),
    }
}

fn whole_text(error: &dyn Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(" {error} {error:?}");
        source = error.source();
    }
    text
}

#[tokio::test]
async fn everything_survives_reopening() {
    let place = Place::new();
    let store = place.open();
    let live = begin(&store, USER).await;
    let live = store.advance(advance_of(&live)).await.unwrap().unwrap();
    let gone = begin(&store, USER).await;
    let (_, start) = pull(&store, None).await;
    let mut logged = end(&store, &gone).await;
    let token = token_of(&live, 3);
    let (_, after_end) = pull(&store, None).await;
    let revoked = store.revoke_token(token).await.unwrap().unwrap();
    logged.push(revoked);
    let gone = store.load(gone.id).await.unwrap().0;
    drop(store);

    let store = place.open();
    assert_eq!(store.load(live.id).await.unwrap().0, Some(live.clone()));
    assert_eq!(
        store.sessions(account(USER), None, 10).await.unwrap(),
        std::slice::from_ref(&live)
    );
    let id = gone.as_ref().unwrap().id;
    assert_eq!(store.load(id).await.unwrap().0, gone);
    let status = store
        .status(live.id, token.token, GrantVersion::FIRST)
        .await
        .unwrap();
    assert_eq!(status, TokenStatus::Revoked);
    assert_eq!(pull(&store, None).await.0, logged);
    assert_eq!(pull(&store, Some(&start)).await.0, logged);
    assert_eq!(pull(&store, Some(&after_end)).await.0, [revoked]);
    // An entry from before the opening is new to a reader that has not seen it.
    store.changed(&after_end).await;
}

#[tokio::test]
async fn a_cursor_stays_right_through_a_purge_and_a_reopening() {
    let place = Place::new();
    let store = place.open();
    let session = begin(&store, USER).await;
    end(&store, &session).await;
    let (_, cursor) = pull(&store, None).await;
    place.clock.advance(DAY);
    let purged = store.purge(place.clock.now(), 100).await.unwrap();
    assert_eq!(purged.removed, 2);
    drop(store);

    let store = place.open();
    let (entries, fresh) = pull(&store, None).await;
    assert_eq!(entries, []);
    assert_eq!(fresh, cursor, "the place behind what was purged");
    // A reader that is up to date must wait, and not ask again and again.
    tokio::select! {
        biased;
        () = store.changed(&fresh) => panic!("nothing has changed"),
        () = tokio::task::yield_now() => {}
    }
    let session = begin(&store, USER).await;
    let ended = end(&store, &session).await;
    assert_eq!(pull(&store, Some(&cursor)).await.0, ended);
    assert_eq!(pull(&store, Some(&fresh)).await.0, ended);
}

#[tokio::test]
async fn a_cursor_from_the_future_of_a_restored_file_is_reset() {
    let place = Place::new();
    let store = place.open();
    let session = begin(&store, USER).await;
    end(&store, &session).await;
    let (_, cursor) = pull(&store, None).await;
    let (incarnation, seq) = cursor.as_str().split_once(':').unwrap();
    let beyond = seq.parse::<i64>().unwrap() + 1;
    for text in [
        format!("{incarnation}:{beyond}"),
        format!("{incarnation}:-1"),
        format!("{incarnation}:99999999999999999999"),
        format!("{incarnation}:"),
        incarnation.to_owned(),
        format!("x{incarnation}:{seq}"),
    ] {
        let pulled = store.pull(Some(&Cursor::new(text.as_str()))).await.unwrap();
        assert!(matches!(pulled, PullResult::Reset), "{text}: {pulled:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_on_one_file_share_everything() {
    let place = Place::new();
    let stores = [place.open(), place.open()];
    let session = begin(&stores[0], USER).await;
    let (_, start) = pull(&stores[1], None).await;

    let mut attempts = JoinSet::new();
    for number in 0..32 {
        let (store, advance) = (stores[number % 2].clone(), advance_of(&session));
        attempts.spawn(async move { store.advance(advance).await.unwrap() });
    }
    let won = attempts.join_all().await.into_iter().flatten();
    assert_eq!(won.count(), 1, "an advance happens once");

    let mut writers = JoinSet::new();
    for number in 1..=60 {
        let store = stores[number % 2].clone();
        writers.spawn(async move {
            let session = begin(&store, USER).await;
            end(&store, &session).await
        });
    }
    let mut seen = HashSet::new();
    let mut cursor = start;
    let mut acknowledged = Vec::new();
    loop {
        while let Some(ended) = writers.try_join_next() {
            acknowledged.extend(ended.unwrap());
        }
        let finished = writers.is_empty();
        let (entries, next) = pull(&stores[1], Some(&cursor)).await;
        seen.extend(entries);
        cursor = next;
        assert!(acknowledged.iter().all(|entry| seen.contains(entry)));
        if finished {
            break;
        }
    }
    assert_eq!(acknowledged.len(), 60);
    assert_eq!(pull(&stores[0], Some(&cursor)).await.0, []);
}

#[tokio::test]
async fn many_that_open_a_new_file_at_once_agree_on_it() {
    let place = Place::new();
    let start = Arc::new(Barrier::new(8));
    let openers = (0..8).map(|_| {
        let (start, path) = (Arc::clone(&start), place.path());
        thread::spawn(move || {
            start.wait();
            SqliteStore::builder(path)
                .busy_timeout(Duration::from_secs(60))
                .open()
                .unwrap()
        })
    });
    let stores: Vec<_> = Vec::from_iter(openers)
        .into_iter()
        .map(|opener| opener.join().unwrap())
        .collect();
    let (_, cursor) = pull(&stores[0], None).await;
    for store in &stores {
        assert_eq!(pull(store, None).await.1, cursor);
    }
}

#[tokio::test]
async fn a_lock_that_another_holds_makes_it_busy_and_no_more() {
    let place = Place::new();
    let store = SqliteStore::builder(place.path())
        .busy_timeout(Duration::from_millis(20))
        .open()
        .unwrap();
    let session = begin(&store, USER).await;
    let application = place.connect();
    application.execute_batch("BEGIN IMMEDIATE").unwrap();

    let target = EndSessions::Session(session.id);
    let error = store.end(target, EndReason::Logout).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Busy);
    let (loaded, _) = store.load(session.id).await.unwrap();
    assert_eq!(loaded, Some(session.clone()), "a read does not wait");

    application.execute_batch("COMMIT").unwrap();
    let (loaded, _) = store.load(session.id).await.unwrap();
    assert_eq!(loaded, Some(session.clone()), "what failed was not done");
    assert_eq!(end(&store, &session).await.len(), 1);
}

#[tokio::test]
async fn the_application_keeps_its_own_tables() {
    let place = Place::new();
    let application = place.connect();
    application
        .execute_batch(
            "PRAGMA user_version = 42;
             CREATE TABLE sessions (id INTEGER PRIMARY KEY AUTOINCREMENT, note TEXT);
             INSERT INTO sessions (note) VALUES ('mine'), ('mine too');",
        )
        .unwrap();
    let store = place.open();
    let (_, start) = pull(&store, None).await;
    let session = begin(&store, USER).await;
    let ended = end(&store, &session).await;
    application
        .execute("INSERT INTO sessions (note) VALUES ('later')", ())
        .unwrap();
    assert_eq!(pull(&store, Some(&start)).await.0, ended);

    let count = |sql| application.query_row(sql, (), |row| row.get::<_, i64>(0));
    assert_eq!(count("SELECT count(*) FROM sessions").unwrap(), 3);
    assert_eq!(count("PRAGMA user_version").unwrap(), 42);
    let mut tables = application
        .prepare("SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")
        .unwrap();
    let tables = tables.query_map((), |row| row.get::<_, String>(0)).unwrap();
    let tables = Vec::from_iter(tables.map(Result::unwrap));
    let foreign = tables.iter().filter(|name| !name.starts_with("gatepass_"));
    assert_eq!(Vec::from_iter(foreign), ["sessions"]);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let place = Place::new();
    drop(place.open());
    let set = "UPDATE gatepass_meta SET value = 999 WHERE key = 'schema_version'";
    place.connect().execute(set, ()).unwrap();
    let error = place.refused();
    assert!(
        matches!(&error, OpenError::NewerSchema { found: 999, known: 6, path } if *path == place.path()),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(text.contains("999") && text.contains('6'), "{text}");
    let get = "SELECT value FROM gatepass_meta WHERE key = 'schema_version'";
    let version: i64 = place
        .connect()
        .query_row(get, (), |row| row.get(0))
        .unwrap();
    assert_eq!(version, 999);
}

#[test]
fn a_path_that_is_no_file_is_refused_by_name() {
    let place = Place::new();
    let directory = place.directory.path().to_owned();
    for path in [directory.clone(), directory.join("missing/sessions.db")] {
        let error = SqliteStore::open(&path).unwrap_err();
        assert!(matches!(error, OpenError::CannotOpen { .. }), "{error:?}");
        let named = error.to_string().contains(path.to_str().unwrap());
        assert!(named, "{error}");
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let place = Place::new();
    for content in ["a text\n", &"a longer text\n".repeat(1000)] {
        fs::write(place.path(), content).unwrap();
        let error = place.refused();
        assert!(matches!(error, OpenError::NotADatabase { .. }), "{error:?}");
        assert!(error.to_string().contains("sessions.db"));
        assert_eq!(fs::read_to_string(place.path()).unwrap(), content);
    }
}

#[test]
fn a_database_that_only_one_connection_sees_is_refused() {
    for path in [":memory:", ""] {
        let error = SqliteStore::open(path).unwrap_err();
        assert!(matches!(error, OpenError::NoWal { .. }), "{error:?}");
        assert!(
            path.is_empty() || !fs::exists(path).unwrap(),
            "a file was made"
        );
    }
}

#[tokio::test]
async fn an_unreadable_row_is_reported_without_its_content() {
    let place = Place::new();
    let store = place.open();
    let columns = [
        ("identity_json", "'{\"secret\": 1}'"),
        ("device_json", "'secret'"),
        ("client", "'secret' || char(0)"),
        ("generation", "'secret'"),
        ("generation", "-1"),
        ("ended_at", "1"),
        ("absolute_expires_at", "'secret'"),
    ];
    for (column, value) in columns {
        let session = begin(&store, USER).await;
        let spoil = format!("UPDATE gatepass_sessions SET {column} = {value} WHERE id = ?1");
        let id = session.id.as_bytes();
        place.connect().execute(&spoil, [id]).unwrap();
        let errors = [
            store.load(session.id).await.unwrap_err(),
            store.advance(advance_of(&session)).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{column}");
            assert!(!whole_text(&error).contains("secret"), "{column}");
        }
    }
    let session = begin(&store, USER).await;
    assert!(
        store.advance(advance_of(&session)).await.unwrap().is_some(),
        "others are not harmed"
    );
}

#[tokio::test]
async fn debugging_a_store_shows_nothing_of_its_content() {
    let place = Place::new();
    let store = place.open();
    begin(&store, USER).await;
    assert_eq!(format!("{store:?}"), "SqliteStore { .. }");
}

/// If an operator deletes or replaces the file, the store must not report success.
#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_gone_acknowledges_nothing_until_it_is_back() {
    for suffix in ["", "-wal", "-shm"] {
        let place = Place::new();
        let store = place.open();
        let session = begin(&store, USER).await;
        let file = place.directory.path().join(format!("sessions.db{suffix}"));
        let elsewhere = place.directory.path().join("elsewhere");
        fs::rename(&file, &elsewhere).unwrap();
        let end = || store.end(EndSessions::Session(session.id), EndReason::Logout);
        let error = end().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{suffix}");
        assert!(whole_text(&error).contains("put it back"), "{error:?}");
        assert!(store.pull(None).await.is_err());
        assert!(store.load(session.id).await.is_err());
        assert!(store.sessions(account(USER), None, 10).await.is_err());
        let token = TokenId::from_bytes([1; 16]);
        assert!(
            store
                .status(session.id, token, GrantVersion::FIRST)
                .await
                .is_err()
        );

        fs::write(&file, "").unwrap();
        assert!(end().await.is_err(), "{suffix}: another one");

        fs::rename(&elsewhere, &file).unwrap();
        assert!(end().await.unwrap().is_some(), "{suffix}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn what_was_acknowledged_before_a_wal_was_deleted_is_saved_by_closing() {
    for suffix in ["-wal", "-shm"] {
        let place = Place::new();
        let store = place.open();
        let session = begin(&store, USER).await;
        let session = store.advance(advance_of(&session)).await.unwrap().unwrap();
        let file = place.directory.path().join(format!("sessions.db{suffix}"));
        fs::remove_file(file).unwrap();
        store.advance(advance_of(&session)).await.unwrap_err();
        drop(store);

        let store = place.open();
        let (loaded, _) = store.load(session.id).await.unwrap();
        assert_eq!(loaded, Some(session), "{suffix}");
    }
}

#[tokio::test]
async fn attempts_of_a_flood_are_purged_as_soon_as_they_are_forgotten() {
    let place = Place::new();
    let store = place.open();
    attempt_with_names(&store, 50).await;
    let rows = || {
        let count = "SELECT count(*) FROM gatepass_attempts";
        place
            .connect()
            .query_row(count, (), |row| row.get::<_, i64>(0))
    };
    store.purge(place.clock.now(), 1000).await.unwrap();
    assert_eq!(rows().unwrap(), 150);
    place.clock.advance(Duration::from_secs(300));
    let purged = store.purge(place.clock.now(), 100).await.unwrap();
    assert_eq!((purged.removed, purged.more), (100, true));
    let purged = store.purge(place.clock.now(), 100).await.unwrap();
    assert_eq!((purged.removed, purged.more), (50, false));
    assert_eq!(rows().unwrap(), 0);
}
