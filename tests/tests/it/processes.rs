//! Several processes on one file. One migrates it, none forks a session, each learns the others'
//! revocations within its bound, and none refuses a client because of the others.

use std::{
    collections::HashSet,
    path::Path,
    time::{Duration, Instant},
};

use gatepass::{Error, KeySet, Pass, Refusal, Requirements, Staleness, Verifier};
use gatepass_sqlite::SqliteStore;
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::server::{self, Server, api::Api};

/// The default bound of a server.
const MAX_STALENESS: Duration = Duration::from_secs(2);

/// Starts so many servers on the files in `directory` at once.
async fn start(directory: &Path, number: usize) -> Vec<Server> {
    start_with(directory, number, &[]).await
}

/// As [`start`], with further arguments.
async fn start_with(
    directory: &Path,
    number: usize,
    further: &'static [&'static str],
) -> Vec<Server> {
    // Written once for all servers.
    server::arguments(directory);
    let mut starting = JoinSet::new();
    for _ in 0..number {
        let directory = directory.to_owned();
        starting.spawn(async move { Server::start_with(&directory, further).await });
    }
    starting.join_all().await
}

fn text(body: &Value, member: &str) -> String {
    body[member].as_str().unwrap().to_owned()
}

/// The refresh token and the access token of a new session.
async fn login(api: &Api) -> (String, String) {
    let (status, body) = api.login().await.unwrap();
    assert_eq!(status, 200, "{body}");
    (text(&body, "refresh_token"), text(&body, "access_token"))
}

fn connect(directory: &Path) -> Connection {
    Connection::open(directory.join("gatepass.db")).unwrap()
}

