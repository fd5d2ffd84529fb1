//! WebSockets in axum, actix-web and warp.

use futures_util::{SinkExt, StreamExt};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Message, client::IntoClientRequest, error::Error as SocketError, http::HeaderValue,
    },
};

use super::*;

const FRAMEWORKS: [Framework; 3] = [Framework::Axum, Framework::Actix, Framework::Warp];

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(site: &Site, issued: &Issued) -> Socket {
    let url = format!("ws://{}/ws", site.address);
    let mut request = url.into_client_request().unwrap();
    let bearer = format!("Bearer {}", issued.access_token.as_str());
    let bearer = HeaderValue::try_from(bearer).unwrap();
    request.headers_mut().insert("authorization", bearer);
    connect_async(request).await.unwrap().0
}

/// The next text, except ticks.
async fn next(socket: &mut Socket) -> Option<Result<Message, SocketError>> {
    let next = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) if text.as_str() == "tick" => {}
                other => return other,
            }
        }
    };
    timeout(PATIENCE, next).await.unwrap()
}

async fn says(socket: &mut Socket, text: impl Into<String>) -> String {
    socket.send(Message::text(text.into())).await.unwrap();
    match next(socket).await {
        Some(Ok(Message::Text(text))) => text.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

/// The code and the reason with which a socket is closed.
async fn closed(socket: &mut Socket) -> (u16, String) {
    match next(socket).await {
        Some(Ok(Message::Close(Some(frame)))) => (frame.code.into(), frame.reason.as_str().into()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_socket_is_closed_with_the_reason_when_it_must_end() {
    for framework in FRAMEWORKS {
        for way in Way::ALL {
            let site = Site::start(framework).await;
            let issued = site.login().await;
            let mut socket = connect(&site, &issued).await;
            assert_eq!(says(&mut socket, "hello").await, "hello");
            site.end(way, &issued).await;
            let code = if way == Way::LostStore { 1013 } else { 4401 };
            let closed = closed(&mut socket).await;
            assert_eq!(
                closed,
                (code, way.reason().to_owned()),
                "{framework:?} {way:?}"
            );
            // The client has answered the Close frame, and the server closes the connection.
            let last = timeout(PATIENCE, socket.next()).await.unwrap();
            assert!(last.is_none(), "{framework:?} {way:?}: {last:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_socket_stays_open_when_another_session_ends() {
    for framework in FRAMEWORKS {
        let site = Site::start(framework).await;
        let (issued, other) = (site.login().await, site.login().await);
        let mut socket = connect(&site, &issued).await;
        assert_eq!(says(&mut socket, "hello").await, "hello");
        site.end(Way::Logout, &other).await;
        tokio::time::sleep(SECOND).await;
        assert_eq!(says(&mut socket, "hello").await, "hello", "{framework:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_socket_is_renewed_by_a_token_of_its_session_and_no_other() {
    for framework in FRAMEWORKS {
        let site = Site::start(framework).await;
        let authority = &site.app().authority;
        let (issued, other) = (site.login().await, site.login().await);
        let mut socket = connect(&site, &issued).await;
        let other = format!("renew {}", other.access_token.as_str());
        assert_eq!(says(&mut socket, other).await, "refused ambiguous");
        assert_eq!(says(&mut socket, "renew me").await, "refused malformed");

        let newer = authority
            .refresh(issued.refresh_token.as_str())
            .await
            .unwrap();
        let renew = format!("renew {}", newer.access_token.as_str());
        assert_eq!(says(&mut socket, renew).await, "renewed");
        // The connection now belongs to the newer token.
        site.end(Way::Revocation, &issued).await;
        tokio::time::sleep(SECOND).await;
        assert_eq!(says(&mut socket, "hello").await, "hello", "{framework:?}");
        site.end(Way::Revocation, &newer).await;
        let revoked = (4401, "revoked".to_owned());
        assert_eq!(closed(&mut socket).await, revoked, "{framework:?}");
    }
}

/// If a server closes a socket with unread bytes, TCP resets it, and the client may lose the
/// reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_talks_all_the_time_gets_the_reason() {
    for framework in FRAMEWORKS {
        for _ in 0..5 {
            let site = Site::start(framework).await;
            let issued = site.login().await;
            let (mut sending, mut receiving) = connect(&site, &issued).await.split();
            let talking = tokio::spawn(async move {
                let long = "x".repeat(1 << 12);
                while sending.send(Message::text(long.as_str())).await.is_ok() {}
            });
            let closed = async {
                let mut answers = 0;
                loop {
                    match receiving.next().await {
                        Some(Ok(Message::Text(_))) => answers += 1,
                        other => break other,
                    }
                    if answers == 100 {
                        site.end(Way::Logout, &issued).await;
                    }
                }
            };
            let closed = timeout(PATIENCE, closed).await.unwrap();
            let Some(Ok(Message::Close(Some(frame)))) = closed else {
                panic!("{framework:?}: {closed:?}")
            };
            assert_eq!(frame.reason.as_str(), "revoked", "{framework:?}");
            talking.abort();
        }
    }
}

/// The client sends and never reads, until the server blocks in a write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_waits_for_a_slow_client_is_given_up() {
    let long = "x".repeat(1 << 16);
    for framework in [Framework::Axum, Framework::Warp] {
        let site = Site::start(framework).await;
        let issued = site.login().await;
        let mut socket = connect(&site, &issued).await;
        let blocked = async {
            loop {
                let sent = timeout(SECOND, socket.send(Message::text(long.as_str()))).await;
                if sent.is_err() {
                    break;
                }
            }
        };
        timeout(PATIENCE, blocked).await.unwrap();
        site.end(Way::Logout, &issued).await;
        // The server has closed the socket with unread bytes.
        let closed = async { while socket.flush().await.is_ok() {} };
        let closed = timeout(PATIENCE, closed).await;
        assert!(closed.is_ok(), "{framework:?}");
    }
}

/// actix-web keeps the socket of such a client, and sends only what it had already queued.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_of_actix_web_gets_what_was_sent_before_and_the_end() {
    let site = Site::start(Framework::Actix).await;
    let issued = site.login().await;
    let mut socket = connect(&site, &issued).await;
    let long = "x".repeat(1 << 14);
    let mut sent = 0;
    while timeout(SECOND, socket.send(Message::text(long.as_str())))
        .await
        .is_ok()
    {
        sent += 1;
    }
    site.end(Way::Logout, &issued).await;
    tokio::time::sleep(4 * SECOND).await;
    let mut answers = 0;
    while let Some(Ok(message)) = timeout(PATIENCE, socket.next()).await.unwrap() {
        answers += usize::from(message.is_text());
    }
    assert!(answers <= sent + 10, "{answers} of {sent}");
}
