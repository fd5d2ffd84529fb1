//! A gate adds up the requirements of all calls of `require`, and waits only for the store.

use gatepass::Staleness;
use gatepass_testkit::{ManualClock, TestStore};

use super::*;

#[tokio::test]
async fn the_requirements_of_several_calls_add_up() {
    let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
    let authority = Authority::builder(REALM, "shop-api", secret, MemoryStore::new());
    let authority = authority.build().await.unwrap();
    let alice = Identity::new("alice").unwrap();
    let alice = alice.scopes(Scopes::parse("read").unwrap());
    let issued = authority.issue(alice, Device::default()).await.unwrap();
    let bearer = format!("Bearer {}", issued.access_token.as_str());
    let scopes = |list| Requirements::new().scopes(Scopes::parse(list).unwrap());
    let optional = || Requirements::new().optional();

    let gate = Gate::new(&authority);
    let open = gate.clone().require(optional());
    for (gate, stranger, reader) in [
        (gate.clone(), Err("missing"), Ok(())),
        (
            gate.clone().require(Requirements::new()),
            Err("missing"),
            Ok(()),
        ),
        (open.clone(), Ok(()), Ok(())),
        (open.clone().require(optional()), Ok(()), Ok(())),
        (
            open.clone().require(Requirements::new()),
            Err("missing"),
            Ok(()),
        ),
        (open.require(scopes("read")), Err("missing"), Ok(())),
        (
            gate.require(scopes("read")).require(scopes("write")),
            Err("missing"),
            Err("insufficient_scope"),
        ),
    ] {
        for (bearer, expected) in [(None, stranger), (Some(&bearer), reader)] {
            let head = RequestHead::new("GET", "/me", |name| {
                let bearer = bearer.filter(|_| name == "authorization");
                bearer.map(String::as_bytes).into_iter()
            });
            let judged = gate.judge(&head).await;
            let judged = judged
                .map(drop)
                .map_err(|rejection| rejection.error().reason());
            assert_eq!(judged, expected, "{gate:?} {bearer:?}");
        }
    }
}

#[tokio::test]
async fn a_gate_judges_at_once_unless_it_must_ask_the_store() {
    let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
    let clock = ManualClock::new();
    let store = TestStore::new(MemoryStore::with_clock(clock.clone())).durable();
    let authority = Authority::builder(REALM, "shop-api", secret, store.clone());
    let authority = authority
        .clock(clock.clone())
        .poll_interval(Duration::from_millis(1000));
    let authority = authority.build().await.unwrap();
    let alice = Identity::new("alice").unwrap();
    let issued = authority.issue(alice, Device::default()).await.unwrap();
    let bearer = format!("Bearer {}", issued.access_token.as_str());
    let head = |bearer: Option<&'static str>| {
        RequestHead::new("GET", "/me", move |name| {
            let bearer = bearer.filter(|_| name == "authorization");
            bearer.map(str::as_bytes).into_iter()
        })
    };
    let good = head(Some(bearer.leak()));
    let gate = Gate::new(&authority);
    let strict = Requirements::new().staleness(Staleness::Strict);
    let strict = gate.clone().require(strict);
    let reasons = |gate: &Gate, head: &RequestHead<'_>| {
        let judged = gate.try_judge(head)?;
        Some(
            judged
                .map(drop)
                .map_err(|rejection| rejection.error().reason()),
        )
    };
    store.reset_calls();
    assert_eq!(reasons(&gate, &good), Some(Ok(())));
    assert_eq!(reasons(&gate, &head(None)), Some(Err("missing")));
    assert_eq!(
        reasons(&gate, &head(Some("Bearer x"))),
        Some(Err("malformed"))
    );
    assert_eq!(reasons(&strict, &head(None)), Some(Err("missing")));
    assert_eq!(reasons(&strict, &good), None);
    assert_eq!(store.calls(), 0);
    strict.judge(&good).await.unwrap();
    assert_eq!(store.calls(), 1);

    clock.advance(Duration::from_secs(3));
    assert_eq!(reasons(&gate, &good), None, "the lease is over");
    gate.judge(&good).await.unwrap();
    assert_eq!(reasons(&gate, &good), Some(Ok(())), "a pull has renewed it");
}
