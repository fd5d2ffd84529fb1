//! Access tokens of another issuer beside your own: of Auth0, Keycloak, Okta, Entra, Cognito, or of
//! another gatepass. `cargo run -p example-recipes --bin other_issuer`.

use std::error::Error;

use axum::{Router, routing::get};
use gatepass::issuers::{Issuers, TrustedIssuer};
use gatepass_axum::{Auth, Authority, GateLayer, MasterSecret, MemoryStore};

/// The company's single sign-on. Without `jwks_url`, gatepass asks its discovery document.
fn sso(issuers: Issuers) -> Issuers {
    let sso = TrustedIssuer::new("https://sso.example", "reports");
    issuers.trust(sso.jwks_url("https://sso.example/.well-known/jwks.json"))
}

/// Only issuer and subject together name a user: `alice` of the company is not your own `alice`.
async fn report(Auth(pass): Auth) -> String {
    match pass.foreign_issuer() {
        Some(issuer) => format!("the report for {} of {issuer}", pass.subject()),
        None => format!("the report for our own {}", pass.subject()),
    }
}

fn app(authority: &Authority) -> Router {
    Router::new().route(
        "/report",
        get(report).route_layer(GateLayer::new(authority)),
    )
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = MasterSecret::generate()?;
    let authority =
        Authority::builder("https://reports.example", "api", secret, MemoryStore::new())
            .issuers(sso(Issuers::with_reqwest()?))
            .build()
            .await?;
    example_recipes::serve(app(&authority)).await
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use gatepass::{
        Authority, Device, Identity, KeySet,
        issuers::{FetchError, FetchRequest, Fetched, Fetcher},
        keys::SigningKey,
    };
    use gatepass_testkit::TestService;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    /// The company's keys.
    struct Sso(Authority);

    #[gatepass::async_trait]
    impl Fetcher for Sso {
        async fn fetch(&self, _: FetchRequest) -> Result<Fetched, FetchError> {
            Ok(Fetched::document(self.0.verifier().jwks(), None))
        }
    }

    #[tokio::test]
    async fn users_of_the_company_see_the_report() {
        let pem = include_bytes!("../../../../crates/gatepass/tests/keys/ed25519.pem");
        let keys = KeySet::signing(SigningKey::from_any_pem(pem).unwrap());
        let clock = gatepass_testkit::ManualClock::new();
        let store = MemoryStore::with_clock(clock.clone());
        let secret = MasterSecret::generate().unwrap();
        let company = Authority::builder("https://sso.example", "reports", secret, store);
        let company = company.keys(keys).clock(clock).build().await.unwrap();
        let alice = Identity::new("alice").unwrap();
        let alice = company.issue(alice, Device::default()).await.unwrap();

        let issuers = sso(Issuers::new(Sso(company)));
        let service = TestService::configured(|builder| builder.issuers(issuers)).await;
        let ours = service.logged_in("alice").await;
        let theirs = format!("Bearer {}", alice.access_token.as_str());
        let cases = [
            (ours.bearer(), "the report for our own alice"),
            (&theirs, "the report for alice of https://sso.example"),
        ];
        for (bearer, expected) in cases {
            let request = Request::get("/report").header("authorization", bearer);
            let request = request.body(Body::empty()).unwrap();
            let response = app(service.authority()).oneshot(request).await.unwrap();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(&*body, expected.as_bytes());
        }
    }
}
