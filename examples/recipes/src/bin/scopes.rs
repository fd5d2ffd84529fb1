//! Rights as scopes: a gate asks for one on several routes, a handler for one more in its
//! signature. A user without it gets 403. `cargo run -p example-recipes --bin scopes`.

use std::error::Error;

use axum::{Router, routing::get};
use gatepass_axum::{
    Auth, AuthenticationError, Authority, Credentials, Endpoints, GateLayer, Identity,
    MasterSecret, MemoryStore, RequiredScopes, Requirements, Scoped, Scopes, routes,
};

/// Each user's scopes. The recipe `roles` has them in a database.
fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    let scopes = match (credentials.username(), credentials.password()) {
        ("alice", Some("wonderland")) => "notes:read notes:write",
        ("dormouse", Some("treacle")) => "notes:read",
        ("hatter", Some("tea time")) => "",
        _ => return Err(AuthenticationError::BadCredentials),
    };
    Ok(Identity::new(credentials.username())?.scopes(Scopes::parse(scopes)?))
}

/// The scopes of users who write.
struct Writer;

impl RequiredScopes for Writer {
    const SCOPES: &'static [&'static str] = &["notes:write"];
}

async fn read(Auth(pass): Auth) -> String {
    format!("the notes, for {}", pass.subject())
}

/// The signature says what the handler needs, so that no route can forget it.
async fn write(writer: Scoped<Writer>) -> String {
    format!("a note of {}", writer.pass().subject())
}

/// A handler can also look itself, for a part of its answer.
async fn menu(Auth(pass): Auth) -> &'static str {
    match pass.scopes().contains("notes:write") {
        true => "read, write",
        false => "read",
    }
}

fn app(authority: &Authority) -> Result<Router, Box<dyn Error>> {
    let readers = Requirements::new().scopes(Scopes::parse("notes:read")?);
    Ok(Router::new()
        .route("/notes", get(read).post(write))
        .route("/menu", get(menu))
        .route_layer(GateLayer::new(authority).require(readers))
        .merge(routes(Endpoints::new(authority.clone()))))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = MasterSecret::generate()?;
    let authority =
        Authority::builder("https://notes.example", "notes", secret, MemoryStore::new());
    let authority = authority.authenticator(login).build().await?;
    example_recipes::serve(app(&authority)?).await
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use gatepass_testkit::TestService;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;

    /// Logs a user in, and returns the value of `Authorization`.
    async fn log_in(app: &Router, username: &str, password: &str) -> String {
        let request = Request::post("/auth/login").header("content-type", "application/json");
        let body = json!({ "username": username, "password": password }).to_string();
        let request = request.body(Body::from(body)).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let tokens: Value = serde_json::from_slice(&body).unwrap();
        format!("Bearer {}", tokens["access_token"].as_str().unwrap())
    }

    #[tokio::test]
    async fn a_user_without_the_scope_gets_403_and_its_name() {
        let service = TestService::configured(|builder| builder.authenticator(login)).await;
        let app = app(service.authority()).unwrap();
        let alice = log_in(&app, "alice", "wonderland").await;
        let dormouse = log_in(&app, "dormouse", "treacle").await;
        let hatter = log_in(&app, "hatter", "tea time").await;
        let cases = [
            ("GET", "/notes", &alice, None),
            ("POST", "/notes", &alice, None),
            ("GET", "/menu", &dormouse, None),
            ("GET", "/notes", &dormouse, None),
            ("POST", "/notes", &dormouse, Some("notes:write")),
            ("GET", "/notes", &hatter, Some("notes:read")),
            ("GET", "/menu", &hatter, Some("notes:read")),
        ];
        for (method, path, bearer, missing) in cases {
            let request = Request::builder().method(method).uri(path);
            let request = request.header("authorization", bearer).body(Body::empty());
            let response = app.clone().oneshot(request.unwrap()).await.unwrap();
            let status = if missing.is_some() { 403 } else { 200 };
            assert_eq!(response.status(), status, "{method} {path}");
            if let Some(scope) = missing {
                let challenge = response.headers()["www-authenticate"].to_str().unwrap();
                let named = format!(r#"scope="{scope}""#);
                assert!(challenge.contains(&named), "{method} {path}: {challenge}");
            }
        }
    }
}
