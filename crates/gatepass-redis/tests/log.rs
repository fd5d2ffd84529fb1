//! Nothing in the log is missed: not over a failover, not over a restart, and not by a connection that has died.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what a test does not expect is a panic"
)]

mod support;

use std::time::Duration;

use gatepass::{Pull, RevocationLog, RevokeToken, SessionStore, Status, StoreErrorKind, TokenId};
use gatepass_redis::{RedisLog, RedisStore};
use gatepass_servers::{Durability, Redis};
use redis::{RedisResult, Value};
use tokio::time::timeout;

use crate::support::{
    PATIENCE, ask, connection, directory,
    given::{begin, end},
    proxy::Proxy,
    pull_all, unique,
};

async fn at(redis: &Redis) -> RedisStore {
    support::at(redis.url()).open().await.unwrap()
}

async fn is_reset(store: &RedisStore, cursor: &gatepass::Cursor) -> bool {
    matches!(store.pull(Some(cursor)).await.unwrap(), Pull::Reset)
}

#[tokio::test]
async fn after_a_failover_that_lost_writes_the_log_is_read_from_the_start() {
    let directory = directory();
    let mut primary = Redis::start(&directory, Durability::None).unwrap();
    let replica = primary.replica(&directory, Durability::None).unwrap();
    let proxy = Proxy::before(&primary.url()).await;
    let store = support::at(proxy.url()).open().await.unwrap();
    let kept = begin(&store, "alice").await;
    let lost = begin(&store, "alice").await;
    let before = end(&store, &kept).await;
    let have: String = primary.ask(&["wait", "1", "60000"]).unwrap();
    assert_eq!(have.trim(), "1");
    let (_, early) = pull_all(&store, None).await;

    // What the primary does from now on, the replica never hears of.
    replica.promote().unwrap();
    end(&store, &lost).await;
    let (_, late) = pull_all(&store, None).await;
    primary.kill().unwrap();
    proxy.redirect(&replica.url());

    let (loaded, _) = store.load(lost.id).await.unwrap();
    assert_eq!(loaded, Some(lost.clone()), "it lives again");
    // Gets the number that the lost one had.
    let after = end(&store, &lost).await;
    for cursor in [early, late] {
        assert!(is_reset(&store, &cursor).await, "{cursor:?}");
    }
    assert_eq!(pull_all(&store, None).await.0, [before, after].concat());
}

#[tokio::test]
async fn after_a_restart_that_lost_writes_the_log_is_read_from_the_start() {
    let directory = directory();
    let mut redis = Redis::start(&directory, Durability::None).unwrap();
    let store = at(&redis).await;
    let one = begin(&store, "alice").await;
    let two = begin(&store, "alice").await;
    redis.ask(&["save"]).unwrap();
    end(&store, &one).await;
    let (_, cursor) = pull_all(&store, None).await;
    redis.kill().unwrap();
    redis.restart().unwrap();
    // As many entries as there were, and another one.
    let ended = loop {
        // The first change over the old connection fails: whether it was done is not known.
        if store.load(two.id).await.is_ok() {
            break end(&store, &two).await;
        }
    };
    assert!(is_reset(&store, &cursor).await);
    assert_eq!(pull_all(&store, None).await.0, ended);
}

#[tokio::test]
async fn a_restart_that_lost_nothing_has_the_whole_log() {
    let directory = directory();
    for durability in [Durability::Crash, Durability::AllButTheLastSecond] {
        let mut redis = Redis::start(&directory, durability).unwrap();
        let store = at(&redis).await;
        let session = begin(&store, "alice").await;
        let ended = end(&store, &session).await;
        let (_, cursor) = pull_all(&store, None).await;
        redis.kill().unwrap();
        redis.restart().unwrap();
        // It cannot be told that nothing was lost.
        assert!(is_reset(&store, &cursor).await);
        assert_eq!(pull_all(&store, None).await.0, ended);
        let token = TokenId::from_bytes([1; 16]);
        let status = store.status(session.id, token).await.unwrap();
        assert_eq!(status, Status::Revoked);
    }
}

