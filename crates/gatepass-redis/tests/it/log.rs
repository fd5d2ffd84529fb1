//! Readers miss no entry of the log: not after a failover, not after a restart, and not if a
//! connection dies.

use std::time::Duration;

use gatepass::store::{
    GrantVersion, PullResult, RevocationLog, SessionStore, StoreErrorKind, TokenId, TokenStatus,
};
use gatepass_redis::{RedisLog, RedisStore};
use gatepass_servers::{Durability, Redis};
use gatepass_testkit::sessions::{begin, end, pull_all, token_of};
use redis::{RedisResult, Value};
use tokio::time::timeout;

use crate::support::{
    self, PATIENCE, address_of, ask, connection, directory, proxy_before, sent_through, through,
    unique,
};

async fn at(redis: &Redis) -> RedisStore {
    support::at(redis.url()).open().await.unwrap()
}

async fn is_reset(store: &RedisStore, cursor: &gatepass::store::Cursor) -> bool {
    matches!(store.pull(Some(cursor)).await.unwrap(), PullResult::Reset)
}

#[tokio::test]
async fn after_a_failover_that_lost_writes_the_log_is_read_from_the_start() {
    let directory = directory();
    let mut primary = Redis::start(&directory, Durability::None).unwrap();
    let replica = primary.replica(&directory, Durability::None).unwrap();
    let proxy = proxy_before(&primary.url()).await;
    let store = support::at(through(&primary.url(), &proxy))
        .open()
        .await
        .unwrap();
    let kept = begin(&store, "alice").await;
    let lost = begin(&store, "alice").await;
    let before = end(&store, &kept).await;
    let have: String = primary.ask(&["wait", "1", "60000"]).unwrap();
    assert_eq!(have.trim(), "1");
    let (_, early) = pull_all(&store, None).await;

    // The replica never hears of the changes that the primary makes from now on.
    replica.promote().unwrap();
    end(&store, &lost).await;
    let (_, late) = pull_all(&store, None).await;
    primary.kill().unwrap();
    proxy.redirect(address_of(&replica.url()));

    let (loaded, _) = store.load(lost.id).await.unwrap();
    assert_eq!(loaded, Some(lost.clone()), "it lives again");
    // This entry gets the number of the lost one.
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
    // Appends as many entries as were lost, and one more.
    let ended = loop {
        // The first change over the old connection fails, because its outcome is unknown.
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
        // A server that syncs each second may delay a write while the last sync takes long. When
        // this call has returned, nothing is left to write.
        redis
            .ask(&["config", "set", "appendfsync", "always"])
            .unwrap();
        redis.kill().unwrap();
        redis.restart().unwrap();
        // The reader can't know that nothing was lost.
        assert!(is_reset(&store, &cursor).await);
        assert_eq!(pull_all(&store, None).await.0, ended);
        let token = TokenId::from_bytes([1; 16]);
        let status = store
            .status(session.id, token, GrantVersion::FIRST)
            .await
            .unwrap();
        assert_eq!(status, TokenStatus::Revoked);
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
    assert_eq!(pull_all(&store, Some(&empty)).await.0, ended);
    assert_eq!(pull_all(&store, None).await.0, ended);
}

/// How often each of these commands was sent.
fn counted<const N: usize>(sent: &str, commands: [&str; N]) -> [usize; N] {
    commands.map(|command| sent.matches(&format!("\r\n{command}\r\n")).count())
}

#[tokio::test]
async fn a_pull_asks_a_server_once_and_reads_only_the_logs_that_have_moved() {
    const COMMANDS: [&str; 4] = ["INFO", "HMGET", "XRANGE", "EVALSHA_RO"];
    let namespace = unique("moved");
    let proxy = proxy_before(&support::redis()).await;
    let take_sent = sent_through(&proxy);
    let log = support::at(through(&support::redis(), &proxy)).namespace(&namespace);
    let log = log.open().await.unwrap();
    let other = support::at(support::redis()).namespace(&namespace);
    let other = other.open().await.unwrap();
    let session = begin(&other, "alice").await;
    let (_, cursor) = pull_all(&log, None).await;
    take_sent();
    assert_eq!(pull_all(&log, Some(&cursor)).await.0, []);
    assert_eq!(counted(&take_sent(), COMMANDS), [1, 16, 0, 0]);

    // A pull that doesn't know which log has new entries asks first.
    let ended = end(&other, &session).await;
    let (entries, cursor) = pull_all(&log, Some(&cursor)).await;
    assert_eq!(entries, ended);
    assert_eq!(counted(&take_sent(), COMMANDS), [2, 17, 1, 0]);

    // A pull after a notification knows.
    let session = begin(&other, "bob").await;
    let (told, ended) = tokio::join!(
        timeout(PATIENCE, log.changed(&cursor)),
        end(&other, &session)
    );
    told.unwrap();
    take_sent();
    assert_eq!(pull_all(&log, Some(&cursor)).await.0, ended);
    assert_eq!(counted(&take_sent(), COMMANDS), [1, 16, 1, 0]);
}

#[tokio::test]
async fn a_log_that_was_replaced_is_read_anew_and_the_others_go_on() {
    let namespace = unique("replaced");
    let store = support::at(support::redis()).namespace(&namespace);
    let store = store.open().await.unwrap();
    let mut ended = Vec::new();
    for number in 0..40 {
        let session = begin(&store, &format!("user {number}")).await;
        ended.extend(end(&store, &session).await);
    }
    let (_, cursor) = pull_all(&store, None).await;
    let keys = support::keys(&support::redis(), &namespace).await;
    let logs = keys.iter().filter(|(_, key)| key.ends_with("}log"));
    for (url, log) in logs {
        let length: usize = ask(url, &["XLEN", log]).await.unwrap();
        assert!((1..40).contains(&length));
        let meta = log.replace("}log", "}meta");
        let _: i64 = ask(url, &["HSET", &meta, "incarnation", "ab"])
            .await
            .unwrap();
        let (entries, next) = pull_all(&store, Some(&cursor)).await;
        assert_eq!(entries.len(), length, "only its own");
        assert!(entries.iter().all(|entry| ended.contains(entry)));
        assert_eq!(pull_all(&store, Some(&next)).await.0, []);
        let before = meta_of(&cursor, &next);
        let _: i64 = ask(url, &["HSET", &meta, "incarnation", &before])
            .await
            .unwrap();
    }
}

/// The former name of the one log in which the two places differ.
fn meta_of(before: &gatepass::store::Cursor, after: &gatepass::store::Cursor) -> String {
    let marks = before.as_str().split(' ').zip(after.as_str().split(' '));
    let mut changed = marks.filter(|(before, after)| before != after);
    let (before, _) = changed.next().unwrap();
    assert!(changed.next().is_none(), "the other places stay");
    before.split_once('-').unwrap().0.to_owned()
}

#[tokio::test]
async fn a_log_that_ends_before_the_place_in_it_is_read_anew() {
    let namespace = unique("shorter");
    let store = support::at(support::redis()).namespace(&namespace);
    let store = store.open().await.unwrap();
    let (one, two) = (begin(&store, "alice").await, begin(&store, "alice").await);
    let kept = end(&store, &one).await;
    end(&store, &two).await;
    let (_, cursor) = pull_all(&store, None).await;
    // Simulates that the last write was lost, while the log and the server kept their names.
    let keys = support::keys(&support::redis(), &namespace).await;
    let (url, log) = keys.iter().find(|(_, key)| key.ends_with("}log")).unwrap();
    let _: i64 = ask(url, &["XDEL", log, "2-0"]).await.unwrap();
    let meta = log.replace("}log", "}meta");
    let _: i64 = ask(url, &["HSET", &meta, "number", "1"]).await.unwrap();
    let (entries, next) = pull_all(&store, Some(&cursor)).await;
    assert_eq!(entries, kept);
    assert_eq!(pull_all(&store, Some(&next)).await.0, []);
    assert!(next.as_str().contains(".1 ") || next.as_str().ends_with(".1"));
}

#[tokio::test]
async fn many_revocations_wake_a_reader_a_few_times() {
    let namespace = unique("gathered");
    let proxy = proxy_before(&support::redis()).await;
    let take_sent = sent_through(&proxy);
    let log = support::at(through(&support::redis(), &proxy)).namespace(&namespace);
    let log = log.open().await.unwrap();
    let other = support::at(support::redis()).namespace(&namespace);
    let other = other.open().await.unwrap();
    let mut sessions = Vec::new();
    for number in 0..200 {
        sessions.push(begin(&other, &format!("user {number}")).await);
    }
    let (_, mut cursor) = pull_all(&log, None).await;
    take_sent();
    let start = std::time::Instant::now();
    let (mut seen, following) = (Vec::new(), async {
        for session in &sessions {
            end(&other, session).await;
        }
    });
    let following = async {
        let ((), ()) = tokio::join!(following, async {
            while seen.len() < sessions.len() {
                timeout(PATIENCE, log.changed(&cursor)).await.unwrap();
                let (entries, next) = pull_all(&log, Some(&cursor)).await;
                seen.extend(entries);
                cursor = next;
            }
        });
    };
    following.await;
    let [waits] = counted(&take_sent(), ["XREAD"]);
    let most = 2 + start.elapsed().as_millis() / 50;
    assert!(waits <= usize::try_from(most).unwrap(), "{waits} of {most}");
}

#[tokio::test]
async fn a_replica_and_a_demoted_primary_answer_nothing() {
    let directory = directory();
    let primary = Redis::start(&directory, Durability::None).unwrap();
    let replica = primary.replica(&directory, Durability::None).unwrap();
    let proxy = proxy_before(&primary.url()).await;
    let namespace = unique("led");
    let store = support::at(through(&primary.url(), &proxy)).namespace(&namespace);
    let store = store.open().await.unwrap();
    let log = RedisLog::at(through(&primary.url(), &proxy)).namespace(&namespace);
    let log = log.open().await.unwrap();
    let session = begin(&store, "alice").await;
    let have: String = primary.ask(&["wait", "1", "60000"]).unwrap();
    assert_eq!(have.trim(), "1");
    let refuses = async || {
        let token = TokenId::from_bytes([1; 16]);
        let advance = gatepass_testkit::sessions::advance_of(&session);
        let account = gatepass_testkit::sessions::account("alice");
        for answer in [
            log.pull(None).await.map(drop),
            log.status(session.id, token, GrantVersion::FIRST)
                .await
                .map(drop),
            store.load(session.id).await.map(drop),
            store.sessions(account, None, 10).await.map(drop),
            store.advance(advance).await.map(drop),
            store.purged_until().await.map(drop),
        ] {
            let error = answer.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Unavailable);
            let said = std::error::Error::source(&error).unwrap().to_string();
            assert!(said.contains("replica"), "{said}");
        }
    };
    proxy.redirect(address_of(&replica.url()));
    refuses().await;
    proxy.redirect(address_of(&primary.url()));
    assert_eq!(
        store.load(session.id).await.unwrap().0,
        Some(session.clone())
    );
    // Uses the connections from when the server was a primary.
    let of = replica.port().to_string();
    primary.ask(&["replicaof", "127.0.0.1", &of]).unwrap();
    refuses().await;
}

