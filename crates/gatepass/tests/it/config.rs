//! Every mistake in a configuration is found at build, and the message says what to do.

use std::time::Duration;

use gatepass::{
    AuthenticationError, Authority, AuthorityBuilder, BuildError, Credentials, Identity, KeySet,
    MasterSecret, MemoryStore, ReusePolicy, Verifier,
    keys::{KeyError, SecretSet, SigningKey},
    store::StoreErrorKind,
    wire::{Client, Endpoints, RequestBody, RequestHead},
};
use gatepass_testkit::{Op, StoreFault, TestStore};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn master() -> MasterSecret {
    MasterSecret::from_bytes(&[7; 32]).unwrap()
}

fn key(byte: u8) -> SigningKey {
    SigningKey::hs256(&[byte; 32]).unwrap()
}

fn named(issuer: &str, audience: &str) -> AuthorityBuilder {
    Authority::builder(issuer, audience, master(), MemoryStore::new())
}

fn authority() -> AuthorityBuilder {
    named("https://shop.example", "shop-api")
}

fn nobody(_: &Credentials) -> Result<Identity, AuthenticationError> {
    Err(AuthenticationError::BadCredentials)
}

fn reuse(overlap: Duration, recovery: Duration) -> AuthorityBuilder {
    let mut policy = ReusePolicy::default();
    (policy.overlap, policy.recovery) = (overlap, recovery);
    authority().reuse(policy)
}

