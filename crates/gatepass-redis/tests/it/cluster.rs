//! A cluster whose masters die or whose slots move.

use std::{num::NonZeroU32, time::Duration};

use gatepass::{
    Session,
    store::{EndReason, EndSessions, PullResult, RevocationLog, SessionStore},
};
use gatepass_redis::RedisStore;
use gatepass_servers::{Durability, RedisCluster};
use gatepass_testkit::sessions::{advance_of, begin, end, new_session, pull_all};
use tokio::time::timeout;

use crate::support::{self, PATIENCE, ask, directory, keys, unique};

const USERS: usize = 40;

/// Sessions of enough subjects that every partition has some.
async fn sessions(store: &RedisStore) -> Vec<Session> {
    let mut sessions = Vec::new();
    for number in 0..USERS {
        sessions.push(begin(store, &format!("user {number}")).await);
    }
    sessions
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_master_died_its_replica_goes_on() {
    let directory = directory();
    let mut cluster = RedisCluster::start(&directory, Durability::None, 1).unwrap();
    let store = support::at(cluster.url()).timeout(Duration::from_secs(1));
    let store = store.replicas(1, Duration::from_millis(900));
    let store = store.open().await.unwrap();
    let mut ended = Vec::new();
    for session in sessions(&store).await {
        ended.extend(end(&store, &session).await);
    }
    let sessions = sessions(&store).await;
    let (entries, cursor) = pull_all(&store, None).await;
    assert_eq!(entries.len(), ended.len());
    let master = cluster
        .nodes()
        .iter()
        .position(|node| node.ask(&["role"]).unwrap().starts_with("master"))
        .unwrap();
    cluster.nodes_mut()[master].kill().unwrap();

    // The store fails and never refuses, and in the end it answers. The new masters have no replica
    // that could acknowledge.
    let back = async {
        loop {
            if let Ok(pulled) = store.pull(Some(&cursor)).await {
                break pulled;
            }
        }
    };
    let PullResult::Entries { entries, .. } = timeout(PATIENCE, back).await.unwrap() else {
        panic!("two thirds of the log are where they were")
    };
    // The pull reads again only the entries of the promoted replica.
    assert!((1..ended.len()).contains(&entries.len()), "{entries:?}");
    assert!(entries.iter().all(|entry| ended.contains(entry)));
    let (entries, _) = pull_all(&store, None).await;
    assert_eq!(entries.len(), ended.len());
    assert!(entries.iter().all(|entry| ended.contains(entry)));
    for session in sessions {
        let (loaded, _) = store.load(session.id).await.unwrap();
        assert_eq!(loaded, Some(session));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_move_are_found() {
    let directory = directory();
    let cluster = RedisCluster::start(&directory, Durability::None, 0).unwrap();
    let urls = cluster.url();
    let namespace = unique("moved");
    let store = support::at(&urls)
        .namespace(&namespace)
        .open()
        .await
        .unwrap();
    let mut over = Vec::new();
    for number in 0..USERS {
        let session = begin(&store, &format!("user {number}")).await;
        let target = EndSessions::AllOf(session.account());
        let ended = store.end(target, EndReason::LogoutAll).await.unwrap();
        assert!(ended.is_some());
        over.push(session);
    }
    let mut sessions = sessions(&store).await;
    let waiting = tokio::spawn({
        let store = store.clone();
        let (_, cursor) = pull_all(&store, None).await;
        async move { store.changed(&cursor).await }
    });
    let nodes: Vec<&str> = urls.split(',').collect();
    let (from, to) = (nodes[0], nodes[1]);
    let ids: Vec<String> = [
        ask(from, &["CLUSTER", "MYID"]).await.unwrap(),
        ask(to, &["CLUSTER", "MYID"]).await.unwrap(),
    ]
    .into();
    let (host, password) = {
        let (before, host) = to.rsplit_once('@').unwrap();
        (
            host.to_owned(),
            before.rsplit_once(':').unwrap().1.to_owned(),
        )
    };
    let (ip, port) = host.split_once(':').unwrap();

    let all = keys(from, &namespace).await;
    let meta = all.iter().find(|(_, key)| key.ends_with("}meta")).unwrap();
    let tag = meta.1.strip_suffix("meta").unwrap();
    let slot: i64 = ask(from, &["CLUSTER", "KEYSLOT", &meta.1]).await.unwrap();
    let slot = slot.to_string();
    let set = |state: &'static str, node: String| {
        let slot = slot.clone();
        async move |url: &str| {
            let command = ["CLUSTER", "SETSLOT", &slot, state, &node];
            let (): () = ask(url, &command).await.unwrap();
        }
    };
    set("IMPORTING", ids[0].clone())(to).await;
    set("MIGRATING", ids[1].clone())(from).await;
    let refresh = async |sessions: &mut Vec<Session>| {
        let mut failed = 0;
        for session in sessions {
            match store.advance(advance_of(session)).await {
                Ok(advanced) => *session = advanced.unwrap(),
                Err(_) => failed += 1,
            }
            // The answer may be an error, but it is never wrong.
            if let Ok((loaded, _)) = store.load(session.id).await {
                assert_eq!(loaded.as_ref(), Some(&*session));
            }
            let listed = store.sessions(session.account(), None, 10).await;
            assert!(listed.is_err() || listed.is_ok_and(|all| all == [session.clone()]));
        }
        failed
    };
    let refresh_in_vain = async || {
        for session in &over {
            let advanced = store.advance(advance_of(session)).await;
            assert!(matches!(advanced, Ok(None)), "{advanced:?}");
        }
    };
    let mine: Vec<_> = all.iter().filter(|(_, key)| key.starts_with(tag)).collect();
    for (_, key) in &mine {
        let auth = ["MIGRATE", ip, port, key, "0", "5000", "AUTH", &password];
        let (): () = ask(from, &auth).await.unwrap();
        // A session and its account are two keys. A refresh works wherever they are.
        assert_eq!(refresh(&mut sessions).await, 0, "with {key} moved");
        // A session that ended with others can't be refreshed, although its own row doesn't say
        // that it has ended.
        refresh_in_vain().await;
    }
    set("NODE", ids[1].clone())(to).await;
    set("NODE", ids[1].clone())(from).await;
    assert_eq!(refresh(&mut sessions).await, 0);
    let moved = keys(to, &namespace).await;
    assert!(moved.contains(&(to.to_owned(), meta.1.clone())));

    let mut ended = Vec::new();
    for session in &sessions {
        ended.extend(end(&store, session).await);
    }
    assert_eq!(ended.len(), USERS);
    assert_eq!(pull_all(&store, None).await.0.len(), 2 * USERS);
    timeout(PATIENCE, waiting).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_login_that_fails_while_its_partition_moves_ends_no_session() {
    let directory = directory();
    let cluster = RedisCluster::start(&directory, Durability::None, 0).unwrap();
    let urls = cluster.url();
    let namespace = unique("limited");
    let store = support::at(&urls).namespace(&namespace);
    let store = store.open().await.unwrap();
    // Creates all keys of the account, except those of a new session.
    let before = begin(&store, "alice").await;
    let ended = end(&store, &before).await;
    let session = begin(&store, "alice").await;
    let id: String = session
        .id
        .as_bytes()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let all = keys(&urls, &namespace).await;
    let (from, key) = all.iter().find(|(_, key)| key.ends_with(&id)).unwrap();
    let to = urls.split(',').find(|url| url != from).unwrap();
    let slot: i64 = ask(from, &["CLUSTER", "KEYSLOT", key]).await.unwrap();
    let there: String = ask(to, &["CLUSTER", "MYID"]).await.unwrap();
    let migrating = ["CLUSTER", "SETSLOT", &slot.to_string(), "MIGRATING", &there];
    let (): () = ask(from, &migrating).await.unwrap();

    let mut new = new_session("alice");
    new.max_sessions = NonZeroU32::new(1);
    let _ = store.begin(new).await.unwrap_err();
    let (loaded, _) = store.load(session.id).await.unwrap();
    assert_eq!(loaded, Some(session));
    assert_eq!(pull_all(&store, None).await.0, ended);
}
