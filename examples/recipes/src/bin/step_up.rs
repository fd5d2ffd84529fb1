//! A risky act needs a password that the user has typed in the last five minutes. The client asks
//! for it again, and the session goes on. `cargo run -p example-recipes --bin step_up`.
//!
//! With passkeys in place of passwords, see the recipe `passkey_step_up`.

use std::{error::Error, time::Duration};

use axum::{Router, routing::get, routing::post};
use gatepass_axum::{
    Auth, AuthenticationError, Authority, Credentials, Endpoints, GateLayer, Identity,
    MasterSecret, MemoryStore, Requirements, routes,
};

const FIVE_MINUTES: Duration = Duration::from_secs(5 * 60);

/// gatepass also calls it for `POST /auth/reauthenticate`, with the session's subject as user name.
fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    match (credentials.username(), credentials.password()) {
        ("alice", Some("wonderland")) => Ok(Identity::new("alice")?),
        _ => Err(AuthenticationError::BadCredentials),
    }
}

async fn balance(Auth(pass): Auth) -> String {
    format!("the balance of {}", pass.subject())
}

async fn transfer(Auth(pass): Auth) -> String {
    format!("the money of {} moves", pass.subject())
}

/// A refresh doesn't make an authentication younger. A client that gets `authentication_too_old`
/// asks for the password, calls `POST /auth/reauthenticate`, and tries again with the new token.
fn app(authority: &Authority) -> Router {
    let gate = GateLayer::new(authority);
    let recent = Requirements::new().max_age(FIVE_MINUTES);
    let transfer = post(transfer).route_layer(gate.clone().require(recent));
    Router::new()
        .route("/balance", get(balance).route_layer(gate))
        .route("/transfer", transfer)
        .merge(routes(Endpoints::new(authority.clone())))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = MasterSecret::generate()?;
    let authority = Authority::builder("https://bank.example", "bank", secret, MemoryStore::new());
    let authority = authority.authenticator(login).build().await?;
    example_recipes::serve(app(&authority)).await
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Body,
        http::{HeaderMap, Request},
    };
    use gatepass_testkit::TestService;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;

    async fn send(
        app: &Router,
        method: &str,
        path: &str,
        bearer: &str,
        body: Value,
    ) -> (u16, HeaderMap, Value) {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/json");
        let request = request.header("authorization", bearer);
        let request = request.body(Body::from(body.to_string())).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (
            status,
            headers,
            serde_json::from_slice(&body).unwrap_or_default(),
        )
    }

    #[tokio::test]
    async fn the_money_moves_after_the_password_and_not_for_an_older_token() {
        let service = TestService::configured(|builder| builder.authenticator(login)).await;
        let app = app(service.authority());
        let alice = service.logged_in("alice").await;
        let transfer =
            async |bearer: &str| send(&app, "POST", "/transfer", bearer, Value::Null).await;
        assert_eq!(
            transfer(alice.bearer()).await.0,
            200,
            "she has just logged in"
        );

        service
            .clock()
            .advance(FIVE_MINUTES + Duration::from_secs(60));
        let (status, _, _) = send(&app, "GET", "/balance", alice.bearer(), Value::Null).await;
        assert_eq!(status, 200, "the token is good");
        let (status, headers, problem) = transfer(alice.bearer()).await;
        assert_eq!(
            (status, &problem["reason"]),
            (401, &json!("authentication_too_old"))
        );
        let challenge = headers["www-authenticate"].to_str().unwrap();
        assert!(challenge.contains(r#"max_age="300""#), "{challenge}");

        let again = "/auth/reauthenticate";
        let wrong = json!({ "password": "a guess" });
        assert_eq!(
            send(&app, "POST", again, alice.bearer(), wrong).await.0,
            401
        );
        let right = json!({ "password": "wonderland" });
        let (status, _, tokens) = send(&app, "POST", again, alice.bearer(), right).await;
        assert_eq!(status, 200, "{tokens}");
        let recent = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
        assert_eq!(transfer(&recent).await.0, 200);
        assert_eq!(transfer(alice.bearer()).await.0, 401);
    }
}
