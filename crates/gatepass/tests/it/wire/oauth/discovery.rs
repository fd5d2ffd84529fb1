//! Keys and metadata.

use gatepass::{KeySet, keys::SigningKey};

use super::*;

const METADATA: &str = "/.well-known/oauth-authorization-server";
const JWKS: &str = "/.well-known/jwks.json";

/// RFC 8410, section 10.3, and another.
const KEYS: [&str; 2] = [
    "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC",
    "MC4CAQAwBQYDK2VwBCIEIEA/cKGVyrlSd5HNmrNIV3sD9ZHfVmOTNiYlzMwpFAgi",
];

async fn authority(issuer: &str, with_users: bool) -> Authority {
    let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
    let builder = Authority::builder(issuer, "shop-api", secret, MemoryStore::new())
        .clock(ManualClock::new());
    let builder = if with_users {
        builder.authenticator(everybody)
    } else {
        builder
    };
    builder.build().await.unwrap()
}

async fn get(endpoints: &Endpoints, path: &str) -> Reply {
    send(endpoints, "GET", path, "", RequestBody::Complete(b"")).await
}

/// That each URL of the document is there, and that nothing of OAuth is there that it does not
/// list.
async fn assert_exact(endpoints: &Endpoints, base: &str, mount: &str) -> Value {
    let reply = get(endpoints, METADATA).await;
    assert_eq!(reply.status(), 200);
    let document = body(&reply);
    let listed: BTreeSet<_> = document
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| name.ends_with("_endpoint") || *name == "jwks_uri")
        .map(|(_, url)| url.as_str().unwrap().strip_prefix(base).unwrap().to_owned())
        .collect();
    let paths: BTreeSet<_> = endpoints.paths().collect();
    for path in &listed {
        assert!(paths.contains(path), "{path} is not mounted");
        let status = get(endpoints, path).await.status();
        assert!(matches!(status, 200 | 405), "{path}: {status}");
    }
    for path in [
        "/token",
        "/revoke",
        "/introspect",
        "/authorize",
        "/userinfo",
        "/register",
    ] {
        let path = format!("{mount}{path}");
        let there = get(endpoints, &path).await.status() != 404;
        assert_eq!(there, listed.contains(&path), "{path}");
    }
    document
}

#[tokio::test]
async fn the_metadata_lists_exactly_what_is_mounted() {
    let with_users = authority(REALM, true).await;
    let without = authority(REALM, false).await;
    let builder = |authority: &Authority| Endpoints::builder(authority.clone());
    let public = || Client::public("desktop".try_into().unwrap());
    let scopes = || Scopes::parse("introspect").unwrap();
    type Members = &'static [&'static str];
    let none: Members = &["none"];
    let any: Members = &["none", "client_secret_basic", "client_secret_post"];
    let by_secret: Members = &["client_secret_basic", "client_secret_post"];
    let refresh: Members = &["refresh_token"];
    let password: Members = &["refresh_token", "password"];
    let cases: [(&str, EndpointsBuilder, Members, Members, Option<Members>); 10] = [
        ("nothing", builder(&with_users), refresh, none, None),
        (
            "passwords",
            builder(&with_users).password_grant(),
            password,
            none,
            None,
        ),
        (
            "no users",
            builder(&without).password_grant(),
            refresh,
            none,
            None,
        ),
        (
            "passwords for another",
            builder(&with_users).client(public().password_grant()),
            password,
            none,
            None,
        ),
        (
            "a public client",
            builder(&with_users).client(public()),
            refresh,
            none,
            None,
        ),
        (
            "a secret",
            builder(&with_users).client(gateway()),
            refresh,
            any,
            None,
        ),
        (
            "introspection",
            builder(&with_users).client(gateway()).introspection(),
            refresh,
            any,
            Some(by_secret),
        ),
        (
            "introspection by bearer, too",
            builder(&with_users)
                .client(gateway())
                .introspection_with(scopes()),
            refresh,
            any,
            Some(&["client_secret_basic", "client_secret_post", "Bearer"]),
        ),
        (
            "introspection by nobody",
            builder(&with_users).introspection(),
            refresh,
            none,
            None,
        ),
        (
            "introspection by bearer alone",
            builder(&with_users).introspection_with(scopes()),
            refresh,
            none,
            Some(&["Bearer"]),
        ),
    ];
    for (case, builder, grants, methods, introspection) in cases {
        let endpoints = builder.build().unwrap();
        let document = assert_exact(&endpoints, REALM, "/auth").await;
        assert_eq!(document["issuer"], REALM, "{case}");
        assert_eq!(document["grant_types_supported"], json!(grants), "{case}");
        for endpoint in ["token", "revocation"] {
            let name = format!("{endpoint}_endpoint_auth_methods_supported");
            assert_eq!(document[name], json!(methods), "{case}");
        }
        let name = "introspection_endpoint_auth_methods_supported";
        assert_eq!(
            document.get(name),
            introspection.map(|it| json!(it)).as_ref(),
            "{case}"
        );
        assert_eq!(document["response_types_supported"], json!([]), "{case}");
    }
}

