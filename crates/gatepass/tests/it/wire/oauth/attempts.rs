//! Many requests at once, and requests of arbitrary bytes.

use std::sync::Arc;

use proptest::{collection::vec, prelude::*};

use super::*;

const PATHS: [&str; 3] = ["/auth/token", "/auth/revoke", "/auth/introspect"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_refreshes_at_once_get_the_same_successor() {
    let service = Arc::new(Service::open().await);
    let (_, refresh) = service.login().await;
    let refreshes: Vec<_> = (0..64)
        .map(|number| {
            let (service, refresh) = (Arc::clone(&service), refresh.clone());
            // Narrowed or not, they spend the one token.
            let scope = ["", "&scope=a"][number % 2];
            let form = format!("grant_type=refresh_token&refresh_token={refresh}{scope}");
            tokio::spawn(async move { service.token(&form).await })
        })
        .collect();
    let mut successors = BTreeSet::new();
    let mut access = BTreeSet::new();
    for (number, refresh) in refreshes.into_iter().enumerate() {
        let reply = refresh.await.unwrap();
        assert_eq!(reply.status(), 200);
        assert_eq!(body(&reply)["scope"], ["a b", "a"][number % 2]);
        let (token, successor) = tokens(&reply);
        access.insert(token);
        successors.insert(successor);
    }
    assert_eq!((successors.len(), access.len()), (1, 64));
    assert_eq!(service.sessions().await, 1);
}

/// Bytes, or what looks more like a form.
fn forms() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        "grant_type|refresh_token|token|client_id|client_secret|scope|username|password",
        "[a-z%+0-9]{0,8}",
    ];
    let value = prop_oneof![
        "password|refresh_token|gateway|default|alice|wonderland|gpr_[A-Za-z0-9_-]{75,84}",
        "[ -~]{0,40}",
        "(%[0-9A-Fa-f]{2}){0,8}",
        ".{0,8}",
    ];
    let pairs = vec((name, value), 0..6).prop_map(|pairs| {
        let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("&").into_bytes()
    });
    prop_oneof![pairs, vec(any::<u8>(), 0..80)]
}

/// Bytes, or what looks more like HTTP Basic.
fn authorizations() -> impl Strategy<Value = Vec<u8>> {
    let pair = prop_oneof![
        "(gateway|default)?:?.{0,20}".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..20),
    ];
    let basic = (pair, "Basic |basic  |Bearer |Basic\t").prop_map(|(pair, scheme)| {
        let encoded = STANDARD.encode(pair);
        format!("{scheme}{encoded}").into_bytes()
    });
    prop_oneof![basic, vec(any::<u8>(), 0..40), Just(BASIC.into())]
}

#[test]
fn whatever_is_sent_is_answered_and_never_5xx() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let scopes = Scopes::parse("a").unwrap();
    let open = Service::configured(|it| it.introspection_with(scopes).client(gateway()));
    let service = runtime.block_on(open);
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(2000)
    };
    proptest!(config, |(form in forms(), authorization in proptest::option::of(authorizations()))| {
        for path in PATHS {
            let head = RequestHead::new("POST", path, |name| {
                let value = match name {
                    "content-type" => Some(&b"application/x-www-form-urlencoded"[..]),
                    "authorization" => authorization.as_deref(),
                    _ => None,
                };
                value.into_iter()
            });
            let answer = service.endpoints.handle(&head, RequestBody::Complete(&form));
            let reply = runtime.block_on(answer);
            prop_assert!(matches!(reply.status(), 200 | 400 | 401), "{} {}", path, reply.status());
            assert_well_formed(path, &reply);
            prop_assert_eq!(header(&reply, "set-cookie"), None);
            let challenged = header(&reply, "www-authenticate").is_some();
            prop_assert_eq!(challenged, reply.status() == 401);
        }
    });
}
