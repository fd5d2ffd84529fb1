//! Resuming, renewing and authenticating again: what each allows, and what happens at the same
//! time.

use std::time::Duration;

use gatepass::{
    Authority, ClientId, Credentials, Device, Error, Identity, Issued, MasterSecret, Pass, Refusal,
    Renewed, Requirements, Resumed, Scopes, Staleness, store::Generation,
};
use gatepass_testkit::{OnePassword, Op, TestStore};
use serde::{Deserialize, Serialize};
use test_support::world::{
    DAY, HOUR, MINUTE, SECOND, World, builder, login, refresh, refusal, subject, verify,
    verify_with,
};
use tokio::task::JoinSet;

test_support::on_both_stores! {
    nothing_in_flight_outlives_the_end_of_its_session
    what_is_answered_during_a_logout_is_dead_once_it_returned
    resumes_and_refreshes_at_once_advance_once
    of_64_resumes_of_an_idle_session_one_advances
    reauthentications_at_once_all_succeed
    an_idle_session_is_resumed_by_its_current_refresh_token_alone
    a_resume_in_an_idle_race_is_decided_by_when_it_began
    renewals_end_with_the_session
    a_renewed_token_keeps_claims_and_scopes
    a_renewed_token_does_not_profit_from_a_later_authentication
    a_session_that_lives_by_renewals_is_listed
    each_client_has_its_own_sessions
    a_token_that_was_revoked_is_not_gone_on_with
    nothing_in_flight_outlives_its_secret
}

const PASSWORD: &str = "a password";

async fn node(world: &World) -> Authority {
    let node = builder(world.store.clone(), &world.clock).authenticator(OnePassword::new(PASSWORD));
    node.build().await.unwrap()
}

/// A session whose access token outlives its refresh token.
async fn long_lived(node: &Authority) -> Issued {
    let identity = Identity::of(subject("alice")).access_ttl(20 * DAY);
    node.issue(identity, Device::default()).await.unwrap()
}

async fn resume(node: &Authority, issued: &Issued) -> Result<Resumed, Error> {
    let (access, refresh) = (issued.access_token.as_str(), issued.refresh_token.as_str());
    node.resume(access, refresh).await
}

async fn reauthenticate(node: &Authority, pass: &Pass) -> Result<Issued, Error> {
    let credentials = Credentials::new(pass.subject().as_str(), PASSWORD);
    node.reauthenticate(pass, &credentials, &Device::default())
        .await
}

async fn step_up(node: &Authority, pass: &Pass) -> Result<Issued, Error> {
    let identity = Identity::of(pass.subject().clone());
    let device = Device::default();
    node.reauthenticated(pass, identity, &device).await
}

#[track_caller]
fn issued(resumed: Resumed) -> Issued {
    match resumed {
        Resumed::Issued(issued) => issued,
        Resumed::Valid(_) => panic!("nothing was issued"),
    }
}

/// The ways to go on with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// With an expired access token.
    Resume,
    /// With a refresh token that was idle for too long.
    Revive,
    Renew,
    Reauthenticate,
    /// With a user whom the application has authenticated again by itself.
    StepUp,
}

const WAYS: [Way; 5] = [
    Way::Resume,
    Way::Revive,
    Way::Renew,
    Way::Reauthenticate,
    Way::StepUp,
];

