//! Driving an application over sockets, in any framework.

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

/// An application, and the server that carries it until this is dropped.
pub struct OverSockets {
    world: Box<dyn World>,
    client: reqwest::Client,
    address: SocketAddr,
    _server: Box<dyn Any + Send + Sync>,
}

impl OverSockets {
    /// `server` serves an application at `address`, and stops when it is dropped.
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
/// How long a server may take to answer, before a test takes it for one that never will.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends these bytes on a connection of their own, and returns all that the server sends until it
/// closes the connection: nothing if it closes without an answer.
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
            // A server that closes while there are bytes that it has not read.
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

/// Sends these bytes on a connection of their own, and says after how many seconds the server
/// closes it.
///
/// The server runs on the same runtime, of one thread: time jumps to the next moment that it waits
/// for.
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
