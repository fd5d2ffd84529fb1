//! Driving an application over sockets, whatever framework listens.

use std::{any::Any, fmt, net::SocketAddr, time::Duration};

use async_trait::async_trait;
use gatepass_testkit::scenario::{Driver, Request, Response, UserChange};
use reqwest::header::{HeaderName, HeaderValue};

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
        Self {
            world: Box::new(world),
            client: reqwest::Client::new(),
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
    async fn send(&self, request: Request) -> Response {
        let method = request.method.parse().unwrap();
        let url = format!("http://{}{}", self.address, request.path);
        let mut builder = self.client.request(method, url).body(request.body);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let response = builder.send().await.unwrap();
        let header = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        Response {
            status: response.status().as_u16(),
            headers: response.headers().iter().map(header).collect(),
            body: response.bytes().await.unwrap().into(),
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
