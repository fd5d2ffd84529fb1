//! A second node over the same store, as the page sees it.

use std::{
    collections::HashSet,
    fmt, io,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use gatepass::{Error, Requirements, SessionId, Verifier};
use http::{HeaderValue, Request, header::HOST};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    sync::{Notify, Semaphore},
    task::AbortHandle,
    time::{sleep, timeout},
};

use crate::{answer::Answer, brought::Access};

/// How long to watch a node at most. The time-outs of the frameworks are longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Maximum time for a single answer.
const ANSWER: Duration = Duration::from_secs(2);
/// The pause between two requests to the other node. A measured time can be too long by this much.
const PAUSE: Duration = Duration::from_millis(20);
/// The pause between two requests to the other node just after this node refused the token. Also
/// the pause between two checks of this node, which need no request.
const SHORT_PAUSE: Duration = Duration::from_millis(3);
/// How long the pauses stay short. A reachable node learns of a logout sooner.
const CLOSELY: Duration = Duration::from_millis(100);
/// Maximum number of requests that watch at the same time, each for its own session.
const WATCHES: usize = 4;
/// The reason of the refusals that this module measures.
const REVOKED: &str = "revoked";
/// Maximum length of a refusal's body in bytes.
const MAX_BODY: usize = 16 * 1024;

/// The address of a node, such as `http://HOST:PORT`. This node sends access tokens to it without
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

/// The other node, and the sessions that are watched there.
#[derive(Clone)]
pub(crate) struct Peer {
    url: PeerUrl,
    watches: Arc<Semaphore>,
    watched: Arc<Mutex<HashSet<SessionId>>>,
}

impl Peer {
    pub(crate) fn new(url: PeerUrl) -> Self {
        Self {
            url,
            watches: Arc::new(Semaphore::new(WATCHES)),
            watched: Arc::default(),
        }
    }

    /// Asks this node (`own`) and the other one repeatedly whether they accept the access token of
    /// `session`, until both refuse it or the time is up.
    pub(crate) async fn watch(
        &self,
        own: &Verifier,
        session: SessionId,
        access: Option<Access>,
    ) -> Answer {
        // Checked before the total number of watches, so that one session can't take all of them.
        let Some(_only) = Watch::begin(&self.watched, session) else {
            return Answer::error(503, "busy", "another request watches this session already");
        };
        let Ok(_turn) = self.watches.try_acquire() else {
            return Answer::error(503, "busy", "too many others watch the second node");
        };
        let Some(access) = access else {
            return Answer::error(400, "missing", "the request has no access token to watch");
        };
        let begun = Instant::now();
        let ended = Notify::new();
        let watched = tokio::try_join!(
            async {
                let refused = timeout(PATIENCE, refused_here(own, &access)).await.ok();
                ended.notify_one();
                Ok(refused)
            },
            async {
                let refused = timeout(PATIENCE, self.revoked_there(&access, &ended)).await;
                refused.ok().transpose()
            },
        );
        let (own, peer) = match watched {
            Ok(watched) => watched,
            Err(error) => return Answer::error(502, "peer_failed", &error.to_string()),
        };
        // A node that was faster than this one needed no time.
        let later = own
            .zip(peer)
            .map(|(own, at)| at.saturating_duration_since(own));
        Answer::ok(json!({
            "own_ms": own.map(|own| millis(own.duration_since(begun))),
            "peer_ms": later.map(millis),
            "reason": peer.map(|_| REVOKED),
        }))
    }

    /// The time at which the other node refused the token because its session had ended. For a
    /// moment after `ended`, it asks more often.
    async fn revoked_there(&self, access: &Access, ended: &Notify) -> io::Result<Instant> {
        let mut node = Node::connect(self.url.host()).await?;
        let mut closely_until = None;
        loop {
            let asked = timeout(ANSWER, node.ask(access));
            let (status, body) = asked.await.map_err(io::Error::other)??;
            let at = Instant::now();
            if status == 401 {
                let body: Value = serde_json::from_slice(&body).unwrap_or_default();
                return match body.get("reason").and_then(Value::as_str) {
                    Some(REVOKED) => Ok(at),
                    other => Err(io::Error::other(format!(
                        "it refuses the token as {}; start it over the same store, with the same \
                         issuer, audience and secret",
                        other.unwrap_or("unknown")
                    ))),
                };
            }
            if closely_until.is_some_and(|until| at < until) {
                sleep(SHORT_PAUSE).await;
            } else if timeout(PAUSE, ended.notified()).await.is_ok() {
                closely_until = Some(Instant::now() + CLOSELY);
            }
        }
    }
}

/// The only watch of a session, until it is dropped.
struct Watch<'a> {
    watched: &'a Mutex<HashSet<SessionId>>,
    session: SessionId,
}

impl<'a> Watch<'a> {
    fn begin(watched: &'a Mutex<HashSet<SessionId>>, session: SessionId) -> Option<Self> {
        // Lazily: an eager watch would free the session's entry when it is dropped.
        lock(watched)
            .insert(session)
            .then(|| Self { watched, session })
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        lock(self.watched).remove(&self.session);
    }
}

/// The set stays consistent after a panic, because each change of it is one call.
fn lock(watched: &Mutex<HashSet<SessionId>>) -> MutexGuard<'_, HashSet<SessionId>> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
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
        sleep(SHORT_PAUSE).await;
    }
}

/// A connection that stays open. A new connection for each request would add its setup to the
/// measured time.
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
            // The next request gets the connection's error.
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

