//! A gate adds up the requirements of all calls of `require`.

use gatepass::wire::Gate;

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
            let head = RequestHead::collect("GET", "/me", |name| {
                let bearer = bearer.filter(|_| name == "authorization");
                bearer.map(String::as_bytes).into_iter()
            });
            let judged = gate.judge(&head).await;
            let judged = judged.map(drop).map_err(|error| error.reason());
            assert_eq!(judged, expected, "{gate:?} {bearer:?}");
        }
    }
}
