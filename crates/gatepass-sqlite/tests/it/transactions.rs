//! Sessions end with the application's own transaction on the same file, or not at all.

mod contract;

use std::{
    collections::HashSet,
    env,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    time::Duration,
};

use gatepass::store::{EndReason, EndSessions, Revocation, SessionStore};
use gatepass_sqlite::{SqliteStore, TransactionError};
use gatepass_testkit::sessions::{account, advance_of, begin, pull_all};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tempfile::TempDir;
use tokio::task::{JoinSet, spawn_blocking};

const PATIENCE: Duration = Duration::from_secs(60);

/// A store, and the application's own table in the same file.
struct Shop {
    store: SqliteStore,
    path: PathBuf,
    _directory: TempDir,
}

impl Shop {
    fn open() -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("shop.db");
        let store = SqliteStore::builder(&path).busy_timeout(PATIENCE);
        let shop = Self {
            store: store.open().unwrap(),
            path,
            _directory: directory,
        };
        let make = "CREATE TABLE app (name TEXT PRIMARY KEY)";
        shop.connect().execute_batch(make).unwrap();
        shop
    }

    /// A connection of the application.
    fn connect(&self) -> Connection {
        connect(&self.path)
    }

    /// The content of gatepass's tables, as text.
    fn tables(&self) -> String {
        let conn = self.connect();
        let mut all = String::new();
        for table in ["sessions", "accounts", "revocations"] {
            let mut rows = conn
                .prepare(&format!("SELECT * FROM gatepass_{table}"))
                .unwrap();
            let columns = rows.column_count();
            let mut rows = rows.query(()).unwrap();
            while let Some(row) = rows.next().unwrap() {
                for column in 0..columns {
                    all += &format!("{:?} ", row.get_ref(column).unwrap());
                }
            }
        }
        all
    }
}

fn connect(path: &Path) -> Connection {
    let conn = Connection::open(path).unwrap();
    conn.busy_timeout(PATIENCE).unwrap();
    conn
}

/// Writes the application's own row for `name`, and ends the sessions of that user.
fn change(
    store: &SqliteStore,
    transaction: &Connection,
    name: &str,
) -> Result<Option<Revocation>, TransactionError> {
    let write = "INSERT INTO app VALUES (?1)";
    transaction.execute(write, [name]).unwrap();
    end(store, transaction, name)
}

fn end(
    store: &SqliteStore,
    transaction: &Connection,
    name: &str,
) -> Result<Option<Revocation>, TransactionError> {
    let all = EndSessions::AllOf(account(name));
    store.end_in(transaction, all, EndReason::UserDeleted)
}

#[tokio::test]
async fn sessions_end_when_the_transaction_commits_and_not_before() {
    let shop = Shop::open();
    let session = begin(&shop.store, "alice").await;
    let (_, cursor) = pull_all(&shop.store, None).await;
    let mut conn = shop.connect();
    let transaction = conn.transaction().unwrap();
    let ended = change(&shop.store, &transaction, "alice").unwrap();
    let before = shop.store.load(session.id).await.unwrap().0.unwrap();
    assert_eq!(before.ended, None);
    assert_eq!(pull_all(&shop.store, Some(&cursor)).await.0, []);
    transaction.commit().unwrap();

    let after = shop.store.load(session.id).await.unwrap().0.unwrap();
    assert_eq!(after.ended.unwrap().reason, EndReason::UserDeleted);
    let (entries, _) = pull_all(&shop.store, Some(&cursor)).await;
    assert_eq!(entries, Vec::from_iter(ended));
}

#[tokio::test]
async fn a_rollback_ends_nothing() {
    let shop = Shop::open();
    begin(&shop.store, "alice").await;
    let before = shop.tables();
    let mut conn = shop.connect();
    for by_itself in [false, true] {
        let transaction = conn.transaction().unwrap();
        assert!(
            change(&shop.store, &transaction, "alice")
                .unwrap()
                .is_some()
        );
        match by_itself {
            true => drop(transaction),
            false => transaction.rollback().unwrap(),
        }
        assert_eq!(shop.tables(), before);
    }
    let mut transaction = conn.transaction().unwrap();
    let savepoint = transaction.savepoint().unwrap();
    assert!(change(&shop.store, &savepoint, "alice").unwrap().is_some());
    drop(savepoint);
    transaction.commit().unwrap();
    assert_eq!(shop.tables(), before);
}

#[tokio::test]
async fn a_transaction_that_would_do_it_wrong_is_refused_and_can_go_on() {
    let shop = Shop::open();
    begin(&shop.store, "alice").await;
    let before = shop.tables();
    let refused = |conn: &Connection| end(&shop.store, conn, "alice").unwrap_err();

    let mut conn = shop.connect();
    let error = refused(&conn);
    assert!(matches!(error, TransactionError::NoTransaction), "{error}");

    conn.execute_batch("PRAGMA synchronous = NORMAL").unwrap();
    let transaction = conn.transaction().unwrap();
    let error = refused(&transaction);
    assert!(matches!(error, TransactionError::NotDurable), "{error}");
    transaction
        .execute("INSERT INTO app VALUES ('goes on')", ())
        .unwrap();
    transaction.commit().unwrap();

    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let mut reader = Connection::open_with_flags(&shop.path, flags).unwrap();
    let error = refused(&reader.transaction().unwrap());
    assert!(matches!(error, TransactionError::ReadOnly), "{error}");

    // Another file, also if it is the file of another store, a database in memory, and a database
    // to which our file is attached.
    let other = Shop::open();
    let attached = other.connect();
    let attach = "ATTACH ?1 AS shop";
    attached
        .execute(attach, [shop.path.to_str().unwrap()])
        .unwrap();
    for mut conn in [
        other.connect(),
        Connection::open_in_memory().unwrap(),
        attached,
    ] {
        let error = refused(&conn.transaction().unwrap());
        assert!(matches!(error, TransactionError::OtherFile), "{error}");
    }
    assert_eq!(shop.tables(), before);
}