#[tokio::test]
async fn the_log_of_a_server_that_was_emptied_is_another_one() {
    let directory = directory();
    let redis = Redis::start(&directory, Durability::None).unwrap();
    let store = at(&redis).await;
    let session = begin(&store, "alice").await;
    end(&store, &session).await;
    let (_, cursor) = pull_all(&store, None).await;
    redis.ask(&["flushall"]).unwrap();
    assert!(is_reset(&store, &cursor).await);
    let (entries, empty) = pull_all(&store, None).await;
    assert_eq!(entries, []);
    let session = begin(&store, "alice").await;
    let ended = end(&store, &session).await;
    assert!(is_reset(&store, &cursor).await);
    assert!(is_reset(&store, &empty).await);
    assert_eq!(pull_all(&store, None).await.0, ended);
}

#[tokio::test]
async fn a_replica_and_a_demoted_primary_answer_nothing() {
    let directory = directory();
    let primary = Redis::start(&directory, Durability::None).unwrap();
    let replica = primary.replica(&directory, Durability::None).unwrap();
    let proxy = Proxy::before(&primary.url()).await;
    let namespace = unique("led");
    let store = support::at(proxy.url()).namespace(&namespace);
    let store = store.open().await.unwrap();
    let log = RedisLog::at(proxy.url()).namespace(&namespace);
    let log = log.open().await.unwrap();
    let session = begin(&store, "alice").await;
    let have: String = primary.ask(&["wait", "1", "60000"]).unwrap();
    assert_eq!(have.trim(), "1");
    let refuses = async || {
        let token = TokenId::from_bytes([1; 16]);
        let advance = support::given::advance_of(&session);
        let subject = support::given::subject("alice");
        for answer in [
            log.pull(None).await.map(drop),
            log.status(session.id, token).await.map(drop),
            store.load(session.id).await.map(drop),
            store.sessions(&subject).await.map(drop),
            store.advance(advance).await.map(drop),
            store.purged_until().await.map(drop),
        ] {
            let error = answer.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Unavailable);
            let said = std::error::Error::source(&error).unwrap().to_string();
            assert!(said.contains("replica"), "{said}");
        }
    };
    proxy.redirect(&replica.url());
    refuses().await;
    proxy.redirect(&primary.url());
    assert_eq!(
        store.load(session.id).await.unwrap().0,
        Some(session.clone())
    );
    // Over the connections that it had as a primary.
    let of = replica.port().to_string();
    primary.ask(&["replicaof", "127.0.0.1", &of]).unwrap();
    refuses().await;
}

#[tokio::test]
async fn who_waits_is_told_although_the_connection_died_without_a_word() {
    let namespace = unique("silent");
    let proxy = Proxy::before(&support::redis()).await;
    let waiting = support::at(proxy.url()).namespace(&namespace);
    let waiting = waiting.timeout(Duration::from_secs(1));
    let waiting = waiting.open().await.unwrap();
    let other = support::at(support::redis()).namespace(&namespace);
    let other = other.open().await.unwrap();
    let session = begin(&other, "alice").await;
    let (_, cursor) = pull_all(&other, None).await;
    // From now on it listens.
    tokio::spawn({
        let (waiting, cursor) = (waiting.clone(), cursor.clone());
        async move { waiting.changed(&cursor).await }
    });
    while !proxy.take_sent().contains("XREAD") {
        tokio::task::yield_now().await;
    }
    proxy.fall_silent();
    proxy.heal();
    end(&other, &session).await;
    timeout(PATIENCE, waiting.changed(&cursor)).await.unwrap();
}

#[tokio::test]
async fn who_waits_is_told_of_every_partition() {
    for urls in [support::redis(), support::cluster()] {
        let store = support::at(urls).open().await.unwrap();
        for number in 0..40 {
            let session = begin(&store, &format!("user {number}")).await;
            let (_, cursor) = pull_all(&store, None).await;
            let (told, ended) = tokio::join!(
                timeout(PATIENCE, store.changed(&cursor)),
                end(&store, &session)
            );
            told.unwrap();
            assert_eq!(pull_all(&store, Some(&cursor)).await.0, ended);
        }
    }
}

