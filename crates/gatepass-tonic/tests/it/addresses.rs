//! The addresses of clients, which tonic's server knows.

use std::{convert::Infallible, net::SocketAddr};

use gatepass::{
    AuthenticationError, Authority, Credentials, Identity, MasterSecret, MemoryStore, Requirements,
    wire::Endpoints,
};
use gatepass_tonic::{PeerAddr, PeerAddrLayer, RequestAuth, gate};
use http::{Request, Response};
use tonic::{body::Body, transport::server::TcpConnectInfo};
use tower::{Layer, ServiceExt, service_fn};

use crate::served::subject;

async fn authority() -> Authority {
    let login = |credentials: &Credentials| -> Result<Identity, AuthenticationError> {
        Ok(Identity::new(credentials.username())?)
    };
    let secret = MasterSecret::from_bytes(&[7; 64]).unwrap();
    let authority = Authority::builder("https://issuer.test", "api", secret, MemoryStore::new());
    authority.authenticator(login).build().await.unwrap()
}

/// The addresses of a client, as tonic's server puts them into the extensions of a request.
fn connected(address: &str) -> TcpConnectInfo {
    TcpConnectInfo {
        local_addr: None,
        remote_addr: Some(address.parse().unwrap()),
    }
}

#[tokio::test]
async fn a_login_over_http_counts_for_the_address_that_tonic_knows() {
    let authority = authority().await;
    let routes = gatepass_axum::routes(Endpoints::new(authority.clone()));
    let login = Request::post("/auth/login")
        .header("content-type", "application/json")
        .extension(connected("192.0.2.7:4711"))
        .body(r#"{"username":"alice","password":"wonderland"}"#.to_owned());
    let answer = PeerAddrLayer.layer(routes).oneshot(login.unwrap()).await;
    assert_eq!(answer.unwrap().status(), 200);

    let page = authority.sessions(&subject("alice"), None).await.unwrap();
    let device = &page.sessions.first().unwrap().device;
    assert_eq!(device.address, Some("192.0.2.7".parse().unwrap()));
}

#[tokio::test]
async fn a_method_knows_the_address_from_any_server_that_tells_it() {
    let authority = authority().await;
    let method = service_fn(async |request: Request<Body>| -> Result<_, Infallible> {
        let device = tonic::Request::from_http(request).device().unwrap();
        let address = device.address.map(|address| address.to_string());
        let answer = Response::builder().header("address", address.unwrap_or_default());
        Ok(answer.body(Body::empty()).unwrap())
    });
    let optional = gate(&authority).require(Requirements::new().optional());
    let method = optional.layer(method);
    let call = || Request::post("/Probe/Unary");
    let peer: SocketAddr = "192.0.2.8:4711".parse().unwrap();
    for (call, address) in [
        (call().extension(connected("192.0.2.7:4711")), "192.0.2.7"),
        (call().extension(PeerAddr(peer)), "192.0.2.8"),
        (call(), ""),
    ] {
        let call = call.body(Body::empty()).unwrap();
        let answer = method.clone().oneshot(call).await.unwrap();
        assert_eq!(answer.headers().get("address").unwrap(), address);
    }
}
