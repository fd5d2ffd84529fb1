//! Races: refreshes against refreshes, and against the end of their session.

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gatepass::{
    AuthenticationError, Authenticator, Authority, Credentials, Error, Identity, Issued, Refusal,
    ReusePolicy, Scopes, Session, SessionId, Staleness, UserUpdate, async_trait, store::Generation,
};
use gatepass_testkit::{HeldCall, ManualClock, OnePassword, Op, TestStore};
use test_support::world::{
    HOUR, MINUTE, SECOND, World, builder, login, refresh, refusal, subject, verify, verify_with,
};
use tokio::task::JoinSet;

test_support::on_both_stores! {
    of_64_refreshes_of_one_token_one_advances_and_all_get_its_successor
    so_it_is_where_the_user_is_read_again_at_each_refresh
    a_refresh_in_flight_does_not_outlive_the_end_of_its_session
    a_recovery_in_flight_does_not_outlive_the_end_of_its_session
    a_refresh_during_a_logout_is_dead_once_it_returned
    whatever_began_before_a_logout_everywhere_is_dead_after_it
    a_logout_with_an_old_token_ends_a_session_that_rotates
    simultaneous_logins_leave_as_many_sessions_as_allowed
    a_login_too_many_ends_the_oldest_session
    a_race_between_nodes_of_different_clocks_is_no_theft
    a_refresh_that_waits_long_for_its_user_is_answered_with_what_another_got
    a_reuse_ends_exactly_its_session
    the_9th_revoked_token_ends_the_session
    scopes_that_another_node_takes_away_during_a_refresh_are_not_in_its_token
}

async fn of_64_refreshes_of_one_token_one_advances_and_all_get_its_successor(world: World) {
    let node = world.node().await;
    all_get_one_successor(&world, &node).await;
}

async fn so_it_is_where_the_user_is_read_again_at_each_refresh(world: World) {
    let node =
        builder(world.store.clone(), &world.clock).authenticator(OnePassword::new("a password"));
    let node = node.build().await.unwrap();
    all_get_one_successor(&world, &node).await;
}

async fn all_get_one_successor(world: &World, node: &Authority) {
    let first = login(node, "alice").await;
    let mut racing = JoinSet::new();
    for _ in 0..64 {
        let (node, first) = (node.clone(), first.clone());
        racing.spawn(async move { refresh(&node, &first).await.unwrap() });
    }
    let refreshed = racing.join_all().await;
    let successor = &refreshed[0].refresh_token;
    let mut ids = HashSet::new();
    for issued in &refreshed {
        assert_eq!(&issued.refresh_token, successor);
        assert_eq!(issued.session_id, first.session_id);
        let pass = verify(node, issued).await.unwrap();
        assert!(ids.insert(pass.token_id()));
    }
    assert_eq!(generation(world, &first).await, Generation::new(1));
    assert!(refresh(node, &refreshed[63]).await.is_ok());
}

async fn generation(world: &World, issued: &Issued) -> Generation {
    let (session, _) = world.store.load(issued.session_id).await.unwrap();
    session.unwrap().generation
}

/// A node whose store waits at gates.
async fn gated(world: &World) -> (Authority, TestStore) {
    let store = TestStore::new(world.store.clone());
    let handle = store.clone();
    (builder(store, &world.clock).build().await.unwrap(), handle)
}

/// The point at which a call of the store is held while something else happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

const SIDES: [Side; 2] = [Side::Before, Side::After];

fn hold(handle: &TestStore, op: Op, side: Side) -> HeldCall {
    match side {
        Side::Before => handle.hold_before(op),
        Side::After => handle.hold_after(op),
    }
}

/// All ways to end a session.
#[derive(Clone, Copy, Debug)]
enum Way {
    RefreshToken,
    AccessToken,
    Everywhere,
    Listed,
    ByApplication,
}

const WAYS: [Way; 5] = [
    Way::RefreshToken,
    Way::AccessToken,
    Way::Everywhere,
    Way::Listed,
    Way::ByApplication,
];

