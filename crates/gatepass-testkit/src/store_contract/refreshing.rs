//! Advancing and recovering sessions.

use std::{sync::Arc, time::Duration};

use gatepass::{
    Clock, Device, Session,
    store::{
        Advance, AdvanceCause, ChangeIdentity, Generation, Issuer, Recover, Rotation, SeenFrom,
        SessionStore,
    },
};

use super::given::{
    ABSOLUTE_TTL, ACCESS_TTL, DAY, Given, HOUR, IDLE_TTL, MILLISECOND, MINUTE, SECOND, account,
    advance_of, client, new_session, recovery_of, session_id,
};
use crate::clock::ManualClock;

/// The store keeps and returns the session as the core advances it.
pub async fn an_advance_changes_what_it_should_and_nothing_else<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let mut expected = given.begin("alice").await;
    let bystander = given.begin("alice").await;
    for _ in 0..3 {
        given.clock.advance(MINUTE);
        let advance = advance_of(&expected);
        assert!(expected.advance(advance.clone(), given.clock.now()));
        let advanced = given.store.advance(advance).await.unwrap();
        assert_eq!(advanced.as_ref(), Some(&expected));
        assert_eq!(given.load(&expected).await, expected);
    }
    assert_eq!(given.load(&bystander).await, bystander);
}

/// A login may give its session another idle lifetime than the configured one. A claim or a name
/// that looks like a lifetime doesn't count.
pub async fn an_idle_lifetime_of_the_identity_comes_first<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let looks = r#"{"idle_ttl":1,"subject":"x"}"#;
    for own in [
        None,
        Some(MINUTE),
        Some(2 * IDLE_TTL),
        Some(MILLISECOND * 1_500),
    ] {
        let mut new = new_session("alice");
        let claims = serde_json::json!({ "idle_ttl": 1, "a": looks, looks: { "idle_ttl": 2 } });
        new.identity = new.identity.claims(&claims).unwrap().device(looks);
        (new.client, new.issuer) = (client(looks), Issuer::new(looks).unwrap());
        new.device.user_agent = Some(looks.to_owned());
        new.id = session_id(new.account());
        if let Some(own) = own {
            new.identity = new.identity.idle_ttl(own);
            new.idle_ttl = own;
        }
        let mut session = given.store.begin(new).await.unwrap().session;
        for _ in 0..2 {
            given.clock.advance(SECOND);
            let mut advance = advance_of(&session);
            advance.client = client(looks);
            assert!(session.advance(advance.clone(), given.clock.now()));
            let until = given.clock.now() + own.unwrap_or(advance.idle_ttl);
            assert_eq!(
                session.idle_expires_at,
                until.min(session.absolute_expires_at)
            );
            let advanced = given.store.advance(advance).await.unwrap();
            assert_eq!(advanced.as_ref(), Some(&session), "{own:?}");
            assert_eq!(given.load(&session).await, session, "{own:?}");
        }
        // A change of rights keeps the lifetime.
        let identity = session.identity.clone().device("another name");
        let change = ChangeIdentity::new(&session, identity);
        session = given.store.change(change).await.unwrap().unwrap();
        given.clock.advance(SECOND);
        let mut advance = advance_of(&session);
        advance.client = client(looks);
        assert!(session.advance(advance.clone(), given.clock.now()));
        let advanced = given.store.advance(advance).await.unwrap();
        assert_eq!(advanced, Some(session), "{own:?}");
    }
}

/// Only one of many simultaneous refreshes of one generation advances the session.
pub async fn of_many_advances_from_one_generation_one_succeeds<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let mut session = given.begin("alice").await;
    for _ in 0..3 {
        let attempts = (0..64).map(|_| {
            let store = Arc::clone(&given.store);
            let advance = advance_of(&session);
            tokio::spawn(async move { store.advance(advance).await })
        });
        let mut won = Vec::new();
        for attempt in Vec::from_iter(attempts) {
            won.extend(attempt.await.unwrap().unwrap());
        }
        assert_eq!(won.len(), 1);
        assert_eq!(won[0].generation, session.generation.next());
        session = given.load(&session).await;
        assert_eq!(won[0], session);
    }
}

