//! The scenarios through axum: in process, and over sockets.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod application;

mod in_process {
    use async_trait::async_trait;
    use axum::{Router, body::Body, http};
    use gatepass_testkit::{
        ManualClock, conformance,
        scenario::{Driver, Request, Response, Setup, UserChange},
    };
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use crate::application::Application;

    struct InProcess {
        application: Application,
        router: Router,
    }

    async fn start(clock: ManualClock, setup: Setup) -> InProcess {
        let application = Application::start(clock, setup).await;
        InProcess {
            router: application.router(),
            application,
        }
    }

    #[async_trait]
    impl Driver for InProcess {
        async fn send(&self, request: Request) -> Response {
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

        async fn pass_time(&self, time: std::time::Duration) {
            self.application.clock.advance(time);
        }

        async fn change_user(&self, name: &str, change: UserChange) {
            self.application.change_user(name, change).await;
        }
    }

    conformance!(start);
}

mod over_sockets {
    use std::net::SocketAddr;

    use async_trait::async_trait;
    use gatepass_testkit::{
        ManualClock, conformance,
        scenario::{Driver, Request, Response, Setup, UserChange},
    };
    use tokio::{net::TcpListener, task::JoinHandle};

    use crate::application::Application;

    struct OverSockets {
        application: Application,
        client: reqwest::Client,
        address: SocketAddr,
        server: JoinHandle<()>,
    }

    async fn start(clock: ManualClock, setup: Setup) -> OverSockets {
        let application = Application::start(clock, setup).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = application.router();
        let server = tokio::spawn(async move {
            axum::serve(
                listener,
                router.into_make_service_with_connect_info::<SocketAddr>(),
            )
            .await
            .unwrap();
        });
        OverSockets {
            application,
            client: reqwest::Client::new(),
            address,
            server,
        }
    }

    impl Drop for OverSockets {
        fn drop(&mut self) {
            self.server.abort();
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
            let header =
                |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
                    (name.to_string(), value.to_str().unwrap().to_owned())
                };
            Response {
                status: response.status().as_u16(),
                headers: response.headers().iter().map(header).collect(),
                body: response.bytes().await.unwrap().into(),
            }
        }

        async fn pass_time(&self, time: std::time::Duration) {
            self.application.clock.advance(time);
        }

        async fn change_user(&self, name: &str, change: UserChange) {
            self.application.change_user(name, change).await;
        }
    }

    conformance!(start);
}