#[tokio::test]
async fn urls_are_where_clients_reach_the_service() {
    let cases = [
        (
            "https://shop.example",
            None,
            "/auth",
            Some("https://shop.example"),
        ),
        (
            "https://shop.example/tenant",
            None,
            "/auth",
            Some("https://shop.example"),
        ),
        ("shop", None, "/auth", None),
        ("urn:shop", None, "/auth", None),
        (
            "shop",
            Some("https://api.example/v1/"),
            "/auth",
            Some("https://api.example/v1"),
        ),
        (
            REALM,
            Some("http://127.0.0.1:3000"),
            "/api/account",
            Some("http://127.0.0.1:3000"),
        ),
    ];
    for (issuer, base_url, mount, base) in cases {
        let builder = Endpoints::builder(authority(issuer, true).await).mount(mount);
        let builder = match base_url {
            Some(url) => builder.base_url(url),
            None => builder,
        };
        let endpoints = builder.introspection().build().unwrap();
        match base {
            Some(base) => {
                let document = assert_exact(&endpoints, base, mount).await;
                assert_eq!(document["issuer"], issuer);
            }
            None => {
                assert_eq!(get(&endpoints, METADATA).await.status(), 404, "{issuer}");
                assert!(!endpoints.paths().any(|path| path == METADATA), "{issuer}");
            }
        }
        assert_eq!(get(&endpoints, JWKS).await.status(), 200, "{issuer}");
    }
}

#[tokio::test]
async fn the_keys_are_the_public_ones_of_now_announced_ones_included() {
    let [one, two] = KEYS.map(|der| {
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
        SigningKey::from_any_pem(pem.as_bytes()).unwrap()
    });
    let authority = authority(REALM, true).await;
    let endpoints = Endpoints::new(authority.clone());
    let published = async || {
        let reply = get(&endpoints, JWKS).await;
        let caching = header(&reply, "cache-control").map(str::to_owned);
        assert_eq!(caching.as_deref(), Some("public, max-age=300"));
        let keys = body(&reply)["keys"].as_array().unwrap().clone();
        let ids: Vec<_> = keys
            .iter()
            .map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect();
        for key in keys {
            let members: BTreeSet<_> = key.as_object().unwrap().keys().cloned().collect();
            assert_eq!(
                Vec::from_iter(members),
                ["alg", "crv", "kid", "kty", "use", "x"]
            );
        }
        (ids, header(&reply, "etag").unwrap().to_owned())
    };
    let (ids, secret) = published().await;
    assert!(ids.is_empty(), "HS256 has no public key");

    let ids_of = |keys: &KeySet| keys.ids().map(str::to_owned).collect::<Vec<_>>();
    let hmac = SigningKey::hs256(&[7; 32]).unwrap();
    let before = KeySet::signing(one.clone())
        .announce(two.verifying_key().clone())
        .announce(hmac.verifying_key().clone());
    let expected = ids_of(&before);
    authority.replace_keys(before).unwrap();
    let (ids, announced) = published().await;
    assert_eq!(ids, expected[..2]);

    let after = KeySet::signing(two).retire(one.verifying_key().clone(), ManualClock::START);
    authority.replace_keys(after).unwrap();
    let (ids, swapped) = published().await;
    assert_eq!(ids, expected[1..2]);
    assert_eq!(BTreeSet::from([&secret, &announced, &swapped]).len(), 3);

    for (tag, status) in [(&swapped, 304), (&announced, 200)] {
        let head = RequestHead::new("GET", JWKS, |name| {
            let value = (name == "if-none-match").then_some(tag.as_bytes());
            value.into_iter()
        });
        let reply = endpoints.handle(&head, RequestBody::Complete(b"")).await;
        assert_eq!(reply.status(), status);
        assert_eq!(header(&reply, "etag"), Some(swapped.as_str()));
    }
}
