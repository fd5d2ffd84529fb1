//! Driving an application over sockets, whatever framework listens.

use std::{any::Any, net::SocketAddr, time::Duration};

use async_trait::async_trait;
use gatepass_testkit::scenario::{Driver, Request, Response, UserChange};
use reqwest::header::{HeaderName, HeaderValue};

use super::Application;

/// An application, and the server that carries it until this is dropped.
pub(crate) struct OverSockets {
    application: Application,
    client: reqwest::Client,
    address: SocketAddr,
    _server: Box<dyn Any + Send + Sync>,
}

impl OverSockets {
    /// `server` serves `application` at `address`, and stops when it is dropped.
    pub(crate) fn new(
        application: Application,
        address: SocketAddr,
        server: impl Any + Send + Sync,
    ) -> Self {
        Self {
            application,
            client: reqwest::Client::new(),
            address,
            _server: Box::new(server),
        }
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
        self.application.clock.advance(time);
    }

    async fn change_user(&self, name: &str, change: UserChange) {
        self.application.change_user(name, change).await;
    }
}