impl Way {
    /// The operations of the store that it needs, the one that decides last.
    fn operations(self) -> &'static [Op] {
        match self {
            Self::Resume | Self::Reauthenticate | Self::StepUp => &[Op::Load, Op::Advance],
            Self::Revive => &[Op::Status, Op::Load, Op::Advance],
            Self::Renew => &[Op::Status, Op::Load, Op::Renew],
        }
    }

    /// A session that can be gone on with in this way, and its pass of when it was good.
    async fn begin(self, node: &Authority, world: &World) -> (Issued, Pass) {
        let first = match self {
            Self::Revive => long_lived(node).await,
            _ => login(node, "alice").await,
        };
        let pass = verify(node, &first).await.unwrap();
        match self {
            Self::Resume => world.clock.advance(20 * MINUTE),
            Self::Revive => world.clock.advance(14 * DAY),
            Self::Renew | Self::Reauthenticate | Self::StepUp => {}
        }
        (first, pass)
    }

    /// The access token that comes of it.
    async fn go_on(self, node: &Authority, first: &Issued, pass: &Pass) -> Result<String, Error> {
        let text = |issued: Issued| issued.access_token.as_str().to_owned();
        match self {
            Self::Resume | Self::Revive => resume(node, first).await.map(issued).map(text),
            Self::Renew => {
                let renewed: Renewed = node.renew(first.access_token.as_str()).await?;
                Ok(renewed.access_token.as_str().to_owned())
            }
            Self::Reauthenticate => reauthenticate(node, pass).await.map(text),
            Self::StepUp => step_up(node, pass).await.map(text),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

const SIDES: [Side; 2] = [Side::Before, Side::After];

/// How the session ends meanwhile.
#[derive(Clone, Copy, Debug)]
enum End {
    Logout,
    Everywhere,
    Listed,
}

const ENDS: [End; 3] = [End::Logout, End::Everywhere, End::Listed];

async fn end(node: &Authority, first: &Issued, how: End) {
    let alice = subject("alice");
    match how {
        End::Logout => node.logout(first.access_token.as_str()).await.unwrap(),
        End::Everywhere => node.logout_all(&alice).await.unwrap(),
        End::Listed => {
            let ended = node.end_session_of(&alice, first.session_id).await;
            ended.unwrap().unwrap()
        }
    };
}

/// No node takes the token any more, asked with or without the store.
async fn assert_dead(nodes: [&Authority; 2], token: &str, context: &str) {
    for node in nodes {
        for staleness in [Staleness::Bounded, Staleness::Strict] {
            let requirements = Requirements::new().staleness(staleness);
            let verified = node.verifier().verify(token, &requirements).await;
            assert_eq!(refusal(verified), Refusal::Revoked, "{context}");
        }
    }
}

async fn assert_ended(node: &Authority, first: &Issued, context: &str) {
    let refused = refusal(refresh(node, first).await);
    assert_eq!(refused, Refusal::SessionEnded, "{context}");
    let resumed = refusal(resume(node, first).await);
    let ended = [Refusal::SessionEnded, Refusal::Revoked];
    assert!(ended.contains(&resumed), "{context}: {resumed:?}");
}

async fn nothing_in_flight_outlives_the_end_of_its_session(world: World) {
    let store = TestStore::new(world.store.clone());
    let handle = store.clone();
    let held = builder(store, &world.clock).authenticator(OnePassword::new(PASSWORD));
    let held = held.build().await.unwrap();
    let other = node(&world).await;
    for way in WAYS {
        let (last, _) = way.operations().split_last().unwrap();
        for op in way.operations() {
            for (side, how) in SIDES.iter().flat_map(|side| ENDS.map(|how| (*side, how))) {
                let (first, pass) = way.begin(&held, &world).await;
                let call = match side {
                    Side::Before => handle.hold_before(*op),
                    Side::After => handle.hold_after(*op),
                };
                let in_flight = tokio::spawn({
                    let (node, first, pass) = (held.clone(), first.clone(), pass.clone());
                    async move { way.go_on(&node, &first, &pass).await }
                });
                call.reached().await;
                end(&other, &first, how).await;
                // The other node committed the end, and this one learns of it from the log.
                world.clock.advance(3 * SECOND);
                call.release();
                let context = format!("{way:?} {side:?} {op:?} {how:?}");
                let answer = in_flight.await.unwrap();
                if op == last && side == Side::After {
                    assert_dead([&held, &other], &answer.unwrap(), &context).await;
                } else {
                    let refused = refusal(answer);
                    let ended = [Refusal::SessionEnded, Refusal::Revoked];
                    assert!(ended.contains(&refused), "{context}: {refused:?}");
                }
                assert_ended(&held, &first, &context).await;
                assert_ended(&other, &first, &context).await;
            }
        }
    }
}

async fn what_is_answered_during_a_logout_is_dead_once_it_returned(world: World) {
    let store = TestStore::new(world.store.clone());
    let handle = store.clone();
    let held = builder(store, &world.clock).authenticator(OnePassword::new(PASSWORD));
    let held = held.build().await.unwrap();
    let other = node(&world).await;
    for way in WAYS {
        for (side, how) in SIDES.iter().flat_map(|side| ENDS.map(|how| (*side, how))) {
            let (first, pass) = way.begin(&held, &world).await;
            let call = match side {
                Side::Before => handle.hold_before(Op::End),
                Side::After => handle.hold_after(Op::End),
            };
            let logout = tokio::spawn({
                let (node, first) = (held.clone(), first.clone());
                async move { end(&node, &first, how).await }
            });
            call.reached().await;
            let answer = way.go_on(&other, &first, &pass).await;
            let context = format!("{way:?} {side:?} {how:?}");
            assert_eq!(
                answer.is_ok(),
                side == Side::Before,
                "{context}: {answer:?}"
            );
            call.release();
            logout.await.unwrap();
            // The other node has the staleness that it is allowed.
            world.clock.advance(3 * SECOND);
            if let Ok(token) = answer {
                assert_dead([&held, &other], &token, &context).await;
            }
            assert_ended(&held, &first, &context).await;
            assert_ended(&other, &first, &context).await;
        }
    }
}

async fn generation(world: &World, issued: &Issued) -> Generation {
    let (session, _) = world.store.load(issued.session_id).await.unwrap();
    session.unwrap().generation
}

async fn resumes_and_refreshes_at_once_advance_once(world: World) {
    for authenticated in [false, true] {
        let node = if authenticated {
            node(&world).await
        } else {
            world.node().await
        };
        let first = login(&node, "alice").await;
        world.clock.advance(20 * MINUTE);
        let mut racing = JoinSet::new();
        for number in 0..64 {
            let (node, first) = (node.clone(), first.clone());
            racing.spawn(async move {
                if number % 2 == 0 {
                    refresh(&node, &first).await.unwrap()
                } else {
                    issued(resume(&node, &first).await.unwrap())
                }
            });
        }
        let answers = racing.join_all().await;
        let successor = &answers.first().unwrap().refresh_token;
        for answer in &answers {
            assert_eq!(&answer.refresh_token, successor);
            verify(&node, answer).await.unwrap();
        }
        assert_eq!(generation(&world, &first).await, Generation::new(1));
    }
}

async fn of_64_resumes_of_an_idle_session_one_advances(world: World) {
    let node = node(&world).await;
    let first = long_lived(&node).await;
    world.clock.advance(15 * DAY);
    assert_eq!(
        refusal(refresh(&node, &first).await),
        Refusal::RefreshExpired
    );
    let mut racing = JoinSet::new();
    for _ in 0..64 {
        let (node, first) = (node.clone(), first.clone());
        racing.spawn(async move { resume(&node, &first).await.unwrap() });
    }
    let mut successors = Vec::new();
    for answer in racing.join_all().await {
        match answer {
            Resumed::Issued(issued) => successors.push(issued),
            // It came when the session was not idle any more, and its access token is good.
            Resumed::Valid(pass) => assert_eq!(pass.session_id(), Some(first.session_id)),
        }
    }
    let successor = successors.first().unwrap();
    for issued in &successors {
        assert_eq!(issued.refresh_token, successor.refresh_token);
    }
    assert_eq!(generation(&world, &first).await, Generation::new(1));
    // A client that got nothing new goes on with its old token, as after any other lost race.
    let replayed = refresh(&node, &first).await.unwrap();
    assert_eq!(replayed.refresh_token, successor.refresh_token);
    assert!(refresh(&node, successor).await.is_ok());
}

async fn reauthentications_at_once_all_succeed(world: World) {
    let node = node(&world).await;
    let first = login(&node, "alice").await;
    let pass = verify(&node, &first).await.unwrap();
    world.clock.advance(10 * MINUTE);
    let mut racing = JoinSet::new();
    for number in 0..12 {
        let (node, first, pass) = (node.clone(), first.clone(), pass.clone());
        racing.spawn(async move {
            match number % 4 {
                0 => reauthenticate(&node, &pass).await,
                1 => step_up(&node, &pass).await,
                _ => refresh(&node, &first).await,
            }
        });
    }
    let recent = Requirements::new().max_age(MINUTE);
    let mut fresh = 0;
    for answer in racing.join_all().await {
        let answer = answer.unwrap();
        let token = answer.access_token.as_str();
        let verified = node.verifier().verify(token, &recent).await;
        fresh += usize::from(verified.is_ok());
        assert!(refresh(&node, &answer).await.is_ok());
    }
    assert!(fresh >= 6);
    let (session, now) = world.store.load(first.session_id).await.unwrap();
    assert_eq!(session.unwrap().authenticated_at, now);
}

async fn an_idle_session_is_resumed_by_its_current_refresh_token_alone(world: World) {
    let node = node(&world).await;
    let first = long_lived(&node).await;
    let second = refresh(&node, &first).await.unwrap();
    let foreign = login(&node, "bob").await;
    world.clock.advance(15 * DAY);
    let access = second.access_token.as_str();
    let others = [&first, &foreign].map(|other| other.refresh_token.as_str());
    for other in others.into_iter().chain(["gpr_nonsense", "", access]) {
        let resumed = node.resume(access, other).await.unwrap();
        assert!(matches!(resumed, Resumed::Valid(_)), "{other}");
    }
    assert_eq!(generation(&world, &first).await, Generation::new(1));
    let third = issued(resume(&node, &second).await.unwrap());
    assert_ne!(third.refresh_token, second.refresh_token);
    assert_eq!(generation(&world, &first).await, Generation::new(2));
    assert!(refresh(&node, &third).await.is_ok());
    // Bob's session is as idle as before, although Alice's access token is good.
    assert_eq!(
        refusal(refresh(&node, &foreign).await),
        Refusal::RefreshExpired
    );
    let mixed = node.resume(foreign.access_token.as_str(), third.refresh_token.as_str());
    assert_eq!(refusal(mixed.await), Refusal::Ambiguous);
}

/// A resume that finds the session idle, and loses to another that revives it, is no reuse, however
/// long it takes.
async fn a_resume_in_an_idle_race_is_decided_by_when_it_began(world: World) {
    let store = TestStore::new(world.store.clone());
    let handle = store.clone();
    let slow = builder(store, &world.clock).authenticator(OnePassword::new(PASSWORD));
    let slow = slow.build().await.unwrap();
    let other = node(&world).await;
    let first = long_lived(&slow).await;
    world.clock.advance(15 * DAY);
    let call = handle.hold_before(Op::Advance);
    let in_flight = tokio::spawn({
        let (slow, first) = (slow.clone(), first.clone());
        async move { resume(&slow, &first).await }
    });
    call.reached().await;
    let winner = issued(resume(&other, &first).await.unwrap());
    world.clock.advance(2 * HOUR);
    call.release();
    let loser = issued(in_flight.await.unwrap().unwrap());
    assert_eq!(loser.refresh_token, winner.refresh_token);
    assert!(refresh(&other, &winner).await.is_ok());
}

async fn renewals_end_with_the_session(world: World) {
    let node = builder(world.store.clone(), &world.clock)
        .absolute_ttl(2 * HOUR)
        .idle_ttl(2 * HOUR);
    let node = node.build().await.unwrap();
    let first = login(&node, "alice").await;
    let end = verify(&node, &first).await.unwrap().issued_at() + 2 * HOUR;
    let mut access = first.access_token.as_str().to_owned();
    let mut steps = 0;
    loop {
        let renewed = node.renew(&access).await.unwrap();
        assert!(renewed.expires_at <= end);
        assert_eq!(renewed.session_id, first.session_id);
        access = renewed.access_token.as_str().to_owned();
        steps += 1;
        let left = end.since(renewed.server_time);
        if left <= 10 * MINUTE {
            assert_eq!(renewed.expires_at, end);
            world.clock.advance(left);
            break;
        }
        world.clock.advance(10 * MINUTE);
    }
    assert_eq!(steps, 12);
    // The leeway is for clocks that disagree, and nothing is issued in it.
    assert!(
        node.verifier()
            .verify(&access, &Requirements::new())
            .await
            .is_ok()
    );
    assert_eq!(refusal(node.renew(&access).await), Refusal::Revoked);
    world.clock.advance(30 * SECOND);
    assert_eq!(refusal(node.renew(&access).await), Refusal::Expired);
    assert_eq!(refusal(refresh(&node, &first).await), Refusal::SessionEnded);
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Custom {
    tenant: String,
    user_id: u32,
}

async fn a_renewed_token_keeps_claims_and_scopes(world: World) {
    let node = world.node().await;
    let custom = Custom {
        tenant: "north".into(),
        user_id: 7,
    };
    let identity = Identity::of(subject("alice"))
        .scopes(Scopes::parse("read write").unwrap())
        .claims(&custom)
        .unwrap();
    let first = node.issue(identity, Device::default()).await.unwrap();
    let narrow = Scopes::parse("read").unwrap();
    let narrowed = node.refresh_as(
        node.client_id(),
        first.refresh_token.as_str(),
        Some(&narrow),
        None,
    );
    let narrowed = narrowed.await.unwrap();
    for (token, scopes) in [(&first, "read write"), (&narrowed, "read")] {
        let before = verify(&node, token).await.unwrap();
        world.clock.advance(MINUTE);
        let renewed = node.renew(token.access_token.as_str()).await.unwrap();
        let requirements = Requirements::new().staleness(Staleness::Strict);
        let after = node
            .verifier()
            .verify(renewed.access_token.as_str(), &requirements);
        let after = after.await.unwrap();
        assert_eq!(after.scopes().as_str(), scopes);
        assert_eq!(after.claims::<Custom>().unwrap(), custom);
        assert_eq!(after.subject(), before.subject());
        assert_eq!(after.session_id(), before.session_id());
        assert_eq!(after.authenticated_at(), before.authenticated_at());
        assert_ne!(after.token_id(), before.token_id());
        assert!(after.expires_at() > before.expires_at());
        assert_eq!(after.expires_at().since(after.issued_at()), 15 * MINUTE);
    }
    // The session is as refreshable as it was, and no more.
    let (session, _) = world.store.load(first.session_id).await.unwrap();
    let session = session.unwrap();
    assert_eq!(session.generation, Generation::new(1));
    assert_eq!(session.last_seen_at, session.created_at);
}

/// The thief of an access token gains nothing when its owner enters the password.
async fn a_renewed_token_does_not_profit_from_a_later_authentication(world: World) {
    let node = node(&world).await;
    let first = login(&node, "alice").await;
    let before = verify(&node, &first).await.unwrap();
    world.clock.advance(10 * MINUTE);
    let authenticated = reauthenticate(&node, &before).await.unwrap();
    let after = verify(&node, &authenticated).await.unwrap();
    assert!(after.authenticated_at() > before.authenticated_at());
    for (token, pass) in [(&first, before), (&authenticated, after)] {
        let renewed = node.renew(token.access_token.as_str()).await.unwrap();
        let renewed = verify_text(&node, &renewed).await;
        assert_eq!(renewed.authenticated_at(), pass.authenticated_at());
    }
}

/// An owner can end only a session that the list shows.
async fn a_session_that_lives_by_renewals_is_listed(world: World) {
    let node = builder(world.store.clone(), &world.clock).idle_ttl(HOUR);
    let node = node.build().await.unwrap();
    let first = login(&node, "alice").await;
    let mut access = first.access_token.as_str().to_owned();
    for _ in 0..12 {
        world.clock.advance(10 * MINUTE);
        let renewed = node.renew(&access).await.unwrap();
        access = renewed.access_token.as_str().to_owned();
    }
    let listed = node.sessions(&subject("alice"), None).await.unwrap();
    let listed: Vec<_> = listed.sessions.iter().map(|session| session.id).collect();
    assert_eq!(listed, [first.session_id]);
    world.clock.advance(15 * MINUTE);
    assert_eq!(
        node.sessions(&subject("alice"), None)
            .await
            .unwrap()
            .sessions,
        []
    );
}

async fn verify_text(node: &Authority, renewed: &Renewed) -> Pass {
    let token = renewed.access_token.as_str();
    node.verifier()
        .verify(token, &Requirements::new())
        .await
        .unwrap()
}

/// The application's own endpoints refuse tokens that another client was given.
async fn each_client_has_its_own_sessions(world: World) {
    let node = node(&world).await;
    let desktop = ClientId::new("desktop").unwrap();
    let identity = || Identity::of(subject("alice")).access_ttl(20 * DAY);
    let foreign = node.issue_as(&desktop, identity(), Device::default());
    let foreign = foreign.await.unwrap();
    let pass = verify(&node, &foreign).await.unwrap();
    assert_eq!(
        refusal(node.renew(foreign.access_token.as_str()).await),
        Refusal::WrongClient
    );
    for refused in [
        reauthenticate(&node, &pass).await,
        step_up(&node, &pass).await,
    ] {
        assert_eq!(refusal(refused), Refusal::WrongClient);
    }
    for time in [Duration::ZERO, 15 * DAY, 6 * DAY] {
        world.clock.advance(time);
        match resume(&node, &foreign).await {
            Err(Error::Refused(Refusal::WrongClient)) => {}
            other => panic!("after {time:?}: {other:?}"),
        }
    }
    assert_eq!(generation(&world, &foreign).await, Generation::FIRST);
}

async fn a_token_that_was_revoked_is_not_gone_on_with(world: World) {
    let node = node(&world).await;
    let first = login(&node, "alice").await;
    let pass = verify(&node, &first).await.unwrap();
    node.revoke_token(&pass).await.unwrap();
    assert_eq!(
        refusal(node.renew(first.access_token.as_str()).await),
        Refusal::Revoked
    );
    assert_eq!(refusal(resume(&node, &first).await), Refusal::Revoked);
    let strict = verify_with(&node, &first, Staleness::Strict).await;
    assert_eq!(refusal(strict), Refusal::Revoked);
    // Its session goes on, by the refresh token.
    assert!(refresh(&node, &first).await.is_ok());
}

/// A thief of a secret that is taken away keeps nothing by refreshing all the time.
async fn nothing_in_flight_outlives_its_secret(world: World) {
    for way in [Way::Resume, Way::Revive] {
        let store = TestStore::new(world.store.clone());
        let handle = store.clone();
        let node = builder(store, &world.clock).authenticator(OnePassword::new(PASSWORD));
        let node = node.build().await.unwrap();
        let (first, pass) = way.begin(&node, &world).await;
        let call = handle.hold_before(Op::Advance);
        let in_flight = tokio::spawn({
            let (node, first, pass) = (node.clone(), first.clone(), pass.clone());
            async move { way.go_on(&node, &first, &pass).await }
        });
        call.reached().await;
        let secret = MasterSecret::generate().unwrap();
        node.replace_secrets(&secret.into()).unwrap();
        call.release();
        let refused = refusal(in_flight.await.unwrap());
        assert_eq!(refused, Refusal::UnknownKey, "{way:?}");
    }
}
