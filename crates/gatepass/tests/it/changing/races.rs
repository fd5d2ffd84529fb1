//! Changes at the same time as refreshes, logouts and other changes.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use gatepass::{Credentials, Staleness, store::Generation};
use gatepass_testkit::{Op, TestStore};
use serde_json::json;
use test_support::world::{World, builder, refresh, subject, verify, verify_with};
use tokio::task::JoinSet;

use super::*;

test_support::on_both_stores! {
    clients_changes_and_a_logout_at_once_refuse_no_honest_refresh_and_undo_nothing
    changes_at_once_are_made_each_from_what_the_other_has_left
    a_reload_that_was_read_before_a_change_undoes_nothing_of_it
    an_authentication_that_was_read_before_a_change_undoes_nothing_of_it
    a_step_up_that_was_read_before_a_change_undoes_nothing_of_it
    a_renewal_that_was_read_before_a_change_undoes_nothing_of_it
    a_change_in_flight_does_not_outlive_the_end_of_its_session
    a_refresh_in_flight_brings_no_token_that_is_good_after_a_change_returned
}

fn numbered(number: u32) -> impl Fn(Identity) -> Result<Identity, gatepass::IdentityError> {
    claiming(json!({ "number": number }))
}

fn number_of(identity: &Identity) -> u64 {
    let claims: serde_json::Value = identity.custom_claims().unwrap();
    claims["number"].as_u64().unwrap_or(0)
}

/// Two nodes, three clients of each, and changes by both.
async fn clients_changes_and_a_logout_at_once_refuse_no_honest_refresh_and_undo_nothing(
    world: World,
) {
    const CHANGES: u32 = 40;
    let nodes = [world.node().await, world.node().await];
    for ends in [false, true] {
        let first = begin(&nodes[0], "alice", "read").await;
        let over = Arc::new(AtomicBool::new(false));
        let refreshes = Arc::new(AtomicU32::new(0));
        let mut clients = JoinSet::new();
        for client in 0..6 {
            let (node, mut issued) = (nodes[client % 2].clone(), first.clone());
            let (over, refreshes) = (Arc::clone(&over), Arc::clone(&refreshes));
            clients.spawn(async move {
                let mut versions = Vec::new();
                while !over.load(Ordering::SeqCst) {
                    // A store in memory always answers at once.
                    tokio::task::yield_now().await;
                    match verify_with(&node, &issued, Staleness::Strict).await {
                        Ok(pass) => versions.push(pass.grant_version().unwrap()),
                        Err(Error::Refused(Refusal::StaleGrant)) => {}
                        Err(Error::Refused(Refusal::Revoked)) if ends => break,
                        Err(error) => panic!("{error:?}"),
                    }
                    match refresh(&node, &issued).await {
                        Ok(next) => issued = next,
                        Err(Error::Refused(Refusal::SessionEnded)) if ends => break,
                        Err(error) => panic!("{error:?}"),
                    }
                    refreshes.fetch_add(1, Ordering::SeqCst);
                }
                assert!(versions.is_sorted(), "{versions:?}");
            });
        }
        let changed = Arc::new(AtomicU32::new(0));
        let changing = tokio::spawn({
            let (nodes, changed, id) = (nodes.clone(), Arc::clone(&changed), first.session_id);
            let refreshes = Arc::clone(&refreshes);
            async move {
                for number in 1..=CHANGES {
                    let seen = refreshes.load(Ordering::SeqCst);
                    let node = &nodes[number as usize % 2];
                    let change = Change::enforced(numbered(number));
                    if !node.change_session(id, &change).await.unwrap() {
                        return;
                    }
                    changed.store(number, Ordering::SeqCst);
                    while refreshes.load(Ordering::SeqCst) == seen {
                        tokio::task::yield_now().await;
                        if !ends {
                            continue;
                        }
                        break;
                    }
                }
            }
        });
        if ends {
            while changed.load(Ordering::SeqCst) < 5 {
                tokio::task::yield_now().await;
            }
            nodes[1].logout_all(&subject("alice")).await.unwrap();
            let (ended, known) = (
                stored(&world.store, &first).await,
                changed.load(Ordering::SeqCst),
            );
            changing.await.unwrap();
            let after = stored(&world.store, &first).await;
            assert!(ended.ended.is_some());
            assert_eq!(
                (&ended.identity, ended.grant),
                (&after.identity, after.grant)
            );
            // One may have been written before the end, and told of after it.
            let last = number_of(&after.identity);
            assert!(
                (u64::from(known)..=u64::from(known) + 1).contains(&last),
                "{last} {known}"
            );
            clients.join_all().await;
            continue;
        }
        changing.await.unwrap();
        over.store(true, Ordering::SeqCst);
        clients.join_all().await;
        let session = stored(&world.store, &first).await;
        assert_eq!(number_of(&session.identity), u64::from(CHANGES));
        assert_eq!(session.grant.newest.get(), CHANGES);
        assert_eq!(session.grant.valid_from.get(), CHANGES);
        let last = refresh(&nodes[0], &first).await.unwrap();
        verify_with(&nodes[1], &last, Staleness::Strict)
            .await
            .unwrap();
    }
}