/// A wrong client, a wrong generation, an end and an expiry each make the store refuse, and leave
/// no trace.
pub async fn an_advance_that_does_not_fit_changes_nothing<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let begun = given.begin("alice").await;
    let session = given.store.advance(advance_of(&begun)).await;
    let session = session.unwrap().unwrap();
    let (ended, _) = given.ended("alice").await;
    let mut short = new_session("alice");
    short.absolute_ttl = HOUR;
    let over = given.store.begin(short).await.unwrap().session;
    let unknown = Session {
        id: session_id(account("alice")),
        ..session.clone()
    };
    let refuse = async |stored: &Session, advance: Advance, why: &str| {
        given.clock.advance(SECOND);
        let before = given.find(stored.id).await;
        let refused = given.store.advance(advance).await.unwrap();
        assert_eq!(refused, None, "{why}");
        assert_eq!(given.find(stored.id).await, before, "{why}");
    };

    let mut foreign = advance_of(&session);
    foreign.client = client("Web");
    refuse(&session, foreign, "another client").await;
    refuse(&session, advance_of(&begun), "a spent generation").await;
    let mut ahead = advance_of(&session);
    ahead.from = session.generation.next();
    ahead.to = ahead.from.next();
    refuse(&session, ahead, "a generation to come").await;
    refuse(&ended, advance_of(&ended), "an ended session").await;
    refuse(&unknown, advance_of(&unknown), "an unknown session").await;
    given.clock.advance(HOUR);
    refuse(&over, advance_of(&over), "past the absolute end").await;
    given.clock.advance(IDLE_TTL);
    refuse(&session, advance_of(&session), "idle for too long").await;
}

/// Expiries are exact: the session is good a millisecond before, and refused at the instant itself.
pub async fn a_session_can_be_refreshed_until_the_instant_it_expires<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    given
        .clock
        .advance(IDLE_TTL.checked_sub(MILLISECOND).unwrap());
    let session = given.store.advance(advance_of(&session)).await;
    let session = session.unwrap().unwrap();
    assert_eq!(session.idle_expires_at, given.clock.now() + IDLE_TTL);
    given.clock.advance(IDLE_TTL);
    let refused = given.store.advance(advance_of(&session)).await.unwrap();
    assert_eq!(refused, None);
}

/// If the store lost writes, a token that is ahead of it moves the session up to the token.
pub async fn an_advance_may_jump_over_lost_generations<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    let session = given.store.advance(advance_of(&session)).await;
    let session = session.unwrap().unwrap();
    given.clock.advance(MINUTE);
    let now = given.clock.now();

    let to = Generation::new(4);
    let mut advance = advance_of(&session);
    advance.to = to;
    let session = given.store.advance(advance).await.unwrap().unwrap();
    assert_eq!(session.generation, to);
    let from = Generation::new(1);
    assert_eq!(session.rotated, Some(Rotation { from, at: now }));

    let to = Generation::new(u32::MAX);
    let mut advance = advance_of(&session);
    advance.to = to;
    let session = given.store.advance(advance).await.unwrap().unwrap();
    assert_eq!(session.generation, to);
    let from = Generation::new(4);
    assert_eq!(session.rotated, Some(Rotation { from, at: now }));
    assert_eq!(given.load(&session).await, session);
}

/// The store remembers the last rotation: its generation and its time.
pub async fn the_last_rotation_is_remembered<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let mut session = given.begin("alice").await;
    assert_eq!(session.rotated, None);
    for _ in 0..3 {
        given.clock.advance(MINUTE + MILLISECOND);
        let rotation = Rotation {
            from: session.generation,
            at: given.clock.now(),
        };
        let advanced = given.store.advance(advance_of(&session)).await;
        session = advanced.unwrap().unwrap();
        assert_eq!(session.rotated, Some(rotation));
        assert_eq!(given.load(&session).await.rotated, Some(rotation));
    }
}

/// A session rotates at most once per overlap, even under simultaneous refreshes.
pub async fn an_advance_too_soon_after_the_last_changes_nothing<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    let advance = |session: &Session| {
        let mut advance = advance_of(session);
        advance.overlap = MINUTE;
        advance
    };
    // The first rotation need not wait.
    let session = given.store.advance(advance(&session)).await;
    let session = session.unwrap().unwrap();

    given.clock.advance(MINUTE);
    let refused = given.store.advance(advance(&session)).await.unwrap();
    assert_eq!(refused, None);
    let mut resume = advance(&session);
    resume.cause = AdvanceCause::Resume;
    assert_eq!(given.store.advance(resume).await.unwrap(), None);
    assert_eq!(given.load(&session).await, session);

    given.clock.advance(MILLISECOND);
    let session = given.store.advance(advance(&session)).await;
    let session = session.unwrap().unwrap();
    // A jump over lost generations need not wait.
    let mut jump = advance(&session);
    jump.to = session.generation.next().next();
    let jumped = given.store.advance(jump).await.unwrap().unwrap();
    assert_eq!(jumped.generation.get(), 4);
}

