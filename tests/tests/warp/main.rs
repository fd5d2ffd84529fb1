//! The scenarios through warp: in process, over sockets, and by warp's own server; and what they cannot say.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../application/mod.rs"]
mod application;

mod agreement;
mod bodies;
mod composition;
mod gates;
mod hosts;

use example_app::App;
use gatepass_warp::{Auth, admitted, guarded};
use warp::{Filter, Rejection, Reply};

/// The example's routes, with one whose guard was forgotten.
fn routes(
    app: &App,
) -> impl Filter<Extract = (impl Reply + use<>,), Error = Rejection>
+ Clone
+ Send
+ Sync
+ 'static
+ use<> {
    async fn unguarded(_: Auth) -> &'static str {
        "this handler must never run"
    }

    let unguarded = guarded(
        warp::path!("unguarded").and(warp::get()),
        admitted(),
        unguarded,
    );
    example_warp::routes(app).or(unguarded)
}

mod in_process {
    use async_trait::async_trait;
    use axum::body::Bytes;
    use gatepass_testkit::{
        ManualClock, conformance,
        scenario::{Driver, Request, Response, Setup, UserChange},
    };
    use http_body_util::{BodyExt, Full};
    use tower::ServiceExt;
    use warp::http;

    use crate::{application::Application, routes};

    struct InProcess {
        application: Application,
    }

    async fn start(clock: ManualClock, setup: Setup) -> InProcess {
        let application = Application::start(clock, setup).await;
        InProcess { application }
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
            let body = Full::new(Bytes::from(request.body));
            let app = &self.application.app;
            let service = example_warp::service(app, routes(app));
            let response = service.oneshot(builder.body(body).unwrap()).await.unwrap();
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
    use gatepass_testkit::{ManualClock, conformance, scenario::Setup};
    use tokio::{net::TcpListener, task::JoinSet};

    use crate::{
        application::{Application, OverSockets},
        routes,
    };

    async fn start(clock: ManualClock, setup: Setup) -> OverSockets {
        let application = Application::start(clock, setup).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = example_warp::service(&application.app, routes(&application.app));
        // It is aborted when it is dropped.
        let mut server = JoinSet::new();
        server.spawn(example_warp::serve(
            listener,
            service,
            std::future::pending(),
        ));
        OverSockets::new(application, address, server)
    }

    conformance!(start);
}

mod by_warps_own_server {
    use gatepass_testkit::{ManualClock, conformance, scenario::Setup};
    use tokio::{net::TcpListener, task::JoinSet};

    use crate::{
        application::{Application, OverSockets},
        routes,
    };

    async fn start(clock: ManualClock, setup: Setup) -> OverSockets {
        let application = Application::start(clock, setup).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(
            warp::serve(routes(&application.app))
                .incoming(listener)
                .run(),
        );
        OverSockets::new(application, address, server)
    }

    conformance!(start);
}