/// Each adds a scope of its own, at two nodes.
async fn changes_at_once_are_made_each_from_what_the_other_has_left(world: World) {
    let nodes = [world.node().await, world.node().await];
    let issued = begin(&nodes[0], "alice", "read").await;
    let mut changes = JoinSet::new();
    // A node gives up after eight lost races.
    for number in 0..6 {
        let (node, id) = (nodes[number % 2].clone(), issued.session_id);
        changes.spawn(async move {
            let own = scopes(&format!("scope:{number}"));
            let change = Change::offered(move |identity: Identity| {
                let more = identity.granted_scopes().union(&own);
                Ok(identity.scopes(more))
            });
            node.change_session(id, &change).await.unwrap()
        });
    }
    assert!(changes.join_all().await.into_iter().all(|changed| changed));
    let session = stored(&world.store, &issued).await;
    let has: HashSet<_> = session
        .identity
        .granted_scopes()
        .iter()
        .map(str::to_owned)
        .collect();
    assert_eq!(has.len(), 7, "{has:?}");
    assert_eq!(
        (session.grant.newest.get(), session.grant.valid_from.get()),
        (6, 0)
    );
    verify(&nodes[0], &issued).await.unwrap();
}

/// A node whose users answer on command.
async fn asking(world: &World) -> (Authority, Users) {
    let users = Users::default();
    let node = builder(Arc::clone(&world.store), &world.clock).authenticator(users.clone());
    (node.build().await.unwrap(), users)
}

/// Makes the call, whose question to the users is answered by what they were before a change. The
/// change takes `admin` away at another node, and commits while the answer is under way.
async fn while_demoted<T>(
    world: &World,
    users: &Users,
    issued: &Issued,
    call: impl Future<Output = T>,
) -> T {
    let (asked, release) = users.hold();
    let demote = async {
        asked.await.unwrap();
        let other = world.node().await;
        let change = enforced("read");
        let changed = other.change_session(issued.session_id, &change);
        assert!(changed.await.unwrap());
        users.are(identity("alice", "read"));
        release.send(()).unwrap();
    };
    tokio::join!(call, demote).0
}

/// The rights of the session before the change, and those that the users had when they were asked.
const BEFORE: [(&str, &str); 3] = [
    ("read admin", "read admin"),
    ("read", "read admin"),
    ("read write", "read admin"),
];

/// Checks that the session has what the change has left, and the tokens too.
async fn assert_demoted(world: &World, node: &Authority, first: &Issued, token: &str) {
    let session = stored(&world.store, first).await;
    assert_eq!(*session.identity.granted_scopes(), scopes("read"));
    let strict = gatepass::Requirements::new().staleness(Staleness::Strict);
    let pass = node.verifier().verify(token, &strict).await.unwrap();
    assert_eq!(*pass.scopes(), scopes("read"));
}

async fn a_reload_that_was_read_before_a_change_undoes_nothing_of_it(world: World) {
    for (had, were) in BEFORE {
        let (node, users) = asking(&world).await;
        let issued = begin(&node, "alice", &format!("{had} more")).await;
        users.are(identity("alice", were));
        let refreshed = while_demoted(&world, &users, &issued, refresh(&node, &issued)).await;
        let refreshed = refreshed.unwrap();
        assert_demoted(&world, &node, &issued, refreshed.access_token.as_str()).await;
        assert_stale(verify_with(&node, &issued, Staleness::Strict).await);
        // So it is with a retry, which writes nothing but the user.
        let issued = begin(&node, "alice", &format!("{had} more")).await;
        users.are(identity("alice", &format!("{had} more")));
        refresh(&node, &issued).await.unwrap();
        users.are(identity("alice", were));
        let retried = while_demoted(&world, &users, &issued, refresh(&node, &issued)).await;
        let retried = retried.unwrap();
        assert_demoted(&world, &node, &issued, retried.access_token.as_str()).await;
    }
}