/// An authentication soon after a rotation keeps the generation, and changes everything else that
/// it should.
pub async fn an_authentication_need_not_rotate<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    let session = given.store.advance(advance_of(&session)).await;
    let mut expected = session.unwrap().unwrap();
    given.clock.advance(SECOND);
    let mut advance = advance_of(&expected);
    advance.to = advance.from;
    advance.overlap = MINUTE;
    advance.cause = AdvanceCause::Reauthenticate;
    assert!(expected.advance(advance.clone(), given.clock.now()));
    let advanced = given.store.advance(advance).await.unwrap();
    assert_eq!(advanced.as_ref(), Some(&expected));
    assert_eq!(expected.authenticated_at, given.clock.now());
    assert_eq!(expected.generation.get(), 1);
    assert_eq!(given.load(&expected).await, expected);
}

/// The store remembers the address and the browser of the last refresh, as far as it knows them.
pub async fn an_advance_remembers_from_where_it_came<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let mut expected = given.begin("alice").await;
    assert_eq!(expected.seen_from, SeenFrom::default());
    let mut browser = Device::default();
    browser.user_agent = Some("Mozilla/5.0".into());
    browser.address = Some("192.0.2.1".parse().unwrap());
    let mut moved = Device::default();
    moved.address = Some("2001:db8::7".parse().unwrap());
    for device in [browser, moved, Device::default()] {
        let mut advance = advance_of(&expected);
        advance.seen_from = SeenFrom::of(&device);
        assert!(expected.advance(advance.clone(), given.clock.now()));
        given.store.advance(advance).await.unwrap().unwrap();
        assert_eq!(given.load(&expected).await.seen_from, expected.seen_from);
        assert_ne!(expected.seen_from, SeenFrom::default());
    }
}

/// A lowered lifetime doesn't uncover tokens that were issued with a longer one.
pub async fn access_until_never_decreases<S: SessionStore>(fresh: impl AsyncFn(ManualClock) -> S) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    let until = given.clock.now() + ACCESS_TTL;
    assert_eq!(session.access_until, until);

    given.clock.advance(MINUTE);
    let mut advance = advance_of(&session);
    advance.access_ttl = SECOND;
    let session = given.store.advance(advance).await.unwrap().unwrap();
    assert_eq!(session.access_until, until);
    let mut recover = recovery_of(&session);
    recover.access_ttl = SECOND;
    let session = given.store.recover(recover).await.unwrap().unwrap();
    assert_eq!(session.access_until, until);
    assert_eq!(given.load(&session).await.access_until, until);

    let session = given.store.advance(advance_of(&session)).await;
    let until = given.clock.now() + ACCESS_TTL;
    assert_eq!(session.unwrap().unwrap().access_until, until);
}

/// No token is good past the absolute end, even with lifetimes beyond all time.
pub async fn nothing_outlives_the_absolute_end<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let mut new = new_session("alice");
    new.idle_ttl = Duration::MAX;
    new.access_ttl = Duration::MAX;
    let session = given.store.begin(new).await.unwrap().session;
    let end = given.clock.now() + ABSOLUTE_TTL;
    given.clock.advance(DAY);
    let mut advance = advance_of(&session);
    advance.idle_ttl = Duration::MAX;
    advance.access_ttl = Duration::MAX;
    let session = given.store.advance(advance).await.unwrap().unwrap();
    assert_eq!(session.absolute_expires_at, end);
    assert_eq!(session.idle_expires_at, end);
    assert_eq!(session.access_until, end);
    assert_eq!(given.load(&session).await, session);

    let mut endless = new_session("alice");
    endless.absolute_ttl = Duration::MAX;
    let endless = given.store.begin(endless).await.unwrap().session;
    assert_eq!(given.load(&endless).await, endless);
}

/// A small step back of the clock neither moves a session's times back nor extends its life.
pub async fn a_clock_that_jitters_makes_no_session_younger<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    given.clock.advance(DAY / 2);
    let session = given.store.advance(advance_of(&session)).await;
    let session = session.unwrap().unwrap();
    let seen_at = given.clock.now();

    given.clock.step_wall_back(Session::CLOCK_JITTER);
    let again = given.store.advance(advance_of(&session)).await;
    let again = again.unwrap().unwrap();
    assert_eq!(again.last_seen_at, seen_at);
    assert_eq!(again.rotated.unwrap().at, seen_at);
    assert_eq!(again.idle_expires_at, seen_at + IDLE_TTL);
    assert_eq!(again.access_until, seen_at + ACCESS_TTL);
    assert_eq!(given.load(&session).await, again);

    given.end(&session).await;
    assert_eq!(given.load(&session).await.ended.unwrap().at, seen_at);
}

