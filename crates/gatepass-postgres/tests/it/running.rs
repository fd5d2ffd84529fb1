//! The running store: its messages, its time-outs, and other clients of the database.

use std::{error::Error, num::NonZeroU32, str::FromStr, time::Duration};

use gatepass::{
    ClientId, Session, Timestamp,
    store::{
        EndReason, EndSessions, GrantVersion, PullResult, Random, Revocation, RevocationLog,
        RevocationTarget, RevokeToken, SessionStore, StoreErrorKind, SystemRandom, TokenId,
    },
};
use gatepass_testkit::{
    ManualClock,
    sessions::{
        ACCESS_TTL, IDLE_TTL, account, advance_of, begin, end, new_session, renewal_of, token_of,
    },
    store_contract::*,
};
use sqlx::{
    AssertSqlSafe, Connection, PgConnection,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use test_support::servers;
use tokio::time::timeout;

use crate::support::{
    self, PATIENCE, address_of, ask, execute, postgres, proxy_before, sent_through, unique,
};

fn options() -> PgConnectOptions {
    PgConnectOptions::from_str(&postgres()).unwrap()
}

/// A transaction that locks `rows` of a table.
async fn holding(rows: &str) -> PgConnection {
    let mut conn = PgConnection::connect(&postgres()).await.unwrap();
    let hold = format!("BEGIN; SELECT 1 FROM {rows} FOR UPDATE");
    sqlx::raw_sql(AssertSqlSafe(hold))
        .execute(&mut conn)
        .await
        .unwrap();
    conn
}

async fn release(mut holder: PgConnection) {
    sqlx::raw_sql("ROLLBACK")
        .execute(&mut holder)
        .await
        .unwrap();
    holder.close().await.unwrap();
}

#[tokio::test]
async fn a_refresh_is_one_statement_and_one_round_trip() {
    const REFRESHES: usize = 5;
    let proxy = proxy_before(&postgres()).await;
    let take_sent = sent_through(&proxy);
    let store = support::at(servers::through(&postgres(), &proxy)).transaction_pooling(false);
    let store = store.max_connections(NonZeroU32::MIN).open().await.unwrap();
    let mut session = begin(&store, "alice").await;
    let mut refresh = async || {
        let advanced = store.advance(advance_of(&session)).await;
        session = advanced.unwrap().unwrap();
    };
    // The first refresh prepares the statement.
    refresh().await;
    take_sent();
    for _ in 0..REFRESHES {
        refresh().await;
    }
    // Bind, Execute, Close of the portal, Sync. When a connection goes back to the pool, sqlx adds
    // a Sync, and doesn't wait for its answer.
    let sent = take_sent();
    let count = |kind| sent.matches(kind).count();
    assert_eq!(count("BECS"), REFRESHES, "{sent}");
    assert!(count("S") <= 2 * REFRESHES + 1, "{sent}");
    assert_eq!(sent.replace(['B', 'E', 'C', 'S'], ""), "");
}

#[tokio::test]
async fn a_call_that_waits_for_a_lock_ends_in_time_and_gives_its_connection_back() {
    let schema = unique("held");
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(options());
    let patient = support::over(pool.clone()).schema(&schema);
    let patient = patient.open().await.unwrap();
    let hasty = support::over(pool)
        .schema(&schema)
        .timeout(Duration::from_millis(100));
    let hasty = hasty.open().await.unwrap();
    let session = begin(&patient, "alice").await;

    let holder = holding(&format!("{schema}.sessions")).await;
    let account = holding(&format!("{schema}.accounts")).await;
    for _ in 0..3 {
        let revoked = hasty.revoke_token(token_of(&session, 7)).await;
        assert_eq!(revoked.unwrap_err().kind(), StoreErrorKind::TimedOut);
        let begun = hasty.begin(new_session("alice")).await;
        assert_eq!(begun.unwrap_err().kind(), StoreErrorKind::TimedOut);
        let target = EndSessions::AllOf(session.account());
        let ended = hasty.end(target, EndReason::LogoutAll).await;
        assert_eq!(ended.unwrap_err().kind(), StoreErrorKind::TimedOut);
        let advanced = hasty.advance(advance_of(&session)).await;
        assert_eq!(advanced.unwrap_err().kind(), StoreErrorKind::TimedOut);
        let target = EndSessions::Session(session.id);
        let ended = hasty.end(target, EndReason::Logout).await;
        assert_eq!(ended.unwrap_err().kind(), StoreErrorKind::TimedOut);
    }
    // A read waits for no lock, and there is a connection left for it.
    let (loaded, _) = patient.load(session.id).await.unwrap();
    assert_eq!(loaded, Some(session));
    release(holder).await;
    release(account).await;
}

/// A client that repeats one of these calls again and again doesn't delay the logins of its
/// account.
#[tokio::test]
async fn a_revocation_that_changes_nothing_waits_for_no_lock() {
    let schema = unique("again");
    let store = support::at(postgres()).schema(&schema);
    let store = store.open().await.unwrap();
    let ended = begin(&store, "alice").await;
    let kept = begin(&store, "alice").await;
    let all_but = |kept: &Session| EndSessions::AllOfBut(kept.account(), kept.id);
    let others = store.end(all_but(&kept), EndReason::EndedByUser).await;
    others.unwrap().unwrap();
    let revoked = store.revoke_token(token_of(&kept, 7)).await;
    revoked.unwrap().unwrap();

    let account = holding(&format!("{schema}.accounts")).await;
    for token in [token_of(&kept, 7), token_of(&ended, 8)] {
        assert_eq!(store.revoke_token(token).await.unwrap(), None);
    }
    let others = store.end(all_but(&kept), EndReason::EndedByUser).await;
    assert_eq!(others.unwrap(), None);
    release(account).await;

    // The session that was kept can still end with all others.
    let target = EndSessions::AllOf(kept.account());
    let all = store.end(target, EndReason::LogoutAll).await.unwrap();
    assert!(all.is_some());
}

#[tokio::test]
async fn what_did_not_fit_holds_no_lock_once_it_is_answered() {
    let schema = unique("unfit");
    let store = support::at(postgres()).schema(&schema);
    let store = store.open().await.unwrap();
    let session = begin(&store, "alice").await;
    let mut other = PgConnection::connect(&postgres()).await.unwrap();
    for _ in 0..30 {
        let mut foreign = renewal_of(&session);
        foreign.client = ClientId::new("another").unwrap();
        assert_eq!(store.renew(foreign).await.unwrap(), None);
        let lock = format!("SELECT 1 FROM {schema}.sessions FOR UPDATE NOWAIT");
        sqlx::raw_sql(AssertSqlSafe(lock))
            .execute(&mut other)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_was_given_up_does_not_go_on_waiting_at_the_server() {
    let schema = unique("given_up");
    let patient = support::at(postgres()).schema(&schema);
    let patient = patient.open().await.unwrap();
    let session = begin(&patient, "alice").await;
    let name = |pool| format!("{schema} {pool}");
    let url = format!("{}?application_name={schema}%20own", postgres());
    let theirs = PgPoolOptions::new()
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(options().application_name(&name("theirs")));
    let hasty = Duration::from_millis(200);
    let own = support::at(url).schema(&schema).timeout(hasty);
    let own = own.open().await.unwrap();
    let theirs = support::over(theirs).schema(&schema).timeout(hasty);
    let theirs = theirs.open().await.unwrap();

    let holder = holding(&format!("{schema}.sessions")).await;
    // One statement, over the store's own connections.
    own.advance(advance_of(&session)).await.unwrap_err();
    // A transaction, over any connections.
    theirs.renew(renewal_of(&session)).await.unwrap_err();
    for pool in ["own", "theirs"] {
        let waiting = format!(
            "SELECT count(*)::text FROM pg_stat_activity
             WHERE application_name = '{}' AND wait_event_type = 'Lock'",
            name(pool)
        );
        let given_up = async { while ask(waiting.clone()).await != "0" {} };
        timeout(PATIENCE, given_up).await.unwrap();
    }
    release(holder).await;
    assert_eq!(patient.load(session.id).await.unwrap().0, Some(session));
}

#[tokio::test]
async fn a_server_that_falls_silent_is_an_error_in_time_and_forgotten_once_it_is_back() {
    let proxy = proxy_before(&postgres()).await;
    let store = support::at(servers::through(&postgres(), &proxy)).max_connections(NonZeroU32::MIN);
    let store = store
        .timeout(Duration::from_millis(300))
        .open()
        .await
        .unwrap();
    let id = new_session("alice").id;
    // The machine may be busy with other tests.
    let back = async || while store.load(id).await.is_err() {};
    timeout(PATIENCE, back()).await.unwrap();
    // Existing connections stay silent forever, and new ones until the proxy is healed.
    proxy.abandon();
    proxy.hang();
    for _ in 0..4 {
        let kind = store.load(id).await.unwrap_err().kind();
        assert!(
            matches!(kind, StoreErrorKind::TimedOut | StoreErrorKind::Busy),
            "{kind:?}"
        );
    }
    proxy.heal();
    // The pool kept no connection that hangs: neither one in use, nor one that was just returned.
    timeout(PATIENCE, back()).await.unwrap();
}

#[tokio::test]
async fn who_has_been_led_to_a_replica_answers_nothing() {
    let schema = unique("led");
    let proxy = proxy_before(&postgres()).await;
    // An application's default: the pool tests each connection before use.
    let pool = PgPoolOptions::new()
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(support::through(options(), &proxy));
    let store = support::over(pool).schema(&schema).open().await.unwrap();
    let session = begin(&store, "alice").await;
    let there = format!("SELECT 1 FROM {schema}.sessions");
    let mut reader = PgConnection::connect(&support::replica()).await.unwrap();
    // The replica catches up a moment later.
    loop {
        let row = sqlx::raw_sql(AssertSqlSafe(there.clone()));
        if row.fetch_one(&mut reader).await.is_ok() {
            break;
        }
    }
    proxy.redirect(address_of(&support::replica()));
    let token = TokenId::from_bytes([1; 16]);
    for (error, why) in [
        (store.pull(None).await.map(drop), "recovery is in progress"),
        (
            store
                .status(session.id, token, GrantVersion::FIRST)
                .await
                .map(drop),
            "is a replica",
        ),
        (store.load(session.id).await.map(drop), "is a replica"),
        (
            store.advance(advance_of(&session)).await.map(drop),
            "read-only",
        ),
    ] {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        let said = error.source().unwrap().to_string();
        assert!(said.contains(why), "{said}");
    }
}

#[tokio::test]
async fn a_purge_waits_for_nobody() {
    let schema = unique("purged");
    let clock = ManualClock::new();
    let store = support::at(postgres()).schema(&schema).clock(clock.clone());
    let store = store.open().await.unwrap();
    for _ in 0..10 {
        let session = begin(&store, "alice").await;
        end(&store, &session).await;
    }
    clock.advance(IDLE_TTL);
    let sessions = holding(&format!(
        "(SELECT * FROM {schema}.sessions LIMIT 3) AS held"
    ))
    .await;
    let entries = format!("(SELECT * FROM {schema}.revocations LIMIT 4) AS held");
    let entries = holding(&entries).await;
    let purged = store.purge(Timestamp::MAX, usize::MAX).await;
    assert_eq!(purged.unwrap().removed, 7 + 6);
    release(sessions).await;
    release(entries).await;
    while store.purge(Timestamp::MAX, 4).await.unwrap().more {}
    let left = format!(
        "SELECT ((SELECT count(*) FROM {schema}.sessions)
                 + (SELECT count(*) FROM {schema}.revocations))::text"
    );
    assert_eq!(ask(left).await, "0");
}

/// The number of rows of a table of `schema`.
async fn count(schema: &str, table: &str) -> String {
    ask(format!("SELECT count(*)::text FROM {schema}.{table}")).await
}

#[tokio::test]
async fn sessions_that_ended_together_cost_one_row_and_go_in_small_steps() {
    const SESSIONS: usize = 250;
    const STEP: usize = 100;
    let schema = unique("together");
    let clock = ManualClock::new();
    let store = support::at(postgres()).schema(&schema).clock(clock.clone());
    let store = store.open().await.unwrap();
    for _ in 0..SESSIONS {
        begin(&store, "alice").await;
    }
    let kept = begin(&store, "alice").await;
    let others = EndSessions::AllOfBut(kept.account(), kept.id);
    let ended = store.end(others.clone(), EndReason::LogoutAll).await;
    assert!(ended.unwrap().is_some());
    assert_eq!(count(&schema, "revocations").await, "1");
    let ended = format!("SELECT count(*)::text FROM {schema}.sessions WHERE ended_at IS NOT NULL");
    assert_eq!(ask(ended).await, "0");
    assert_eq!(
        store.end(others, EndReason::LogoutAll).await.unwrap(),
        None,
        "all of them are over"
    );

    clock.advance(ACCESS_TTL + Revocation::RETENTION_MARGIN);
    let held = holding(&format!(
        "(SELECT * FROM {schema}.sessions WHERE number < {} LIMIT 3) AS held",
        kept.number.get()
    ))
    .await;
    let mut removed = 0;
    loop {
        let step = store.purge(Timestamp::MAX, STEP).await.unwrap();
        assert!(step.removed <= STEP, "{step:?}");
        removed += step.removed;
        if !step.more {
            break;
        }
    }
    assert_eq!(removed, SESSIONS - 3, "the entry stays as long as they do");
    assert_eq!(count(&schema, "revocations").await, "1");
    release(held).await;
    clock.advance(Duration::from_secs(1));
    let step = store.purge(Timestamp::MAX, STEP).await.unwrap();
    assert_eq!((step.removed, step.more), (3 + 1, false));
    assert_eq!(count(&schema, "sessions").await, "1");
    assert_eq!(count(&schema, "accounts").await, "1");
    assert_eq!(store.load(kept.id).await.unwrap().0, Some(kept));
}

/// Otherwise a list might show a session that ended between two reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_never_shows_a_session_that_has_ended() {
    let store = support::at(postgres()).open().await.unwrap();
    let ending = tokio::spawn({
        let store = store.clone();
        async move {
            for _ in 0..100 {
                begin(&store, "alice").await;
                let all = EndSessions::AllOf(account("alice"));
                store.end(all, EndReason::LogoutAll).await.unwrap().unwrap();
            }
        }
    });
    while !ending.is_finished() {
        let listed = store.sessions(account("alice"), None, 10).await.unwrap();
        assert!(listed.len() <= 1, "{listed:?}");
        assert!(listed.iter().all(|session| session.ended.is_none()));
    }
    ending.await.unwrap();
}

/// The first end counts, even if the end of one session meets the end of all.
#[tokio::test(flavor = "multi_thread")]
async fn why_a_session_ended_never_changes() {
    let store = support::at(postgres()).open().await.unwrap();
    for round in 0..60 {
        let session = begin(&store, "alice").await;
        let mut ends = tokio::task::JoinSet::new();
        for one in [true, false] {
            let (store, id, account) = (store.clone(), session.id, session.account());
            ends.spawn(async move {
                let (target, reason) = match one {
                    true => (EndSessions::Session(id), EndReason::Logout),
                    false => (EndSessions::AllOf(account), EndReason::LogoutAll),
                };
                store.end(target, reason).await.unwrap();
                let (loaded, _) = store.load(id).await.unwrap();
                loaded.unwrap().ended.unwrap()
            });
        }
        let seen = ends.join_all().await;
        let (last, _) = store.load(session.id).await.unwrap();
        let last = last.unwrap().ended.unwrap();
        assert!(
            seen.iter().all(|ended| *ended == last),
            "{round}: {seen:?}, {last:?}"
        );
    }
}

/// Two sessions of an account together stay within the account's limit.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_revoked_at_once_stay_within_the_bound_of_their_account() {
    let store = support::at(postgres()).open().await.unwrap();
    let most = RevokeToken::MAX_PER_ACCOUNT;
    let sessions = most / RevokeToken::MAX_PER_SESSION + 4;
    let mut revoking = tokio::task::JoinSet::new();
    for _ in 0..sessions {
        let session = begin(&store, "alice").await;
        let store = store.clone();
        revoking.spawn(async move {
            for number in 0..RevokeToken::MAX_PER_SESSION {
                let mut token = token_of(&session, 0);
                let mut id = [0; 16];
                SystemRandom.fill(&mut id).unwrap();
                token.token = TokenId::from_bytes(id);
                if store.revoke_token(token).await.unwrap().is_none() {
                    assert!(number > 0);
                    break;
                }
            }
        });
    }
    revoking.join_all().await;
    let PullResult::Entries { entries, .. } = store.pull(None).await.unwrap() else {
        panic!("the log is new")
    };
    let is_token = |entry: &&Revocation| matches!(entry.target, RevocationTarget::Token(_));
    assert_eq!(entries.iter().filter(is_token).count(), most);
}