#[tokio::test]
async fn a_transaction_that_has_read_before_a_login_is_told_to_begin_again() {
    let shop = Shop::open();
    let mut conn = shop.connect();
    let transaction = conn.transaction().unwrap();
    let count = "SELECT count(*) FROM app";
    let _: i64 = transaction.query_row(count, (), |row| row.get(0)).unwrap();
    let session = begin(&shop.store, "alice").await;
    let error = end(&shop.store, &transaction, "alice").unwrap_err();
    assert!(error.is_busy(), "{error:?}");
    drop(transaction);
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate);
    let transaction = transaction.unwrap();
    assert!(end(&shop.store, &transaction, "alice").unwrap().is_some());
    transaction.commit().unwrap();
    let ended = shop.store.load(session.id).await.unwrap().0.unwrap().ended;
    assert!(ended.is_some());
}

/// The application and the writing thread take turns with the file. The commits of both are kept.
#[tokio::test(flavor = "multi_thread")]
async fn transactions_and_the_group_commit_of_the_store_get_along() {
    const CALLERS: usize = 8;
    const ROUNDS: usize = 20;
    let shop = Shop::open();
    let mut work = JoinSet::new();
    for caller in 0..CALLERS {
        let (store, path) = (shop.store.clone(), shop.path.clone());
        work.spawn(async move {
            let mut committed = Vec::new();
            let mut kept = begin(&store, &format!("keeps {caller}")).await;
            for round in 0..ROUNDS {
                let name = format!("{caller} {round}");
                let session = begin(&store, &name).await;
                kept = store.advance(advance_of(&kept)).await.unwrap().unwrap();
                let commits = round % 2 == 0;
                let (store, path) = (store.clone(), path.clone());
                let changed = spawn_blocking(move || {
                    let mut conn = connect(&path);
                    let behavior = TransactionBehavior::Immediate;
                    let transaction = conn.transaction_with_behavior(behavior).unwrap();
                    assert!(change(&store, &transaction, &name).unwrap().is_some());
                    match commits {
                        true => transaction.commit().unwrap(),
                        false => transaction.rollback().unwrap(),
                    }
                });
                changed.await.unwrap();
                committed.push((session, commits));
            }
            committed
        });
    }
    let sessions = work.join_all().await.concat();
    let (entries, _) = pull_all(&shop.store, None).await;
    let ended = sessions.iter().filter(|(_, commits)| *commits).count();
    let distinct: HashSet<_> = entries.iter().map(|entry| entry.target).collect();
    assert_eq!((entries.len(), distinct.len()), (ended, ended));
    for (session, commits) in sessions {
        let loaded = shop.store.load(session.id).await.unwrap().0.unwrap();
        assert_eq!(loaded.ended.is_some(), commits);
    }
}

/// Tells the process that is to die which file to use, and whether it commits before.
const FILE: &str = "GATEPASS_TEST_FILE";
const COMMITS: &str = "GATEPASS_TEST_COMMITS";

/// This test starts itself again, as the process that dies.
#[tokio::test]
async fn a_process_that_dies_in_its_transaction_has_done_both_or_neither() {
    if let Ok(path) = env::var(FILE) {
        let store = SqliteStore::open(&path).unwrap();
        let mut conn = connect(Path::new(&path));
        let transaction = conn.transaction().unwrap();
        change(&store, &transaction, "alice").unwrap();
        if env::var(COMMITS).is_ok() {
            transaction.commit().unwrap();
        }
        // Like SIGKILL: the process rolls back, writes and closes nothing.
        process::abort();
    }
    for commits in [false, true] {
        let shop = Shop::open();
        let session = begin(&shop.store, "alice").await;
        let mut dies = Command::new(env::current_exe().unwrap());
        dies.args(["--exact", "--nocapture"])
            .arg("transactions::a_process_that_dies_in_its_transaction_has_done_both_or_neither")
            .env(FILE, &shop.path)
            .stdout(Stdio::null());
        if commits {
            dies.env(COMMITS, "yes");
        }
        assert!(!dies.status().unwrap().success());
        let row = "SELECT count(*) FROM app WHERE name = 'alice'";
        let rows: i64 = shop.connect().query_row(row, (), |row| row.get(0)).unwrap();
        let loaded = shop.store.load(session.id).await.unwrap().0.unwrap();
        let (entries, _) = pull_all(&shop.store, None).await;
        assert_eq!(rows == 1, commits);
        assert_eq!(loaded.ended.is_some(), commits);
        assert_eq!(entries.len(), usize::from(commits));
    }
}
