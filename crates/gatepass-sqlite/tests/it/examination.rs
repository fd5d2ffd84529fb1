//! The examination of a file, once for each fault that it reports.

use std::{fs, path::PathBuf, time::Duration};

use gatepass::{
    Clock,
    store::{Heartbeat, NodeId, SessionStore, Severity},
};
use gatepass_sqlite::{OpenError, SqliteStore};
use gatepass_testkit::{
    ManualClock,
    sessions::{begin, end},
};
use rusqlite::Connection;
use tempfile::TempDir;
use test_support::examination::finds_a_purge_that_does_not_keep_up;

const HOUR: Duration = Duration::from_secs(3600);

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

    /// Runs statements as another program would.
    fn execute(&self, sql: &str) {
        let conn = Connection::open(self.path()).unwrap();
        conn.execute_batch(sql).unwrap();
    }

    fn examine(&self) -> Result<Vec<(Severity, &'static str)>, OpenError> {
        let builder = SqliteStore::builder(self.path()).clock(self.clock.clone());
        let found = builder.examine()?.findings;
        Ok(found.iter().map(|one| (one.severity, one.code)).collect())
    }

    #[track_caller]
    fn finds(&self, severity: Severity, code: &'static str) {
        assert_eq!(self.examine().unwrap(), [(severity, code)]);
    }
}

#[tokio::test]
async fn a_file_in_use_is_healthy_and_its_nodes_are_told() {
    let place = Place::new();
    let store = place.open();
    let session = begin(&store, "alice").await;
    end(&store, &session).await;
    store.purge(place.clock.now(), 100).await.unwrap();
    let (issuer, audience) = ("shop".try_into().unwrap(), "api".try_into().unwrap());
    let node = NodeId::from_bytes([1; 16]);
    let heartbeat = Heartbeat::new(node, issuer, audience, place.clock.now());
    store.beat(&heartbeat, HOUR).await.unwrap();
    assert_eq!(place.examine().unwrap(), []);
    let builder = SqliteStore::builder(place.path()).clock(place.clock.clone());
    let heartbeats = builder.examine().unwrap().heartbeats.unwrap();
    assert_eq!(heartbeats, store.heartbeats().await.unwrap());
    // Also after a clean stop, without the `-wal` and `-shm`.
    drop(store);
    assert_eq!(place.examine().unwrap(), []);
}

#[test]
fn a_file_that_is_not_there_is_not_made() {
    let place = Place::new();
    let error = place.examine().unwrap_err();
    assert!(matches!(error, OpenError::CannotOpen { .. }), "{error:?}");
    assert!(!place.path().exists());
}

#[test]
fn a_file_without_sessions_is_told_and_left_alone() {
    let place = Place::new();
    place.execute("PRAGMA journal_mode = wal; CREATE TABLE mine (n)");
    #[cfg(unix)]
    private(&place);
    place.finds(Severity::Error, "no_store");
    let conn = Connection::open(place.path()).unwrap();
    assert!(!conn.table_exists(None, "gatepass_meta").unwrap());
}

#[cfg(unix)]
fn private(place: &Place) {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(unix)]
#[test]
fn a_file_that_others_may_read_is_found() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::new();
    drop(place.open());
    for mode in [0o644, 0o620] {
        fs::set_permissions(place.path(), fs::Permissions::from_mode(mode)).unwrap();
        place.finds(Severity::Warning, "permissions");
    }
}

#[test]
fn another_journal_mode_is_found() {
    let place = Place::new();
    drop(place.open());
    place.execute("PRAGMA journal_mode = delete");
    place.finds(Severity::Warning, "journal_mode");
    drop(place.open());
    assert_eq!(place.examine().unwrap(), []);
}

#[test]
fn a_missing_index_is_found() {
    let place = Place::new();
    drop(place.open());
    place.execute("DROP INDEX gatepass_sessions_purge");
    place.finds(Severity::Error, "missing_index");
}

#[test]
fn tables_of_another_release_are_found() {
    let place = Place::new();
    drop(place.open());
    let becomes = |version| {
        place.execute(&format!(
            "UPDATE gatepass_meta SET value = {version} WHERE key = 'schema_version'"
        ));
    };
    becomes(1);
    place.finds(Severity::Warning, "older_schema");
    becomes(77);
    place.finds(Severity::Error, "newer_schema");
}

#[tokio::test]
async fn a_purge_that_does_not_keep_up_is_found() {
    let place = Place::new();
    let examine = async || place.examine().unwrap();
    finds_a_purge_that_does_not_keep_up(&place.open(), &place.clock, examine).await;
}

#[tokio::test]
async fn damage_is_found() {
    let place = Place::new();
    let store = place.open();
    for number in 0..50 {
        begin(&store, &format!("user {number}")).await;
    }
    drop(store);
    // Overwrites a page that holds sessions.
    let mut file = fs::read(place.path()).unwrap();
    let at = file
        .windows(7)
        .rposition(|part| part == b"user 49")
        .unwrap();
    let page = at / 4096 * 4096;
    file[page..page + 4096].fill(0xA5);
    fs::write(place.path(), file).unwrap();
    match place.examine() {
        Ok(found) => assert!(found.contains(&(Severity::Error, "damaged")), "{found:?}"),
        Err(error) => assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}"),
    }
}
