//! The example in axum.

use ::axum::{Router, body::Body, routing::get};
use example_app::App;
use gatepass_axum::Auth;
use gatepass_testkit::{ManualClock, scenario::Setup};

use super::{InProcess, call};
use crate::application::Application;

/// The example's router, with a route whose gate was forgotten.
pub fn router(app: &App) -> Router {
    async fn unguarded(_: Auth) -> &'static str {
        "this handler must never run"
    }

    let routes = example_axum::routes(app).route("/unguarded", get(unguarded));
    example_axum::around(app, routes)
}

/// Starts it in process.
pub async fn in_process(clock: ManualClock, setup: Setup) -> InProcess {
    let application = Application::start(clock, setup).await;
    let router = router(&application.app);
    InProcess::new(application, move |request| {
        call::<_, Body, _>(router.clone(), request)
    })
}