#[tokio::test]
async fn what_has_expired_goes_and_what_lives_stays() {
    let schema = unique("grown");
    let clock = ManualClock::new();
    let store = support::at(postgres()).schema(&schema).clock(clock.clone());
    let store = store.open().await.unwrap();
    let rows = async || {
        let count = format!(
            "SELECT (SELECT count(*) FROM {schema}.sessions) || ' '
                 || (SELECT count(*) FROM {schema}.revocations)"
        );
        ask(count).await
    };
    let mut live = Vec::new();
    for day in 0..20 {
        let mut kept = Vec::new();
        for number in 0..10 {
            let session = begin(&store, &format!("user {number}")).await;
            if number == 0 {
                kept.push(session);
            } else if number % 2 == 0 {
                end(&store, &session).await;
            }
        }
        for session in &mut live {
            *session = store.advance(advance_of(session)).await.unwrap().unwrap();
        }
        live.extend(kept);
        clock.advance(IDLE_TTL / 2);
        if day % 5 == 4 {
            while store.purge(Timestamp::MAX, 100).await.unwrap().more {}
        }
    }
    clock.advance(Revocation::RETENTION_MARGIN);
    for session in &mut live {
        *session = store.advance(advance_of(session)).await.unwrap().unwrap();
    }
    // The sessions of the last day have not idled out yet.
    clock.advance(IDLE_TTL - Duration::from_secs(1));
    while store.purge(Timestamp::MAX, 100).await.unwrap().more {}
    assert_eq!(rows().await, format!("{} 0", live.len()));
    for session in live {
        let (stored, _) = store.load(session.id).await.unwrap();
        assert_eq!(stored, Some(session));
    }
}

