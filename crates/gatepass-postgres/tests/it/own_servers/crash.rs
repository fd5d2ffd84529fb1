//! The server is killed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use gatepass::{
    SessionId,
    store::{EndReason, EndSessions, Generation, Revocation, RevocationTarget, SessionStore},
};
use gatepass_postgres::PostgresStore;
use gatepass_testkit::sessions::{
    account, advance_of, begin, end, new_session, pull_all, token_of,
};
use sqlx::{Connection, PgConnection};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    own_servers::{Durability, again, at, directory, open, start, targets},
    support,
};

/// The acknowledged state of each session: its generation, and whether it has ended.
type Acknowledged = Arc<Mutex<HashMap<SessionId, (Generation, bool)>>>;

/// Begins, refreshes and ends sessions until the server is gone.
async fn load(store: PostgresStore, acknowledged: Acknowledged, done: watch::Sender<usize>) {
    let note = |id, generation, ended| {
        acknowledged.lock().unwrap().insert(id, (generation, ended));
        done.send_modify(|done| *done += 1);
    };
    while let Ok(begun) = store.begin(new_session("alice")).await {
        let mut session = begun.session;
        note(session.id, session.generation, false);
        for _ in 0..3 {
            match store.advance(advance_of(&session)).await {
                Ok(advanced) => session = advanced.unwrap(),
                Err(_) => return,
            }
            note(session.id, session.generation, false);
        }
        let target = EndSessions::Session(session.id);
        match store.end(target, EndReason::Logout).await {
            Ok(ended) => assert!(ended.is_some()),
            Err(_) => return,
        }
        note(session.id, session.generation, true);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_the_server_was_killed() {
    let directory = directory();
    let mut server = start(&directory, Durability::Crash);
    let store = support::at(server.url()).schema("gatepass");
    let store = store.timeout(Duration::from_secs(2)).open().await.unwrap();
    let (_, mut cursor) = pull_all(&store, None).await;
    let acknowledged = Acknowledged::default();
    let mut known = Vec::new();
    for round in 1..=3 {
        let (done, mut count) = watch::channel(0);
        let mut loads = JoinSet::new();
        for _ in 0..8 {
            loads.spawn(load(store.clone(), acknowledged.clone(), done.clone()));
        }
        count.wait_for(|count| *count >= 150 * round).await.unwrap();
        // The reader sees these entries before the crash, and continues from there afterwards.
        let (entries, next) = pull_all(&store, Some(&cursor)).await;
        cursor = next;
        known.extend(targets(&entries));
        server.kill().unwrap();
        loads.join_all().await;
        server.restart().unwrap();
        again(async || store.purged_until().await).await;

        let (entries, next) = pull_all(&store, Some(&cursor)).await;
        cursor = next;
        known.extend(targets(&entries));
        let (whole, _) = pull_all(&store, None).await;
        let whole = targets(&whole);
        assert!(whole.iter().all(|target| known.contains(target)), "missed");
        let sessions = acknowledged.lock().unwrap().clone();
        for (id, (generation, ended)) in sessions {
            let session = store.load(id).await.unwrap().0.unwrap();
            assert!(session.generation >= generation, "{id}");
            assert!(session.ended.is_some() || !ended, "{id}");
            // An end that was not acknowledged is there completely or not at all.
            let logged = whole.contains(&RevocationTarget::Session(id));
            assert_eq!(session.ended.is_some(), logged, "{id}");
        }
    }
}

#[tokio::test]
async fn a_number_that_is_given_again_after_a_crash_hides_no_entry() {
    let directory = directory();
    let mut server = start(&directory, Durability::Crash);
    // The server writes nothing before a commit waits for it.
    at(&server, "ALTER SYSTEM SET wal_writer_delay = '10s'").await;
    at(&server, "SELECT pg_reload_conf()::text").await;
    let store = open(server.url()).await;
    let session = begin(&store, "alice").await;
    let later = begin(&store, "alice").await;
    end(&store, &session).await;
    let mut given_up = PgConnection::connect(&server.url()).await.unwrap();
    let number = "SELECT pg_current_xact_id()::text::bigint";
    sqlx::raw_sql("BEGIN; INSERT INTO gatepass.revocations (session, until) VALUES ('', 1)")
        .execute(&mut given_up)
        .await
        .unwrap();
    let first: i64 = sqlx::query_scalar(number)
        .fetch_one(&mut given_up)
        .await
        .unwrap();
    sqlx::raw_sql("ROLLBACK")
        .execute(&mut given_up)
        .await
        .unwrap();
    // For a reader, the transaction is now over.
    let (entries, cursor) = pull_all(&store, None).await;
    assert_eq!(entries.len(), 1);
    server.kill().unwrap();
    server.restart().unwrap();
    again(async || store.purged_until().await).await;

    let ended = end(&store, &later).await;
    let second = at(
        &server,
        "SELECT max(xid::text::bigint)::text FROM gatepass.revocations",
    )
    .await;
    let second: i64 = second.unwrap().parse().unwrap();
    assert!(
        second <= first,
        "the number was not given again: {first}, {second}"
    );
    let (entries, _) = pull_all(&store, Some(&cursor)).await;
    assert_eq!(targets(&entries), targets(&ended));
}

#[tokio::test]
async fn what_was_revoked_is_there_after_a_crash_also_with_synchronous_commit_off() {
    let directory = directory();
    let mut server = start(&directory, Durability::Crash);
    // The server writes nothing before a commit waits for it.
    at(&server, "ALTER SYSTEM SET wal_writer_delay = '10s'").await;
    at(&server, "ALTER SYSTEM SET synchronous_commit = off").await;
    at(&server, "SELECT pg_reload_conf()::text").await;
    let mut store = open(server.url()).await;
    let session = begin(&store, "alice").await;
    let other = begin(&store, "alice").await;
    let later = begin(&store, "alice").await;
    let token = token_of(&other, 1);
    begin(&store, "bob").await;
    at(&server, "CHECKPOINT").await;
    let (_, mut cursor) = pull_all(&store, None).await;
    for number in 0..3 {
        let known: Vec<Revocation> = match number {
            0 => store
                .revoke_token(token)
                .await
                .unwrap()
                .into_iter()
                .collect(),
            1 => end(&store, &session).await,
            _ => {
                // Now in the application's own transaction.
                let mut conn = PgConnection::connect(&server.url()).await.unwrap();
                let mut transaction = conn.begin().await.unwrap();
                let all = EndSessions::AllOf(account("bob"));
                let ended = store.end_in(&mut transaction, all, EndReason::LogoutAll);
                let ended = ended.await.unwrap();
                transaction.commit().await.unwrap();
                ended.into_iter().collect()
            }
        };
        let (entries, next) = pull_all(&store, Some(&cursor)).await;
        assert_eq!(entries, known);
        cursor = next;
        server.kill().unwrap();
        server.restart().unwrap();
        store = open(server.url()).await;
        let (whole, _) = pull_all(&store, None).await;
        assert!(whole.contains(&known[0]), "{whole:?}");
    }
    let ended = end(&store, &later).await;
    let (entries, _) = pull_all(&store, Some(&cursor)).await;
    assert_eq!(entries, ended);
}
