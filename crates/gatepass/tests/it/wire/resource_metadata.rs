//! The description of a service as a protected resource (RFC 9728), and challenges that name it.

use gatepass::{
    AuthorityBuilder, BuildError, ProtectedResource, Verifier,
    issuers::{Issuers, TrustedIssuer},
    wire::{AuthState, Endpoint, ResourceMetadata},
};
use test_support::web::Web;

use super::*;

const URL: &str = "https://mcp.example/mcp";
const METADATA: &str = "https://mcp.example/.well-known/oauth-protected-resource/mcp";
const PATH: &str = "/.well-known/oauth-protected-resource/mcp";

/// Two issuers that have names which are URLs, and one that has another.
fn issuers() -> Issuers {
    let keys = "https://keys.example/jwks";
    Issuers::new(Web::default())
        .trust(TrustedIssuer::new("https://login.example/", URL).jwks_url(keys))
        .trust(
            TrustedIssuer::new("https://sso.example/{tenantid}/v2.0", URL)
                .jwks_url(keys)
                .tenants(["a"]),
        )
        .trust(TrustedIssuer::new("urn:partner", URL).jwks_url(keys))
}

async fn verifier(resource: ProtectedResource) -> Result<Verifier, BuildError> {
    Verifier::of_issuers(URL, issuers(), MemoryStore::new())
        .protected_resource(resource)
        .build()
        .await
}

fn authority() -> AuthorityBuilder {
    let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
    Authority::builder(REALM, URL, secret, MemoryStore::new())
}

fn head<'h>(method: &'h str, path: &'h str, fields: &'h [(&'h str, &'h str)]) -> RequestHead<'h> {
    RequestHead::new(method, path, move |name| {
        let own = fields.iter().filter(move |(own, _)| *own == name);
        own.map(|(_, value)| value.as_bytes())
    })
}

async fn get(endpoints: &Endpoints, path: &str) -> Reply {
    let body = RequestBody::Complete(b"");
    endpoints.handle(&head("GET", path, &[]), body).await
}

