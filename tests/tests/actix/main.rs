//! The scenarios through actix-web, in process and over sockets, and what is actix-web's own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../application/mod.rs"]
mod application;
mod around;
mod bodies;
mod gate;
mod head;
mod keep_alive;
mod rig;

use gatepass_actix::Auth;

/// Of a route whose guard was forgotten.
async fn unguarded(_: Auth) -> &'static str {
    "this handler must never run"
}

mod in_process {
    use std::{rc::Rc, thread};

    use actix_web::{
        body::MessageBody,
        http::{Method, header::HeaderValue},
        rt::{self, System},
        test::{self, TestRequest},
        web,
    };
    use async_trait::async_trait;
    use gatepass_testkit::{
        ManualClock, conformance,
        scenario::{Driver, Request, Response, Setup, UserChange},
    };
    use tokio::sync::{mpsc, oneshot};

    use crate::{application::Application, unguarded};

    /// actix-web's services stay on the thread that made them, so they have one, and are sent to.
    struct InProcess {
        application: Application,
        requests: mpsc::UnboundedSender<(Request, oneshot::Sender<Response>)>,
    }

    async fn start(clock: ManualClock, setup: Setup) -> InProcess {
        let application = Application::start(clock, setup).await;
        let (requests, received) = mpsc::unbounded_channel();
        let app = application.app.clone();
        // It ends when nobody can send any more.
        thread::spawn(move || System::new().block_on(serve(app, received)));
        InProcess {
            application,
            requests,
        }
    }

    async fn serve(
        app: example_app::App,
        mut received: mpsc::UnboundedReceiver<(Request, oneshot::Sender<Response>)>,
    ) {
        let app = example_actix::application(&app).route("/unguarded", web::get().to(unguarded));
        let service = Rc::new(test::init_service(app).await);
        while let Some((request, answer)) = received.recv().await {
            let service = Rc::clone(&service);
            rt::spawn(async move {
                let response = test::call_service(&*service, made(request).to_request()).await;
                answer.send(read(response).await).unwrap();
            });
        }
    }

    fn made(request: Request) -> TestRequest {
        let mut made = TestRequest::with_uri(&request.path)
            .method(Method::from_bytes(request.method.as_bytes()).unwrap())
            .set_payload(request.body);
        for (name, value) in request.headers {
            made = made.append_header((name, HeaderValue::from_bytes(&value).unwrap()));
        }
        made
    }

    async fn read(response: actix_web::dev::ServiceResponse<impl MessageBody>) -> Response {
        let headers = response.headers().iter();
        let headers =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        Response {
            status: response.status().as_u16(),
            headers: headers.collect(),
            body: test::read_body(response).await.into(),
        }
    }

    #[async_trait]
    impl Driver for InProcess {
        async fn send(&self, request: Request) -> Response {
            let (answer, response) = oneshot::channel();
            self.requests.send((request, answer)).unwrap();
            response.await.unwrap()
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
    use actix_web::{HttpServer, web};
    use gatepass_testkit::{ManualClock, conformance, scenario::Setup};

    use crate::{
        application::{Application, OverSockets},
        rig::{Served, listener},
        unguarded,
    };

    async fn start(clock: ManualClock, setup: Setup) -> OverSockets {
        let application = Application::start(clock, setup).await;
        let (listener, address) = listener();
        let app = application.app.clone();
        let server = HttpServer::new(move || {
            example_actix::application(&app).route("/unguarded", web::get().to(unguarded))
        });
        let server = server.workers(2).listen(listener).unwrap();
        OverSockets::new(
            application,
            address,
            Served::new(server.disable_signals().run()),
        )
    }

    conformance!(start);
}