/// Makes a database of the application whose schema gatepass must still update.
fn make_older(directory: &Path) {
    let database = connect(directory);
    database
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE notes (note TEXT);
             INSERT INTO notes VALUES ('the application''s own');
             CREATE TABLE gatepass_meta (key TEXT PRIMARY KEY, value);
             INSERT INTO gatepass_meta VALUES ('schema_version', 0);",
        )
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_start_at_once_one_migrates_and_all_serve() {
    for older in [false, true] {
        let name = if older { "an older schema" } else { "no file" };
        let directory = TempDir::new().unwrap();
        if older {
            make_older(directory.path());
        }
        let servers = start(directory.path(), 6).await;
        let apis = Vec::from_iter(servers.iter().map(Server::api));
        let (refresh, access) = login(&apis[0]).await;
        for api in &apis {
            assert_eq!(api.strict(&access).await.unwrap().0, 200, "{name}");
            // For later clients, it is a replay.
            assert_eq!(api.refresh(&refresh).await.unwrap().0, 200, "{name}");
        }
        let one = "SELECT count(*) FROM gatepass_meta WHERE key = 'incarnation'";
        let count: i64 = connect(directory.path())
            .query_row(one, (), |row| row.get(0))
            .unwrap();
        assert_eq!(count, 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_refreshes_over_three_processes_one_advances_and_all_get_its_successor() {
    let directory = TempDir::new().unwrap();
    let servers = start(directory.path(), 3).await;
    for _ in 0..3 {
        let (token, _) = login(&servers[0].api()).await;
        let mut refreshing = JoinSet::new();
        for number in 0..64 {
            let (api, token) = (servers[number % 3].api(), token.clone());
            refreshing.spawn(async move { api.refresh(&token).await.unwrap() });
        }
        let mut successors = HashSet::new();
        for (status, body) in refreshing.join_all().await {
            assert_eq!(status, 200, "{body}");
            successors.insert(text(&body, "refresh_token"));
        }
        assert_eq!(successors.len(), 1, "{successors:?}");
        let generation: i64 = connect(directory.path())
            .query_row("SELECT max(generation) FROM gatepass_sessions", (), |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(generation, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_in_one_process_beats_refreshes_in_the_others() {
    let directory = TempDir::new().unwrap();
    let servers = start(directory.path(), 3).await;
    let [a, b, c] = [servers[0].api(), servers[1].api(), servers[2].api()];
    let mut dead = Vec::new();
    for _ in 0..16 {
        let (token, access) = login(&a).await;
        let (in_a, in_b, out) =
            tokio::join!(a.refresh(&token), b.refresh(&token), c.logout(&token));
        assert_eq!(out.unwrap().0, 204);
        dead.push((token, access));
        for (status, body) in [in_a.unwrap(), in_b.unwrap()] {
            match status {
                200 => dead.push((text(&body, "refresh_token"), text(&body, "access_token"))),
                _ => assert_eq!((status, &body["reason"]), (401, &"session_ended".into())),
            }
        }
        for (token, _) in &dead {
            for api in [&a, &b, &c] {
                assert_eq!(api.refresh(token).await.unwrap().0, 401);
            }
        }
    }
    let ended = Instant::now();
    for api in [&a, &b, &c] {
        for (_, access) in &dead {
            assert_eq!(api.strict(access).await.unwrap().0, 401);
            assert_dead_by(api, access, ended + MAX_STALENESS).await;
        }
    }
}

/// Repeats a request until `access` is refused. No request after `deadline` may succeed.
async fn assert_dead_by(api: &Api, access: &str, deadline: Instant) {
    loop {
        let asked = Instant::now();
        match api.me(access).await.unwrap() {
            (401, _) => return,
            (200, _) => assert!(asked <= deadline, "an ended session lives"),
            // A node judges no request with data that is too old.
            (503, _) => {}
            (status, body) => panic!("{status} {body}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_is_enforced_in_every_process_within_its_bound() {
    let directory = TempDir::new().unwrap();
    let servers = start(directory.path(), 3).await;
    let apis = Vec::from_iter(servers.iter().map(Server::api));
    for revoking in 0..3 {
        let (token, access) = login(&apis[revoking]).await;
        for api in &apis {
            assert_eq!(api.me(&access).await.unwrap().0, 200);
        }
        assert_eq!(apis[revoking].logout(&token).await.unwrap().0, 204);
        let acknowledged = Instant::now();
        assert_eq!(apis[revoking].me(&access).await.unwrap().0, 401, "at once");
        for api in &apis {
            assert_dead_by(api, &access, acknowledged + MAX_STALENESS).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_reaches_a_resource_server_that_has_only_public_keys_and_the_file() {
    const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/support/keys/ed25519.pem");
    let directory = TempDir::new().unwrap();
    let issuer = Server::start_with(directory.path(), &["--key", KEY]).await;
    let api = issuer.api();
    // The test process is the resource server.
    let (status, document) = api.jwks().await.unwrap();
    assert_eq!(status, 200);
    let (keys, skipped) = KeySet::from_jwks(&document.to_string()).unwrap();
    assert_eq!(skipped, []);
    let log = SqliteStore::open(directory.path().join("gatepass.db")).unwrap();
    let resource = Verifier::builder("http://127.0.0.1:3000", "gatepass-example", keys, log)
        .max_staleness(MAX_STALENESS)
        .build();
    let resource = resource.await.unwrap();

    let (live, live_access) = login(&api).await;
    for _ in 0..3 {
        let (token, access) = login(&api).await;
        let (status, body) = api.refresh(&token).await.unwrap();
        assert_eq!(status, 200, "{body}");
        let dying = [access, text(&body, "access_token")];
        for access in &dying {
            let pass = resource.verify(access, &Requirements::new()).await.unwrap();
            assert_eq!(pass.subject().as_str(), "alice");
        }
        assert_eq!(api.logout(&token).await.unwrap().0, 204);
        let deadline = Instant::now() + MAX_STALENESS;
        for access in &dying {
            let strict = Requirements::new().staleness(Staleness::Strict);
            assert!(is_revoked(resource.verify(access, &strict).await));
            loop {
                let asked = Instant::now();
                match resource.verify(access, &Requirements::new()).await {
                    Ok(_) => assert!(asked <= deadline, "an ended session lives"),
                    // A node judges no request with data that is too old.
                    Err(Error::Store(_)) => {}
                    refused => break assert!(is_revoked(refused)),
                }
            }
        }
    }
    // The other processes continue.
    resource
        .verify(&live_access, &Requirements::new())
        .await
        .unwrap();
    assert_eq!(api.refresh(&live).await.unwrap().0, 200);
}

fn is_revoked(verified: Result<Pass, Error>) -> bool {
    matches!(verified, Err(Error::Refused(Refusal::Revoked)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_turned_away_because_processes_contend_for_the_lock() {
    const CLIENTS: usize = 24;
    const REFRESHES: usize = 60;
    let directory = TempDir::new().unwrap();
    // Each refresh writes, and all clients log in as one user at once.
    let settings = &["--overlap", "0s", "--no-login-throttle"];
    let servers = start_with(directory.path(), 3, settings).await;
    let mut working = JoinSet::new();
    for number in 0..CLIENTS {
        let apis = Vec::from_iter(servers.iter().map(Server::api));
        working.spawn(async move {
            let (mut token, _) = login(&apis[number % 3]).await;
            for round in 0..REFRESHES {
                let (status, body) = apis[(number + round) % 3].refresh(&token).await.unwrap();
                assert_eq!(status, 200, "{body}");
                token = text(&body, "refresh_token");
            }
        });
    }
    working.join_all().await;
    let done: i64 = connect(directory.path())
        .query_row("SELECT sum(generation) FROM gatepass_sessions", (), |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(usize::try_from(done).unwrap(), CLIENTS * REFRESHES);
}
