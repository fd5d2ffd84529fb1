//! The scenarios, in process and over sockets.

use std::time::Duration;

use async_trait::async_trait;
use axum::{Router, body::Body, http};
use gatepass_testkit::{
    ManualClock,
    scenario::{Driver, Request, Response, Setup, UserChange},
};
use http_body_util::BodyExt;
use tokio::{net::TcpListener, task::JoinSet};
use tonic::transport::{Channel, Endpoint};
use tower::ServiceExt;

use crate::{
    application::{Application, OverSockets},
    driver::{call, method, router},
};

struct InProcess {
    application: Application,
    router: Router,
}

impl InProcess {
    pub(crate) async fn start(clock: ManualClock, setup: Setup) -> Self {
        let application = Application::start(clock, setup).await;
        Self {
            router: router(&application.app),
            application,
        }
    }
}

#[async_trait]
impl Driver for InProcess {
    async fn send(&self, request: Request) -> Response {
        if let Some(method) = method(&request) {
            return call(self.router.clone(), &method, &request).await;
        }
        let mut builder = http::Request::builder()
            .method(request.method)
            .uri(request.path);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let request = builder.body(Body::from(request.body)).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        Response {
            status: head.status.as_u16(),
            headers: head.headers.iter().map(header).collect(),
            body: body.collect().await.unwrap().to_bytes().into(),
        }
    }

    async fn pass_time(&self, time: Duration) {
        self.application.clock.advance(time);
    }

    async fn change_user(&self, name: &str, change: UserChange) {
        self.application.change_user(name, change).await;
    }
}

/// HTTP/1.1 for the endpoints, and one connection of HTTP/2 for all calls.
pub(crate) struct OverBoth {
    http: OverSockets,
    pub(crate) channel: Channel,
}

impl OverBoth {
    pub(crate) async fn start(clock: ManualClock, setup: Setup) -> Self {
        let application = Application::start(clock, setup).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = router(&application.app);
        // It is aborted when it is dropped.
        let mut server = JoinSet::new();
        server.spawn(async move {
            let for_ever = std::future::pending();
            example_tonic::serve(router, listener, for_ever)
                .await
                .unwrap();
        });
        // HTTP/2 names the host that is asked in the target, and this wins over any field `Host`.
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .unwrap()
            .origin("https://service.test".parse().unwrap());
        Self {
            http: OverSockets::new(application, address, server),
            channel: endpoint.connect().await.unwrap(),
        }
    }
}

#[async_trait]
impl Driver for OverBoth {
    async fn send(&self, request: Request) -> Response {
        match method(&request) {
            Some(method) => call(self.channel.clone(), &method, &request).await,
            None => self.http.send(request).await,
        }
    }

    async fn pass_time(&self, time: Duration) {
        self.http.pass_time(time).await;
    }

    async fn change_user(&self, name: &str, change: UserChange) {
        self.http.change_user(name, change).await;
    }
}

mod in_process {
    use super::InProcess;

    gatepass_testkit::conformance!(InProcess::start, except: {
        // `refusals::a_call_by_cookie_may_change_something` is its counterpart.
        a_request_that_changes_nothing_may_come_from_anywhere:
            "every call is a POST, so that none is known to change nothing",
    });
}

mod over_sockets {
    use super::OverBoth;

    gatepass_testkit::conformance!(OverBoth::start, except: {
        a_request_that_changes_nothing_may_come_from_anywhere:
            "every call is a POST, so that none is known to change nothing",
    });
}