/// The rights as the documentation has them.
const READER: &str = include_str!("../src/reader.acl");

#[tokio::test]
async fn a_user_who_may_only_read_follows_the_log_and_changes_nothing() {
    for urls in [support::redis(), support::cluster()] {
        let (namespace, user) = (unique("read"), unique("reader"));
        let store = support::at(&urls)
            .namespace(&namespace)
            .open()
            .await
            .unwrap();
        let rights = READER.replace("gatepass", &namespace);
        let rights = rights.replace("PASSWORD", "open-sesame");
        let mut as_reader = Vec::new();
        for url in urls.split(',') {
            let mut setuser = vec!["ACL", "SETUSER", &user];
            setuser.extend(rights.split_ascii_whitespace());
            let (): () = ask(url, &setuser).await.unwrap();
            let (_, host) = url.rsplit_once('@').unwrap();
            as_reader.push(format!("redis://{user}:open-sesame@{host}"));
        }
        let log = RedisLog::at(as_reader.join(",")).namespace(&namespace);
        let log = log.open().await.unwrap();
        let live = begin(&store, "alice").await;
        let session = begin(&store, "alice").await;
        let (entries, cursor) = pull_all(&log, None).await;
        assert_eq!(entries, []);
        let (told, ended) = tokio::join!(
            timeout(PATIENCE, log.changed(&cursor)),
            end(&store, &session)
        );
        told.unwrap();
        assert_eq!(pull_all(&log, Some(&cursor)).await.0, ended);
        let token = TokenId::from_bytes([9; 16]);
        assert_eq!(log.status(live.id, token).await.unwrap(), Status::Live);
        assert_eq!(
            log.status(session.id, token).await.unwrap(),
            Status::Revoked
        );
        let revoked = RevokeToken {
            token,
            session: live.id,
            until: live.access_until,
        };
        store.revoke_token(revoked).await.unwrap();
        assert_eq!(log.status(live.id, token).await.unwrap(), Status::Revoked);

        let before = support::keys(&urls, &namespace).await;
        for (url, key) in &before {
            let (_, host) = url.rsplit_once('@').unwrap();
            let mut reader = connection(&format!("redis://{user}:open-sesame@{host}")).await;
            for write in [
                vec!["SET", key, "x"],
                vec!["DEL", key],
                vec!["EXPIRE", key, "1"],
                vec!["HSET", key, "number", "0"],
                vec!["XADD", key, "*", "session", "x"],
                vec!["XTRIM", key, "MAXLEN", "0"],
                vec!["EVAL", "return redis.call('DEL', KEYS[1])", "1", key],
                vec!["EVAL_RO", "return redis.call('DEL', KEYS[1])", "1", key],
                vec!["FLUSHALL"],
                vec!["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"],
                vec!["ACL", "SETUSER", &user, "+@all", "~*"],
                vec!["KEYS", "*"],
            ] {
                let answer: RedisResult<Value> = redis::cmd(write[0])
                    .arg(&write[1..])
                    .query_async(&mut reader)
                    .await;
                let error = answer.unwrap_err().to_string();
                assert!(
                    error.contains("NOPERM")
                        || error.contains("permission")
                        || error.contains("can't run this command"),
                    "{write:?}: {error}"
                );
            }
        }
        assert_eq!(support::keys(&urls, &namespace).await, before);
    }
}

#[tokio::test]
async fn what_is_revoked_of_others_on_the_same_server_is_not_seen() {
    let (one, two) = (unique("shop"), unique("shop"));
    let one = support::at(support::redis())
        .namespace(one)
        .open()
        .await
        .unwrap();
    let two = support::at(support::redis())
        .namespace(two)
        .open()
        .await
        .unwrap();
    let session = begin(&one, "alice").await;
    end(&one, &session).await;
    assert_eq!(pull_all(&two, None).await.0, []);
    assert_eq!(two.load(session.id).await.unwrap().0, None);
}
