//! The scenarios through axum: in process, and over sockets.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../application/mod.rs"]
mod application;

use axum::{Router, routing::get};
use example_app::App;
use gatepass_axum::Auth;

/// The example's router, with a route whose guard was forgotten.
fn router(app: &App) -> Router {
    async fn unguarded(_: Auth) -> &'static str {
        "this handler must never run"
    }

    example_axum::router(app).route("/unguarded", get(unguarded))
}

mod in_process {
    use async_trait::async_trait;
    use axum::{Router, body::Body, http};
    use gatepass_testkit::{
        ManualClock, conformance,
        scenario::{Driver, Request, Response, Setup, UserChange},
    };
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use crate::{application::Application, router};

    struct InProcess {
        application: Application,
        router: Router,
    }

    async fn start(clock: ManualClock, setup: Setup) -> InProcess {
        let application = Application::start(clock, setup).await;
        InProcess {
            router: router(&application.app),
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

    use gatepass_testkit::{ManualClock, conformance, scenario::Setup};
    use tokio::{net::TcpListener, task::JoinSet};

    use crate::{
        application::{Application, OverSockets},
        router,
    };

    async fn start(clock: ManualClock, setup: Setup) -> OverSockets {
        let application = Application::start(clock, setup).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = router(&application.app).into_make_service_with_connect_info::<SocketAddr>();
        // It is aborted when it is dropped.
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, service).await.unwrap() });
        OverSockets::new(application, address, server)
    }

    conformance!(start);
}