#[tokio::test]
async fn the_time_is_the_servers() {
    let store = support::at(postgres()).open().await.unwrap();
    let now = async || {
        let now = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::text";
        let now: i64 = ask(now.to_owned()).await.parse().unwrap();
        Timestamp::from_unix_millis(now)
    };
    let before = now().await;
    let begun = begin(&store, "alice").await;
    let mut capped = new_session("alice");
    capped.max_sessions = NonZeroU32::new(5);
    let capped = store.begin(capped).await.unwrap().session;
    let advanced = store.advance(advance_of(&begun)).await.unwrap().unwrap();
    end(&store, &begun).await;
    let (ended, loaded_at) = store.load(begun.id).await.unwrap();
    let listed = store.sessions(account("alice"), None, 10).await.unwrap();
    assert_eq!(listed, std::slice::from_ref(&capped));
    store.purge(Timestamp::MAX, 10).await.unwrap();
    let purged = store.purged_until().await.unwrap().unwrap();
    let after = now().await;
    let instants = [
        before,
        begun.created_at,
        capped.created_at,
        advanced.last_seen_at,
        ended.unwrap().ended.unwrap().at,
        loaded_at,
        purged,
        after,
    ];
    assert!(instants.is_sorted(), "{instants:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stricter_default_isolation_of_the_application_changes_nothing() {
    for level in ["repeatable read", "serializable"] {
        let fresh = async |clock| {
            let options = options().options([("default_transaction_isolation", level)]);
            let pool = PgPoolOptions::new()
                .acquire_timeout(PATIENCE)
                .connect_lazy_with(options);
            support::over(pool).clock(clock).open().await.unwrap()
        };
        of_many_advances_from_one_generation_one_succeeds(fresh).await;
        of_many_ends_of_one_session_one_reports_it(fresh).await;
        simultaneous_logins_do_not_exceed_the_maximum(fresh).await;
        no_advance_succeeds_after_an_end_returned(fresh).await;
    }
}

#[tokio::test]
async fn a_proxy_that_was_not_noticed_is_noticed_by_what_it_loses() {
    // A new database, so that the proxy has connections only for it.
    let database = unique("unnoticed");
    execute(format!("CREATE DATABASE {database}")).await;
    let url = support::pgbouncer().replace("/postgres", &format!("/{database}"));
    let store = support::at(url.clone()).max_connections(NonZeroU32::MIN);
    let store = store.transaction_pooling(false).open().await.unwrap();
    let session = begin(&store, "alice").await;
    let session = store.advance(advance_of(&session)).await.unwrap().unwrap();
    // Takes the proxy's connection on which the statement was prepared, so that the proxy must use
    // another.
    let options = PgConnectOptions::from_str(&url).unwrap();
    let mut other = PgConnection::connect_with(&options.extra_float_digits(None))
        .await
        .unwrap();
    sqlx::raw_sql("BEGIN").execute(&mut other).await.unwrap();
    let advanced = store.advance(advance_of(&session)).await.unwrap();
    assert_eq!(advanced.unwrap().generation, session.generation.next());
}

/// Counts the notifications of `schema` while `work` runs.
async fn notifications(schema: &str, work: impl Future<Output = ()>) -> u32 {
    let mut listener = PgListener::connect(&postgres()).await.unwrap();
    let channel = format!("{schema}_revocations");
    listener.listen(&channel).await.unwrap();
    work.await;
    let mut count = 0;
    let told = async {
        execute(format!("NOTIFY {channel}, 'over'")).await;
        let mut is_over = false;
        while !is_over || count == 0 {
            match listener.recv().await.unwrap().payload() {
                "over" => is_over = true,
                _ => count += 1,
            }
        }
    };
    timeout(PATIENCE, told).await.unwrap();
    count
}

#[tokio::test]
async fn revocations_that_come_together_share_a_notification() {
    const SESSIONS: u32 = 200;
    for url in [postgres(), support::pgbouncer()] {
        let schema = unique("told");
        let store = support::at(url).schema(&schema).open().await.unwrap();
        let mut sessions = Vec::new();
        for _ in 0..SESSIONS {
            sessions.push(begin(&store, "alice").await);
        }
        let begun = tokio::time::Instant::now();
        let count = notifications(&schema, async {
            let mut ending = tokio::task::JoinSet::new();
            for session in sessions {
                let store = store.clone();
                ending.spawn(async move { end(&store, &session).await.len() });
            }
            let ended = ending.join_all().await;
            assert!(ended.iter().all(|ended| *ended == 1));
        });
        let count = count.await;
        let most = begun.elapsed().as_millis() / 30 + 2;
        assert!(
            u128::from(count) <= most,
            "{count} of {SESSIONS}, at most {most}"
        );
    }
}

#[tokio::test]
async fn a_revocation_that_nobody_can_be_told_of_is_committed_all_the_same() {
    let (database, role, schema) = (unique("mute"), unique("mute"), unique("mute"));
    execute(format!("CREATE DATABASE {database}")).await;
    execute(format!("CREATE ROLE {role} LOGIN PASSWORD 'pw'")).await;
    execute(format!("GRANT CREATE ON DATABASE {database} TO {role}")).await;
    let own = options().database(&database);
    let mut conn = PgConnection::connect_with(&own).await.unwrap();
    sqlx::raw_sql("REVOKE EXECUTE ON FUNCTION pg_notify FROM PUBLIC")
        .execute(&mut conn)
        .await
        .unwrap();
    let pool = PgPoolOptions::new()
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(own.username(&role).password("pw"));
    let store = support::over(pool).schema(&schema).open().await.unwrap();
    let (one, other) = (begin(&store, "alice").await, begin(&store, "alice").await);
    let ended = end(&store, &one).await;
    let revoked = store
        .revoke_token(token_of(&other, 7))
        .await
        .unwrap()
        .unwrap();
    // Each poll finds the entries.
    let PullResult::Entries { entries, .. } = store.pull(None).await.unwrap() else {
        panic!("the log is new")
    };
    assert_eq!(entries, [ended, vec![revoked]].concat());
}
