//! The drivers of the frameworks.

pub mod actix;
pub mod axum;
mod pages;
mod shop;
pub mod tonic;
mod tools;
pub mod warp;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use ::axum::{body::Bytes, extract::ConnectInfo, http};
use ::tower::{Service, ServiceExt};
use async_trait::async_trait;
use futures_util::future::{BoxFuture, FutureExt};
use gatepass_testkit::scenario::{Driver, Opened, Request, Response, UserChange};
use gatepass_warp::PeerAddr;
use http_body_util::BodyExt;

use crate::application::{Application, World};

/// An application whose service the tests call directly.
pub struct InProcess {
    application: Application,
    exchange: Exchange,
}

type Exchange = Box<dyn Fn(Request, Opened) -> BoxFuture<'static, Response> + Send + Sync>;

impl InProcess {
    fn new<F>(
        application: Application,
        exchange: impl Fn(Request, Opened) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        Self {
            application,
            exchange: Box::new(move |request, opened| exchange(request, opened).boxed()),
        }
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InProcess").field(&self.application).finish()
    }
}

#[async_trait]
impl Driver for InProcess {
    async fn exchange(&self, request: Request, opened: Opened) -> Response {
        (self.exchange)(request, opened).await
    }

    async fn pass_time(&self, time: Duration) {
        self.application.pass_time(time).await;
    }

    async fn change_user(&self, name: &str, change: UserChange) {
        self.application.change_user(name, change).await;
    }

    async fn lose_sessions(&self) {
        self.application.lose_sessions().await;
    }
}

/// The client's address of requests in process.
pub(crate) const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50_000);

/// Calls a tower service in process.
async fn call<S, I, O>(service: S, request: Request, opened: Opened) -> Response
where
    S: Service<http::Request<I>, Response = http::Response<O>>,
    I: From<Vec<u8>>,
    O: http_body::Body<Data = Bytes>,
{
    let mut builder = http::Request::builder()
        .method(request.method)
        .uri(request.path);
    for (name, value) in request.headers {
        builder = builder.header(name, value);
    }
    let is_head = request.method == "HEAD";
    let mut request = builder.body(I::from(request.body)).unwrap();
    request.extensions_mut().insert(ConnectInfo(PEER));
    request.extensions_mut().insert(PeerAddr(PEER));
    let Ok(response) = service.oneshot(request).await else {
        panic!("a service of an application has no errors");
    };
    let (head, body) = response.into_parts();
    let mut body = std::pin::pin!(body);
    let mut bytes = Vec::new();
    let mut opened = Some(opened);
    loop {
        let frame = body.frame().await;
        if let Some(opened) = opened.take() {
            opened.now();
        }
        match frame {
            Some(Ok(frame)) => bytes.extend(frame.into_data().into_iter().flatten()),
            Some(Err(_)) => panic!("the body broke"),
            None => break,
        }
    }
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    Response {
        status: head.status.as_u16(),
        headers: head.headers.iter().map(header).collect(),
        // A server omits the body.
        body: if is_head { Vec::new() } else { bytes },
    }
}
