//! The OpenAPI document, held against the endpoints.
#![expect(
    clippy::indexing_slicing,
    reason = "a member that is not there fails the test, as it must"
)]

use gatepass::{ProtectedResource, Transport};

use super::*;

fn nobody(_: &Credentials) -> Result<Identity, AuthenticationError> {
    Err(AuthenticationError::BadCredentials)
}

async fn authority(transport: Transport, users: bool) -> Authority {
    let secret = MasterSecret::generate().unwrap();
    let builder = Authority::builder(
        "https://shop.example",
        "shop-api",
        secret,
        MemoryStore::new(),
    )
    .transport(transport);
    let builder = if users {
        builder
            .authenticator(nobody)
            .protected_resource(ProtectedResource::new("https://shop.example/mcp"))
    } else {
        builder
    };
    builder.build().await.unwrap()
}

fn document(endpoints: &Endpoints) -> Value {
    serde_json::from_str(&endpoints.openapi()).unwrap()
}

/// Every path and method that is described is there, and every one that is there is described.
async fn assert_describes(endpoints: &Endpoints) {
    let document = document(endpoints);
    let described = document["paths"].as_object().unwrap();
    let paths: BTreeSet<String> = endpoints.paths().collect();
    assert_eq!(described.keys().cloned().collect::<BTreeSet<_>>(), paths);
    for (path, operations) in described {
        let operations: BTreeSet<String> = operations
            .as_object()
            .unwrap()
            .keys()
            .map(|method| method.to_uppercase())
            .collect();
        let path = path.replace("{id}", "any");
        let head = RequestHead::new("PATCH", &path, |_| std::iter::empty());
        let reply = endpoints.handle(&head, RequestBody::Complete(b"")).await;
        assert_eq!(reply.status(), 405, "{path}");
        let allowed = header(&reply, "allow").unwrap();
        let allowed: BTreeSet<String> = allowed
            .split(", ")
            // A HEAD is described by its GET.
            .filter(|method| *method != "HEAD")
            .map(str::to_owned)
            .collect();
        assert_eq!(operations, allowed, "{path}");
    }
}

/// Every reference leads somewhere, and every definition has a reference to it.
fn assert_whole(document: &Value) {
    let text = document.to_string();
    let referred: BTreeSet<&str> = text
        .split(r##""$ref":"#/components/"##)
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    for name in &referred {
        let there = document.pointer(&format!("/components/{name}"));
        assert!(there.is_some(), "{name}");
    }
    let schemes = document["components"]["securitySchemes"]
        .as_object()
        .unwrap();
    for scheme in schemes.keys() {
        assert!(text.contains(&format!(r#"{{"{scheme}":[]}}"#)), "{scheme}");
    }
}

#[tokio::test]
async fn the_description_is_exactly_what_is_mounted() {
    let all = Endpoints::builder(authority(Transport::Both, true).await)
        .mount("/account/v1")
        .password_grant()
        .resume()
        .renew()
        .wait_for_enforcement()
        .introspection()
        .build()
        .unwrap();
    let least = Endpoints::builder(authority(Transport::Bearer, false).await);
    let least = least.build().unwrap();
    for endpoints in [&all, &least] {
        assert_describes(endpoints).await;
        let document = document(endpoints);
        assert_eq!(document["servers"][0]["url"], "https://shop.example");
    }
    assert_whole(&document(&all));
    let flow = "/components/securitySchemes/password/flows/password/tokenUrl";
    let described = document(&all);
    assert_eq!(described.pointer(flow).unwrap(), "/account/v1/token");
}

#[tokio::test]
async fn a_wait_is_described_where_it_is_offered() {
    for offered in [false, true] {
        let endpoints = Endpoints::builder(authority(Transport::Bearer, true).await);
        let endpoints = match offered {
            true => endpoints.wait_for_enforcement(),
            false => endpoints,
        };
        let described = document(&endpoints.build().unwrap());
        let parameters = &described["paths"]["/auth/logout-all"]["post"]["parameters"];
        assert_eq!(parameters[0]["name"] == "wait", offered);
    }
}

#[tokio::test]
async fn no_way_to_authenticate_is_described_that_there_is_not() {
    let least = Endpoints::builder(authority(Transport::Bearer, true).await);
    let described = document(&least.build().unwrap()).to_string();
    for absent in ["Cookie", "tokenUrl", r#"{"password":[]}"#] {
        assert!(!described.contains(absent), "{absent}");
    }
}