/// The mistake, the configuration with it, and the words that the message must have.
type Case = (&'static str, AuthorityBuilder, &'static [&'static str]);

fn names() -> Vec<Case> {
    let long = "x".repeat(256);
    vec![
        ("no issuer", named("", "api"), &["issuer", "1 to 255 bytes"]),
        ("a long issuer", named(&long, "api"), &["issuer", "255"]),
        (
            "a line in the issuer",
            named("a\nb", "api"),
            &["issuer", "control"],
        ),
        (
            "NUL in the issuer",
            named("a\0b", "api"),
            &["issuer", "control"],
        ),
        (
            "a directional override in the issuer",
            named("https://\u{202e}elpmaxe.pohs", "api"),
            &["issuer", "directional marks"],
        ),
        (
            "a line separator in the audience",
            named("https://shop.example", "api\u{2028}"),
            &["audience", "line separators"],
        ),
        (
            "C1 in the issuer",
            named("a\u{85}b", "api"),
            &["issuer", "control"],
        ),
        (
            "no audience",
            named("shop", ""),
            &["audience", "1 to 255 bytes"],
        ),
        (
            "a long audience",
            named("shop", &long),
            &["audience", "255"],
        ),
        (
            "a line in the audience",
            named("shop", "a\r\nb"),
            &["audience", "control"],
        ),
        (
            "a quote in the realm",
            authority().realm("a\"b"),
            &["realm()", "quote"],
        ),
        (
            "a backslash in the realm",
            authority().realm(r"a\b"),
            &["realm()", "backslash"],
        ),
        (
            "a line in the realm",
            authority().realm("a\r\nb"),
            &["realm()"],
        ),
        (
            "a realm beyond ASCII",
            authority().realm("käse"),
            &["realm()", "ASCII"],
        ),
        ("no realm", authority().realm(""), &["realm()"]),
        (
            "an issuer that is no realm",
            named("käse", "api"),
            &["realm()", "issuer"],
        ),
        ("no client", authority().client_id(""), &["client id"]),
        (
            "a long client",
            authority().client_id(&long),
            &["client id", "255"],
        ),
        (
            "an origin with a path",
            authority().trusted_origin("https://app.example/"),
            &["https://app.example/", "without a path"],
        ),
        (
            "an origin without a scheme",
            authority().trusted_origin("app.example"),
            &["\"app.example\"", "origin"],
        ),
        (
            "every origin",
            authority().trusted_origin("*"),
            &["\"*\"", "origin"],
        ),
        (
            "an opaque origin",
            authority().trusted_origin("null"),
            &["\"null\"", "origin"],
        ),
        (
            "a second origin that browsers write without its port",
            authority()
                .trusted_origin("https://app.example")
                .trusted_origin("https://app.example:443"),
            &["https://app.example:443", "origin"],
        ),
        (
            "an origin in capitals",
            authority().trusted_origin("https://App.example"),
            &["App.example", "origin"],
        ),
        (
            "a line in the client",
            authority().client_id("a\nb"),
            &["client id", "control"],
        ),
    ]
}

fn durations() -> Vec<Case> {
    let max = Duration::MAX;
    let tiny = Duration::from_millis(999);
    let decade = Duration::from_secs(10 * 365 * 86_400);
    let zero = Duration::ZERO;
    vec![
        (
            "absolute zero",
            authority().absolute_ttl(zero),
            &["absolute lifetime", "between 1 second"],
        ),
        (
            "absolute tiny",
            authority().absolute_ttl(tiny),
            &["absolute lifetime"],
        ),
        (
            "absolute max",
            authority().absolute_ttl(max),
            &["absolute lifetime", "10 years"],
        ),
        (
            "absolute over ten years",
            authority().absolute_ttl(decade + SECOND),
            &["absolute lifetime"],
        ),
        (
            "idle zero",
            authority().idle_ttl(zero),
            &["idle lifetime", "at least 1 second"],
        ),
        (
            "idle max",
            authority().idle_ttl(max),
            &["idle lifetime", "absolute lifetime"],
        ),
        (
            "idle over absolute",
            authority().absolute_ttl(HOUR).idle_ttl(HOUR + SECOND),
            &["idle lifetime"],
        ),
        (
            "access zero",
            authority().access_ttl(zero),
            &["access-token lifetime", "at least 1 second"],
        ),
        (
            "access tiny",
            authority().access_ttl(tiny),
            &["access-token lifetime"],
        ),
        (
            "access max",
            authority().access_ttl(max),
            &["access-token lifetime", "idle lifetime"],
        ),
        (
            "access over idle",
            authority().idle_ttl(HOUR).access_ttl(HOUR + SECOND),
            &["access-token lifetime"],
        ),
        (
            "overlap over access",
            reuse(HOUR, HOUR),
            &["overlap", "access-token lifetime"],
        ),
        ("overlap max", reuse(max, HOUR), &["overlap"]),
        (
            "recovery over idle",
            reuse(zero, 15 * 24 * HOUR),
            &["recovery", "idle lifetime"],
        ),
        ("recovery max", reuse(zero, max), &["recovery"]),
        (
            "purge zero",
            authority().purge_interval(zero),
            &["purge interval", "1 second"],
        ),
        (
            "purge max",
            authority().purge_interval(max),
            &["purge interval", "10 years"],
        ),
        (
            "leeway over five minutes",
            authority().leeway(Duration::from_secs(301)),
            &["leeway", "5 minutes"],
        ),
        ("leeway max", authority().leeway(max), &["leeway"]),
        (
            "staleness zero",
            authority().max_staleness(zero),
            &["max_staleness", "10 ms"],
        ),
        (
            "staleness max",
            authority().max_staleness(max),
            &["max_staleness", "1 hour"],
        ),
        (
            "timeout zero",
            authority().store_timeout(zero),
            &["store_timeout", "10 ms"],
        ),
        (
            "timeout max",
            authority().store_timeout(max),
            &["store_timeout", "1 hour"],
        ),
        (
            "poll zero",
            authority().poll_interval(zero),
            &["poll interval"],
        ),
        (
            "poll too long",
            authority().poll_interval(Duration::from_millis(1001)),
            &["poll interval", "half of max_staleness"],
        ),
        (
            "poll max",
            authority().poll_interval(max),
            &["poll interval"],
        ),
        (
            "everything max",
            authority()
                .absolute_ttl(max)
                .idle_ttl(max)
                .access_ttl(max)
                .leeway(max)
                .max_staleness(max)
                .poll_interval(max)
                .store_timeout(max)
                .purge_interval(max)
                .reuse(ReusePolicy {
                    overlap: max,
                    recovery: max,
                    ..ReusePolicy::default()
                }),
            &["lifetime"],
        ),
    ]
}

fn keys() -> Vec<Case> {
    let same = key(2).with_id(key(1).verifying_key().id()).unwrap();
    let twice = KeySet::signing(key(1)).announce(same.verifying_key().clone());
    let verifying = KeySet::verifying([key(1).verifying_key().clone()]);
    vec![
        (
            "nothing signs",
            authority().keys(verifying),
            &["no active signing key"],
        ),
        (
            "no key at all",
            authority().keys(KeySet::verifying([])),
            &["no active signing key"],
        ),
        (
            "one id twice",
            authority().keys(twice),
            &["two keys have the id"],
        ),
        (
            "the secret again",
            Authority::builder(
                "https://shop.example",
                "shop-api",
                SecretSet::new(master()).announce(master()),
                MemoryStore::new(),
            ),
            &["a master secret is in the set twice"],
        ),
    ]
}

#[tokio::test]
async fn every_mistake_fails_at_build_with_advice() {
    for (case, builder, named) in names().into_iter().chain(durations()).chain(keys()) {
        let message = match builder.build().await {
            Ok(_) => panic!("{case}: built"),
            Err(error) => error.to_string(),
        };
        for name in named {
            assert!(
                message.contains(name),
                "{case}: {message:?} does not say {name:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_verifier_alone_is_held_to_the_same() {
    let with = |issuer: &str, audience: &str| {
        let keys = KeySet::verifying([key(1).verifying_key().clone()]);
        Verifier::builder(issuer, audience, keys, MemoryStore::new())
    };
    let max = Duration::MAX;
    let cases = [
        ("no issuer", with("", "api"), "issuer"),
        ("no audience", with("shop", ""), "audience"),
        ("realm", with("shop", "api").realm("a\"b"), "realm()"),
        ("leeway", with("shop", "api").leeway(max), "leeway"),
        (
            "staleness",
            with("shop", "api").max_staleness(Duration::ZERO),
            "max_staleness",
        ),
        (
            "poll",
            with("shop", "api").poll_interval(max),
            "poll interval",
        ),
        (
            "timeout",
            with("shop", "api").store_timeout(max),
            "store_timeout",
        ),
    ];
    for (case, builder, name) in cases {
        let message = builder.build().await.map(drop).unwrap_err().to_string();
        assert!(message.contains(name), "{case}: {message}");
    }
    let same = key(2).with_id(key(1).verifying_key().id()).unwrap();
    let keys = KeySet::verifying([key(1), same].map(|key| key.verifying_key().clone()));
    let built = Verifier::builder("shop", "api", keys, MemoryStore::new())
        .build()
        .await;
    assert!(
        matches!(built, Err(BuildError::Key(KeyError::DuplicateKeyId(_)))),
        "{built:?}"
    );
}

#[tokio::test]
async fn the_extremes_that_are_allowed_build() {
    let decade = Duration::from_secs(10 * 365 * 86_400);
    let long = "x".repeat(255);
    let cases = [
        ("the defaults", authority()),
        (
            "the longest",
            authority()
                .absolute_ttl(decade)
                .idle_ttl(decade)
                .access_ttl(decade)
                .purge_interval(decade),
        ),
        (
            "the shortest",
            authority()
                .absolute_ttl(SECOND)
                .idle_ttl(SECOND)
                .access_ttl(SECOND)
                .reuse(ReusePolicy {
                    overlap: Duration::ZERO,
                    recovery: Duration::ZERO,
                    ..ReusePolicy::default()
                }),
        ),
        ("no leeway", authority().leeway(Duration::ZERO)),
        ("all leeway", authority().leeway(Duration::from_secs(300))),
        (
            "the freshest",
            authority().max_staleness(Duration::from_millis(10)),
        ),
        (
            "the stalest",
            authority().max_staleness(HOUR).poll_interval(HOUR / 2),
        ),
        ("long names", named(&long, &long).client_id(&long)),
        ("an audience beyond ASCII", named("shop", "käse")),
        (
            "a realm for an issuer beyond ASCII",
            named("käse", "api").realm("cheese"),
        ),
    ];
    for (case, builder) in cases {
        assert!(builder.build().await.is_ok(), "{case}");
    }
}

#[test]
fn a_short_secret_is_refused_before_there_is_a_builder() {
    for bytes in [&b""[..], b"hunter2", &[b' '; 64], &[b'x'; 31]] {
        let message = MasterSecret::from_bytes(bytes)
            .map(drop)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("at least 32") && message.contains("openssl rand"),
            "{message}"
        );
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_read_fails_the_build() {
    let faults = [
        ("fails", StoreFault::Fail(StoreErrorKind::Unavailable)),
        ("is corrupt", StoreFault::Fail(StoreErrorKind::Corrupt)),
        ("hangs", StoreFault::Hang),
    ];
    for (case, fault) in faults {
        let store = TestStore::new(MemoryStore::new());
        store.clone().inject(Op::Pull, fault);
        let built = Authority::builder("shop", "api", master(), store)
            .store_timeout(Duration::from_millis(10))
            .build()
            .await;
        let error = built.map(drop).unwrap_err();
        assert!(matches!(error, BuildError::Store(_)), "{case}: {error}");
        assert!(
            error
                .to_string()
                .contains("revocations could not be loaded"),
            "{case}: {error}"
        );
        assert!(
            std::error::Error::source(&error).is_some(),
            "{case}: the cause is named"
        );
    }
}

#[tokio::test]
async fn endpoints_are_mounted_at_a_plain_path_over_an_authenticator() {
    let authority = authority().authenticator(nobody).build().await.unwrap();
    let bad = [
        "",
        "auth",
        "auth/",
        "/auth/",
        "//auth",
        "/auth//v1",
        "/a b",
        "/{x}",
        "/*rest",
        "/:id",
        "/a?b",
        "/a#b",
        "/a%2Fb",
        "/ä",
        "/a\n",
        "/.",
        "/..",
        "/auth/..",
        "/./auth",
        "https://shop.example/auth",
    ];
    for mount in bad {
        let error = Endpoints::builder(authority.clone())
            .mount(mount)
            .build()
            .map(drop)
            .unwrap_err();
        assert!(matches!(error, BuildError::Mount), "{mount:?}");
        assert!(
            error.to_string().contains("mount point"),
            "{mount:?}: {error}"
        );
    }
    for mount in ["/", "/auth", "/api/v1/auth", "/~a-b_c.d"] {
        assert!(
            Endpoints::builder(authority.clone())
                .mount(mount)
                .build()
                .is_ok(),
            "{mount:?}"
        );
    }
}

#[tokio::test]
async fn mistakes_about_clients_and_urls_are_found_when_the_endpoints_are_built() {
    let authority = authority().build().await.unwrap();
    let builder = || Endpoints::builder(authority.clone());
    let public = |id: &str| Client::public(id.try_into().unwrap());
    let confidential = |id: &str| Client::confidential(id.try_into().unwrap(), "a secret");
    let twice = [
        (builder().client(public("default")), "default"),
        (builder().client(confidential("default")), "default"),
        (
            builder()
                .client(public("desktop"))
                .client(confidential("desktop")),
            "desktop",
        ),
    ];
    for (builder, twice) in twice {
        let error = builder.build().map(drop).unwrap_err();
        assert!(
            matches!(&error, BuildError::DuplicateClient(id) if id.as_str() == twice),
            "{error}"
        );
        assert!(error.to_string().contains(twice), "{error}");
        assert!(!error.to_string().contains("a secret"), "{error}");
    }
    let others = builder()
        .client(public("Default"))
        .client(confidential("desktop"));
    assert!(others.build().is_ok());

    let bad = [
        "",
        "shop.example",
        "https://",
        "ftp://shop.example",
        "https://shop.example?a",
        "https://shop.example/#a",
        "https://user@shop.example",
        "https://shop.example/a b",
        "https://shop.example/{x}",
        "https://shop.example/../a",
    ];
    for url in bad {
        let error = builder().base_url(url).build().map(drop).unwrap_err();
        assert!(matches!(error, BuildError::BaseUrl), "{url:?}");
        assert!(error.to_string().contains("base URL"), "{url:?}: {error}");
    }
    for url in [
        "https://shop.example",
        "http://127.0.0.1:3000/",
        "https://shop.example/api/v1",
    ] {
        assert!(builder().base_url(url).build().is_ok(), "{url:?}");
    }
}

#[tokio::test]
async fn without_an_authenticator_there_is_no_login() {
    let authority = named("shop", "api").build().await.unwrap();
    let endpoints = Endpoints::new(authority);
    assert!(!endpoints.paths().any(|path| path.ends_with("/login")));
    assert!(endpoints.paths().any(|path| path.ends_with("/refresh")));
    let head = RequestHead::new("POST", "/auth/login", |_| std::iter::empty());
    let reply = endpoints.handle(&head, RequestBody::Complete(b"{}")).await;
    assert_eq!(reply.status(), 404);
}
