//! An MCP server whose users log in at your company's issuer. A client knows the URL of the server
//! alone, and finds the issuer by the challenge of the gate (RFC 9728). `cargo run -p
//! example-recipes --bin mcp_server`.

use std::{error::Error, sync::Arc};

use axum::{Router, http::request::Parts};
use gatepass::{
    BuildError, ProtectedResource,
    issuers::{Issuers, TrustedIssuer},
    wire::ResourceMetadata,
};
use gatepass_axum::{
    AuthRejection, Authority, GateLayer, MasterSecret, MemoryStore, Pass, Requirements, Scopes,
    auth_request, resource_metadata,
};
use rmcp::{
    ErrorData, ServerHandler,
    handler::server::tool::Extension,
    tool, tool_handler, tool_router,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};

/// The tools of the server.
struct Orders;

#[tool_router]
impl Orders {
    #[tool(description = "Lists your orders")]
    async fn list_orders(Extension(parts): Extension<Parts>) -> Result<String, ErrorData> {
        let pass =
            pass(&parts).map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        Ok(format!("the orders of {}", pass.subject()))
    }
}

/// The user who calls a tool. A tool gets the request that the gate has judged.
fn pass(parts: &Parts) -> Result<Pass, AuthRejection> {
    Ok(auth_request(parts)?.pass()?.clone())
}

#[tool_handler]
impl ServerHandler for Orders {}

/// `url` is that of the server, as clients reach it: the audience of the tokens as well. An
/// authority can revoke the company's tokens here, and a `Verifier::of_issuers` can't.
async fn authority(url: &str, login: TrustedIssuer) -> Result<Authority, Box<dyn Error>> {
    let resource = ProtectedResource::new(url).scopes(Scopes::parse("orders:read")?);
    let secret = MasterSecret::generate()?;
    let authority = Authority::builder(url, url, secret, MemoryStore::new())
        .issuers(Issuers::with_reqwest()?.trust(login))
        .protected_resource(resource);
    Ok(authority.build().await?)
}

fn app(authority: &Authority, scopes: Scopes) -> Result<Router, BuildError> {
    // Without sessions of MCP: each answer belongs to a request that the gate has judged. In
    // production, name your host by `with_allowed_hosts`.
    let config = StreamableHttpServerConfig::default().with_legacy_session_mode(false);
    let sessions = Arc::<NeverSessionManager>::default();
    let mcp = StreamableHttpService::new(|| Ok(Orders), sessions, config);
    let gate = GateLayer::new(authority).require(Requirements::new().scopes(scopes));
    Ok(Router::new()
        .route_service("/mcp", mcp)
        .route_layer(gate)
        .merge(resource_metadata(ResourceMetadata::new(authority)?)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = "http://127.0.0.1:3000/mcp";
    let login = TrustedIssuer::new("https://sso.example/realms/staff", url);
    let authority = authority(url, login).await?;
    example_recipes::serve(app(&authority, Scopes::parse("orders:read")?)?).await
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use axum::{
        Extension as State, Form, Json,
        extract::Query,
        response::Redirect,
        routing::{get, post},
    };
    use gatepass::{Device, Identity, KeySet, keys::SigningKey};
    use rmcp::{
        ServiceExt,
        model::CallToolRequestParams,
        transport::{
            StreamableHttpClientTransport,
            auth::{AuthClient, AuthorizationRequest, OAuthState},
            streamable_http_client::StreamableHttpClientTransportConfig,
        },
    };
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;

    type Fields = HashMap<String, String>;

    /// The login of the company, where each user is Alice. The code that a client gets for its
    /// token is the resource that the token is for.
    fn company(issuer: &str, login: Authority) -> Router {
        let metadata = json!({
            "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/jwks"),
            "response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"],
        });
        async fn authorize(Query(asked): Query<Fields>) -> Redirect {
            assert_eq!(asked["scope"], "orders:read");
            let (back, code, state) = (&asked["redirect_uri"], &asked["resource"], &asked["state"]);
            Redirect::to(&format!("{back}?code={code}&state={state}"))
        }
        async fn token(State(login): State<Authority>, Form(asked): Form<Fields>) -> Json<Value> {
            assert_eq!(asked["code"], asked["resource"]);
            let alice = Identity::new("alice").unwrap();
            let alice = alice.scopes(Scopes::parse("orders:read").unwrap());
            let issued = login.issue(alice, Device::default()).await.unwrap();
            Json(json!({ "access_token": issued.access_token.as_str(), "token_type": "Bearer" }))
        }
        let jwks = async |State(login): State<Authority>| login.verifier().jwks();
        Router::new()
            .route(
                "/.well-known/oauth-authorization-server",
                get(async || Json(metadata)),
            )
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/jwks", get(jwks))
            .layer(State(login))
    }

    async fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        (listener, url)
    }

    #[tokio::test]
    async fn a_client_logs_in_by_the_challenge_and_calls_a_tool_until_its_token_is_revoked() {
        let ((mcp, url), (sso, issuer)) = (listen().await, listen().await);
        let url = format!("{url}/mcp");
        let pem = include_bytes!("../../../../crates/gatepass/tests/keys/ed25519.pem");
        let keys = KeySet::signing(SigningKey::from_any_pem(pem).unwrap());
        let secret = MasterSecret::generate().unwrap();
        let login = Authority::builder(&*issuer, &*url, secret, MemoryStore::new());
        let login = login.keys(keys).build().await.unwrap();
        tokio::spawn(axum::serve(sso, company(&issuer, login)).into_future());
        let trusted = TrustedIssuer::new(&*issuer, &*url).oauth_metadata();
        let authority = authority(&url, trusted).await.unwrap();
        let app = app(&authority, Scopes::parse("orders:read").unwrap()).unwrap();
        tokio::spawn(axum::serve(mcp, app).into_future());

        let stranger = StreamableHttpClientTransport::from_uri(&*url);
        let refused = ().serve(stranger).await.unwrap_err();
        let challenge = refused.auth_challenge().unwrap();
        assert!(challenge.contains("resource_metadata="), "{challenge}");

        let mut client = OAuthState::new(&*url, None).await.unwrap();
        let request = AuthorizationRequest::new("http://localhost/callback")
            .with_preregistered_client("a-client")
            .with_challenge(challenge);
        client.start_authorization(request).await.unwrap();
        let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let page = client.get_authorization_url().await.unwrap();
        let back = browser.build().unwrap().get(page).send().await.unwrap();
        let back = back.headers()["location"].to_str().unwrap();
        client.handle_callback_url(back).await.unwrap();
        let manager = client.into_authorization_manager().unwrap();
        let token = manager.get_access_token().await.unwrap();

        let client = AuthClient::new(reqwest::Client::new(), manager);
        let config = StreamableHttpClientTransportConfig::with_uri(&*url);
        let client = StreamableHttpClientTransport::with_client(client, config);
        let client = ().serve(client).await.unwrap();
        let call = || client.call_tool(CallToolRequestParams::new("list_orders"));
        let answer = call().await.unwrap();
        let text = answer.content[0].as_text().unwrap();
        assert_eq!(text.text, "the orders of alice");

        let (verifier, nothing) = (authority.verifier(), Requirements::new());
        let pass = verifier.verify(&token, &nothing).await.unwrap();
        authority.revoke_token(&pass).await.unwrap();
        let refused = call().await.unwrap_err();
        let challenge = refused.auth_challenge().unwrap();
        assert!(challenge.contains(r#"error_description="the token has been revoked""#));
    }
}