#[tokio::test]
async fn who_waits_is_told_although_the_connection_died_without_a_word() {
    let namespace = unique("silent");
    let proxy = proxy_before(&support::redis()).await;
    let take_sent = sent_through(&proxy);
    let waiting = support::at(through(&support::redis(), &proxy)).namespace(&namespace);
    let waiting = waiting.timeout(Duration::from_secs(1));
    let waiting = waiting.open().await.unwrap();
    let other = support::at(support::redis()).namespace(&namespace);
    let other = other.open().await.unwrap();
    let session = begin(&other, "alice").await;
    let (_, cursor) = pull_all(&other, None).await;
    // From now on, it listens.
    tokio::spawn({
        let (waiting, cursor) = (waiting.clone(), cursor.clone());
        async move { waiting.changed(&cursor).await }
    });
    while !take_sent().contains("XREAD") {
        tokio::task::yield_now().await;
    }
    proxy.abandon();
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

/// The rights in the documentation.
const READER: &str = include_str!("../../src/reader.acl");

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
        let token = token_of(&live, 9).token;
        assert_eq!(
            log.status(live.id, token, GrantVersion::FIRST)
                .await
                .unwrap(),
            TokenStatus::Live
        );
        assert_eq!(
            log.status(session.id, token, GrantVersion::FIRST)
                .await
                .unwrap(),
            TokenStatus::Revoked
        );
        store.revoke_token(token_of(&live, 9)).await.unwrap();
        assert_eq!(
            log.status(live.id, token, GrantVersion::FIRST)
                .await
                .unwrap(),
            TokenStatus::Revoked
        );

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
