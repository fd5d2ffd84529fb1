//! Several tenants in one service: the login puts the tenant into the access token, and an
//! extractor lets a user see the data of its own tenant alone. `cargo run -p example-recipes --bin
//! tenants`.

use std::{collections::HashMap, error::Error};

use axum::{
    Router,
    extract::{FromRequestParts, Path},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
    routing::get,
};
use gatepass_axum::{
    AuthenticationError, Authority, Claims, Credentials, Endpoints, GateLayer, Identity,
    MasterSecret, MemoryStore, routes,
};
use serde::{Deserialize, Serialize};

/// The custom claims of access tokens.
#[derive(Debug, Serialize, Deserialize)]
struct Member {
    tenant: String,
}

fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    let tenant = match (credentials.username(), credentials.password()) {
        ("alice", Some("wonderland")) => "tea-party",
        ("red-queen", Some("off with their heads")) => "court",
        _ => return Err(AuthenticationError::BadCredentials),
    };
    let member = Member {
        tenant: tenant.to_owned(),
    };
    Ok(Identity::new(credentials.username())?.claims(&member)?)
}

/// The tenant in the path, which is the user's own. Another one is 404, so that no user learns
/// which tenants there are.
struct Tenant(String);

impl<S: Sync> FromRequestParts<S> for Tenant {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let member = Claims::<Member>::from_request_parts(parts, state).await;
        let Claims(member) = member.map_err(IntoResponse::into_response)?;
        let path = Path::<HashMap<String, String>>::from_request_parts(parts, &()).await;
        let Path(path) = path.map_err(IntoResponse::into_response)?;
        match path.get("tenant") {
            Some(tenant) if *tenant == member.tenant => Ok(Self(member.tenant)),
            _ => Err(StatusCode::NOT_FOUND.into_response()),
        }
    }
}

async fn invoices(Tenant(tenant): Tenant) -> String {
    format!("the invoices of {tenant}")
}

fn app(authority: &Authority) -> Router {
    let invoices = get(invoices).route_layer(GateLayer::new(authority));
    routes(Endpoints::new(authority.clone())).route("/{tenant}/invoices", invoices)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = MasterSecret::generate()?;
    let authority =
        Authority::builder("https://books.example", "books", secret, MemoryStore::new());
    let authority = authority.authenticator(login).build().await?;
    example_recipes::serve(app(&authority)).await
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use gatepass_testkit::TestService;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_user_sees_its_own_tenant_alone() {
        let service = TestService::start().await;
        let member = Member {
            tenant: "tea-party".to_owned(),
        };
        let alice = service.logged_in("alice").claims(&member).await;
        for (path, status) in [("/tea-party/invoices", 200), ("/court/invoices", 404)] {
            let request = Request::get(path).header("authorization", alice.bearer());
            let request = request.body(Body::empty()).unwrap();
            let response = app(service.authority()).oneshot(request).await.unwrap();
            assert_eq!(response.status(), status, "{path}");
        }
    }
}
