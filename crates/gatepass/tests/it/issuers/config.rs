//! Each mistake in the configuration of an issuer is found at build.

use gatepass::BuildError;

use super::*;

async fn built(issuers: Issuers) -> Result<Verifier, BuildError> {
    let builder = Verifier::of_issuers("https://api.shop.example", issuers, MemoryStore::new());
    builder.build().await
}

fn none() -> Issuers {
    Issuers::new(Web::default())
}

fn trusted() -> TrustedIssuer {
    TrustedIssuer::new(LOGIN, API)
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_cannot_be_trusted_safely_is_found_at_build() {
    const TENANTS: &str = "https://login.example/{tenantid}/";
    for (case, trusted, words) in [
        ("no issuer", TrustedIssuer::new("", API), "1 to 255"),
        (
            "plain http",
            TrustedIssuer::new("http://login.example", API),
            "https://",
        ),
        ("a name", TrustedIssuer::new("login", API), "jwks_url"),
        (
            "a line",
            TrustedIssuer::new("https://a\nb", API).jwks_url(JWKS),
            "control",
        ),
        ("no audience", TrustedIssuer::new(LOGIN, ""), "audiences"),
        (
            "nobody",
            TrustedIssuer::of_clients(LOGIN, [""; 0]),
            "an audience or a client",
        ),
        (
            "no client",
            TrustedIssuer::of_clients(LOGIN, [""]),
            "clients",
        ),
        (
            "keys over http",
            trusted().jwks_url("http://login.example/k"),
            "jwks_url",
        ),
        (
            "a secret",
            trusted().algorithms([Algorithm::Hs256]),
            "asymmetric",
        ),
        (
            "a secret, too",
            trusted().algorithms([Algorithm::Es256, Algorithm::Hs512]),
            "asymmetric",
        ),
        ("no algorithm", trusted().algorithms([]), "algorithm"),
        (
            "no tenant",
            TrustedIssuer::new(TENANTS, API).jwks_url(JWKS),
            "tenants",
        ),
        (
            "no place for tenants",
            trusted().jwks_url(JWKS).tenants(["a"]),
            "tenantid",
        ),
        (
            "tenants without keys",
            TrustedIssuer::new(TENANTS, API).tenants(["a"]),
            "jwks_url",
        ),
        (
            "a path in a tenant",
            TrustedIssuer::new(TENANTS, API)
                .jwks_url(JWKS)
                .tenants(["a/../b"]),
            "letters",
        ),
        (
            "short lifetime",
            trusted().max_token_lifetime(SECOND),
            "1 minute",
        ),
        (
            "long lifetime",
            trusted().max_token_lifetime(60 * 1440 * MINUTE),
            "31 days",
        ),
    ] {
        let error = built(none().trust(trusted)).await.unwrap_err().to_string();
        assert!(error.contains(words), "{case}: {error}");
    }
    for (case, issuers, words) in [
        ("twice", none().trust(trusted()).trust(trusted()), "once"),
        (
            "itself",
            none().trust(TrustedIssuer::new("https://api.shop.example", API)),
            "must not be this service",
        ),
        ("young", none().max_age(SECOND), "1 minute"),
        ("no rest", none().cooldown(Duration::ZERO), "1 second"),
        (
            "a long rest",
            none().cooldown(11 * MINUTE),
            "age of the keys",
        ),
        ("no time", none().timeout(Duration::ZERO), "100 ms"),
    ] {
        let error = built(issuers).await.unwrap_err().to_string();
        assert!(error.contains(words), "{case}: {error}");
    }
    assert!(built(none().trust(trusted())).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_authority_finds_the_same_mistakes_before_it_uses_its_store() {
    let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
    let store = TestStore::new(MemoryStore::new());
    let counts = store.clone();
    let issuers = none().trust(TrustedIssuer::new("https://shop.example", API));
    let built = Authority::builder("https://shop.example", API, secret, store).issuers(issuers);
    assert!(matches!(
        built.build().await,
        Err(BuildError::TrustedIssuer { .. })
    ));
    assert_eq!(counts.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn debug_shows_the_configuration() {
    let shown = format!("{:?}", none().trust(trusted()));
    assert!(shown.contains(LOGIN) && shown.contains(API), "{shown}");
}