/// If a clock was ahead for a moment, by more than a jitter, nothing stays open once it is right.
pub async fn a_clock_that_was_ahead_is_believed_no_more<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    given.clock.advance(DAY / 2);
    let session = given.store.advance(advance_of(&session)).await;
    let mut expected = session.unwrap().unwrap();
    let ahead = given.clock.now();

    given.clock.step_wall_back(DAY / 4);
    let now = given.clock.now();
    // A rotation in the future doesn't delay the next one.
    let mut advance = advance_of(&expected);
    advance.overlap = HOUR;
    assert!(expected.advance(advance.clone(), now));
    let advanced = given.store.advance(advance).await.unwrap();
    assert_eq!(advanced.as_ref(), Some(&expected));
    assert_eq!(expected.last_seen_at, now);
    assert_eq!(expected.rotated.unwrap().at, now);
    // Nothing ends earlier than a response has promised.
    assert_eq!(expected.idle_expires_at, ahead + IDLE_TTL);
    // Tokens that the wrong clock issued stay covered.
    assert_eq!(expected.access_until, ahead + ACCESS_TTL);
    assert_eq!(given.load(&expected).await, expected);
}

/// The store keeps the recovered generation, so it recovers none twice.
pub async fn a_recovery_is_remembered_until_the_next_advance_and_after<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    assert_eq!(session.recovered, None);
    let mut expected = given.store.advance(advance_of(&session)).await;
    let expected = expected.as_mut().unwrap().as_mut().unwrap();
    given.clock.advance(HOUR);

    let recover = recovery_of(expected);
    assert!(expected.recover(recover.clone(), given.clock.now()));
    let recovered = given.store.recover(recover).await.unwrap();
    assert_eq!(recovered.as_ref(), Some(&*expected));
    assert_eq!(expected.recovered, Some(Generation::new(1)));
    assert_eq!(given.load(&session).await, *expected);

    let advanced = given.store.advance(advance_of(expected)).await;
    let advanced = advanced.unwrap().unwrap();
    assert_eq!(advanced.recovered, Some(Generation::new(1)));
    assert_eq!(given.load(&session).await, advanced);
}

/// A second recovery changes nothing, even a simultaneous one.
pub async fn a_recovery_is_idempotent<S: SessionStore>(fresh: impl AsyncFn(ManualClock) -> S) {
    let given = Given::fresh(fresh).await;
    let session = given.begin("alice").await;
    let session = given.store.advance(advance_of(&session)).await;
    let session = session.unwrap().unwrap();
    let attempts = (0..16).map(|_| {
        let store = Arc::clone(&given.store);
        let recover = recovery_of(&session);
        tokio::spawn(async move { store.recover(recover).await })
    });
    for attempt in Vec::from_iter(attempts) {
        let recovered = attempt.await.unwrap().unwrap().unwrap();
        assert_eq!(recovered.recovered, Some(session.generation));
    }
    let once = Session {
        recovered: Some(session.generation),
        ..session.clone()
    };
    assert_eq!(given.load(&session).await, once);
}

/// A recovery has the same conditions as an advance, and also leaves no trace.
pub async fn a_recovery_that_does_not_fit_changes_nothing<S: SessionStore>(
    fresh: impl AsyncFn(ManualClock) -> S,
) {
    let given = Given::fresh(fresh).await;
    let begun = given.begin("alice").await;
    let session = given.store.advance(advance_of(&begun)).await;
    let session = session.unwrap().unwrap();
    let (ended, _) = given.ended("alice").await;
    let unknown = Session {
        id: session_id(account("alice")),
        ..session.clone()
    };
    let refuse = async |stored: &Session, recover: Recover, why: &str| {
        given.clock.advance(SECOND);
        let before = given.find(stored.id).await;
        let refused = given.store.recover(recover).await.unwrap();
        assert_eq!(refused, None, "{why}");
        assert_eq!(given.find(stored.id).await, before, "{why}");
    };

    let mut foreign = recovery_of(&session);
    foreign.client = client("Web");
    refuse(&session, foreign, "another client").await;
    refuse(&session, recovery_of(&begun), "another generation").await;
    refuse(&ended, recovery_of(&ended), "an ended session").await;
    refuse(&unknown, recovery_of(&unknown), "an unknown session").await;
    given.clock.advance(IDLE_TTL);
    refuse(&session, recovery_of(&session), "idle for too long").await;
}
