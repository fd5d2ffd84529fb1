//! The sessions in a store, as administrators and scripts list and end them.
#![expect(
    clippy::indexing_slicing,
    reason = "a member that is not there fails the test, as it must"
)]

use std::{path::Path, sync::Arc};

use gatepass::{
    ClientId, Identity, Session, SessionId, Subject,
    store::{
        AccountId, Audience, EndReason, EndSessions, Issuer, NewSession, Random, SessionStore,
        SystemRandom,
    },
};
use gatepass_postgres::PostgresStore;
use gatepass_redis::RedisStore;
use gatepass_sqlite::SqliteStore;
use serde_json::Value;
use tempfile::TempDir;
use test_support::servers::{server, unique};

use crate::{directory, gatepass, text};

/// The rights of a user of Redis who may list sessions, as the documentation has them.
const SUPPORT: &str = include_str!("../../../gatepass-redis/src/support.acl");

/// A login that isn't stored yet.
fn new_session(name: &str, client: &str) -> NewSession {
    let issuer = Issuer::new("https://shop.example").unwrap();
    let subject = Subject::new(name).unwrap();
    let mut id = [0; 18];
    SystemRandom.fill(&mut id).unwrap();
    id[..2].copy_from_slice(&AccountId::of(&issuer, &subject).prefix());
    NewSession::new(
        SessionId::from_bytes(id),
        issuer,
        Audience::new("shop-api").unwrap(),
        ClientId::new(client).unwrap(),
        Identity::of(subject),
    )
}

async fn begin(store: &dyn SessionStore, name: &str, client: &str) -> Session {
    let begun = store.begin(new_session(name, client)).await;
    begun.unwrap().session
}

/// A store with its URL and its name in the database.
struct Place {
    store: Arc<dyn SessionStore>,
    url: String,
    name: String,
    directory: TempDir,
}

impl Place {
    fn sqlite() -> Self {
        let directory = directory();
        let file = directory.path().join("sessions.db");
        Self {
            store: Arc::new(SqliteStore::open(&file).unwrap()),
            url: format!("sqlite:{}", file.display()),
            name: "unused".to_owned(),
            directory,
        }
    }

    async fn all() -> Vec<Self> {
        let (postgres, redis) = (
            server("GATEPASS_TEST_POSTGRES"),
            server("GATEPASS_TEST_REDIS_CLUSTER"),
        );
        let name = unique("sessions");
        let in_postgres = PostgresStore::at(&postgres).schema(&name).open().await;
        let in_redis = RedisStore::at(&redis).namespace(&name).open().await;
        vec![
            Self::sqlite(),
            Self {
                store: Arc::new(in_postgres.unwrap()),
                url: postgres,
                name: name.clone(),
                directory: directory(),
            },
            Self {
                store: Arc::new(in_redis.unwrap()),
                url: redis,
                name,
                directory: directory(),
            },
        ]
    }

    /// The exit status, and the texts on standard output and standard error.
    fn answers(&self, args: &[&str], input: &str) -> (Option<i32>, String, String) {
        let store = ["--store", &self.url, "--name", &self.name];
        run(self.directory.path(), &[args, &store].concat(), input)
    }

    fn prints(&self, args: &[&str]) -> String {
        let (code, out, error) = self.answers(args, "");
        assert_eq!((code, &*error), (Some(0), ""), "{args:?}: {out}");
        out
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.prints(&[args, &["--json"]].concat())).unwrap()
    }
}

fn run(directory: &Path, args: &[&str], input: &str) -> (Option<i32>, String, String) {
    let output = gatepass(directory, &[&["sessions"], args].concat(), input);
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    (output.status.code(), out.to_owned(), error.to_owned())
}