#[tokio::test]
async fn the_path_of_the_resource_is_inserted_into_the_url_of_its_metadata() {
    for (url, path) in [
        (URL, PATH),
        (
            "https://mcp.example",
            "/.well-known/oauth-protected-resource",
        ),
        (
            "https://mcp.example:8443/v1/my-server",
            "/.well-known/oauth-protected-resource/v1/my-server",
        ),
        (
            "http://localhost:3000/mcp",
            "/.well-known/oauth-protected-resource/mcp",
        ),
    ] {
        let verifier = verifier(ProtectedResource::new(url)).await.unwrap();
        let metadata = ResourceMetadata::new(&verifier).unwrap();
        assert_eq!(metadata.path(), path);
        let document = body(&metadata.handle(&head("GET", path, &[])));
        assert_eq!(document["resource"], url);
        let refused = Gate::new(&verifier).judge(&head("GET", "/", &[])).await;
        let challenge = refused.unwrap_err().into_reply();
        let challenge = header(&challenge, "www-authenticate").unwrap().to_owned();
        let (origin, _) = url.split_at(url.find('/').unwrap() + 2);
        let host = url.strip_prefix(origin).unwrap().split('/').next().unwrap();
        let named = format!(r#", resource_metadata="{origin}{host}{path}""#);
        assert!(challenge.ends_with(&named), "{challenge}");
    }
}

#[tokio::test]
async fn a_description_that_no_client_could_use_is_refused() {
    let resource = || ProtectedResource::new(URL);
    let urls = [
        "",
        "mcp",
        "mcp.example/mcp",
        "http://mcp.example/mcp",
        "https://mcp.example/",
        "https://mcp.example/mcp/",
        "https://mcp.example//mcp",
        "https://mcp.example/a/../mcp",
        "https://mcp.example/{id}",
        "https://mcp.example/*",
        "https://mcp.example/mcp?a",
        "https://mcp.example/mcp#a",
        "https://MCP.example/mcp",
        "https://user@mcp.example/mcp",
        "https://mcp.example/\"",
    ];
    for url in urls {
        let built = verifier(ProtectedResource::new(url)).await;
        let error = built.unwrap_err();
        let BuildError::ProtectedResource { value, .. } = &error else {
            panic!("{url}: {error}")
        };
        assert_eq!(value, url);
        assert!(error.to_string().contains("https://mcp.example/mcp"));
    }
    for server in [
        "login",
        "http://login.example",
        "https://a.example?b",
        "https://a.example#b",
    ] {
        let built = verifier(resource().authorization_server(server)).await;
        let error = built.unwrap_err().to_string();
        assert!(error.starts_with("the authorization server"), "{error}");
    }
    let built = verifier(resource().documentation("/docs")).await;
    let error = built.unwrap_err().to_string();
    assert!(error.starts_with("the documentation"), "{error}");
}

/// Byte for byte. A login is no use of an access token.
#[tokio::test]
async fn challenges_for_access_tokens_name_the_metadata_and_others_do_not() {
    let authority = authority()
        .protected_resource(ProtectedResource::new(URL))
        .build()
        .await
        .unwrap();
    let alice = Identity::new("alice").unwrap();
    let issued = authority.issue(alice, Device::default()).await.unwrap();
    let good = format!("Bearer {}", issued.access_token.as_str());
    let admin = Requirements::new().scopes(Scopes::parse("tools admin").unwrap());
    let recent = Requirements::new().max_age(Duration::from_secs(60));
    let (all, scoped) = (Gate::new(&authority), Gate::new(&authority).require(admin));
    let authenticated = Gate::new(&authority).require(recent.amr(["hwk"]).unwrap());
    let named = format!(r#"resource_metadata="{METADATA}""#);
    let scope = r#"scope="admin tools""#;
    let lacks = r#"error="insufficient_scope", error_description="the token lacks a scope""#;
    let malformed = r#"error="invalid_token", error_description="the token is malformed""#;
    let weak = r#"error="insufficient_user_authentication", error_description="another kind of authentication is required", amr_values="hwk""#;
    let twice = r#"error="invalid_request", error_description="the credentials are ambiguous or not well-formed""#;
    for (gate, authorization, status, parameters) in [
        (&all, None, 401, named.clone()),
        (&all, Some("Bearer x"), 401, format!("{malformed}, {named}")),
        (&all, Some("Bearer x y"), 400, format!("{twice}, {named}")),
        (&scoped, None, 401, format!("{scope}, {named}")),
        (
            &scoped,
            Some("Bearer x"),
            401,
            format!("{malformed}, {scope}, {named}"),
        ),
        (
            &scoped,
            Some(&*good),
            403,
            format!("{lacks}, {scope}, {named}"),
        ),
        (
            &authenticated,
            Some(&*good),
            401,
            format!("{weak}, {named}"),
        ),
    ] {
        let fields = authorization.map(|value| ("authorization", value));
        let fields = Vec::from_iter(fields);
        let refused = gate.judge(&head("GET", "/", &fields)).await.unwrap_err();
        assert_eq!(refused.reply().status(), status);
        let challenge = header(refused.reply(), "www-authenticate");
        let expected = format!(r#"Bearer realm="{REALM}", {parameters}"#);
        assert_eq!(challenge, Some(&*expected));
    }
    let reply = authority.verifier().error_reply(&Refusal::Missing.into());
    let challenge = format!(r#"Bearer realm="{REALM}", {named}"#);
    assert_eq!(header(&reply, "www-authenticate"), Some(&*challenge));

    let endpoints = Endpoints::new(authority);
    let reply = get(&endpoints, "/auth/sessions").await;
    assert_eq!(header(&reply, "www-authenticate"), Some(&*challenge));
    let fields = [("content-type", "application/json")];
    let refresh = head("POST", "/auth/refresh", &fields);
    let token = RequestBody::Complete(br#"{"refresh_token":"x"}"#);
    let reply = endpoints.handle(&refresh, token).await;
    let realm = format!(r#"Bearer realm="{REALM}""#);
    assert_eq!(header(&reply, "www-authenticate"), Some(&*realm));
}

/// Behind an optional gate, the extractor refuses.
#[tokio::test]
async fn an_extractor_challenges_as_the_gate_does() {
    let verifier = verifier(ProtectedResource::new(URL)).await.unwrap();
    let tools = Requirements::new().scopes(Scopes::parse("tools").unwrap());
    let refused = Gate::new(&verifier).require(tools.clone());
    let refused = refused.judge(&head("GET", "/", &[])).await.unwrap_err();
    let gate = Gate::new(&verifier).require(tools.optional());
    let state = gate.judge(&head("GET", "/", &[])).await.unwrap();
    let request = AuthState::find(Some(&state), "a gate", head("GET", "/", &[])).unwrap();
    let rejection = request.pass().unwrap_err();
    let challenge = |reply: &Reply| header(reply, "www-authenticate").unwrap().to_owned();
    assert_eq!(challenge(rejection.reply()), challenge(refused.reply()));
    assert!(challenge(rejection.reply()).contains(METADATA));
}

#[tokio::test]
async fn the_metadata_names_those_who_issue_tokens_for_the_resource() {
    let resource = || ProtectedResource::new(URL);
    let others = ["https://login.example/", "https://sso.example/a/v2.0"];
    let document = async |resource| {
        let metadata = ResourceMetadata::new(verifier(resource).await.unwrap()).unwrap();
        body(&metadata.handle(&head("GET", PATH, &[])))
    };
    let mut expected = json!({
        "resource": URL,
        "authorization_servers": others,
        "bearer_methods_supported": ["header"],
    });
    assert_eq!(document(resource()).await, expected);
    let described = resource()
        .authorization_server("https://a.example")
        .authorization_server("https://b.example/b")
        .scopes(Scopes::parse("tools:read tools:write").unwrap())
        .name("Tools")
        .documentation("https://mcp.example/docs");
    expected["authorization_servers"] = json!(["https://a.example", "https://b.example/b"]);
    expected["scopes_supported"] = json!(["tools:read", "tools:write"]);
    expected["resource_name"] = json!("Tools");
    expected["resource_documentation"] = json!("https://mcp.example/docs");
    assert_eq!(document(described).await, expected);

    let authority = authority().protected_resource(resource());
    let authority = authority.issuers(issuers()).build().await.unwrap();
    let without = |endpoint| {
        let builder = Endpoints::builder(authority.clone());
        builder.without(endpoint).build().unwrap()
    };
    let all = Endpoints::new(authority.clone());
    let servers = body(&get(&all, PATH).await)["authorization_servers"].take();
    assert_eq!(servers, json!([others[0], others[1], REALM]));
    for endpoint in [Endpoint::Token, Endpoint::Metadata] {
        let servers = body(&get(&without(endpoint), PATH).await)["authorization_servers"].take();
        assert_eq!(servers, json!(others), "{endpoint:?}");
    }
    let gone = without(Endpoint::ResourceMetadata);
    assert_eq!(get(&gone, PATH).await.status(), 404);
    let moved = Endpoints::builder(authority).path(Endpoint::ResourceMetadata, PATH);
    assert!(matches!(moved.build(), Err(BuildError::EndpointPath(_))));
}

#[tokio::test]
async fn the_metadata_is_the_same_from_a_verifier_and_from_endpoints() {
    let resource = ProtectedResource::new(URL).authorization_server("https://login.example");
    let authority = authority().protected_resource(resource).build().await;
    let authority = authority.unwrap();
    let alone = ResourceMetadata::new(&authority).unwrap();
    let endpoints = Endpoints::new(authority);
    let tag = header(&alone.handle(&head("GET", PATH, &[])), "etag")
        .unwrap()
        .to_owned();
    let elsewhere = format!("{PATH}/x");
    for (method, path, fields, status) in [
        ("GET", PATH, &[][..], 200),
        ("HEAD", PATH, &[], 200),
        ("GET", PATH, &[("if-none-match", &*tag)], 304),
        ("POST", PATH, &[], 405),
        ("OPTIONS", PATH, &[], 405),
        ("GET", &elsewhere, &[], 404),
    ] {
        let head = head(method, path, fields);
        let reply = alone.handle(&head);
        assert_eq!(reply.status(), status, "{method} {path}");
        let other = endpoints.handle(&head, RequestBody::Complete(b"")).await;
        assert_eq!(format!("{reply:?}"), format!("{other:?}"));
        assert_eq!(reply.body(), other.body());
        if matches!(status, 200 | 304) {
            let caching = header(&reply, "cache-control");
            assert_eq!(caching, Some("public, max-age=300"));
            let origin = header(&reply, "access-control-allow-origin");
            assert_eq!(origin, Some("*"), "clients in pages read it");
        }
    }
}

#[tokio::test]
async fn a_service_that_is_not_described_has_no_metadata() {
    let authority = authority().build().await.unwrap();
    let nothing = ResourceMetadata::new(&authority);
    assert!(matches!(nothing, Err(BuildError::NoProtectedResource)));
    let endpoints = Endpoints::new(authority);
    assert!(
        !endpoints
            .paths()
            .any(|path| path.contains("protected-resource"))
    );
}
