//! Damaged files: a store neither refuses a user who is logged in, nor lets in a user who isn't.

#![cfg(unix)]

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

use gatepass::{
    Authority, BuildError, Device, Error, Identity, Issued, MasterSecret, Requirements, Scopes,
    Staleness, Subject,
};
use gatepass_sqlite::{OpenError, SqliteStore};
use gatepass_testkit::ManualClock;
use rusqlite::Connection;
use tempfile::TempDir;

const PAGE: usize = 4096;
const DAY: Duration = Duration::from_secs(86_400);

/// A file with sessions of all kinds, after its process has stopped.
struct Fixture {
    directory: TempDir,
    clock: ManualClock,
    image: Vec<u8>,
    live: Vec<Issued>,
    spent: Vec<Issued>,
    ended: Vec<Issued>,
}

impl Fixture {
    async fn new() -> Self {
        let mut fixture = Self {
            directory: TempDir::new().unwrap(),
            clock: ManualClock::new(),
            image: Vec::new(),
            live: Vec::new(),
            spent: Vec::new(),
            ended: Vec::new(),
        };
        let path = fixture.path("whole");
        let store = fixture.open(&path).unwrap();
        let node = fixture.node(store).await.unwrap();
        for number in 0..120 {
            let subject = Subject::new(format!("user{}", number % 7)).unwrap();
            let scopes = Scopes::parse("profile orders invoices settings").unwrap();
            let identity = Identity::of(subject).scopes(scopes);
            let issued = node.issue(identity, Device::default()).await.unwrap();
            match number % 3 {
                0 => fixture.live.push(issued),
                1 => {
                    let next = node.refresh(issued.refresh_token.as_str()).await.unwrap();
                    fixture.live.push(next);
                    fixture.spent.push(issued);
                }
                _ => {
                    node.logout(issued.refresh_token.as_str()).await.unwrap();
                    fixture.ended.push(issued);
                }
            }
        }
        let whole = fixture.path("copy");
        let copy = format!("VACUUM INTO '{}'", whole.display());
        Connection::open(path)
            .unwrap()
            .execute_batch(&copy)
            .unwrap();
        fixture.image = fs::read(whole).unwrap();
        // Sets the two bytes that say that there may be a WAL, as the store leaves them.
        fixture.image[18..20].copy_from_slice(&[2, 2]);
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.db"))
    }

    fn open(&self, path: &Path) -> Result<SqliteStore, OpenError> {
        SqliteStore::builder(path).clock(self.clock.clone()).open()
    }

    async fn node(&self, store: SqliteStore) -> Result<Authority, BuildError> {
        let secret = MasterSecret::from_bytes(b"a master secret for damaged files, long").unwrap();
        Authority::builder("https://shop.example", "shop-api", secret, store)
            .clock(self.clock.clone())
            .purge_interval(DAY)
            .build()
            .await
    }

    /// A new file of this content.
    fn write(&self, name: &str, image: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, image).unwrap();
        path
    }

    /// Asserts that each answer from a damaged file is correct or an error of the store. Returns
    /// the number of errors.
    async fn assert_right_or_failing(&self, name: &str, node: &Authority) -> usize {
        let mut failures = 0;
        let strict = Requirements::new().staleness(Staleness::Strict);
        for issued in self.live.iter().take(8) {
            let verified = node
                .verifier()
                .verify(issued.access_token.as_str(), &strict)
                .await;
            failures += right_or_failed(name, verified, None);
        }
        for issued in self.ended.iter().take(8) {
            let refreshed = node.refresh(issued.refresh_token.as_str()).await;
            failures += right_or_failed(name, refreshed, Some("session_ended"));
            let verified = node
                .verifier()
                .verify(issued.access_token.as_str(), &strict)
                .await;
            failures += right_or_failed(name, verified, Some("revoked"));
        }
        for issued in self.spent.iter().take(8).chain(self.live.iter().take(8)) {
            let refreshed = node.refresh(issued.refresh_token.as_str()).await;
            failures += right_or_failed(name, refreshed, None);
        }
        failures
    }
}

/// Returns 1 for an error of the store and 0 for the correct answer. Panics on a wrong answer.
#[track_caller]
fn right_or_failed<T: std::fmt::Debug>(
    name: &str,
    answer: Result<T, Error>,
    refusal: Option<&str>,
) -> usize {
    match (&answer, refusal) {
        (Err(Error::Store(_)), _) => 1,
        (Ok(_), None) => 0,
        (Err(Error::Refused(said)), Some(right)) if said.reason() == right => 0,
        _ => panic!("{name}: {answer:?}"),
    }
}

