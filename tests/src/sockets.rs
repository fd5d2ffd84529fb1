//! Drives an application over sockets, in any framework.

use std::{any::Any, fmt, io, net::SocketAddr, time::Duration};

use async_trait::async_trait;
use gatepass_testkit::scenario::{Driver, Opened, Request, Response, UserChange};
use reqwest::{
    header::{HeaderName, HeaderValue},
    redirect::Policy,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use crate::application::World;

/// An application and its server, which stops when this is dropped.
pub struct OverSockets {
    world: Box<dyn World>,
    client: reqwest::Client,
    address: SocketAddr,
    _server: Box<dyn Any + Send + Sync>,
}

impl OverSockets {
    /// An application that `server` serves at `address`. `server` stops when it is dropped.
    pub fn new(world: impl World, address: SocketAddr, server: impl Any + Send + Sync) -> Self {
        // A redirect is an answer like any other.
        let client = reqwest::Client::builder().redirect(Policy::none()).build();
        Self {
            world: Box::new(world),
            client: client.unwrap(),
            address,
            _server: Box::new(server),
        }
    }
}

impl fmt::Debug for OverSockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverSockets")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Driver for OverSockets {
    async fn exchange(&self, request: Request, opened: Opened) -> Response {
        let method = request.method.parse().unwrap();
        let url = format!("http://{}{}", self.address, request.path);
        let mut builder = self.client.request(method, url).body(request.body);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let mut response = builder.send().await.unwrap();
        let first = response.chunk().await.unwrap();
        opened.now();
        let mut body = Vec::from(first.unwrap_or_default());
        let header = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        let (status, headers) = (response.status(), response.headers());
        let (status, headers) = (status.as_u16(), headers.iter().map(header).collect());
        body.extend(response.bytes().await.unwrap());
        Response {
            status,
            headers,
            body,
        }
    }

    async fn pass_time(&self, time: Duration) {
        self.world.pass_time(time).await;
    }

    async fn change_user(&self, name: &str, change: UserChange) {
        self.world.change_user(name, change).await;
    }

    async fn lose_sessions(&self) {
        self.world.lose_sessions().await;
    }
}

const HOUR: Duration = Duration::from_secs(3600);
/// How long a test waits for the answer of a server.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends these bytes on a new connection, and returns everything that the server sends until it
/// closes the connection. Returns an empty text if the server closes without an answer.
///
/// # Panics
///
/// If the server keeps the connection open.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let answer = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(bytes).await?;
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer).await {
            // The server may close while it hasn't read all bytes.
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
            _ => Ok(answer),
        }
    };
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    let answer = answer
        .unwrap_or_else(|_| panic!("the server keeps the connection open"))
        .unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends these bytes on a new connection. Returns the time after which the server closes it,
/// rounded to seconds.
///
/// The server runs on the same single-threaded runtime, so time jumps to the next moment for which
/// it waits.
///
/// # Panics
///
/// If the server waits for longer than an hour.
pub async fn cut_off_after(address: SocketAddr, bytes: &[u8]) -> Duration {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    tokio::time::pause();
    let began = Instant::now();
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(HOUR, stream.read_to_end(&mut answer)).await;
    let took = began.elapsed();
    tokio::time::resume();
    assert!(closed.is_ok(), "the server keeps the connection open");
    Duration::from_secs(took.as_secs_f64().round() as u64)
}