async fn end(node: &Authority, issued: &Issued, way: Way) {
    let alice = subject("alice");
    match way {
        Way::RefreshToken => node.logout(issued.refresh_token.as_str()).await.unwrap(),
        Way::AccessToken => node.logout(issued.access_token.as_str()).await.unwrap(),
        Way::Everywhere => node.logout_all(&alice).await.unwrap(),
        Way::Listed => {
            let ended = node.end_session_of(&alice, issued.session_id).await;
            ended.unwrap().unwrap()
        }
        Way::ByApplication => node.end_session(issued.session_id).await.unwrap(),
    };
}

/// Nothing that was ever issued of the session is good for anything, here and elsewhere.
async fn assert_dead(nodes: [&Authority; 2], issued: &Issued, context: &str) {
    for (node, staleness) in nodes
        .into_iter()
        .zip([Staleness::Bounded, Staleness::Strict])
    {
        let verified = verify_with(node, issued, staleness).await;
        assert_eq!(refusal(verified), Refusal::Revoked, "{context}");
        assert_eq!(
            refusal(refresh(node, issued).await),
            Refusal::SessionEnded,
            "{context}"
        );
    }
}

async fn a_refresh_in_flight_does_not_outlive_the_end_of_its_session(world: World) {
    let (node, handle) = gated(&world).await;
    let other = world.node().await;
    for (side, way) in SIDES.iter().flat_map(|side| WAYS.map(|way| (*side, way))) {
        // A current token, which is advanced, and a spent one, which is looked at first.
        for (op, spent) in [(Op::Advance, false), (Op::Advance, true), (Op::Load, true)] {
            let first = login(&node, "alice").await;
            if spent {
                refresh(&node, &first).await.unwrap();
            }
            let held = hold(&handle, op, side);
            let in_flight = tokio::spawn({
                let (node, first) = (node.clone(), first.clone());
                async move { refresh(&node, &first).await }
            });
            held.reached().await;
            end(&other, &first, way).await;
            end(&node, &first, Way::ByApplication).await;
            // The other node committed the end, and this one learns of it from the log.
            world.clock.advance(3 * SECOND);
            held.release();
            let context = format!("{side:?} {op:?} spent={spent} {way:?}");
            // An answer that comes after the end was decided before it.
            let decided = match op {
                Op::Advance => !spent,
                _ => spent,
            };
            let answer = in_flight.await.unwrap();
            if side == Side::After && decided {
                assert_dead([&node, &other], &answer.unwrap(), &context).await;
            } else {
                assert_eq!(refusal(answer), Refusal::SessionEnded, "{context}");
            }
            assert_dead([&node, &other], &first, &context).await;
        }
    }
}

async fn a_recovery_in_flight_does_not_outlive_the_end_of_its_session(world: World) {
    let (node, handle) = gated(&world).await;
    let other = world.node().await;
    for (side, way) in SIDES.iter().flat_map(|side| WAYS.map(|way| (*side, way))) {
        for op in [Op::Load, Op::Recover] {
            let first = login(&node, "alice").await;
            refresh(&node, &first).await.unwrap();
            world.clock.advance(MINUTE);
            let held = hold(&handle, op, side);
            let in_flight = tokio::spawn({
                let (node, first) = (node.clone(), first.clone());
                async move { refresh(&node, &first).await }
            });
            held.reached().await;
            end(&node, &first, way).await;
            held.release();
            let context = format!("{side:?} {op:?} {way:?}");
            let decided = op == Op::Recover;
            let answer = in_flight.await.unwrap();
            if side == Side::After && decided {
                assert_dead([&node, &other], &answer.unwrap(), &context).await;
            } else {
                assert_eq!(refusal(answer), Refusal::SessionEnded, "{context}");
            }
        }
    }
}

async fn a_refresh_during_a_logout_is_dead_once_it_returned(world: World) {
    let (node, handle) = gated(&world).await;
    let other = world.node().await;
    for (side, way) in SIDES.iter().flat_map(|side| WAYS.map(|way| (*side, way))) {
        let first = login(&node, "alice").await;
        let held = hold(&handle, Op::End, side);
        let logout = tokio::spawn({
            let (node, first) = (node.clone(), first.clone());
            async move { end(&node, &first, way).await }
        });
        held.reached().await;
        let refreshed = refresh(&other, &first).await;
        held.release();
        logout.await.unwrap();
        let context = format!("{side:?} {way:?}");
        assert_dead([&node, &other], &first, &context).await;
        if let Ok(refreshed) = refreshed {
            assert_dead([&node, &other], &refreshed, &context).await;
        }
    }
}

