//! A single-page application on a subdomain: its pages are at `https://app.shop.example`, and the
//! API at `https://api.shop.example` keeps the session in cookies that no script can read. The
//! script refreshes by itself, as `clients/js` does: when an answer is 401 `expired` or `missing`,
//! it calls `POST /auth/refresh`. `cargo run -p example-recipes --bin single_page_app`.

use std::{error::Error, time::Duration};

use axum::{
    Router,
    http::{
        HeaderName, HeaderValue, Method,
        header::{CONTENT_TYPE, WWW_AUTHENTICATE},
    },
    routing::get,
};
use gatepass::AuthorityBuilder;
use gatepass_axum::{
    Auth, AuthenticationError, Authority, Credentials, Endpoints, GateLayer, Identity,
    MasterSecret, MemoryStore, Transport, routes,
};
use tower_http::cors::CorsLayer;

const PAGES: &str = "https://app.shop.example";

fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    match (credentials.username(), credentials.password()) {
        ("alice", Some("wonderland")) => Ok(Identity::new("alice")?),
        _ => Err(AuthenticationError::BadCredentials),
    }
}

/// Cookies, which pages of this origin may use. Those of any other site are refused.
fn for_pages(builder: AuthorityBuilder) -> AuthorityBuilder {
    let builder = builder.transport(Transport::Cookie).trusted_origin(PAGES);
    builder.authenticator(login)
}

fn app(authority: &Authority) -> Router {
    let gate = GateLayer::new(authority);
    let me = get(async |Auth(pass): Auth| pass.subject().to_string());
    // Tells the browser that scripts of that origin may read the answers.
    let cors = CorsLayer::new()
        .allow_origin(HeaderValue::from_static(PAGES))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([CONTENT_TYPE])
        // `clients/js` reads them.
        .expose_headers([
            WWW_AUTHENTICATE,
            HeaderName::from_static("gatepass-refresh"),
        ])
        .max_age(Duration::from_secs(3600));
    routes(Endpoints::new(authority.clone()))
        .route("/me", me.route_layer(gate))
        .layer(cors)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = MasterSecret::generate()?;
    let authority = Authority::builder(
        "https://api.shop.example",
        "shop",
        secret,
        MemoryStore::new(),
    );
    example_recipes::serve(app(&for_pages(authority).build().await?)).await
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use gatepass_testkit::TestService;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn the_page_logs_in_and_a_page_elsewhere_does_not() {
        let service = TestService::configured(for_pages).await;
        let login = async |origin: &str, site: &str| {
            let request = Request::post("/auth/login")
                .header("origin", origin)
                .header("sec-fetch-site", site)
                .header("content-type", "application/json")
                .body(Body::from(
                    r#"{"username":"alice","password":"wonderland"}"#,
                ))
                .unwrap();
            app(service.authority()).oneshot(request).await.unwrap()
        };
        let answer = login(PAGES, "same-site").await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["access-control-allow-origin"], PAGES);
        assert_eq!(answer.headers()["access-control-allow-credentials"], "true");
        assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2);
        let exposed = &answer.headers()["access-control-expose-headers"];
        assert_eq!(exposed, "www-authenticate,gatepass-refresh");
        assert_eq!(
            login("https://evil.example", "cross-site").await.status(),
            403
        );
    }
}
