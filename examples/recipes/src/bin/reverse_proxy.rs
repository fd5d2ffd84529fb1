//! Behind a reverse proxy: the list of sessions, the log and the bounds on logins have the
//! addresses of clients, and no client can choose its own. `cargo run -p example-recipes --bin
//! reverse_proxy`, with nginx and `proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`
//! before it.

use std::error::Error;

use axum::Router;
use gatepass::{AuthorityBuilder, TrustedProxies};
use gatepass_axum::{
    AuthenticationError, Authority, Credentials, Endpoints, Identity, MasterSecret, MemoryStore,
    routes,
};

fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    match (credentials.username(), credentials.password()) {
        ("alice", Some("wonderland")) => Ok(Identity::new("alice")?),
        _ => Err(AuthenticationError::BadCredentials),
    }
}

/// The networks of your proxies, and the header that they write.
fn behind_proxies(builder: AuthorityBuilder) -> Result<AuthorityBuilder, Box<dyn Error>> {
    let proxies = TrustedProxies::x_forwarded_for(["10.0.0.0/8", "127.0.0.1"])?;
    Ok(builder.trusted_proxies(proxies).authenticator(login))
}

fn app(authority: &Authority) -> Router {
    routes(Endpoints::new(authority.clone()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = MasterSecret::generate()?;
    let authority = Authority::builder("https://shop.example", "shop", secret, MemoryStore::new());
    let authority = behind_proxies(authority)?.build().await?;
    // It serves with connect info, so that gatepass knows which connections are the proxy's.
    example_recipes::serve(app(&authority)).await
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::{body::Body, extract::ConnectInfo, http::Request};
    use gatepass::Subject;
    use gatepass_testkit::TestService;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_session_has_the_address_that_the_proxy_tells() {
        let service = TestService::configured(|builder| behind_proxies(builder).unwrap()).await;
        let cases = [
            // The client wrote the first address itself.
            ("10.0.0.2:4711", "1.1.1.1, 203.0.113.7", "203.0.113.7"),
            // This connection isn't the proxy's.
            ("198.51.100.9:4711", "1.1.1.1", "198.51.100.9"),
        ];
        for (peer, forwarded, expected) in cases {
            let mut request = Request::post("/auth/login")
                .header("content-type", "application/json")
                .header("x-forwarded-for", forwarded)
                .body(Body::from(
                    r#"{"username":"alice","password":"wonderland"}"#,
                ))
                .unwrap();
            let peer: SocketAddr = peer.parse().unwrap();
            request.extensions_mut().insert(ConnectInfo(peer));
            let response = app(service.authority()).oneshot(request).await.unwrap();
            assert_eq!(response.status(), 200);
            let alice = Subject::new("alice").unwrap();
            let page = service.authority().sessions(&alice, None).await.unwrap();
            let addresses = page
                .sessions
                .iter()
                .filter_map(|session| session.device.address);
            assert!(
                addresses
                    .map(|address| address.to_string())
                    .any(|own| own == expected)
            );
        }
    }
}
