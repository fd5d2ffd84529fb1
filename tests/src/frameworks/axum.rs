//! The example in axum.

use std::time::Duration;

use ::axum::{Router, body::Body, routing::get};
use async_trait::async_trait;
use example_app::App;
use gatepass_axum::Auth;
use gatepass_testkit::{
    ManualClock,
    scenario::{Driver, Request, Response, Setup, UserChange},
};

use super::call;
use crate::application::{Application, World};

/// The example's router, with a route whose guard was forgotten.
pub fn router(app: &App) -> Router {
    async fn unguarded(_: Auth) -> &'static str {
        "this handler must never run"
    }

    let routes = example_axum::routes(app).route("/unguarded", get(unguarded));
    example_axum::around(app, routes)
}

/// The router, called.
#[derive(Debug)]
pub struct InProcess {
    application: Application,
    router: Router,
}

/// Starts it in process.
pub async fn in_process(clock: ManualClock, setup: Setup) -> InProcess {
    let application = Application::start(clock, setup).await;
    InProcess {
        router: router(&application.app),
        application,
    }
}

#[async_trait]
impl Driver for InProcess {
    async fn send(&self, request: Request) -> Response {
        call::<_, Body, _>(self.router.clone(), request).await
    }

    async fn pass_time(&self, time: Duration) {
        self.application.pass_time(time).await;
    }

    async fn change_user(&self, name: &str, change: UserChange) {
        self.application.change_user(name, change).await;
    }
}
