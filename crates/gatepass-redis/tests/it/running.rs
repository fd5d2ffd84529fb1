//! The store with servers that forget, hang, are full, or lead elsewhere.

mod growth;

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use gatepass::{
    SessionFilter, Timestamp,
    store::{
        EndReason, EndSessions, GrantVersion, Revocation, RevocationLog, SessionStore,
        StoreErrorKind,
    },
};
use gatepass_redis::RedisStore;
use gatepass_servers::{Durability, Redis};
use gatepass_testkit::{
    ManualClock,
    proxy::Proxy,
    sessions::{
        ABSOLUTE_TTL, ACCESS_TTL, IDLE_TTL, account, advance_of, attempt_with_names, begin, end,
        new_session, pull_all, recovery_of, renewal_of, token_of,
    },
};
use tokio::{task::JoinSet, time::timeout};

use crate::support::{
    self, PATIENCE, ask, directory, half_close, proxy_before, sent_through, through, unique,
};

/// The time limit of a hasty store.
const HASTE: Duration = Duration::from_millis(300);
/// Extra time that it may take on a busy machine.
const SLACK: Duration = Duration::from_secs(10);

async fn hasty(url: String) -> RedisStore {
    let store = support::at(url).timeout(HASTE);
    store.open().await.unwrap()
}

async fn list(store: &RedisStore, name: &str) -> Vec<gatepass::Session> {
    store.sessions(account(name), None, 1000).await.unwrap()
}

/// A store behind a proxy, and a function that returns what the store has sent since the function's
/// last call.
async fn tapped() -> (RedisStore, Proxy, impl Fn() -> String) {
    let proxy = proxy_before(&support::redis()).await;
    let take_sent = sent_through(&proxy);
    let store = support::at(through(&support::redis(), &proxy));
    (store.open().await.unwrap(), proxy, take_sent)
}