/// Random bytes, the same in each run.
fn noise(seed: usize) -> impl Iterator<Item = u8> {
    let mut state = u64::try_from(seed)
        .unwrap()
        .wrapping_add(0x9e37_79b9_7f4a_7c15);
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_lost_turns_nobody_away() {
    let fixture = Fixture::new().await;
    let pages = fixture.image.len() / PAGE;
    assert!(pages > 10, "{pages}");
    let (mut refused, mut failures) = (0, 0);
    for page in 0..pages {
        for (name, byte) in [("zeros", Some(0)), ("ones", Some(0xFF)), ("noise", None)] {
            let name = format!("page {page} of {pages} {name}");
            let mut image = fixture.image.clone();
            let damage: Vec<u8> = match byte {
                Some(byte) => vec![byte; PAGE],
                None => noise(page).take(PAGE).collect(),
            };
            image[page * PAGE..][..PAGE].copy_from_slice(&damage);
            let path = fixture.write(&name, &image);
            let store = match fixture.open(&path) {
                Ok(store) => store,
                Err(error) => {
                    assert_damage(&name, &error);
                    refused += 1;
                    continue;
                }
            };
            match fixture.node(store).await {
                Ok(node) => failures += fixture.assert_right_or_failing(&name, &node).await,
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 3 && failures > 100, "{refused} {failures}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_lost_while_it_is_open_turns_nobody_away() {
    let fixture = Fixture::new().await;
    let path = fixture.write("open", &fixture.image);
    let node = fixture.node(fixture.open(&path).unwrap()).await.unwrap();
    let before = fixture.assert_right_or_failing("whole", &node).await;
    assert_eq!(before, 0);
    // After this, neither the WAL nor the caches of the store's connections hold anything.
    let flushed = "PRAGMA wal_checkpoint(TRUNCATE); CREATE TABLE notes (note TEXT);
                   PRAGMA wal_checkpoint(TRUNCATE);";
    Connection::open(&path)
        .unwrap()
        .execute_batch(flushed)
        .unwrap();

    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let pages = file.metadata().unwrap().len() / u64::try_from(PAGE).unwrap();
    let noise: Vec<u8> = noise(1).take(PAGE).collect();
    for page in 1..pages {
        let at = page * u64::try_from(PAGE).unwrap();
        file.write_all_at(&noise, at).unwrap();
    }
    let failures = fixture.assert_right_or_failing("lost", &node).await;
    assert_eq!(failures, 40, "nothing of it can be read");
    let issue = node.issue(Identity::new("alice").unwrap(), Device::default());
    assert!(matches!(issue.await, Err(Error::Store(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_cut_off_is_refused_at_the_start() {
    let fixture = Fixture::new().await;
    let length = fixture.image.len();
    for rest in [
        length - PAGE,
        length / 2 / PAGE * PAGE,
        length / 2 + 7,
        5000,
        4096,
        99,
        7,
    ] {
        let name = format!("cut to {rest}");
        let path = fixture.write(&name, &fixture.image[..rest]);
        assert_damage(&name, &fixture.open(&path).unwrap_err());
        assert_eq!(fs::read(&path).unwrap(), fixture.image[..rest], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wal_of_something_else_changes_nothing() {
    let fixture = Fixture::new().await;
    for (name, length) in [("short", 7), ("head", 32), ("frames", 9 * PAGE)] {
        let path = fixture.write(name, &fixture.image);
        let wal: Vec<u8> = noise(length).take(length).collect();
        fs::write(fixture.directory.path().join(format!("{name}.db-wal")), wal).unwrap();
        let node = fixture.node(fixture.open(&path).unwrap()).await.unwrap();
        let failures = fixture.assert_right_or_failing(name, &node).await;
        assert_eq!(failures, 0, "{name}");
    }
}

#[track_caller]
fn assert_damage(name: &str, error: &OpenError) {
    let known = matches!(
        error,
        OpenError::NotADatabase { .. } | OpenError::Damaged { .. }
    );
    assert!(known, "{name}: {error:?}");
    let said = error.to_string();
    assert!(said.contains(name), "{said}");
    assert!(said.contains("restore a backup"), "{said}");
}