async fn whatever_began_before_a_logout_everywhere_is_dead_after_it(world: World) {
    let node = world.node().await;
    let other = world.node().await;
    for _ in 0..3 {
        let all: Arc<Mutex<Vec<Issued>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let mut load = JoinSet::new();
        for client in 0..6 {
            let (all, stop) = (Arc::clone(&all), Arc::clone(&stop));
            let node = if client % 2 == 0 { &node } else { &other }.clone();
            load.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    // A store in memory never waits, and would keep the threads to itself.
                    tokio::task::yield_now().await;
                    let mut issued = login(&node, "alice").await;
                    for _ in 0..5 {
                        all.lock().unwrap().push(issued.clone());
                        match refresh(&node, &issued).await {
                            Ok(next) => issued = next,
                            Err(error) => {
                                let refusal = refusal(Err::<(), _>(error));
                                assert_eq!(refusal, Refusal::SessionEnded);
                                break;
                            }
                        }
                    }
                }
            });
        }
        while all.lock().unwrap().len() < 60 {
            tokio::task::yield_now().await;
        }
        let began: HashSet<SessionId> = all.lock().unwrap().iter().map(|i| i.session_id).collect();
        node.logout_all(&subject("alice")).await.unwrap();
        stop.store(true, Ordering::Relaxed);
        load.join_all().await;
        let all = std::mem::take(&mut *all.lock().unwrap());
        assert!(began.len() > 5);
        for issued in all
            .iter()
            .filter(|issued| began.contains(&issued.session_id))
        {
            assert_dead([&node, &other], issued, "before").await;
        }
    }
}

async fn a_logout_with_an_old_token_ends_a_session_that_rotates(world: World) {
    let node = world.node().await;
    let first = login(&node, "alice").await;
    let (told, mut rotated) = tokio::sync::mpsc::channel(1);
    let rotation = tokio::spawn({
        let (node, mut issued) = (node.clone(), first.clone());
        let clock = world.clock.clone();
        async move {
            loop {
                // A session rotates at most once per overlap.
                clock.advance(MINUTE);
                match refresh(&node, &issued).await {
                    Ok(next) => issued = next,
                    Err(error) => return (issued, refusal(Err::<(), _>(error))),
                }
                // The test stops listening once the logout is under way.
                let _ = told.try_send(());
            }
        }
    });
    for _ in 0..6 {
        rotated.recv().await.unwrap();
    }
    node.logout(first.refresh_token.as_str()).await.unwrap();
    let (last, refusal) = rotation.await.unwrap();
    assert_eq!(refusal, Refusal::SessionEnded);
    assert!(generation(&world, &first).await > Generation::new(5));
    assert_dead([&node, &world.node().await], &last, "last").await;
}

async fn simultaneous_logins_leave_as_many_sessions_as_allowed(world: World) {
    let node = builder(world.store.clone(), &world.clock).max_sessions(NonZeroU32::new(3));
    let node = node.build().await.unwrap();
    let mut logins = JoinSet::new();
    for _ in 0..16 {
        let node = node.clone();
        logins.spawn(async move { login(&node, "alice").await });
    }
    let all = logins.join_all().await;
    let listed = node.sessions(&subject("alice"), None).await.unwrap();
    let live: HashSet<_> = listed.sessions.iter().map(|session| session.id).collect();
    assert_eq!(live.len(), 3);
    for issued in &all {
        if live.contains(&issued.session_id) {
            verify(&node, issued).await.unwrap();
        } else {
            assert_dead([&node, &node], issued, "one too many").await;
        }
    }
}

async fn a_login_too_many_ends_the_oldest_session(world: World) {
    let node = builder(world.store.clone(), &world.clock).max_sessions(NonZeroU32::new(2));
    let node = node.build().await.unwrap();
    let oldest = login(&node, "alice").await;
    world.clock.advance(SECOND);
    let newer = login(&node, "alice").await;
    // Being used does not make it younger.
    world.clock.advance(SECOND);
    let oldest = refresh(&node, &oldest).await.unwrap();
    let bob = login(&node, "bob").await;
    login(&node, "alice").await;
    assert_dead([&node, &node], &oldest, "oldest").await;
    verify(&node, &newer).await.unwrap();
    verify(&node, &bob).await.unwrap();
}

