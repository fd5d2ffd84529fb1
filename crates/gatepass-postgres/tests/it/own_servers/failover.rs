//! A replica takes the place of a primary that is killed.

use std::{error::Error as _, str::FromStr, time::Duration};

use gatepass::{
    Authority, Device, Error, Identity, Issued, MasterSecret, Refusal, Requirements, StoreError,
    store::{
        EndReason, EndSessions, GrantVersion, PullResult, RevocationLog, RevocationTarget,
        SessionStore, TokenId, TokenStatus,
    },
};
use gatepass_postgres::PostgresStore;
use gatepass_servers::Postgres;
use gatepass_testkit::{
    proxy::Proxy,
    sessions::{account, begin, end, pull_all, subject},
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::time::timeout;

use crate::{
    own_servers::{Durability, again, at, directory, open, start, targets},
    support::{self, PATIENCE, address_of, proxy_before},
};

/// A store at the server that `proxy` leads to.
async fn through(proxy: &Proxy, server: &Postgres) -> PostgresStore {
    let options = PgConnectOptions::from_str(&server.url()).unwrap();
    let pool = PgPoolOptions::new()
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(support::through(options, proxy));
    let store = support::over(pool).schema("gatepass");
    store.timeout(Duration::from_secs(2)).open().await.unwrap()
}

/// The greatest number of a transaction that has left an entry.
async fn greatest(server: &Postgres) -> u64 {
    let asked = "SELECT max(xid::text::bigint)::text FROM gatepass.revocations";
    at(server, asked).await.unwrap().parse().unwrap()
}

/// Waits until `replica` has as many entries as `primary`.
async fn catches_up(replica: &Postgres, primary: &Postgres) {
    let asked = "SELECT count(*)::text FROM gatepass.revocations";
    let all = at(primary, asked).await;
    let follows = async { while at(replica, asked).await != all {} };
    timeout(PATIENCE, follows).await.unwrap();
}

/// Kills `primary`. Restarts and promotes `replica`, which was killed before.
fn fail_over(primary: &mut Postgres, replica: &mut Postgres, proxy: &Proxy) {
    primary.kill().unwrap();
    replica.restart().unwrap();
    replica.promote().unwrap();
    proxy.redirect(address_of(&replica.url()));
}

#[tokio::test]
async fn a_reader_begins_anew_at_a_primary_that_has_lost_what_the_reader_has_seen() {
    let directory = directory();
    let mut primary = start(&directory, Durability::None);
    let proxy = proxy_before(&primary.url()).await;
    let store = through(&proxy, &primary).await;
    let kept = begin(&store, "alice").await;
    let lost = begin(&store, "alice").await;
    let later = begin(&store, "alice").await;
    let kept = end(&store, &kept).await;
    let mut replica = primary.replica(&directory).unwrap();
    catches_up(&replica, &primary).await;
    replica.kill().unwrap();
    end(&store, &lost).await;
    let (entries, cursor) = pull_all(&store, None).await;
    assert_eq!(entries.len(), 2);
    let before = greatest(&primary).await;

    fail_over(&mut primary, &mut replica, &proxy);
    timeout(PATIENCE, store.changed(&cursor)).await.unwrap();
    again(async || store.pull(Some(&cursor)).await).await;
    let later = end(&store, &later).await;
    assert!(
        greatest(&replica).await <= before,
        "the number of the lost entry was not given again"
    );
    let pulled = store.pull(Some(&cursor)).await.unwrap();
    assert!(matches!(pulled, PullResult::Reset), "another log");
    let (entries, _) = pull_all(&store, None).await;
    assert_eq!(targets(&entries), targets(&[kept, later].concat()));
    // The lost change is lost completely.
    let (session, _) = store.load(lost.id).await.unwrap();
    assert!(session.unwrap().ended.is_none());
    assert!(!targets(&entries).contains(&RevocationTarget::Session(lost.id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_outlives_a_failover_and_refuses_what_was_and_what_is_revoked() {
    const BOUND: Duration = Duration::from_secs(2);
    let directory = directory();
    let mut primary = start(&directory, Durability::None);
    let proxy = proxy_before(&primary.url()).await;
    let store = through(&proxy, &primary).await;
    let secret = MasterSecret::from_bytes(b"the master secret of this test, and of no other");
    let node = Authority::builder("https://shop.example", "shop-api", secret.unwrap(), store);
    let node = node.max_staleness(BOUND).build().await.unwrap();
    let issue = async || {
        let issued = node.issue(Identity::of(subject("alice")), Device::default());
        issued.await.unwrap()
    };
    let requirements = Requirements::new();
    let verify = async |issued: &Issued| {
        let token = issued.access_token.as_str();
        node.verifier().verify(token, &requirements).await
    };
    let (ended, live, later) = (issue().await, issue().await, issue().await);
    node.logout(ended.refresh_token.as_str()).await.unwrap();
    let mut replica = primary.replica(&directory).unwrap();
    catches_up(&replica, &primary).await;
    replica.kill().unwrap();

    fail_over(&mut primary, &mut replica, &proxy);
    // There is an outage for some time, but never a refusal.
    let back = async {
        loop {
            match verify(&live).await {
                Ok(_) if node.health().failing_since.is_none() => break,
                Ok(_) | Err(Error::Store(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    };
    timeout(PATIENCE, back).await.unwrap();
    let revoked = verify(&ended).await;
    assert!(
        matches!(revoked, Err(Error::Refused(Refusal::Revoked))),
        "{revoked:?}"
    );
    node.refresh(live.refresh_token.as_str()).await.unwrap();
    // Another node ends a session there.
    let other = open(replica.url()).await;
    let target = EndSessions::Session(later.session_id);
    other.end(target, EndReason::Logout).await.unwrap();
    let committed = tokio::time::Instant::now();
    let refused = loop {
        let asked = tokio::time::Instant::now();
        match verify(&later).await {
            Err(refused) => break refused,
            Ok(_) => assert!(asked - committed <= BOUND),
        }
    };
    assert!(
        matches!(refused, Error::Refused(Refusal::Revoked)),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_server_that_was_made_a_replica_after_it_was_opened_answers_nothing() {
    let directory = directory();
    let mut server = start(&directory, Durability::Crash);
    let store = open(server.url()).await;
    let live = begin(&store, "alice").await;
    let token = TokenId::from_bytes([1; 16]);
    let status = store
        .status(live.id, token, GrantVersion::FIRST)
        .await
        .unwrap();
    assert_eq!(status, TokenStatus::Live);
    server.demote().unwrap();
    // Its old connections fail first, with other errors.
    let says = |failed: Result<(), StoreError>| {
        let error = failed.expect_err("a replica has answered");
        let source = error.source().map(ToString::to_string);
        source.is_some_and(|said| said.contains("is a replica"))
    };
    let refused = async {
        while !says(store.load(live.id).await.map(drop)) {}
        while !says(
            store
                .status(live.id, token, GrantVersion::FIRST)
                .await
                .map(drop),
        ) {}
        while !says(store.sessions(live.account(), None, 10).await.map(drop)) {}
        // Such a server may not know the account yet, so it must not answer that there is nothing
        // to end.
        let all = EndSessions::AllOf(account("mallory"));
        while !says(store.end(all.clone(), EndReason::LogoutAll).await.map(drop)) {}
    };
    timeout(PATIENCE, refused).await.unwrap();
}
