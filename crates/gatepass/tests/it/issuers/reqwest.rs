//! The fetcher that uses reqwest, against a server with a socket.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

use super::*;

/// A server that gives each answer in its turn, and the last one for ever.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Server {
    async fn answering(answer: impl Fn(&str, &str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let mut serving = JoinSet::new();
        let (base, heads) = (url.clone(), Arc::clone(&requests));
        serving.spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(socket.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let answer = answer(&base, &head);
                heads.lock().unwrap().push(head);
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        Self {
            url,
            requests,
            _serving: serving,
        }
    }

    async fn verifier(&self, clock: &ManualClock) -> Verifier {
        let trusted = TrustedIssuer::new(&self.url, API);
        let issuers = Issuers::with_reqwest().unwrap().timeout(MINUTE);
        let issuers = issuers.trust(trusted);
        Verifier::of_issuers("https://api.shop.example", issuers, MemoryStore::new())
            .clock(clock.clone())
            .build()
            .await
            .unwrap()
    }
}

fn ok(headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

fn published(base: &str, head: &str) -> String {
    if head.starts_with("GET /.well-known/openid-configuration ") {
        let metadata = format!(r#"{{"issuer":"{base}","jwks_uri":"{base}/jwks"}}"#);
        ok("etag: \"m\"\r\n", &metadata)
    } else {
        ok("etag: \"k\"\r\n", &jwks(&[&key()]))
    }
}

#[tokio::test]
async fn keys_are_fetched_over_a_socket() {
    let server = Server::answering(published).await;
    let clock = ManualClock::new();
    let verifier = server.verifier(&clock).await;
    let claims = claims(&clock).with("iss", format!("{:?}", server.url));
    let token = signed(&key(), &claims);
    verifier.verify(&token, &Requirements::new()).await.unwrap();
    let requests = server.requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 2);
    for head in requests {
        assert!(head.contains("accept: application/json\r\n"), "{head}");
        assert!(head.contains("user-agent: gatepass/"), "{head}");
        assert!(!head.contains("if-none-match"), "{head}");
    }
}

#[tokio::test]
async fn a_document_that_has_not_changed_is_told_by_its_etag() {
    let server = Server::answering(|base, head| {
        let is_known =
            head.contains("if-none-match: \"k\"") || head.contains("if-none-match: \"m\"");
        if is_known {
            return "HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n".to_owned();
        }
        published(base, head)
    })
    .await;
    let clock = ManualClock::new();
    let verifier = server.verifier(&clock).await;
    clock.advance(MINUTE);
    let mut stranger = key();
    stranger.kid = "invented".to_owned();
    let claims = claims(&clock).with("iss", format!("{:?}", server.url));
    let token = signed(&stranger, &claims);
    let refused = verifier.verify(&token, &Requirements::new()).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::UnknownKey))));
    assert_eq!(server.requests.lock().unwrap().len(), 4);
    let token = signed(&key(), &claims);
    verifier.verify(&token, &Requirements::new()).await.unwrap();
}

#[tokio::test]
async fn redirects_errors_and_long_documents_are_failures() {
    let elsewhere = Server::answering(published).await;
    let to = elsewhere.url.clone();
    for (case, answer) in [
        (
            "a redirect",
            format!("HTTP/1.1 302 Found\r\nconnection: close\r\nlocation: {to}/jwks\r\n\r\n"),
        ),
        (
            "an error",
            "HTTP/1.1 500 No\r\nconnection: close\r\n\r\n".to_owned(),
        ),
        ("no answer", String::new()),
        ("a long document", ok("", &" ".repeat(1024 * 1024))),
        (
            "an answer without an end",
            ok("", "{}").replace("content-length: 2", "content-length: 3"),
        ),
    ] {
        let server = Server::answering(move |_, _| answer.clone()).await;
        let verifier = server.verifier(&ManualClock::new()).await;
        let health = verifier.health().issuers.remove(0);
        assert_eq!((health.keys, health.failed_fetches), (0, 1), "{case}");
    }
    assert!(elsewhere.requests.lock().unwrap().is_empty());
}
