//! Clients that hang up while their login waits.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use gatepass::{
    AuthenticationError, Authenticator, Authority, Credentials, Device, Identity, MasterSecret,
    MemoryStore, Session, UserUpdate, async_trait, wire::Endpoints,
};
use test_support::actix::{self, Served};
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
    time::timeout,
};

/// An authenticator that never answers. It reports each call, and when the call is dropped.
struct Endless(UnboundedSender<Said>);

#[derive(Debug, PartialEq, Eq)]
enum Said {
    Asked,
    Dropped,
}

struct Asked<'a>(&'a UnboundedSender<Said>);

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        // The listening test may have failed.
        let _ = self.0.send(Said::Dropped);
    }
}

#[async_trait]
impl Authenticator for Endless {
    async fn authenticate(
        &self,
        _: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        let _asked = Asked(&self.0);
        self.0.send(Said::Asked).unwrap();
        std::future::pending().await
    }

    async fn reload_user(&self, _: &Session) -> Result<UserUpdate, AuthenticationError> {
        Ok(UserUpdate::Unchanged)
    }
}

async fn endpoints() -> (Endpoints, UnboundedReceiver<Said>) {
    let (sender, said) = unbounded_channel();
    let secret = MasterSecret::generate().unwrap();
    let authority = Authority::builder("https://issuer.test", "api", secret, MemoryStore::new())
        .authenticator(Endless(sender))
        // Longer than any test runs, so only the client ends a login here.
        .authenticator_timeout(Duration::from_secs(3600))
        .build()
        .await
        .unwrap();
    (Endpoints::new(authority), said)
}

/// Hangs up as soon as the authenticator is called, and waits until the call is dropped.
async fn hang_up(address: SocketAddr, mut said: UnboundedReceiver<Said>) {
    let body = r#"{"username":"alice","password":"wonderland"}"#;
    let length = body.len();
    let request = format!(
        "POST /auth/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let mut connection = TcpStream::connect(address).unwrap();
    connection.write_all(request.as_bytes()).unwrap();
    assert_eq!(said.recv().await, Some(Said::Asked));
    drop(connection);
    let dropped = timeout(Duration::from_secs(30), said.recv()).await;
    assert_eq!(dropped.expect("the login goes on"), Some(Said::Dropped));
}

#[tokio::test]
async fn axum_drops_the_login_of_a_client_that_hangs_up() {
    let (endpoints, said) = endpoints().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    let router: axum::Router = gatepass_axum::routes(endpoints);
    server.spawn(example_axum::serve(
        router,
        listener,
        std::future::pending(),
    ));
    hang_up(address, said).await;
}

#[tokio::test]
async fn tonic_drops_the_login_of_a_client_that_hangs_up() {
    let (endpoints, said) = endpoints().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    let router: axum::Router = gatepass_axum::routes(endpoints);
    server.spawn(example_tonic::serve(
        router,
        listener,
        std::future::pending(),
    ));
    hang_up(address, said).await;
}

#[tokio::test]
async fn warp_drops_the_login_of_a_client_that_hangs_up() {
    let (endpoints, said) = endpoints().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    let service = warp::service(gatepass_warp::routes(endpoints));
    server.spawn(example_warp::serve(
        listener,
        service,
        std::future::pending(),
    ));
    hang_up(address, said).await;
}

#[tokio::test]
async fn actix_web_drops_the_login_of_a_client_that_hangs_up() {
    let (endpoints, said) = endpoints().await;
    let (listener, address) = actix::listener();
    let server = example_actix::server(listener, move || {
        actix_web::App::new().configure(gatepass_actix::configure(endpoints.clone()))
    });
    let _served = Served::new(server.unwrap());
    hang_up(address, said).await;
}