#[tokio::test]
async fn a_refresh_is_one_script_and_one_round_trip() {
    const REFRESHES: usize = 5;
    let (store, _proxy, take_sent) = tapped().await;
    let mut session = begin(&store, "alice").await;
    let mut refresh = async || {
        let advanced = store.advance(advance_of(&session)).await;
        session = advanced.unwrap().unwrap();
    };
    // Another test may have made the server forget the scripts.
    while {
        take_sent();
        refresh().await;
        take_sent().contains("EVAL\r\n")
    } {}
    for _ in 0..REFRESHES {
        refresh().await;
    }
    let sent = take_sent();
    let commands = sent.lines().filter(|line| line.starts_with('*')).count();
    assert_eq!(commands, sent.matches("EVALSHA\r\n").count(), "{sent}");
    // A script that the server has forgotten is sent once more.
    assert!((REFRESHES..=REFRESHES + 2).contains(&commands), "{sent}");
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_sent_again() {
    for urls in [support::redis(), support::cluster()] {
        let store = support::at(&urls).open().await.unwrap();
        let forget = async || {
            for url in urls.split(',') {
                let (): () = ask(url, &["SCRIPT", "FLUSH"]).await.unwrap();
            }
        };
        forget().await;
        let session = begin(&store, "alice").await;
        forget().await;
        let session = store.advance(advance_of(&session)).await.unwrap().unwrap();
        forget().await;
        let recover = recovery_of(&session);
        assert!(store.recover(recover).await.unwrap().is_some());
        forget().await;
        let renew = renewal_of(&session);
        assert!(store.renew(renew).await.unwrap().is_some());
        forget().await;
        assert!(store.load(session.id).await.unwrap().0.is_some());
        forget().await;
        let revoke = token_of(&session, 1);
        assert!(store.revoke_token(revoke).await.unwrap().is_some());
        forget().await;
        assert_eq!(list(&store, "alice").await.len(), 1);
        forget().await;
        assert_eq!(end(&store, &session).await.len(), 1);
        forget().await;
        assert_eq!(pull_all(&store, None).await.0.len(), 2);
        forget().await;
        store
            .status(session.id, revoke.token, GrantVersion::FIRST)
            .await
            .unwrap();
        forget().await;
        assert_eq!(store.introduce(&[], true).await.unwrap(), []);
        forget().await;
        store.purge(Timestamp::MAX, 10).await.unwrap();
        forget().await;
        assert!(store.purged_until().await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_an_error_in_time_and_forgotten_once_it_is_back() {
    let proxy = proxy_before(&support::redis()).await;
    let store = hasty(through(&support::redis(), &proxy)).await;
    let id = new_session("alice").id;
    // The machine may be busy with other tests.
    let back = async || while store.load(id).await.is_err() {};
    timeout(PATIENCE, back()).await.unwrap();
    // Existing connections stay silent forever, and new ones until the proxy is healed.
    proxy.abandon();
    proxy.hang();
    for _ in 0..4 {
        let began = Instant::now();
        let kind = store.load(id).await.unwrap_err().kind();
        assert_eq!(kind, StoreErrorKind::TimedOut);
        assert!(began.elapsed() < HASTE + SLACK);
    }
    proxy.heal();
    timeout(PATIENCE, back()).await.unwrap();
}

#[tokio::test]
async fn connections_that_were_closed_are_made_again() {
    let proxy = proxy_before(&support::redis()).await;
    let store = support::at(through(&support::redis(), &proxy))
        .open()
        .await
        .unwrap();
    let mut session = begin(&store, "alice").await;
    for fail in [Proxy::cut, half_close] {
        for _ in 0..3 {
            fail(&proxy);
            // A call that only reads does not notice.
            let (loaded, _) = store.load(session.id).await.unwrap();
            assert_eq!(loaded, Some(session.clone()));
            session = store.advance(advance_of(&session)).await.unwrap().unwrap();
            // A call that changes something fails at most once, because it may or may not have been
            // done.
            fail(&proxy);
            let advanced = match store.advance(advance_of(&session)).await {
                Ok(advanced) => advanced.unwrap(),
                Err(error) => {
                    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
                    let (loaded, _) = store.load(session.id).await.unwrap();
                    loaded.unwrap()
                }
            };
            session = advanced;
        }
    }
}

#[tokio::test]
async fn nothing_that_changes_a_session_is_sent_twice() {
    let (store, proxy, take_sent) = tapped().await;
    for fail in [Proxy::cut, half_close] {
        for number in 0..20 {
            let name = format!("user {number}");
            let session = begin(&store, &name).await;
            take_sent();
            let mut capped = new_session(&name);
            capped.max_sessions = NonZeroU32::new(2);
            let (begun, ()) = tokio::join!(store.begin(capped.clone()), async { fail(&proxy) });
            let sent = take_sent();
            if begun.is_err() {
                assert!(sent.matches("EVALSHA\r\n").count() <= 1, "{sent}");
            }
            // No session had to make room for another, so a session that began twice would show.
            let (loaded, _) = store.load(session.id).await.unwrap();
            assert_eq!(loaded.unwrap().ended, None);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_holds_up_nobody_for_longer_than_their_timeout() {
    let directory = directory();
    let redis = Redis::start(&directory, Durability::None).unwrap();
    let store = hasty(redis.url()).await;
    let mut sessions = Vec::new();
    for number in 0..64 {
        sessions.push(begin(&store, &format!("user {number}")).await);
    }
    redis.pause().unwrap();
    let mut callers = JoinSet::new();
    for session in sessions.clone() {
        let store = store.clone();
        callers.spawn(async move {
            for _ in 0..2 {
                let began = Instant::now();
                let error = store.advance(advance_of(&session)).await.unwrap_err();
                assert_eq!(error.kind(), StoreErrorKind::TimedOut);
                assert!(began.elapsed() < HASTE + SLACK);
            }
        });
    }
    callers.join_all().await;
    redis.resume().unwrap();
    for session in sessions {
        let back = async {
            loop {
                if let Ok((session, _)) = store.load(session.id).await {
                    break session.unwrap();
                }
            }
        };
        // The server may have run the abandoned call since, at most once.
        let now = timeout(PATIENCE, back).await.unwrap();
        assert!(now.generation <= session.generation.next());
        while store.load(session.id).await.is_err() {}
        let advanced = store.advance(advance_of(&now)).await;
        if let Ok(Some(advanced)) = advanced {
            assert_eq!(advanced.generation, now.generation.next());
        }
    }
}

#[tokio::test]
async fn a_change_that_too_few_replicas_have_is_not_acknowledged() {
    let directory = directory();
    let primary = Redis::start(&directory, Durability::None).unwrap();
    let namespace = unique("waited");
    let store = support::at(primary.url()).namespace(&namespace);
    let plain = store.clone().open().await.unwrap();
    let store = store.replicas(1, HASTE).open().await.unwrap();
    let session = begin(&plain, "alice").await;
    let refused = async |session: &gatepass::Session| {
        for answer in [
            store.begin(new_session("bob")).await.map(drop),
            store.advance(advance_of(session)).await.map(drop),
            store.revoke_token(token_of(session, 1)).await.map(drop),
            store
                .end(EndSessions::Session(session.id), EndReason::Logout)
                .await
                .map(drop),
        ] {
            let error = answer.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Unavailable);
            let said = std::error::Error::source(&error).unwrap().to_string();
            assert!(said.contains("too few replicas"), "{said}");
        }
    };
    refused(&session).await;
    // Calls that only read do not wait.
    store.load(session.id).await.unwrap();
    store.pull(None).await.unwrap();

    let replica = primary.replica(&directory, Durability::None).unwrap();
    let patient = support::at(primary.url()).namespace(&namespace);
    let patient = patient.replicas(1, PATIENCE).open().await.unwrap();
    let session = begin(&patient, "alice").await;
    let session = patient
        .advance(advance_of(&session))
        .await
        .unwrap()
        .unwrap();
    let ended = end(&patient, &session).await;
    // The replica now has it.
    drop(primary);
    replica.promote().unwrap();
    let promoted = support::at(replica.url()).namespace(&namespace);
    let promoted = promoted.open().await.unwrap();
    let (entries, _) = pull_all(&promoted, None).await;
    assert!(ended.iter().all(|entry| entries.contains(entry)));
    let (loaded, _) = promoted.load(session.id).await.unwrap();
    assert_eq!(loaded.unwrap().generation, session.generation);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_reads_is_not_held_up_by_those_who_wait_for_replicas() {
    let directory = directory();
    let primary = Redis::start(&directory, Durability::None).unwrap();
    let store = support::at(primary.url()).replicas(1, PATIENCE);
    let store = store.open().await.unwrap();
    let mut logins = JoinSet::new();
    for number in 0..64 {
        let store = store.clone();
        logins.spawn(async move { store.begin(new_session(&format!("user {number}"))).await });
    }
    let blocked = async || {
        let clients: String = ask(&primary.url(), &["INFO", "clients"]).await.unwrap();
        clients.contains("blocked_clients:8")
    };
    while !blocked().await {}
    for _ in 0..16 {
        timeout(SLACK, store.pull(None)).await.unwrap().unwrap();
    }
}

/// The server's connections from other clients.
fn connections(redis: &Redis) -> Vec<String> {
    let list = redis.ask(&["client", "list", "type", "normal"]).unwrap();
    let others = list.lines().filter(|line| !line.contains("cmd=client"));
    let ids = others.filter_map(|line| line.split(' ').next());
    ids.map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn a_call_that_takes_too_long_leaves_the_others_their_connections() {
    let directory = directory();
    let primary = Redis::start(&directory, Durability::None).unwrap();
    // There is no replica to acknowledge, and the store waits longer than a call may take.
    let store = support::at(primary.url()).replicas(1, PATIENCE);
    let store = store.timeout(HASTE).open().await.unwrap();
    let id = new_session("alice").id;
    let load = async || while store.load(id).await.is_err() {};
    timeout(PATIENCE, load()).await.unwrap();
    let before = connections(&primary);
    let error = store.begin(new_session("alice")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::TimedOut);
    timeout(PATIENCE, load()).await.unwrap();
    let after = connections(&primary);
    assert!(
        before.iter().all(|id| after.contains(id)),
        "{before:?} {after:?}"
    );
}

#[tokio::test]
async fn a_change_that_was_made_before_is_written_and_waited_for_again() {
    let directory = directory();
    let redis = Redis::start(&directory, Durability::None).unwrap();
    let store = support::at(redis.url()).open().await.unwrap();
    let changes = async || {
        let about: String = ask(&redis.url(), &["INFO", "persistence"]).await.unwrap();
        let line = about.lines().find(|line| line.starts_with("rdb_changes"));
        line.unwrap().to_owned()
    };
    let session = begin(&store, "alice").await;
    let token = token_of(&session, 1);
    assert!(store.revoke_token(token).await.unwrap().is_some());
    let before = changes().await;
    assert_eq!(store.revoke_token(token).await.unwrap(), None);
    assert_ne!(changes().await, before);
    end(&store, &session).await;
    let all = EndSessions::AllOf(account("alice"));
    let ended = store.end(all, EndReason::LogoutAll).await.unwrap();
    assert!(ended.is_some());
    for again in [
        EndSessions::Session(session.id),
        EndSessions::SessionOf(session.id, account("alice")),
        EndSessions::AllOf(account("alice")),
        EndSessions::AllOf(account("nobody")),
    ] {
        let before = changes().await;
        let ended = store.end(again, EndReason::Logout).await.unwrap();
        assert_eq!(ended, None);
        assert_ne!(changes().await, before);
    }
}

#[tokio::test]
async fn logging_out_works_on_a_server_that_is_full() {
    let directory = directory();
    let redis = Redis::start(&directory, Durability::None).unwrap();
    let clock = ManualClock::new();
    let store = support::at(redis.url()).clock(clock.clone());
    let store = store.open().await.unwrap();
    let (one, two) = (begin(&store, "alice").await, begin(&store, "alice").await);
    redis.ask(&["config", "set", "maxmemory", "1"]).unwrap();
    let error = store.begin(new_session("bob")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Busy);
    let error = store.advance(advance_of(&one)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Busy);
    assert_eq!(store.load(one.id).await.unwrap().0, Some(one.clone()));
    assert_eq!(list(&store, "alice").await.len(), 2);
    let token = token_of(&two, 1);
    let revoked = store.revoke_token(token).await.unwrap().unwrap();
    let ended = end(&store, &one).await;
    assert_eq!(
        pull_all(&store, None).await.0,
        [vec![revoked], ended].concat()
    );
    store
        .status(two.id, token.token, GrantVersion::FIRST)
        .await
        .unwrap();
    clock.advance(IDLE_TTL * 2);
    assert_eq!(store.purge(Timestamp::MAX, 10).await.unwrap().removed, 4);
}

#[tokio::test]
async fn the_time_is_the_servers() {
    let store = support::at(support::redis()).open().await.unwrap();
    let now = async || {
        let time: (i64, i64) = ask(&support::redis(), &["TIME"]).await.unwrap();
        Timestamp::from_unix_millis(time.0 * 1000 + time.1 / 1000)
    };
    let before = now().await;
    let begun = begin(&store, "alice").await;
    let advanced = store.advance(advance_of(&begun)).await.unwrap().unwrap();
    end(&store, &begun).await;
    let (ended, loaded_at) = store.load(begun.id).await.unwrap();
    store.purge(Timestamp::MAX, 10).await.unwrap();
    let purged = store.purged_until().await.unwrap().unwrap();
    let after = now().await;
    let instants = [
        before,
        begun.created_at,
        advanced.last_seen_at,
        ended.unwrap().ended.unwrap().at,
        loaded_at,
        purged,
        after,
    ];
    assert!(instants.is_sorted(), "{instants:?}");
}

#[tokio::test]
async fn a_session_of_another_subject_in_the_same_partition_is_not_ended() {
    let store = support::at(support::redis()).open().await.unwrap();
    let session = begin(&store, "alice").await;
    let partition = |name: &str| account(name).prefix()[0] % 16;
    let names = (0..).map(|number| format!("user {number}"));
    let near = { names }.find(|name| partition(name) == partition("alice"));
    let target = EndSessions::SessionOf(session.id, account(&near.unwrap()));
    let ended = store.end(target, EndReason::EndedByUser).await.unwrap();
    assert_eq!(ended, None);
    let target = EndSessions::SessionOf(session.id, account("alice"));
    let ended = store.end(target, EndReason::EndedByUser).await.unwrap();
    assert!(ended.is_some());
}

#[tokio::test]
async fn a_session_whose_id_is_not_its_accounts_is_not_begun() {
    let store = support::at(support::redis()).open().await.unwrap();
    let mut foreign = new_session("alice");
    foreign.id = new_session("somebody else").id;
    store.begin(foreign).await.unwrap_err();
}