async fn a_race_between_nodes_of_different_clocks_is_no_theft(world: World) {
    let (ahead, behind) = (ManualClock::new(), ManualClock::new());
    ahead.advance(10 * MINUTE);
    behind.step_wall_back(10 * MINUTE);
    let store = || world.store.clone();
    let nodes = [
        builder(store(), &ahead).build().await.unwrap(),
        builder(store(), &behind).build().await.unwrap(),
    ];
    let mut first = login(&nodes[0], "alice").await;
    for round in 0..10 {
        let mut racing = JoinSet::new();
        for node in nodes.iter().cycle().take(8) {
            let (node, first) = (node.clone(), first.clone());
            racing.spawn(async move { refresh(&node, &first).await.unwrap() });
        }
        let refreshed = racing.join_all().await;
        for issued in &refreshed {
            assert_eq!(issued.refresh_token, refreshed[0].refresh_token);
        }
        // One after the other, too, as late as the overlap allows.
        world.clock.advance(30 * SECOND);
        for node in &nodes {
            let late = refresh(node, &first).await.unwrap();
            assert_eq!(late.refresh_token, refreshed[0].refresh_token);
        }
        first = refreshed[0].clone();
        assert_eq!(generation(&world, &first).await, Generation::new(round + 1));
        world.clock.advance(SECOND);
    }
}

/// Takes long to find a user, while another tab refreshes.
struct Slow {
    clock: ManualClock,
    other: Authority,
    tokens: Mutex<Vec<String>>,
}

#[async_trait]
impl Authenticator for Slow {
    async fn authenticate(
        &self,
        _: &Credentials,
        _: &gatepass::Device,
    ) -> Result<Identity, AuthenticationError> {
        Err(AuthenticationError::BadCredentials)
    }

    async fn reload_user(&self, _: &Session) -> Result<UserUpdate, AuthenticationError> {
        let token = self.tokens.lock().unwrap().pop();
        if let Some(token) = token {
            self.clock.advance(11 * SECOND);
            self.other.refresh(&token).await.unwrap();
            self.clock.advance(31 * SECOND);
        }
        Ok(UserUpdate::Unchanged)
    }
}

async fn a_refresh_that_waits_long_for_its_user_is_answered_with_what_another_got(world: World) {
    for recovery in [Duration::ZERO, HOUR] {
        let other = world.node().await;
        let issued = login(&other, "alice").await;
        let slow = Slow {
            clock: world.clock.clone(),
            other,
            tokens: Mutex::new(vec![issued.refresh_token.as_str().to_owned()]),
        };
        let policy = ReusePolicy {
            recovery,
            ..ReusePolicy::default()
        };
        let node = builder(world.store.clone(), &world.clock)
            .authenticator(slow)
            .reuse(policy);
        let answered = refresh(&node.build().await.unwrap(), &issued)
            .await
            .unwrap();
        assert_ne!(answered.refresh_token, issued.refresh_token);
        let (session, _) = world.store.load(issued.session_id).await.unwrap();
        let session = session.unwrap();
        assert_eq!(session.generation, Generation::new(1));
        // A token that was handed out once more would be taken for stolen the next time.
        assert_eq!(session.recovered, None);
    }
}

async fn a_reuse_ends_exactly_its_session(world: World) {
    let node = world.node().await;
    let stolen = login(&node, "alice").await;
    let other = login(&node, "alice").await;
    let bob = login(&node, "bob").await;
    let second = refresh(&node, &stolen).await.unwrap();
    world.clock.advance(31 * SECOND);
    let third = refresh(&node, &second).await.unwrap();
    world.clock.advance(31 * SECOND);
    assert_eq!(refusal(refresh(&node, &stolen).await), Refusal::Reused);
    for issued in [&stolen, &second, &third] {
        assert_dead([&node, &world.node().await], issued, "reused").await;
    }
    for issued in [&other, &bob] {
        verify(&node, issued).await.unwrap();
        refresh(&node, issued).await.unwrap();
    }
}