/// Milliseconds with fractions, because a node on the same machine may need less than one.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use std::{
        iter,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use clap::Parser;
    use gatepass::{Credentials, Device, Issued};
    use tokio::{
        io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
        net::TcpListener,
    };

    use super::*;
    use crate::{
        app::App,
        brought::{Brought, CookieNames},
        settings::Settings,
    };

    async fn logged_in() -> (App, Issued) {
        let settings = Settings::parse_from(["example", "--store", "memory"]);
        let app = App::start(&settings).await.unwrap();
        let credentials = Credentials::new("alice", "alice-in-wonderland");
        let issued = app.authority.login(&credentials, Device::default()).await;
        (app, issued.unwrap())
    }

    async fn watch(peer: &Peer, app: &App, issued: &Issued) -> Answer {
        let cookie = format!("__Host-gatepass={}", issued.access_token.as_str());
        let brought = Brought::new(iter::empty(), iter::once(cookie.as_bytes()));
        let access = brought.into_access(CookieNames::new(false));
        let verifier = app.authority.verifier();
        peer.watch(verifier, issued.session_id, access).await
    }

    async fn listener() -> (TcpListener, Peer) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        (listener, Peer::new(url.parse().unwrap()))
    }

    /// Answers the requests of one connection: `answer` gets the number of each. Returns the number
    /// of requests with the cookie.
    async fn node(listener: TcpListener, answer: impl AsyncFn(usize) -> &'static str) -> usize {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let cookies = AtomicUsize::new(0);
        for number in 0.. {
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap() == 0 {
                    return cookies.into_inner();
                }
                if line.starts_with("cookie: __Host-gatepass=eyJ") {
                    cookies.fetch_add(1, Ordering::Relaxed);
                }
                if line == "\r\n" {
                    break;
                }
            }
            let answer = answer(number).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        unreachable!()
    }

    const ACCEPTED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    const OTHER_KEY: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 24\r\n\r\n\
                             {\"reason\":\"unknown_key\"}";

    #[tokio::test]
    async fn the_second_node_is_asked_over_one_connection_until_it_refuses() {
        let (app, issued) = logged_in().await;
        let (listener, peer) = listener().await;
        let authority = app.authority.clone();
        let access_token = issued.access_token.as_str().to_owned();
        let node = tokio::spawn(node(listener, async move |number| match number {
            0..3 => ACCEPTED,
            3 => {
                authority.logout(&access_token).await.unwrap();
                ACCEPTED
            }
            4..6 => ACCEPTED,
            _ => "HTTP/1.1 401 Unauthorized\r\ncontent-length: 20\r\n\r\n{\"reason\":\"revoked\"}",
        }));
        let answer = watch(&peer, &app, &issued).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body["reason"], REVOKED);
        for measured in ["own_ms", "peer_ms"] {
            assert!(answer.body[measured].as_f64().unwrap() > 0.0, "{answer:?}");
        }
        assert_eq!(node.await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_second_node_of_another_service_or_none_is_a_failure_that_says_so() {
        let (app, issued) = logged_in().await;
        let (other, peer) = listener().await;
        tokio::spawn(node(other, async |_| OTHER_KEY));
        let answer = watch(&peer, &app, &issued).await;
        assert_eq!(answer.status, 502, "{answer:?}");
        assert!(
            answer.body.to_string().contains("same issuer"),
            "{answer:?}"
        );

        let (closed, peer) = listener().await;
        drop(closed);
        let answer = watch(&peer, &app, &issued).await;
        assert_eq!(
            (answer.status, &answer.body["reason"]),
            (502, &"peer_failed".into())
        );
    }

    #[tokio::test]
    async fn the_second_node_is_given_time_between_questions_while_the_session_lives() {
        let (app, issued) = logged_in().await;
        let (listener, peer) = listener().await;
        let begun = Instant::now();
        tokio::spawn(node(listener, async move |number| {
            if number < 5 {
                return ACCEPTED;
            }
            assert!(begun.elapsed() >= 5 * PAUSE, "{:?}", begun.elapsed());
            OTHER_KEY
        }));
        let answer = watch(&peer, &app, &issued).await;
        let said = answer.body.to_string();
        assert!(said.contains("same issuer"), "{said}");
    }

    #[tokio::test]
    async fn a_session_is_watched_by_one_request_at_a_time() {
        let (app, issued) = logged_in().await;
        let (listener, peer) = listener().await;
        let first_asks = Arc::new(Notify::new());
        let asked = first_asks.clone();
        tokio::spawn(node(listener, async move |_| {
            asked.notify_one();
            ACCEPTED
        }));
        let verifier = app.authority.verifier();
        let reason = async |session| {
            let answer = peer.watch(verifier, session, None).await;
            answer.body["reason"].as_str().unwrap().to_owned()
        };
        tokio::select! {
            first = watch(&peer, &app, &issued) => panic!("{first:?}"),
            () = async {
                first_asks.notified().await;
                assert_eq!(reason(issued.session_id).await, "busy");
                assert_eq!(reason(issued.session_id).await, "busy");
                assert_eq!(reason(SessionId::from_bytes([7; 18])).await, "missing");
            } => {}
        }
        assert_eq!(reason(issued.session_id).await, "missing");
    }

    #[tokio::test]
    async fn a_bounded_number_of_requests_watch_at_a_time() {
        let (app, issued) = logged_in().await;
        let (_listener, peer) = listener().await;
        let turns = u32::try_from(WATCHES).unwrap();
        let _all = peer.watches.try_acquire_many(turns).unwrap();
        let answer = watch(&peer, &app, &issued).await;
        assert_eq!(
            (answer.status, &answer.body["reason"]),
            (503, &"busy".into())
        );
    }

    #[test]
    fn a_node_has_a_host_and_a_port_and_nothing_else() {
        for url in [
            "http://127.0.0.1:3001",
            "http://node-2.example:80/",
            "http://[::1]:3001",
        ] {
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
