//! The program on the page about connections.
#![allow(dead_code, reason = "a reader's program has a `main`")]

use futures_util::{SinkExt, StreamExt};
use gatepass_axum::{Authority, Device, Identity};
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

use super::PATIENCE;

mod program {
    include!("../../../readme/connections.rs");

    pub(crate) async fn serve(listener: TcpListener) -> (Authority, impl Future<Output = ()>) {
        let (secret, store) = (MasterSecret::generate().unwrap(), MemoryStore::new());
        let authority = Authority::builder("https://shop.example", "shop-api", secret, store);
        let authority = authority.authenticator(login).build().await.unwrap();
        let app = app(authority.clone()).into_make_service_with_connect_info::<SocketAddr>();
        let serving = async { drop(axum::serve(listener, app).await) };
        (authority, serving)
    }
}

#[test]
fn the_page_shows_the_code_that_is_run() {
    let page = include_str!("../../../../crates/gatepass/docs/connections.md");
    let program = include_str!("../../../readme/connections.rs");
    // The core depends on no framework, so its doc tests can't compile the program.
    let block = format!("```rust,ignore\n{program}```\n");
    assert!(page.contains(&block), "not on the page:\n{block}");
}

#[tokio::test]
async fn the_program_of_the_page_ends_what_is_open_and_says_why() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (authority, serving): (Authority, _) = program::serve(listener).await;
    let mut server = JoinSet::new();
    server.spawn(serving);
    let alice = Identity::new("alice").unwrap();
    let issued = authority.issue(alice, Device::default()).await.unwrap();
    let token = issued.access_token.as_str();
    let bearer = format!("Bearer {token}");

    let mut request = format!("ws://{address}/echo")
        .into_client_request()
        .unwrap();
    let header = HeaderValue::try_from(&bearer).unwrap();
    request.headers_mut().insert("authorization", header);
    let (mut socket, _) = connect_async(request).await.unwrap();
    let newer = authority
        .refresh(issued.refresh_token.as_str())
        .await
        .unwrap();
    let renew = format!("renew {}", newer.access_token.as_str());
    for (text, answer) in [("hello", "hello"), (&*renew, "renewed"), ("renew", "renew")] {
        socket.send(Message::text(text)).await.unwrap();
        let answered = socket.next().await.unwrap().unwrap();
        assert_eq!(answered, Message::text(answer));
    }
    let news = reqwest::Client::new().get(format!("http://{address}/news"));
    let news = news.header("authorization", bearer).send().await.unwrap();
    assert_eq!(news.status(), 200);

    authority.logout(token).await.unwrap();
    let closed = timeout(PATIENCE, socket.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let Message::Close(Some(frame)) = closed else {
        panic!("{closed:?}")
    };
    assert_eq!(
        (u16::from(frame.code), frame.reason.as_str()),
        (4401, "revoked")
    );
    let news = timeout(PATIENCE, news.text()).await.unwrap().unwrap();
    assert!(
        news.ends_with("event: session_ended\ndata: {\"reason\":\"revoked\"}\n\n"),
        "{news}"
    );
}
