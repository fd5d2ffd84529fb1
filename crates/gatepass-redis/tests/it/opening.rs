//! The checks of a start, and its errors for servers that are not safe for sessions.

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use gatepass::{
    Timestamp,
    store::{Heartbeat, NodeId, RevocationLog, SessionStore, StoreErrorKind},
};
use gatepass_redis::{OpenError, RedisLog, RedisStore};
use gatepass_servers::{Durability, Redis, RedisCluster};
use gatepass_testkit::{
    ManualClock,
    sessions::{advance_of, begin, end, pull_all, renewal_of, token_of},
};
use test_support::assert_error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket},
    task::JoinSet,
};

use crate::support::{self, ask, directory, unique};

async fn refused(urls: impl Into<String>) -> OpenError {
    support::at(urls).open().await.unwrap_err()
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    // The port is held, but no server listens on it.
    let held = TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = held.local_addr().unwrap().port();
    let error = refused(format!("redis://:hunter2@127.0.0.1:{port}")).await;
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    assert_error!(
        error,
        OpenError::Unreachable { .. },
        &format!("Redis at 127.0.0.1:{port}: check that it runs")
    );
    assert_error!(
        refused("redis://gatepass.invalid").await,
        OpenError::Unreachable { .. },
        "Redis at gatepass.invalid:6379"
    );
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let store = support::at(format!("redis://127.0.0.1:{port}"));
    let store = store.open_timeout(Duration::from_millis(50));
    let error = store.open().await.unwrap_err();
    assert_error!(error, OpenError::TimedOut { .. }, "took longer than 50ms");
}

