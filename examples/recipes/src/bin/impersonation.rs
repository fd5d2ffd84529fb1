//! A member of the support team acts as a user for half an hour, with fewer rights, and the user
//! sees it in the list of sessions. `cargo run -p example-recipes --bin impersonation`.

use std::{error::Error, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::StatusCode,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use gatepass::Subject;
use gatepass_axum::{
    Auth, Authority, ClientDevice, GateLayer, Identity, MasterSecret, MemoryStore, Requirements,
    Scopes,
};
use serde_json::{Value, json};

const HALF_AN_HOUR: Duration = Duration::from_secs(30 * 60);

/// Begins a session in which the member of the support team acts as `user`.
async fn act_as(
    State(authority): State<Authority>,
    Auth(support): Auth,
    ClientDevice(device): ClientDevice,
    Path(user): Path<String>,
) -> Result<Json<Value>, StatusCode> {
    let user = Subject::new(user).map_err(|_| StatusCode::NOT_FOUND)?;
    let scopes = Scopes::parse("orders:read").map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let identity = Identity::of(user)
        .scopes(scopes)
        .impersonated_by(support.subject().clone(), HALF_AN_HOUR);
    let issued = authority.issue(identity, device).await;
    let issued = issued.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(Json(
        json!({ "access_token": issued.access_token.as_str() }),
    ))
}

/// Refuses a member of the support team where only the user may act.
async fn deny_actors(Auth(pass): Auth, request: Request, next: Next) -> Response {
    if pass.actor().is_some() {
        return StatusCode::FORBIDDEN.into_response();
    }
    next.run(request).await
}

async fn orders(Auth(pass): Auth) -> String {
    let actor = pass
        .actor()
        .map_or_else(|| "nobody else".to_owned(), ToString::to_string);
    format!("orders of {}, for {actor}", pass.subject())
}

fn app(authority: &Authority) -> Router {
    let gate = GateLayer::new(authority);
    let support = Requirements::new().scopes(Scopes::parse("support").unwrap_or_default());
    let password = put(async || StatusCode::NO_CONTENT).route_layer(from_fn(deny_actors));
    Router::new()
        .route(
            "/as/{user}",
            post(act_as).route_layer(gate.clone().require(support)),
        )
        .route("/orders", get(orders).route_layer(gate.clone()))
        .route("/me/password", password.route_layer(gate))
        .with_state(authority.clone())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = MasterSecret::generate()?;
    let authority = Authority::builder("https://shop.example", "shop", secret, MemoryStore::new());
    example_recipes::serve(app(&authority.build().await?)).await
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use gatepass_testkit::TestService;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn the_support_team_reads_orders_and_changes_no_password() {
        let service = TestService::start().await;
        let app = app(service.authority());
        let send = async |method: &str, path: &str, bearer: &str| {
            let request = Request::builder().method(method).uri(path);
            let request = request
                .header("authorization", bearer)
                .body(Body::empty())
                .unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            (
                status,
                response.into_body().collect().await.unwrap().to_bytes(),
            )
        };
        let support = service.logged_in("support-7").scopes("support").await;
        let (_, body) = send("POST", "/as/alice", support.bearer()).await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        let bearer = format!("Bearer {}", body["access_token"].as_str().unwrap());
        let (status, body) = send("GET", "/orders", &bearer).await;
        assert_eq!(
            (status, &*body),
            (200, &b"orders of alice, for support-7"[..])
        );
        assert_eq!(send("PUT", "/me/password", &bearer).await.0, 403);
        let alice = service.logged_in("alice").await;
        assert_eq!(send("PUT", "/me/password", alice.bearer()).await.0, 204);
        assert_eq!(send("POST", "/as/bob", alice.bearer()).await.0, 403);
    }
}
