//! A login, a guarded route and a logout: the program of the guide's first login, and its tests.

use std::net::SocketAddr;

use axum::{Router, routing::get};
use gatepass_axum::{
    Auth, AuthenticationError, Authority, Credentials, Endpoints, GateLayer, Identity,
    MasterSecret, routes,
};
use gatepass_sqlite::SqliteStore;

/// Your own check of a password. A real one compares with a hash in your database.
fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    match (credentials.username(), credentials.password()) {
        ("alice", Some("wonderland")) => Ok(Identity::new("alice")?),
        _ => Err(AuthenticationError::BadCredentials),
    }
}

/// A handler that needs a user.
async fn me(Auth(pass): Auth) -> String {
    format!("you are {}\n", pass.subject())
}

fn app(authority: Authority) -> Router {
    Router::new()
        .route("/me", get(me))
        .route_layer(GateLayer::new(&authority)) // guards the routes above it
        .route("/", get(async || "hello, stranger\n")) // this one is open
        .merge(routes(Endpoints::new(authority))) // POST /auth/login, /auth/logout and others
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init(); // gatepass logs logins, refusals and your mistakes
    let secret = MasterSecret::from_file("shop.secret")?;
    let store = SqliteStore::open("shop.db")?;
    let authority = Authority::builder("http://localhost:3000", "shop-api", secret, store)
        .authenticator(login)
        .build()
        .await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let app = app(authority).into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, app).await?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{
        body::Body,
        http::{Request, request::Builder},
    };
    use gatepass_testkit::{TestService, TestUser};
    use tower::ServiceExt;

    use super::*;

    async fn status(service: &TestService, user: &TestUser, request: Builder) -> u16 {
        let request = request.header("authorization", user.bearer());
        let app = app(service.authority().clone());
        let response = app.oneshot(request.body(Body::empty()).unwrap()).await;
        response.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn a_user_who_has_logged_out_is_refused() {
        let service = TestService::start().await;
        let alice = service.logged_in("alice").await;
        assert_eq!(status(&service, &alice, Request::get("/me")).await, 200);
        let logout = Request::post("/auth/logout");
        assert_eq!(status(&service, &alice, logout).await, 204);
        assert_eq!(status(&service, &alice, Request::get("/me")).await, 401);
    }

    #[tokio::test]
    async fn a_token_expires() {
        let service = TestService::start().await;
        let alice = service.logged_in("alice").await;
        service.clock().advance(Duration::from_secs(1000)); // a token lives for 900
        assert_eq!(status(&service, &alice, Request::get("/me")).await, 401);
    }

    #[tokio::test]
    async fn a_login_is_answered_with_tokens() {
        let service = TestService::configured(|builder| builder.authenticator(login)).await;
        let request = Request::post("/auth/login").header("content-type", "application/json");
        let body = Body::from(r#"{"username":"alice","password":"wonderland"}"#);
        let app = app(service.authority().clone());
        let response = app.oneshot(request.body(body).unwrap()).await;
        assert_eq!(response.unwrap().status(), 200);
    }
}
