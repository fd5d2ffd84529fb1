//! The events that an application's handler is told.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use gatepass::{
    Authority, Change, Credentials, Device, Event, Identity, MemoryStore, Scopes, ThrottledBy,
    store::{EndReason, StoreErrorKind},
};
use gatepass_testkit::{ManualClock, OnePassword, Op, StoreFault, TestStore};
use test_support::{
    log::Log,
    world::{MINUTE, SECOND, World, builder, login, refresh, refusal, subject},
};
use tokio::{sync::Semaphore, time::timeout};

/// The events that were told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Event>>>);

impl Told {
    fn handler(&self) -> impl Fn(Event) -> std::future::Ready<()> + Send + Sync + use<> {
        let told = Arc::clone(&self.0);
        move |event| {
            told.lock().unwrap().push(event);
            std::future::ready(())
        }
    }

    /// Those since the last call.
    async fn take(&self, node: &Authority) -> Vec<Event> {
        node.flush_events().await;
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    async fn one(&self, node: &Authority) -> Event {
        let mut told = self.take(node).await;
        assert_eq!(told.len(), 1, "{told:?}");
        told.remove(0)
    }
}

fn device(agent: &str, address: &str) -> Device {
    let mut device = Device::default();
    device.user_agent = Some(agent.to_owned()).filter(|agent| !agent.is_empty());
    device.address = (!address.is_empty()).then(|| address.parse().unwrap());
    device
}

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

#[tokio::test]
async fn a_login_is_told_with_what_is_new_about_it() {
    let (world, told) = (World::memory(), Told::default());
    let node = builder(Arc::clone(&world.store), &world.clock).on_event(told.handler());
    let node = node.build().await.unwrap();
    login(&node, "bob").await;
    let issued = node
        .issue(Identity::of(subject("alice")), device("", ""))
        .await
        .unwrap();
    told.take(&node).await;
    node.logout(issued.refresh_token.as_str()).await.unwrap();
    told.take(&node).await;
    let newer = FIREFOX.replace("140", "141");
    for (agent, address, others, new_device, new_address) in [
        (FIREFOX, "192.0.2.1", 0, Some(true), Some(true)),
        (FIREFOX, "192.0.2.1", 1, Some(false), Some(false)),
        // The browser was updated, and the network is the same.
        (&newer, "::ffff:192.0.2.1", 2, Some(false), Some(false)),
        ("PhoneApp/2.1", "2001:db8::1", 3, Some(true), Some(true)),
        (
            "PhoneApp/2.2",
            "2001:db8::ffff",
            4,
            Some(false),
            Some(false),
        ),
        (
            "PhoneApp/2.2",
            "2001:db8:0:1::1",
            5,
            Some(false),
            Some(true),
        ),
        ("", "", 6, None, None),
    ] {
        let identity = Identity::of(subject("alice"));
        let issued = node.issue(identity, device(agent, address)).await.unwrap();
        let event = told.one(&node).await;
        let Event::LoggedIn {
            session,
            other_sessions,
            new_device: device_is_new,
            new_address: address_is_new,
            ..
        } = &event
        else {
            panic!("{event:?}");
        };
        assert_eq!(session.id, issued.session_id);
        assert_eq!(session.subject().as_str(), "alice");
        let found = (*other_sessions, *device_is_new, *address_is_new);
        assert_eq!(
            found,
            (Some(others), new_device, new_address),
            "{agent} {address}"
        );
        let shown = format!("{event:?}");
        assert!(!shown.contains(issued.refresh_token.as_str()), "{shown}");
    }
}

#[tokio::test]
async fn what_happens_to_sessions_is_told_once_each() {
    let (world, told) = (World::sqlite(), Told::default());
    let node = builder(Arc::clone(&world.store), &world.clock)
        .authenticator(OnePassword::new("wonderland"))
        .on_event(told.handler());
    let node = node.build().await.unwrap();
    let first = login(&node, "alice").await;
    let next = refresh(&node, &first).await.unwrap();
    world.clock.advance(MINUTE);
    refresh(&node, &next).await.unwrap();
    world.clock.advance(MINUTE);
    told.take(&node).await;
    refusal(refresh(&node, &first).await);
    let events = told.take(&node).await;
    let [
        Event::RefreshTokenReused {
            session: reused, ..
        },
        Event::SessionEnded {
            session: ended,
            subject: Some(owner),
            reason: EndReason::Reuse,
            ..
        },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((reused.id, *ended), (first.session_id, first.session_id));
    assert_eq!(owner.as_str(), "alice");

    login(&node, "alice").await;
    told.take(&node).await;
    let admin = Scopes::parse("admin").unwrap();
    let change = Change::enforced(move |identity| Ok(identity.scopes(admin.clone())));
    node.change(&subject("alice"), &change).await.unwrap();
    let event = told.one(&node).await;
    let Event::RightsChanged {
        session,
        enforced: true,
        ..
    } = &event
    else {
        panic!("{event:?}");
    };
    assert_eq!(session.identity.granted_scopes().as_str(), "admin");

    node.logout_all(&subject("alice")).await.unwrap();
    let event = told.one(&node).await;
    let Event::SessionsEnded {
        subject: Some(owner),
        except: None,
        reason,
        ..
    } = &event
    else {
        panic!("{event:?}");
    };
    assert_eq!((owner.as_str(), *reason), ("alice", EndReason::LogoutAll));

    for _ in 0..40 {
        let credentials = Credentials::new("alice", "a guess");
        refusal(node.login(&credentials, device("", "192.0.2.1")).await);
    }
    let events = told.take(&node).await;
    // A flood is told in part.
    assert_eq!(events.len(), 10);
    let Event::LoginThrottled {
        by,
        retry_after,
        suppressed: 0,
        device,
        ..
    } = &events[0]
    else {
        panic!("{events:?}");
    };
    assert_eq!((*by, *retry_after), (ThrottledBy::Pair, SECOND));
    assert_eq!(device.address.unwrap().to_string(), "192.0.2.1");
    assert!(!format!("{events:?}").contains("alice"));
}

#[tokio::test]
async fn a_handler_that_hangs_holds_up_no_request_and_what_is_lost_is_counted() {
    let (log, _listening) = Log::listen();
    let world = World::memory();
    let (turns, told) = (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(0)));
    let handler = {
        let (turns, told) = (Arc::clone(&turns), Arc::clone(&told));
        move |_| {
            let (turns, told) = (Arc::clone(&turns), Arc::clone(&told));
            async move {
                turns.acquire().await.unwrap().forget();
                *told.lock().unwrap() += 1;
            }
        }
    };
    let node = builder(Arc::clone(&world.store), &world.clock)
        .max_sessions(None)
        .on_event(handler);
    let node = node.build().await.unwrap();
    login(&node, "alice").await;
    // The first event is being handled, and no place is taken by it any more.
    while turns.available_permits() > 0 || log.count("session.issued") < 1 {
        tokio::task::yield_now().await;
    }
    for number in 0..1200 {
        login(&node, &format!("user{number}")).await;
    }
    assert_eq!(log.count("events.lost"), 1);
    turns.add_permits(5000);
    node.flush_events().await;
    let told = *told.lock().unwrap();
    assert!((1024..=1026).contains(&told), "{told}");
}

#[tokio::test]
async fn a_client_that_logs_in_in_a_loop_loses_no_event_of_another_user() {
    let (log, _listening) = Log::listen();
    let world = World::memory();
    let (turns, told) = (Arc::new(Semaphore::new(0)), Told::default());
    let handler = {
        let (turns, told) = (Arc::clone(&turns), told.handler());
        move |event| {
            let (turns, told) = (Arc::clone(&turns), told(event));
            async move {
                turns.acquire().await.unwrap().forget();
                told.await;
            }
        }
    };
    let node = builder(Arc::clone(&world.store), &world.clock)
        .max_sessions(None)
        .on_event(handler);
    let node = node.build().await.unwrap();
    for _ in 0..1200 {
        login(&node, "mallory").await;
    }
    login(&node, "alice").await;
    assert_eq!(log.count("events.lost"), 1);
    turns.add_permits(5000);
    let users = told.take(&node).await.into_iter().map(|event| match event {
        Event::LoggedIn { session, .. } => session.subject().to_string(),
        other => panic!("{other:?}"),
    });
    let mut users: Vec<_> = users.collect();
    assert_eq!(users.pop().as_deref(), Some("alice"));
    assert_eq!(users, ["mallory"; 64]);

    // The places are free again.
    login(&node, "mallory").await;
    assert_eq!(told.take(&node).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_or_takes_too_long_leaves_the_next_event_to_be_told() {
    let (log, _listening) = Log::listen();
    let world = World::memory();
    let told = Told::default();
    let handler = {
        let told = told.handler();
        move |event: Event| {
            let subject = match &event {
                Event::LoggedIn { session, .. } => session.subject().to_string(),
                _ => String::new(),
            };
            assert!(subject != "mallory", "at once");
            let told = told(event);
            async move {
                assert!(subject != "malice", "later");
                if subject == "sloth" {
                    std::future::pending::<()>().await;
                }
                told.await;
            }
        }
    };
    let node = builder(Arc::clone(&world.store), &world.clock).on_event(handler);
    let node = node.build().await.unwrap();
    for name in ["mallory", "malice", "sloth", "alice"] {
        login(&node, name).await;
    }
    let start = tokio::time::Instant::now();
    let told = told.take(&node).await;
    assert_eq!(start.elapsed(), Duration::from_secs(30));
    let last = told.last().unwrap();
    assert!(
        matches!(last, Event::LoggedIn { session, .. } if session.subject().as_str() == "alice"),
        "{told:?}"
    );
    assert_eq!(log.count("event.handler_failed"), 3);
    assert_eq!(log.values("event.handler_failed", "why").len(), 2);
}

#[tokio::test]
async fn events_that_wait_are_told_after_the_authority_is_gone() {
    let world = World::memory();
    let (turns, told) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let handler = {
        let (turns, told) = (Arc::clone(&turns), Arc::clone(&told));
        move |_| {
            let (turns, told) = (Arc::clone(&turns), Arc::clone(&told));
            async move {
                turns.acquire().await.unwrap().forget();
                told.add_permits(1);
            }
        }
    };
    let node = builder(Arc::clone(&world.store), &world.clock).on_event(handler);
    let node = node.build().await.unwrap();
    for _ in 0..5 {
        login(&node, "alice").await;
    }
    drop(node);
    turns.add_permits(5);
    let all = timeout(Duration::from_secs(10), told.acquire_many(5));
    all.await.unwrap().unwrap().forget();
}

#[tokio::test]
async fn a_store_that_fails_leaves_open_what_is_new() {
    let (clock, told) = (ManualClock::new(), Told::default());
    let store = TestStore::new(MemoryStore::with_clock(clock.clone()));
    let handle = store.clone();
    let node = builder(store, &clock).on_event(told.handler());
    let node = node.build().await.unwrap();
    handle.inject(Op::Sessions, StoreFault::Fail(StoreErrorKind::Unavailable));
    node.issue(Identity::of(subject("alice")), device(FIREFOX, "192.0.2.1"))
        .await
        .unwrap();
    let event = told.one(&node).await;
    assert!(
        matches!(
            event,
            Event::LoggedIn {
                other_sessions: None,
                new_device: None,
                new_address: None,
                ..
            }
        ),
        "{event:?}"
    );
}

#[tokio::test]
async fn without_a_handler_a_login_asks_the_store_for_nothing_more() {
    let clock = ManualClock::new();
    let store = TestStore::new(MemoryStore::with_clock(clock.clone()));
    let handle = store.clone();
    let node = builder(store, &clock).build().await.unwrap();
    login(&node, "alice").await;
    node.flush_events().await;
    assert_eq!(handle.calls_of(Op::Sessions), 0);
}