/// The password can't be asked for again, as a code that is good once.
async fn an_authentication_that_was_read_before_a_change_undoes_nothing_of_it(world: World) {
    for (had, were) in BEFORE {
        let (node, users) = asking(&world).await;
        let issued = begin(&node, "alice", &format!("{had} more")).await;
        let pass = verify(&node, &issued).await.unwrap();
        users.are(identity("alice", were));
        let (credentials, device) = (Credentials::new("alice", "a password"), Device::default());
        let authenticated = node.reauthenticate(&pass, &credentials, &device);
        let authenticated = while_demoted(&world, &users, &issued, authenticated).await;
        let authenticated = authenticated.unwrap();
        let token = authenticated.access_token.as_str();
        assert_demoted(&world, &node, &issued, token).await;
        let session = stored(&world.store, &issued).await;
        assert_eq!(session.generation, Generation::new(1));
    }
}

/// The application has read the user, and tells so after the change.
async fn a_step_up_that_was_read_before_a_change_undoes_nothing_of_it(world: World) {
    for (had, was) in BEFORE {
        for asks in [false, true] {
            let (node, users) = asking(&world).await;
            let node = if asks { node } else { world.node().await };
            let issued = begin(&node, "alice", &format!("{had} more")).await;
            let pass = verify(&node, &issued).await.unwrap();
            users.are(identity("alice", "read"));
            let demotion = Change::enforced(|identity| Ok(identity.scopes(scopes("read"))));
            node.change(&subject("alice"), &demotion).await.unwrap();
            let device = Device::default();
            let stepped_up = node.reauthenticated(&pass, identity("alice", was), &device);
            let token = stepped_up.await.unwrap().access_token;
            assert_demoted(&world, &node, &issued, token.as_str()).await;
        }
    }
}

async fn a_renewal_that_was_read_before_a_change_undoes_nothing_of_it(world: World) {
    for (had, were) in BEFORE {
        let (node, users) = asking(&world).await;
        let issued = begin(&node, "alice", &format!("{had} more")).await;
        users.are(identity("alice", were));
        let renewed = node.renew(issued.access_token.as_str());
        let renewed = while_demoted(&world, &users, &issued, renewed)
            .await
            .unwrap();
        assert_demoted(&world, &node, &issued, renewed.access_token.as_str()).await;
    }
}

/// A node whose calls can be held.
async fn held(world: &World) -> (Authority, TestStore) {
    let store = TestStore::new(Arc::clone(&world.store));
    let handle = store.clone();
    (builder(store, &world.clock).build().await.unwrap(), handle)
}

async fn a_change_in_flight_does_not_outlive_the_end_of_its_session(world: World) {
    let (node, handle) = held(&world).await;
    for everywhere in [false, true] {
        for is_done in [false, true] {
            let issued = begin(&node, "alice", "admin").await;
            let before = stored(&world.store, &issued).await;
            let held = match is_done {
                true => handle.hold_after(Op::Change),
                false => handle.hold_before(Op::Change),
            };
            let end = async {
                held.reached().await;
                let ended = match everywhere {
                    true => node.logout_all(&subject("alice")).await,
                    false => node.logout(issued.access_token.as_str()).await,
                };
                ended.unwrap();
                held.release();
            };
            let change = enforced("read");
            let changing = node.change_session(issued.session_id, &change);
            let (changed, ()) = tokio::join!(changing, end);
            assert_eq!(changed.unwrap(), is_done);
            let after = stored(&world.store, &issued).await;
            assert_eq!(after.identity == before.identity, !is_done);
            assert_eq!(refusal(verify(&node, &issued).await), Refusal::Revoked);
            assert_eq!(
                refusal(refresh(&node, &issued).await),
                Refusal::SessionEnded
            );
            assert!(
                !node
                    .change_session(issued.session_id, &enforced(""))
                    .await
                    .unwrap()
            );
        }
    }
}

/// Its row was read before the change, and so were the rights in its token.
async fn a_refresh_in_flight_brings_no_token_that_is_good_after_a_change_returned(world: World) {
    let (node, handle) = held(&world).await;
    for everyone in [false, true] {
        let issued = begin(&node, "alice", "admin").await;
        let held = handle.hold_after(Op::Advance);
        let change = async {
            held.reached().await;
            let change = enforced("read");
            match everyone {
                true => drop(node.change(&subject("alice"), &change).await.unwrap()),
                false => drop(
                    node.change_session(issued.session_id, &change)
                        .await
                        .unwrap(),
                ),
            }
            held.release();
        };
        let (refreshed, ()) = tokio::join!(refresh(&node, &issued), change);
        let refreshed = refreshed.unwrap();
        assert_stale(verify(&node, &refreshed).await);
        assert_stale(verify_with(&node, &refreshed, Staleness::Strict).await);
        let next = refresh(&node, &refreshed).await.unwrap();
        assert_eq!(next.scopes, scopes("read"));
        verify(&node, &next).await.unwrap();
    }
}
