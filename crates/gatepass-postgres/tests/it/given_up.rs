//! Calls that a caller gives up, and the connections that they leave behind.

use std::{collections::HashSet, num::NonZeroU32, sync::Arc, time::Duration};

use gatepass::store::{EndReason, EndSessions, RevocationTarget, SessionStore};
use gatepass_postgres::PostgresStore;
use gatepass_testkit::sessions::{new_session, pull_all, renewal_of};
use tokio::{task::JoinSet, time::timeout};

use crate::support::{self, pgbouncer, postgres, unique};

const CALLERS: u64 = 6;
const CALLS: u64 = 60;

/// Makes calls, and gives up each after another time, from before its first statement to after its
/// last.
async fn give_up(store: Arc<PostgresStore>, caller: u64) {
    let user = format!("hasty {caller}");
    for call in 0..CALLS * 2 {
        let after = Duration::from_micros((call * 7919 + caller * 104_729) % 6_000);
        let calls = async {
            let session = store.begin(new_session(&user)).await.unwrap().session;
            store.renew(renewal_of(&session)).await.unwrap();
            let all = EndSessions::AllOf(session.account());
            store.end(all, EndReason::LogoutAll).await.unwrap();
        };
        let _ = timeout(after, calls).await;
    }
}

/// Begins and ends sessions, and returns those whose end was acknowledged.
async fn begin_and_end(store: Arc<PostgresStore>, caller: u64) -> Vec<RevocationTarget> {
    let user = format!("patient {caller}");
    let mut ended = Vec::new();
    for _ in 0..CALLS {
        let session = store.begin(new_session(&user)).await.unwrap().session;
        let target = EndSessions::Session(session.id);
        let entry = store.end(target, EndReason::Logout).await.unwrap();
        ended.push(entry.unwrap().target);
    }
    ended
}

/// Callers that wait for their answers get them, and each acknowledged end is in the log.
async fn disturb_no_other_call(url: String) {
    let schema = unique("given_up");
    let open = async |connections| {
        let store = support::at(url.clone()).schema(&schema);
        let store = store.max_connections(NonZeroU32::new(connections).unwrap());
        Arc::new(store.open().await.unwrap())
    };
    // Uses the same connections, and others through the same proxy.
    let (shared, other) = (open(4).await, open(8).await);
    let mut hasty = JoinSet::new();
    let mut patient = JoinSet::new();
    for caller in 0..CALLERS {
        hasty.spawn(give_up(Arc::clone(&shared), caller));
        for store in [&shared, &other] {
            patient.spawn(begin_and_end(Arc::clone(store), caller));
        }
    }
    let ended = patient.join_all().await.concat();
    hasty.join_all().await;

    let (entries, _) = pull_all(&*open(1).await, None).await;
    let logged: HashSet<_> = entries.into_iter().map(|entry| entry.target).collect();
    let missing = ended.iter().filter(|target| !logged.contains(target));
    assert_eq!(missing.count(), 0, "of {} acknowledged ends", ended.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_given_up_disturb_no_other_call() {
    disturb_no_other_call(postgres()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_given_up_disturb_no_other_call_behind_a_proxy() {
    disturb_no_other_call(pgbouncer()).await;
}