#[tokio::test]
async fn what_is_not_redis_is_told() {
    let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = http.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = http.accept().await {
            let _ = client.read_u8().await;
            let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let error = refused(format!("redis://127.0.0.1:{port}")).await;
    assert_error!(error, OpenError::NotRedis { .. }, "check host and port");
}

#[tokio::test]
async fn wrong_credentials_are_told_and_not_shown() {
    let (_, host) = support::redis()
        .rsplit_once('@')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    for (url, user) in [
        (format!("redis://:sesame@{host}"), "default"),
        (format!("redis://{host}"), "default"),
        (format!("redis://mallory:sesame@{host}"), "mallory"),
    ] {
        let error = refused(url).await;
        let told = format!("{error} {error:?}");
        assert!(!told.contains("sesame"), "{told}");
        let says = format!("does not let the user {user:?} in");
        assert_error!(error, OpenError::Credentials { .. }, &says);
    }
}

#[tokio::test]
async fn a_user_without_the_rights_is_told() {
    let user = unique("user");
    let url = support::redis();
    let setuser = ["ACL", "SETUSER", &user, "on", ">pw", "+info", "~*"];
    let (): () = ask(&url, &setuser).await.unwrap();
    let (_, host) = url.rsplit_once('@').unwrap();
    let error = refused(format!("redis://{user}:pw@{host}")).await;
    assert_error!(error, OpenError::NotAllowed { .. }, "ACL SETUSER");
}

/// The rights in the documentation.
const WRITER: &str = include_str!("../../src/writer.acl");

#[tokio::test]
async fn the_rights_that_are_documented_are_enough() {
    for urls in [support::redis(), support::cluster()] {
        let (namespace, user) = (unique("write"), unique("writer"));
        let rights = WRITER.replace("gatepass", &namespace);
        let rights = rights.replace("PASSWORD", "pw");
        let mut as_writer = Vec::new();
        for url in urls.split(',') {
            let mut setuser = vec!["ACL", "SETUSER", &user];
            setuser.extend(rights.split_ascii_whitespace());
            let (): () = ask(url, &setuser).await.unwrap();
            let (_, host) = url.rsplit_once('@').unwrap();
            as_writer.push(format!("redis://{user}:pw@{host}"));
        }
        // This user can't read the server's own passwords.
        let asked = ask::<String>(&as_writer[0], &["CONFIG", "GET", "requirepass"]).await;
        assert_eq!(asked.unwrap_err().code(), Some("NOPERM"));
        let store = support::at(as_writer.join(",")).namespace(&namespace);
        let store = store.open().await.unwrap();
        let session = begin(&store, "alice").await;
        let session = store.advance(advance_of(&session)).await.unwrap().unwrap();
        let renewed = store.renew(renewal_of(&session)).await.unwrap();
        assert!(renewed.is_some());
        let revoked = store.revoke_token(token_of(&session, 1)).await.unwrap();
        assert!(revoked.is_some());
        let account = session.account();
        assert_eq!(store.sessions(account, None, 10).await.unwrap().len(), 1);
        assert_eq!(store.introduce(&[], true).await.unwrap(), []);
        assert_eq!(end(&store, &session).await.len(), 1);
        let all = gatepass::store::EndSessions::AllOf(account);
        let all = store.end(all, gatepass::store::EndReason::LogoutAll).await;
        assert!(all.unwrap().is_some());
        assert_eq!(pull_all(&store, None).await.0.len(), 3);
        store.purge(Timestamp::MAX, 10).await.unwrap();
        assert!(store.purged_until().await.unwrap().is_some());
        let (issuer, audience) = ("shop".try_into().unwrap(), "api".try_into().unwrap());
        let node = NodeId::from_bytes([1; 16]);
        let heartbeat = Heartbeat::new(node, issuer, audience, Timestamp::EPOCH);
        let beating = store.beat(&heartbeat, Duration::from_secs(60)).await;
        assert_eq!(beating.unwrap().nodes.len(), 1);
        assert_eq!(store.heartbeats().await.unwrap().nodes.len(), 1);
    }
}

#[tokio::test]
async fn a_replica_is_refused() {
    let directory = directory();
    let primary = Redis::start(&directory, Durability::None).unwrap();
    let replica = primary.replica(&directory, Durability::None).unwrap();
    let error = refused(replica.url()).await;
    assert_error!(
        error,
        OpenError::Replica { .. },
        "the address of the primary"
    );
    let error = RedisLog::connect(replica.url()).await.unwrap_err();
    assert_error!(
        error,
        OpenError::Replica { .. },
        "the address of the primary"
    );
}

#[tokio::test]
async fn a_server_that_evicts_is_refused() {
    let directory = directory();
    for policy in ["allkeys-lru", "volatile-ttl", "volatile-random"] {
        let setting = format!("maxmemory-policy {policy}");
        let redis = Redis::with_settings(&directory, Durability::None, &[&setting]).unwrap();
        let error = refused(redis.url()).await;
        let says = format!("(maxmemory-policy {policy}): set `maxmemory-policy noeviction`");
        assert_error!(error, OpenError::Evicting { .. }, &says);
    }
}

#[tokio::test]
async fn one_node_of_a_cluster_that_evicts_is_found() {
    let directory = directory();
    let cluster = RedisCluster::start(&directory, Durability::None, 0).unwrap();
    let last = cluster.nodes().last().unwrap();
    last.ask(&["config", "set", "maxmemory-policy", "allkeys-lfu"])
        .unwrap();
    let error = refused(cluster.url()).await;
    let says = format!("127.0.0.1:{} removes keys", last.port());
    assert_error!(error, OpenError::Evicting { .. }, &says);
}

#[tokio::test]
async fn a_cluster_without_all_of_its_slots_is_refused() {
    let directory = directory();
    let alone = ["cluster-enabled yes"];
    let redis = Redis::with_settings(&directory, Durability::None, &alone).unwrap();
    let error = refused(redis.url()).await;
    assert_error!(error, OpenError::ClusterDown { .. }, "CLUSTER INFO");
    redis
        .ask(&["cluster", "addslotsrange", "0", "16382"])
        .unwrap();
    let error = refused(redis.url()).await;
    assert_error!(error, OpenError::ClusterDown { .. }, "CLUSTER INFO");
}

#[tokio::test]
async fn a_database_of_a_cluster_is_refused() {
    let cluster = support::cluster();
    let first = cluster.split(',').next().unwrap();
    let error = refused(format!("{first}/1")).await;
    assert_error!(error, OpenError::Database { .. }, "leave the number out");
}

#[tokio::test]
async fn databases_of_a_single_server_are_kept_apart() {
    let namespace = unique("database");
    let one = support::at(format!("{}/1", support::redis())).namespace(&namespace);
    let two = support::at(format!("{}/2", support::redis())).namespace(&namespace);
    let (one, two) = (one.open().await.unwrap(), two.open().await.unwrap());
    let session = begin(&one, "alice").await;
    assert_eq!(two.load(session.id).await.unwrap().0, None);
    assert_eq!(one.load(session.id).await.unwrap().0, Some(session));
}

#[tokio::test]
async fn several_servers_that_are_no_cluster_are_refused() {
    let redis = support::redis();
    let error = refused(format!("{redis},{redis}")).await;
    assert_error!(
        error,
        OpenError::NotACluster { .. },
        "is not part of a cluster"
    );
}

#[tokio::test]
async fn one_node_that_answers_is_enough_to_find_a_cluster() {
    let cluster = support::cluster();
    let last = cluster.split(',').next_back().unwrap();
    let held = TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (before, _) = last.rsplit_once('@').unwrap();
    let nobody = format!("{before}@{}", held.local_addr().unwrap());
    let store = support::at(format!("{nobody}, {last}"))
        .open()
        .await
        .unwrap();
    for number in 0..40 {
        begin(&store, &format!("user {number}")).await;
    }
}

#[tokio::test]
async fn what_is_no_url_or_no_namespace_is_refused() {
    for url in [
        "mysql://root:hunter2@localhost/db",
        "",
        "localhost:6379",
        "redis://x,http://y",
    ] {
        let error = RedisStore::connect(url).await.unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"));
        assert_error!(error, OpenError::Url, "redis://");
    }
    for name in ["", "Shop", "a b", "a*", "a:b", "{a}", "é", &"s".repeat(41)] {
        let store = RedisStore::at(support::redis()).namespace(name);
        let error = store.open().await.unwrap_err();
        assert_error!(error, OpenError::Namespace(_), "cannot be the namespace");
    }
    let builder = format!("{:?}", RedisStore::at("redis://:hunter2@localhost"));
    assert!(!builder.contains("hunter2"), "{builder}");
    let builder = format!("{:?}", RedisLog::at("redis://:hunter2@localhost"));
    assert!(!builder.contains("hunter2"), "{builder}");
}

#[tokio::test]
async fn another_layout_is_refused() {
    for urls in [support::redis(), support::cluster()] {
        let namespace = unique("layout");
        let open = || support::at(&urls).namespace(&namespace).open();
        let store = open().await.unwrap();
        let keys = support::keys(&urls, &namespace).await;
        let (url, key) = keys.last().unwrap();
        let _: i64 = ask(url, &["HSET", key, "version", "7"]).await.unwrap();
        let says = "has version 7 of the layout, and this release knows version 4";
        assert_error!(
            open().await.unwrap_err(),
            OpenError::OtherLayout { .. },
            says
        );
        let log = RedisLog::at(&urls).namespace(&namespace).open().await;
        assert_error!(log.unwrap_err(), OpenError::OtherLayout { .. }, says);
        // A store that was open before also stops reading.
        store.pull(None).await.unwrap_err();
    }
}

#[tokio::test]
async fn another_number_of_partitions_is_refused() {
    for urls in [support::redis(), support::cluster()] {
        let namespace = unique("partitions");
        let open = || support::at(&urls).namespace(&namespace).open();
        open().await.unwrap();
        open().await.unwrap();
        let keys = support::keys(&urls, &namespace).await;
        let first = keys.iter().find(|(_, key)| key.contains(":0."));
        let (url, key) = first.unwrap();
        let _: i64 = ask(url, &["HSET", key, "partitions", "32"]).await.unwrap();
        let says = "has 32 partitions, and this release knows 16";
        let error = open().await.unwrap_err();
        assert_error!(error, OpenError::OtherPartitions { .. }, says);
        let log = RedisLog::at(&urls).namespace(&namespace).open().await;
        assert_error!(log.unwrap_err(), OpenError::OtherPartitions { .. }, says);
    }
}

#[tokio::test]
async fn a_log_that_no_store_writes_to_is_not_followed() {
    for urls in [support::redis(), support::cluster()] {
        let namespace = unique("nobody");
        let log = RedisLog::at(&urls).namespace(&namespace).open().await;
        let says = "first start a process that opens a RedisStore";
        assert_error!(log.unwrap_err(), OpenError::NoStore { .. }, says);
        let store = support::at(&urls).namespace(&namespace).open().await;
        store.unwrap();
        let log = RedisLog::at(&urls).namespace(&namespace).open().await;
        log.unwrap();
    }
}

#[tokio::test]
async fn of_many_nodes_that_start_at_once_one_names_the_log() {
    let namespace = unique("many");
    let mut nodes = JoinSet::new();
    for _ in 0..16 {
        nodes.spawn(support::at(support::redis()).namespace(&namespace).open());
    }
    let stores: Result<Vec<_>, _> = nodes.join_all().await.into_iter().collect();
    let stores = stores.unwrap();
    let (_, cursor) = pull_all(stores.first().unwrap(), None).await;
    for store in &stores {
        assert_eq!(
            pull_all(store, Some(&cursor)).await,
            (vec![], cursor.clone())
        );
    }
}

/// The text that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Records the log of this thread until the guard is dropped.
    fn record(&self) -> tracing::subscriber::DefaultGuard {
        let writer = self.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false);
        let subscriber = subscriber.with_writer(move || writer.clone()).finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_server_that_writes_nothing_to_disk_is_warned_of_once() {
    let directory = directory();
    for (durability, points, warnings) in [
        (Durability::None, "save \"\"", 1),
        (Durability::None, "save 60 1", 0),
        (Durability::Crash, "save \"\"", 0),
    ] {
        let redis = Redis::with_settings(&directory, durability, &[points]).unwrap();
        let log = Log::default();
        let logging = log.record();
        let namespace = unique("written");
        let store = support::at(redis.url()).namespace(&namespace).open().await;
        store.unwrap();
        let reader = RedisLog::at(redis.url()).namespace(&namespace).open();
        reader.await.unwrap();
        drop(logging);
        let logged = log.text();
        assert_eq!(
            logged.matches("appendonly yes").count(),
            warnings,
            "{logged}"
        );
    }
}

#[tokio::test]
async fn nothing_is_purged_from_a_server_that_has_begun_to_evict() {
    const YEAR: Duration = Duration::from_secs(366 * 86_400);
    let directory = directory();
    let redis = Redis::start(&directory, Durability::None).unwrap();
    let clock = ManualClock::new();
    let store = support::at(redis.url()).clock(clock.clone());
    let store = store.open().await.unwrap();
    begin(&store, "alice").await;
    clock.advance(YEAR);
    let policy = |policy| redis.ask(&["config", "set", "maxmemory-policy", policy]);
    policy("volatile-lru").unwrap();
    let log = Log::default();
    let logging = log.record();
    let error = store.purge(Timestamp::MAX, 10).await.unwrap_err();
    drop(logging);
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let said = std::error::Error::source(&error).unwrap().to_string();
    assert!(said.contains("maxmemory-policy volatile-lru"), "{said}");
    let logged = log.text();
    assert!(
        logged.contains("ERROR gatepass: store.evicting"),
        "{logged}"
    );
    // Everything else still works.
    store.pull(None).await.unwrap();
    begin(&store, "bob").await;
    policy("noeviction").unwrap();
    let purged = store.purge(Timestamp::MAX, 10).await.unwrap();
    assert_eq!(purged.removed, 2, "the session and its account");
}
