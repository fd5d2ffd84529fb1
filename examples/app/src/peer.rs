//! A second node over the same store, as the page sees it.

use std::{
    fmt, io,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use gatepass::{Error, Requirements, Verifier};
use http::{HeaderValue, Request, header::HOST};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    sync::Semaphore,
    task::AbortHandle,
    time::{sleep, timeout},
};

use crate::{
    brought::{Access, Brought},
    demo::Answer,
};

/// How long a node is watched at most. The limits of the frameworks are longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a single answer may take.
const ANSWER: Duration = Duration::from_secs(2);
/// The time between two questions.
const PAUSE: Duration = Duration::from_millis(3);
/// How many requests may watch at a time.
const WATCHES: usize = 4;
/// The longest body of a refusal in bytes.
const MAX_BODY: usize = 16 * 1024;

/// The address of a node, written `http://HOST:PORT`. The node is sent access tokens without
/// encryption, so it must be on this machine or in a network that you trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerUrl(Arc<str>);

impl PeerUrl {
    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn host(&self) -> &str {
        self.0.strip_prefix("http://").unwrap_or(&self.0)
    }
}

impl FromStr for PeerUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const KNOWN: &str = "a node is written http://HOST:PORT, as in http://127.0.0.1:3001";
        let url = text.strip_suffix('/').unwrap_or(text);
        let host = url.strip_prefix("http://").ok_or(KNOWN)?;
        let (name, port) = host.rsplit_once(':').ok_or(KNOWN)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-[]:".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_plain) || port.parse::<u16>().is_err() {
            return Err(KNOWN);
        }
        Ok(Self(url.into()))
    }
}

/// The node, and how many watch it.
#[derive(Clone)]
pub(crate) struct Peer {
    url: PeerUrl,
    watches: Arc<Semaphore>,
}

impl Peer {
    pub(crate) fn new(url: PeerUrl) -> Self {
        Self {
            url,
            watches: Arc::new(Semaphore::new(WATCHES)),
        }
    }

    /// Asks this node (`own`) and the other one again and again whether they accept the request's
    /// access token, until both refuse it or time is up.
    pub(crate) async fn watch(&self, own: &Verifier, brought: Brought) -> Answer {
        let Ok(_turn) = self.watches.try_acquire() else {
            return Answer::refused(503, "busy", "too many others watch the second node");
        };
        let Some(access) = brought.into_access() else {
            return Answer::refused(400, "missing", "the request has no access token to watch");
        };
        let begun = Instant::now();
        let (own, peer) = tokio::join!(
            timeout(PATIENCE, refused_here(own, &access)),
            timeout(PATIENCE, self.refused_there(&access)),
        );
        let own = own.ok();
        let peer = match peer {
            Ok(Ok(refused)) => Some(refused),
            Ok(Err(error)) => {
                return Answer::refused(502, "peer_unreachable", &format!("{}: {error}", self.url.0));
            }
            Err(_) => None,
        };
        let (at, reason) = peer.unzip();
        // A node that was faster than this one needed no time.
        let later = own.zip(at).map(|(own, at)| at.saturating_duration_since(own));
        Answer::ok(json!({
            "own_ms": own.map(|own| millis(own.duration_since(begun))),
            "peer_ms": later.map(millis),
            "reason": reason,
        }))
    }

    /// When the other node refused the token, and why.
    async fn refused_there(&self, access: &Access) -> io::Result<(Instant, Value)> {
        let mut node = Node::connect(self.url.host()).await?;
        loop {
            let asked = timeout(ANSWER, node.ask(access));
            let (status, body) = asked.await.map_err(io::Error::other)??;
            let at = Instant::now();
            if status == 401 {
                let body: Value = serde_json::from_slice(&body).unwrap_or_default();
                return Ok((at, body.get("reason").cloned().unwrap_or_default()));
            }
            sleep(PAUSE).await;
        }
    }
}

/// When this node refused the token.
async fn refused_here(own: &Verifier, access: &Access) -> Instant {
    let requirements = Requirements::new();
    loop {
        let verified = own.verify(&access.token, &requirements).await;
        let at = Instant::now();
        if matches!(verified, Err(Error::Refused(_))) {
            return at;
        }
        sleep(PAUSE).await;
    }
}

/// A connection that is kept open: a new one for each question would measure the connecting.
struct Node {
    sender: http1::SendRequest<Empty<Bytes>>,
    host: HeaderValue,
    driver: AbortHandle,
}

impl Node {
    async fn connect(host: &str) -> io::Result<Self> {
        let stream = timeout(ANSWER, TcpStream::connect(host)).await;
        let stream = stream.map_err(io::Error::other)??;
        stream.set_nodelay(true)?;
        let connection = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = connection.map_err(io::Error::other)?;
        Ok(Self {
            sender,
            host: HeaderValue::from_str(host).map_err(io::Error::other)?,
            // Its error is that of the next question.
            driver: tokio::spawn(async move { drop(connection.await) }).abort_handle(),
        })
    }

    async fn ask(&mut self, access: &Access) -> io::Result<(u16, Bytes)> {
        let mut credential = HeaderValue::from_str(&access.value).map_err(io::Error::other)?;
        credential.set_sensitive(true);
        let request = Request::get("/me")
            .header(HOST, &self.host)
            .header(access.header, credential)
            .body(Empty::new())
            .map_err(io::Error::other)?;
        self.sender.ready().await.map_err(io::Error::other)?;
        let response = self.sender.send_request(request).await;
        let response = response.map_err(io::Error::other)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
        Ok((status, body.map_err(io::Error::other)?.to_bytes()))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}


/// Milliseconds with their fractions: a node on the same machine may need less than one.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_a_host_and_a_port_and_nothing_else() {
        for url in ["http://127.0.0.1:3001", "http://node-2.example:80/", "http://[::1]:3001"] {
            let parsed: PeerUrl = url.parse().unwrap();
            assert_eq!(parsed.as_str(), url.trim_end_matches('/'));
        }
        for url in [
            "127.0.0.1:3001",
            "https://127.0.0.1:3001",
            "http://127.0.0.1",
            "http://:3001",
            "http://127.0.0.1:70000",
            "http://alice:hunter2@127.0.0.1:3001",
            "http://127.0.0.1:3001/me",
            "http://a b:1",
        ] {
            let error = url.parse::<PeerUrl>().unwrap_err();
            assert!(error.contains("http://HOST:PORT"), "{url}: {error}");
        }
    }
}