fn ids(listed: &Value) -> Vec<&str> {
    let sessions = listed["sessions"].as_array().unwrap().iter();
    sessions.map(|one| one["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn sessions_are_listed_shown_counted_and_ended_in_each_kind_of_store() {
    for place in Place::all().await {
        let store = &*place.store;
        let alice = begin(store, "alice", "web").await;
        let bob = begin(store, "bob", "app").await;
        let gone = begin(store, "carol", "web").await;
        let target = EndSessions::Session(gone.id);
        store.end(target, EndReason::Logout).await.unwrap().unwrap();

        let listed = place.json(&["list"]);
        assert_eq!(ids(&listed).len(), 2, "{listed}");
        assert_eq!(listed["next"], Value::Null);
        let listed = place.json(&["list", "--subject", "alice"]);
        assert_eq!(ids(&listed), [alice.id.to_string()]);
        let over = place.json(&["list", "--state", "ended"]);
        assert_eq!(ids(&over), [gone.id.to_string()]);
        assert_eq!(over["sessions"][0]["state"], "ended");
        assert_eq!(over["sessions"][0]["ended_reason"], "logout");
        for (args, count) in [
            (&["--state", "any"][..], "3\n"),
            (&["--client", "app"], "1\n"),
            (&["--subject-prefix", "al"], "1\n"),
            (&["--begun-after", "1h"], "2\n"),
            (&["--begun-before", "1h"], "0\n"),
            (&["--seen-before", "2000-01-01"], "0\n"),
            (&["--audience", "another"], "0\n"),
        ] {
            assert_eq!(
                place.prints(&[&["count"], args].concat()),
                count,
                "{args:?}"
            );
        }
        assert_eq!(place.json(&["count"])["count"], 2);

        let shown = place.json(&["show", &bob.id.to_string()]);
        assert_eq!(shown["subject"], "bob");
        let shown = place.prints(&["show", &bob.id.to_string()]);
        assert!(shown.contains("client              app\n"), "{shown}");
        let unknown = SessionId::from_bytes([7; 18]).to_string();
        let (code, out, error) = place.answers(&["show", &unknown], "");
        assert_eq!((code, &*out), (Some(1), ""));
        assert!(error.contains(&unknown), "{error}");

        let ended = place.prints(&["end", "--client", "app", "--yes"]);
        assert_eq!(ended, "1 session ended\n");
        let (bob, _) = store.load(bob.id).await.unwrap();
        let reason = bob.unwrap().ended.unwrap().reason;
        assert_eq!(reason, EndReason::EndedByApplication);
        let ended = place.json(&["end", "--client", "app", "--yes"]);
        assert_eq!(ended["ended"], 0);
        // An ended session, an unknown one and a live one.
        let named = [&*gone.id.to_string(), &unknown, &alice.id.to_string()];
        let ended = place.json(&[&["end", "--yes"], &named[..]].concat());
        assert_eq!(ended["ended"], 1);
        assert_eq!(place.json(&["count"])["count"], 0);
    }
}

#[tokio::test]
async fn ids_that_begin_like_an_option_are_ids() {
    let place = Place::sqlite();
    let mut named = Vec::new();
    for (start, bytes) in [("-h", 0xfa_1f_u16), ("--", 0xfb_ef), ("A", 0)] {
        let mut session = new_session("alice", "web");
        let mut id = [7; 18];
        id[..2].copy_from_slice(&bytes.to_be_bytes());
        session.id = SessionId::from_bytes(id);
        let begun = place.store.begin(session).await.unwrap().session;
        named.push(begun.id.to_string());
        assert!(named.last().unwrap().starts_with(start), "{named:?}");
    }
    for id in &named {
        assert_eq!(place.json(&["show", id])["id"], **id);
    }
    let named = Vec::from_iter(named.iter().map(String::as_str));
    let (code, out, _) = place.answers(&[&["end"], &named[..], &["--yess"]].concat(), "");
    assert_eq!((code, &*out), (Some(2), ""), "a mistyped option is no id");
    let [first, second, third] = *named.as_slice() else {
        panic!("{named:?}");
    };
    let ended = place.prints(&["end", first, "--yes", second]);
    assert_eq!(ended, "2 sessions ended\n");
    let args = ["end", "--yes", "--store", &place.url, "--", third];
    let (code, out, _) = run(place.directory.path(), &args, "");
    assert_eq!((code, &*out), (Some(0), "1 session ended\n"));
}

#[tokio::test]
async fn a_list_goes_on_from_page_to_page() {
    let place = Place::sqlite();
    let mut begun = Vec::new();
    for number in 0..7 {
        let session = begin(&*place.store, &format!("user {number}"), "web").await;
        begun.push(session.id.to_string());
    }
    let (mut found, mut after) = (Vec::new(), None::<String>);
    loop {
        let place_of_page = after.iter().flat_map(|next| ["--after", next]);
        let args = ["list", "--limit", "3"].into_iter().chain(place_of_page);
        let listed = place.json(&Vec::from_iter(args));
        found.extend(ids(&listed).into_iter().map(str::to_owned));
        after = listed["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    found.sort();
    begun.sort();
    assert_eq!(found, begun);
    let table = place.prints(&["list", "--limit", "3"]);
    assert!(
        table.contains("\n3 sessions; for more add --after "),
        "{table}"
    );
}

/// A client chooses its `User-Agent`, and other programs may write to the store.
#[tokio::test]
async fn a_table_is_aligned_and_commands_no_terminal() {
    let place = Place::sqlite();
    let mut new = new_session("jürgen", "web");
    new.identity = new.identity.device("Jürgens Telefon");
    new.device.user_agent = Some("\u{1b}[2J\u{202e}Mozilla\r\n/5.0".repeat(9));
    new.device.address = "192.0.2.7".parse().ok();
    let session = place.store.begin(new).await.unwrap().session;
    begin(&*place.store, "a much longer subject", "app").await;
    let table = place.prints(&["list"]);
    let lines = Vec::from_iter(table.lines());
    assert_eq!(lines.len(), 4, "{table}");
    assert_eq!(lines[3], "2 sessions");
    let starts = |title: &str| {
        let (before, _) = lines[0].split_once(title).unwrap();
        before.chars().count()
    };
    let jürgen = lines.iter().find(|line| line.contains("jürgen")).unwrap();
    let cell = |title| String::from_iter(jürgen.chars().skip(starts(title)));
    assert!(cell("SUBJECT").starts_with("jürgen  "), "{table}");
    assert!(cell("BEGUN").starts_with(&session.created_at.to_string()));
    assert!(cell("ADDRESS").starts_with("192.0.2.7  "), "{table}");
    assert!(cell("DEVICE").starts_with("Jürgens Telefon, \\u{1b}[2J\\u{202e}M"));
    assert_eq!(cell("DEVICE").chars().count(), 61, "{table}");
    // The table has columns for several services only when it needs them.
    assert!(!table.contains("AUDIENCE"));
    let mut other = new_session("alice", "web");
    other.audience = Audience::new("other-api").unwrap();
    place.store.begin(other).await.unwrap();
    assert!(place.prints(&["list"]).contains("other-api"));

    let shown = place.prints(&["show", &session.id.to_string()]);
    for shown in [&table, &shown] {
        let plain = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
        assert!(shown.chars().all(plain), "{shown:?}");
    }
}

#[tokio::test]
async fn an_end_is_confirmed_first() {
    let place = Place::sqlite();
    for name in ["alice", "bob", "carol"] {
        begin(&*place.store, name, "web").await;
    }
    for (answer, says) in [
        ("n\n", "nothing was ended"),
        ("\n", "nothing was ended"),
        ("", "confirm by --yes"),
    ] {
        let (code, out, error) = place.answers(&["end", "--all"], answer);
        assert_eq!((code, &*out), (Some(1), ""), "{answer:?}");
        assert!(error.contains("end 3 sessions in SQLite? [y/N]"), "{error}");
        assert!(error.contains(says), "{error}");
        assert_eq!(place.json(&["count"])["count"], 3);
    }
    let (code, out, _) = place.answers(&["end", "--all"], "y\n");
    assert_eq!((code, &*out), (Some(0), "3 sessions ended\n"));
    // There is nothing to confirm.
    let (code, out, error) = place.answers(&["end", "--all"], "");
    assert_eq!((code, &*out, &*error), (Some(0), "0 sessions ended\n", ""));
}

#[test]
fn a_wrong_call_ends_nothing() {
    let place = Place::sqlite();
    for args in [
        &["end"][..],
        &["end", "--yes"],
        &["end", "--all", "7777"],
        &["end", "--subject", "alice", "AAAAAAAAAAAAAAAAAAAAAAAA"],
        &["end", "--all", "--per-second", "0"],
        &["end", "--seen-before", "tomorrow"],
        &["list", "--limit", "1001"],
        &["list", "--limit", "0"],
        &["list", "--after", "elsewhere"],
        &["list", "--network", "192.0.2.0/99"],
        &["list", "--state", "dead"],
        &["list", "--subject", "a", "--subject-prefix", "a"],
        &["show"],
        &["show", "7777"],
    ] {
        let (code, out, error) = place.answers(args, "y\n");
        assert_eq!((code, &*out), (Some(2), ""), "{args:?}");
        assert!(error.contains("error: "), "{error}");
    }
}

#[test]
fn a_store_that_is_not_there_is_an_error_and_is_not_made() {
    let directory = directory();
    for url in [
        "postgres://shop:hunter2@127.0.0.1:1/shop",
        "redis://shop:hunter2@127.0.0.1:1",
        "postgres://shop:hunter2@x@127.0.0.1/shop",
        "sqlite:missing.db",
    ] {
        for args in [
            &["list"][..],
            &["count", "--json"],
            &["end", "--all", "--yes"],
        ] {
            let args = [args, &["--store", url]].concat();
            let (code, out, error) = run(directory.path(), &args, "");
            assert_eq!((code, &*out), (Some(1), ""), "{args:?}");
            assert!(error.starts_with("error: "), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
    for args in [
        &["list", "--store", "mysql://shop:hunter2@db/shop"][..],
        &["list", "--store", "shop:hunter2@db"],
        &["list"],
    ] {
        let (code, out, error) = run(directory.path(), args, "");
        assert_eq!((code, &*out), (Some(2), ""), "{args:?}");
        assert!(
            error.contains("--store") && !error.contains("hunter2"),
            "{error}"
        );
    }
    assert!(!directory.path().join("missing.db").exists());
}

/// Nodes of an older release may still use the store.
#[tokio::test]
async fn an_older_or_newer_file_is_refused_and_not_migrated() {
    let place = Place::sqlite();
    begin(&*place.store, "alice", "web").await;
    let file = place.directory.path().join("sessions.db");
    let conn = rusqlite::Connection::open(&file).unwrap();
    for (version, says) in [(1, "start"), (99, "upgrade")] {
        let set = "UPDATE gatepass_meta SET value = ?1 WHERE key = 'schema_version'";
        conn.execute(set, [version]).unwrap();
        for args in [&["list"][..], &["end", "--all", "--yes"]] {
            let (code, out, error) = place.answers(args, "");
            assert_eq!((code, &*out), (Some(1), ""));
            assert!(error.contains(says), "{error}");
        }
    }
    let empty = format!(
        "sqlite:{}",
        place.directory.path().join("empty.db").display()
    );
    std::fs::write(place.directory.path().join("empty.db"), "").unwrap();
    let (code, _, error) = run(place.directory.path(), &["list", "--store", &empty], "");
    assert_eq!(code, Some(1));
    assert!(error.contains("there are no sessions in "), "{error}");
}

#[tokio::test]
async fn a_role_that_may_only_read_lists_and_ends_nothing() {
    let postgres = server("GATEPASS_TEST_POSTGRES");
    let name = unique("support");
    let store = PostgresStore::at(&postgres).schema(&name).open().await;
    let store = store.unwrap();
    begin(&store, "alice", "web").await;
    let pool = sqlx::PgPool::connect(&postgres).await.unwrap();
    let rights = format!(
        "CREATE ROLE {name} LOGIN PASSWORD 'hunter2';
         GRANT USAGE ON SCHEMA {name} TO {name};
         GRANT SELECT ON {name}.meta, {name}.revocations, {name}.sessions, {name}.accounts
             TO {name};"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(rights))
        .execute(&pool)
        .await
        .unwrap();
    let (_, host) = postgres.rsplit_once('@').unwrap();
    let mut place = Place {
        store: Arc::new(store),
        url: format!("postgres://{name}:hunter2@{host}"),
        name: name.clone(),
        directory: directory(),
    };
    lists_and_ends_nothing(&place);

    let redis = server("GATEPASS_TEST_REDIS");
    let store = RedisStore::at(&redis).namespace(&name).open().await;
    let store = store.unwrap();
    begin(&store, "alice", "web").await;
    let rights = SUPPORT
        .replace("gatepass", &name)
        .replace("PASSWORD", "hunter2");
    let mut setuser = redis::cmd("ACL");
    setuser
        .arg("SETUSER")
        .arg(&name)
        .arg(Vec::from_iter(rights.split_ascii_whitespace()));
    let client = redis::Client::open(redis.as_str()).unwrap();
    let mut conn = client.get_multiplexed_async_connection().await.unwrap();
    let (): () = setuser.query_async(&mut conn).await.unwrap();
    let (_, host) = redis.rsplit_once('@').unwrap();
    place.url = format!("redis://{name}:hunter2@{host}");
    place.store = Arc::new(store);
    lists_and_ends_nothing(&place);
}

fn lists_and_ends_nothing(place: &Place) {
    let listed = place.json(&["list"]);
    let id = ids(&listed).concat();
    assert_eq!(place.json(&["show", &id])["subject"], "alice");
    assert_eq!(
        place.json(&[
            "list",
            "--subject",
            "alice",
            "--issuer",
            "https://shop.example"
        ]),
        listed
    );
    let (code, out, error) = place.answers(&["end", "--all", "--yes"], "");
    assert_eq!((code, &*out), (Some(1), ""), "{error}");
    assert!(error.contains("the rights of a node"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    assert_eq!(place.json(&["count"])["count"], 1);
}