async fn the_9th_revoked_token_ends_the_session(world: World) {
    let store = TestStore::new(world.store.clone());
    let counts = store.clone();
    let node = builder(store, &world.clock).build().await.unwrap();
    let first = login(&node, "alice").await;
    let current = refresh(&node, &first).await.unwrap();
    let mut tokens = HashMap::new();
    for _ in 0..9 {
        // Each replay has an access token of its own.
        let issued = refresh(&node, &first).await.unwrap();
        let pass = verify(&node, &issued).await.unwrap();
        tokens.insert(pass.token_id(), (pass, issued));
    }
    assert_eq!(tokens.len(), 9);
    for (number, (pass, issued)) in tokens.values().enumerate() {
        verify(&node, &current).await.unwrap();
        verify(&node, issued).await.unwrap();
        node.revoke_token(pass).await.unwrap();
        assert_eq!(
            refusal(verify(&node, issued).await),
            Refusal::Revoked,
            "{number}"
        );
        // To revoke it twice is to revoke it once.
        if number < 8 {
            node.revoke_token(pass).await.unwrap();
        }
    }
    assert_eq!(counts.calls_of(Op::RevokeToken), 17);
    assert_dead([&node, &world.node().await], &current, "9").await;
}

/// Finds that each user may only read by now.
struct Reader;

#[async_trait]
impl Authenticator for Reader {
    async fn authenticate(
        &self,
        _: &Credentials,
        _: &gatepass::Device,
    ) -> Result<Identity, AuthenticationError> {
        Err(AuthenticationError::BadCredentials)
    }

    async fn reload_user(&self, session: &Session) -> Result<UserUpdate, AuthenticationError> {
        let scopes = Scopes::parse("read").unwrap();
        let identity = Identity::of(session.subject().clone()).scopes(scopes);
        Ok(UserUpdate::Changed(identity))
    }
}

async fn scopes_that_another_node_takes_away_during_a_refresh_are_not_in_its_token(world: World) {
    let (node, handle) = gated(&world).await;
    let reader = builder(world.store.clone(), &world.clock).authenticator(Reader);
    let reader = reader.build().await.unwrap();
    let all = Scopes::parse("read write").unwrap();
    for recovery in [false, true] {
        let identity = Identity::of(subject("alice")).scopes(all.clone());
        let first = node.issue(identity, gatepass::Device::default());
        let first = first.await.unwrap();
        if recovery {
            refresh(&node, &first).await.unwrap();
            world.clock.advance(31 * SECOND);
        }
        let read = handle.hold_after(Op::Load);
        let refreshing = tokio::spawn({
            let (node, first, all) = (node.clone(), first.clone(), all.clone());
            async move {
                let token = first.refresh_token.as_str();
                node.refresh_as(node.client_id(), token, Some(&all), None)
                    .await
            }
        });
        read.reached().await;
        // A renewal changes the identity and leaves the generation as it is.
        let renewed = reader.renew(first.access_token.as_str()).await.unwrap();
        assert_eq!(renewed.scopes.as_str(), "read");
        read.release();
        let refreshed = refreshing.await.unwrap().unwrap();
        assert_eq!(refreshed.scopes.as_str(), "read", "recovery: {recovery}");
        let pass = verify(&node, &refreshed).await.unwrap();
        assert_eq!(pass.scopes().as_str(), "read", "recovery: {recovery}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_common_refresh_is_one_round_trip_and_a_lost_race_two() {
    let world = World::memory();
    let store = TestStore::new(world.store.clone());
    let counts = store.clone();
    let node = builder(store, &world.clock).build().await.unwrap();
    let first = login(&node, "alice").await;
    counts.reset_calls();
    refresh(&node, &first).await.unwrap();
    assert_eq!(
        (counts.calls_of(Op::Advance), counts.calls_of(Op::Load)),
        (1, 0)
    );
    refresh(&node, &first).await.unwrap();
    assert_eq!(
        (counts.calls_of(Op::Advance), counts.calls_of(Op::Load)),
        (2, 1)
    );
    world.clock.advance(Duration::from_secs(31));
    refresh(&node, &first).await.unwrap();
    assert_eq!(counts.calls_of(Op::Recover), 1);
    let garbage = node.refresh("gpr_garbage").await;
    assert!(matches!(garbage, Err(Error::Refused(Refusal::Malformed))));
    assert_eq!(counts.calls_of(Op::Advance), 3);
}
