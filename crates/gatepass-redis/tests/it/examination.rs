//! The examination of servers, once for each fault that it reports.

use std::time::Duration;

use gatepass::{
    Clock,
    store::{Heartbeat, NodeId, SessionStore, Severity},
};
use gatepass_redis::{OpenError, RedisStore};
use gatepass_servers::{Durability, Redis};
use gatepass_testkit::{
    ManualClock,
    sessions::{begin, end},
};
use test_support::examination::finds_a_purge_that_does_not_keep_up;

use crate::support::{self, PATIENCE, ask, directory, unique};

type Found = Vec<(Severity, &'static str)>;

async fn examine_at(urls: &str, namespace: &str, clock: &ManualClock) -> Result<Found, OpenError> {
    let builder = RedisStore::at(urls)
        .namespace(namespace)
        .clock(clock.clone())
        .timeout(PATIENCE)
        .open_timeout(PATIENCE);
    let found = builder.examine().await?.findings;
    Ok(found.iter().map(|one| (one.severity, one.code)).collect())
}

async fn open(urls: &str, namespace: &str, clock: &ManualClock) -> RedisStore {
    let store = support::at(urls).namespace(namespace).clock(clock.clone());
    store.open().await.unwrap()
}

#[tokio::test]
async fn each_fault_of_a_server_is_found() {
    let directory = directory();
    let server = Redis::start(&directory, Durability::Crash).unwrap();
    let (url, clock) = (server.url(), ManualClock::new());
    let examine = async || examine_at(&url, "gatepass", &clock).await.unwrap();
    assert_eq!(examine().await, [(Severity::Error, "no_store")]);
    assert_eq!(
        server.ask(&["DBSIZE"]).unwrap().trim(),
        "0",
        "nothing is made"
    );

    let store = open(&url, "gatepass", &clock).await;
    let session = begin(&store, "alice").await;
    end(&store, &session).await;
    let (issuer, audience) = ("shop".try_into().unwrap(), "api".try_into().unwrap());
    let node = NodeId::from_bytes([1; 16]);
    let heartbeat = Heartbeat::new(node, issuer, audience, clock.now());
    store.beat(&heartbeat, PATIENCE).await.unwrap();
    assert_eq!(examine().await, []);
    let builder = RedisStore::at(url.as_str()).clock(clock.clone());
    let heartbeats = builder.examine().await.unwrap().heartbeats;
    assert_eq!(heartbeats, Some(store.heartbeats().await.unwrap()));

    for (setting, wrong, right, expected) in [
        (
            "maxmemory-policy",
            "allkeys-lru",
            "noeviction",
            &[(Severity::Error, "evicting")][..],
        ),
        (
            "maxmemory",
            "100",
            "0",
            &[(Severity::Warning, "memory_full")],
        ),
        (
            "appendfsync",
            "no",
            "always",
            &[(Severity::Warning, "appendfsync_no")],
        ),
        (
            "appendfsync",
            "everysec",
            "always",
            &[(Severity::Note, "appendfsync_everysec")],
        ),
    ] {
        server.ask(&["CONFIG", "SET", setting, wrong]).unwrap();
        assert_eq!(examine().await, expected, "{setting} {wrong}");
        server.ask(&["CONFIG", "SET", setting, right]).unwrap();
        assert_eq!(examine().await, [], "{setting} {right}");
    }
    finds_a_purge_that_does_not_keep_up(&store, &clock, examine).await;
}

#[tokio::test]
async fn a_server_that_writes_no_log_is_found() {
    let directory = directory();
    let server = Redis::start(&directory, Durability::None).unwrap();
    let (url, clock) = (server.url(), ManualClock::new());
    let _store = open(&url, "gatepass", &clock).await;
    let examine = async || examine_at(&url, "gatepass", &clock).await.unwrap();
    assert_eq!(examine().await, [(Severity::Error, "not_durable")]);
    server.ask(&["CONFIG", "SET", "save", "3600 1"]).unwrap();
    assert_eq!(examine().await, [(Severity::Warning, "snapshots_only")]);
}

#[tokio::test]
async fn keys_that_were_evicted_are_found_also_after_the_policy_was_set_right() {
    let directory = directory();
    let server = Redis::start(&directory, Durability::Crash).unwrap();
    let (url, clock) = (server.url(), ManualClock::new());
    let _store = open(&url, "gatepass", &clock).await;
    server.ask(&["SET", "other", &"x".repeat(100_000)]).unwrap();
    server
        .ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"])
        .unwrap();
    // Removes all keys, including the store's.
    let mut evicted = false;
    for _ in 0..100 {
        server.ask(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
        let _ = server.ask(&["SET", "one", "more"]);
        let stats = server.ask(&["INFO", "stats"]).unwrap();
        evicted = !stats.contains("evicted_keys:0");
        if evicted {
            break;
        }
    }
    assert!(evicted);
    server.ask(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    server
        .ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"])
        .unwrap();
    let found = examine_at(&url, "gatepass", &clock).await.unwrap();
    assert!(found.contains(&(Severity::Error, "evicted")), "{found:?}");
}

#[tokio::test]
async fn a_replica_is_found() {
    let directory = directory();
    let primary = Redis::start(&directory, Durability::None).unwrap();
    let clock = ManualClock::new();
    let _store = open(&primary.url(), "gatepass", &clock).await;
    let replica = primary.replica(&directory, Durability::None).unwrap();
    let found = examine_at(&replica.url(), "gatepass", &clock).await;
    let found = found.unwrap();
    assert_eq!(found.first(), Some(&(Severity::Error, "replica")));
}

#[tokio::test]
async fn each_server_of_a_cluster_is_looked_at() {
    let (urls, namespace, clock) = (support::cluster(), unique("test"), ManualClock::new());
    let store = open(&urls, &namespace, &clock).await;
    for number in 0..40 {
        begin(&store, &format!("user {number}")).await;
    }
    // The test cluster writes nothing to disk.
    let found = examine_at(&urls, &namespace, &clock).await.unwrap();
    assert_eq!(found, [(Severity::Error, "not_durable"); 3]);
    clock.advance(Duration::from_secs(365 * 86_400));
    let builder = RedisStore::at(urls.as_str())
        .namespace(&namespace)
        .clock(clock.clone());
    let findings = builder.examine().await.unwrap().findings;
    let behind = findings.last().unwrap();
    assert_eq!(behind.code, "purge_behind");
    // The text counts each session and its account, in all partitions.
    assert!(behind.text.starts_with("80 rows"), "{}", behind.text);
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_an_error_without_its_password() {
    let clock = ManualClock::new();
    let error = examine_at("redis://:hunter2@127.0.0.1:1", "gatepass", &clock);
    let error = error.await.unwrap_err();
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

/// The rights of a store are enough. For the rights of a reader, the examination reports that they
/// are too few.
#[tokio::test]
async fn the_rights_of_a_store_are_enough() {
    let (url, namespace, clock) = (support::redis(), unique("test"), ManualClock::new());
    let store = open(&url, &namespace, &clock).await;
    begin(&store, "alice").await;
    for (rights, code) in [
        (include_str!("../../src/writer.acl"), None),
        (include_str!("../../src/reader.acl"), Some("may_not_read")),
    ] {
        let user = unique("user");
        let rights = rights.replace("gatepass", &namespace);
        let rights = rights.replace("PASSWORD", "pw");
        let mut setuser = vec!["ACL", "SETUSER", &user];
        setuser.extend(rights.split_ascii_whitespace());
        let (): () = ask(&url, &setuser).await.unwrap();
        let (_, host) = url.rsplit_once('@').unwrap();
        let as_user = format!("redis://{user}:pw@{host}");
        match (examine_at(&as_user, &namespace, &clock).await, code) {
            // The test server writes nothing to disk, but this user can't see that.
            (Ok(found), None) => assert_eq!(found, [(Severity::Warning, "snapshots_only")]),
            (Ok(found), Some(code)) => {
                assert!(found.iter().any(|(_, found)| *found == code), "{found:?}");
            }
            (Err(error), Some(_)) => {
                assert!(matches!(error, OpenError::NotAllowed { .. }), "{error:?}");
            }
            (Err(error), None) => panic!("{error:?}"),
        }
    }
}
