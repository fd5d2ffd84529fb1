//! Further places of access tokens: off by default, one token in all, and no way around the rules
//! for cookies.

use gatepass::{AuthorityBuilder, BuildError, Transport};

use super::*;

type Headers<'a> = &'a [(&'static str, String)];

/// An authority, and a token of it.
async fn authority(
    configure: impl Fn(AuthorityBuilder) -> AuthorityBuilder,
) -> (Authority, String) {
    let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
    let authority = Authority::builder(REALM, "shop-api", secret, MemoryStore::new());
    let authority = configure(authority).build().await.unwrap();
    let alice = Identity::new("alice").unwrap();
    let issued = authority.issue(alice, Device::default()).await.unwrap();
    let token = issued.access_token.as_str().to_owned();
    (authority, token)
}

/// The reason for which a gate refuses the request.
async fn refused(
    authority: &Authority,
    method: &str,
    headers: Headers<'_>,
) -> Option<&'static str> {
    let head = RequestHead::new(method, "/me", |name| {
        let own = headers.iter().filter(move |(own, _)| *own == name);
        own.map(|(_, value)| value.as_bytes())
    });
    let judged = Gate::new(authority).judge(&head).await;
    judged.err().map(|rejection| rejection.error().reason())
}

#[tokio::test]
async fn no_further_place_is_read_by_default() {
    let (authority, token) = authority(|builder| builder).await;
    for headers in [
        [("authorization", format!("Token {token}"))],
        [("x-access-token", token.clone())],
        [("cookie", format!("session={token}"))],
    ] {
        assert_eq!(refused(&authority, "GET", &headers).await, Some("missing"));
    }
}

#[tokio::test]
async fn a_scheme_that_is_configured_means_the_same_as_bearer() {
    let configure = |builder: AuthorityBuilder| builder.token_scheme("Token").token_scheme("JWT");
    let (authority, token) = authority(configure).await;
    for (value, reason) in [
        (format!("Token {token}"), None),
        (format!("tOKEN   {token}"), None),
        (format!("JWT {token}"), None),
        (format!("Bearer {token}"), None),
        (format!("Tokens {token}"), Some("missing")),
        ("Token".to_owned(), Some("ambiguous")),
        (format!("Token {token} x"), Some("ambiguous")),
        ("Token x".to_owned(), Some("malformed")),
    ] {
        let headers = [("authorization", value.clone())];
        assert_eq!(
            refused(&authority, "GET", &headers).await,
            reason,
            "{value}"
        );
    }
}

#[tokio::test]
async fn a_header_of_the_applications_own_has_a_token_and_nothing_else() {
    let (authority, token) = authority(|builder| builder.token_header("X-Access-Token")).await;
    let own = |value: &str| ("x-access-token", value.to_owned());
    let bearer = ("authorization", format!("Bearer {token}"));
    let basic = ("authorization", "Basic YTpi".to_owned());
    for (headers, reason) in [
        (vec![own(&token)], None),
        (vec![own(&format!(" {token}\t"))], None),
        (vec![own(&token), basic], None),
        (vec![bearer.clone()], None),
        (vec![own(&token), bearer], Some("ambiguous")),
        (vec![own(&token), own(&token)], Some("ambiguous")),
        (vec![own("")], Some("ambiguous")),
        (vec![own(&format!("Bearer {token}"))], Some("ambiguous")),
    ] {
        assert_eq!(
            refused(&authority, "POST", &headers).await,
            reason,
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn a_cookie_of_the_applications_own_is_a_cookie_and_comes_after_ours() {
    for transport in [Transport::Bearer, Transport::Both, Transport::Cookie] {
        let configure =
            |builder: AuthorityBuilder| builder.transport(transport).token_cookie("session");
        let (authority, token) = authority(configure).await;
        let cookie = |text: String| ("cookie", text);
        let origin = ("origin", "https://evil.example".to_owned());
        let host = ("host", "shop.example".to_owned());
        let own = cookie(format!("session={token}"));
        let ours = cookie(format!("__Host-gatepass=x; session={token}"));
        let reads_ours = transport != Transport::Bearer;
        for (method, headers, reason) in [
            ("GET", vec![own.clone()], None),
            ("POST", vec![own.clone()], None),
            ("POST", vec![own.clone(), host, origin], Some("cross_site")),
            ("GET", vec![ours], reads_ours.then_some("malformed")),
            ("GET", vec![own.clone(), own.clone()], Some("ambiguous")),
            (
                "GET",
                vec![cookie("session=x".to_owned())],
                Some("malformed"),
            ),
            ("GET", vec![cookie("session=".to_owned())], Some("missing")),
            (
                "GET",
                vec![own, ("authorization", "Bearer x".to_owned())],
                Some("malformed"),
            ),
        ] {
            let told = refused(&authority, method, &headers).await;
            assert_eq!(told, reason, "{transport:?} {method} {headers:?}");
        }
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_one_is_a_mistake() {
    let secret = || MasterSecret::from_bytes(&[1; 32]).unwrap();
    let builder = || Authority::builder(REALM, "shop-api", secret(), MemoryStore::new());
    for (builder, name) in [
        (builder().token_scheme("Bearer"), "Bearer"),
        (builder().token_scheme("basic"), "basic"),
        (builder().token_scheme("a b"), "a b"),
        (builder().token_scheme("Token").token_scheme(""), ""),
        (builder().token_header("Authorization"), "authorization"),
        (builder().token_header("cookie"), "cookie"),
        (builder().token_header("x access"), "x access"),
        (builder().token_cookie("a;b"), "a;b"),
        (builder().token_cookie("__Host-gatepass"), "__Host-gatepass"),
    ] {
        let error = builder.build().await.unwrap_err();
        let told = matches!(&error, BuildError::TokenPlace { name: told, .. } if told == name);
        assert!(told, "{name:?}: {error:?}");
    }
}
