//! The example in axum.

use std::future::ready;

use ::axum::{
    Json, Router,
    body::Body,
    http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, SET_COOKIE},
    response::AppendHeaders,
    routing::{get, post},
};
use example_app::App;
use gatepass_axum::{Auth, GateLayer};
use gatepass_testkit::{ManualClock, scenario::Setup};
use serde_json::Value;

use super::{InProcess, call, pages};
use crate::application::Application;

/// The example's router, with a route whose gate was forgotten.
pub fn router(app: &App) -> Router {
    async fn unguarded(_: Auth) -> &'static str {
        "this handler must never run"
    }

    let routes = example_axum::routes(app).route("/unguarded", get(unguarded));
    example_axum::around(app, routes.nest("/auto", auto(app)))
}

/// Routes behind gates that refresh, and send browsers to a login page.
pub(super) fn auto(app: &App) -> Router {
    async fn me(Auth(pass): Auth) -> Json<Value> {
        Json(example_app::me(&pass))
    }

    async fn maybe(auth: Option<Auth>) -> Json<Value> {
        Json(example_app::maybe(auth.as_ref().map(|Auth(pass)| pass)))
    }

    async fn stream(_: Auth) -> ([(HeaderName, &'static str); 1], Body) {
        (
            [(CONTENT_TYPE, pages::TEXT)],
            Body::from_stream(pages::parts()),
        )
    }

    let gate = GateLayer::new(&app.authority)
        .auto_refresh(&app.authority)
        .login_page(pages::login_page());
    let [admins, recently, strictly, optionally] =
        pages::requirements().map(|requirements| gate.clone().require(requirements));
    let with = |header: (HeaderName, &'static str)| {
        let handler = move |Auth(pass): Auth| {
            ready((
                AppendHeaders([header.clone()]),
                Json(example_app::me(&pass)),
            ))
        };
        get(handler).route_layer(gate.clone())
    };
    let (taking, giving) = (app.clone(), app.clone());
    let take = async move |Auth(pass): Auth| Json(pages::take(taking.clone(), pass).await);
    let give = async move |Auth(pass): Auth| Json(pages::give(giving.clone(), pass).await);
    Router::new()
        .route("/take", post(take).route_layer(gate.clone()))
        .route("/give", post(give).route_layer(gate.clone()))
        .route("/me", get(me).route_layer(gate.clone()))
        .route("/profile", post(me).route_layer(gate.clone()))
        .route("/public", with((CACHE_CONTROL, pages::PUBLIC)))
        .route("/theme", with((SET_COOKIE, pages::THEME)))
        .route("/own", with((SET_COOKIE, pages::OWN)))
        .route("/stream", get(stream).route_layer(gate.clone()))
        .route("/admin", get(me).route_layer(admins))
        .route("/transfer", post(me).route_layer(recently))
        .route("/strict", get(me).route_layer(strictly))
        .route("/maybe", get(maybe).post(maybe).route_layer(optionally))
}

/// Starts it in process.
pub async fn in_process(clock: ManualClock, setup: Setup) -> InProcess {
    let application = Application::start(clock, setup).await;
    let router = router(&application.app);
    InProcess::new(application, move |request, opened| {
        call::<_, Body, _>(router.clone(), request, opened)
    })
}
