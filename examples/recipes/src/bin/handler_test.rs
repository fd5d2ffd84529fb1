//! A test of a handler of your own: as a function, through the gate, and when the token has
//! expired. `cargo nextest run -p example-recipes handler_test`.

use std::error::Error;

use axum::{Router, routing::get};
use gatepass_axum::{Auth, Authority, GateLayer, MasterSecret, MemoryStore, Requirements, Scopes};

/// The handler.
async fn report(Auth(pass): Auth) -> String {
    format!("the report for {}", pass.subject())
}

/// The application.
fn app(authority: &Authority) -> Router {
    let admins = Requirements::new().scopes(Scopes::parse("admin").unwrap_or_default());
    let gate = GateLayer::new(authority).require(admins);
    Router::new().route("/report", get(report).route_layer(gate))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = MasterSecret::generate()?;
    let authority = Authority::builder("https://shop.example", "shop", secret, MemoryStore::new());
    example_recipes::serve(app(&authority.build().await?)).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{body::Body, http::Request};
    use gatepass_testkit::{TestService, TestUser};
    use tower::ServiceExt;

    use super::*;

    async fn status(service: &TestService, user: &TestUser) -> u16 {
        let request = Request::get("/report").header("authorization", user.bearer());
        let request = request.body(Body::empty()).unwrap();
        let response = app(service.authority()).oneshot(request).await.unwrap();
        response.status().as_u16()
    }

    #[tokio::test]
    async fn the_report_is_for_its_user() {
        let service = TestService::start().await;
        let alice = service.logged_in("alice").scopes("admin").await;
        assert_eq!(report(Auth(alice.pass())).await, "the report for alice");
    }

    #[tokio::test]
    async fn the_report_is_for_administrators() {
        let service = TestService::start().await;
        let alice = service.logged_in("alice").scopes("admin").await;
        let bob = service.logged_in("bob").scopes("profile").await;
        assert_eq!(status(&service, &alice).await, 200);
        assert_eq!(status(&service, &bob).await, 403);
    }

    #[tokio::test]
    async fn the_report_needs_a_token_that_has_not_expired() {
        let service = TestService::start().await;
        let alice = service.logged_in("alice").scopes("admin").await;
        service.clock().advance(Duration::from_secs(1000));
        assert_eq!(status(&service, &alice).await, 401);
    }
}
