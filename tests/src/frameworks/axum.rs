//! The example in axum.

use std::future::ready;

use ::axum::{
    Extension, Json, Router,
    body::Body,
    extract::Request,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, SET_COOKIE},
        request::Parts,
    },
    middleware::{Next, from_fn},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use example_app::App;
use gatepass::wire::{Delivery, Endpoints};
use gatepass_axum::{
    Auth, AuthRejection, ClientDevice, GateLayer, PresentedToken, SameSite, Scoped, User,
    auth_request,
};
use gatepass_testkit::{
    ManualClock,
    scenario::{Customer, Setup, Shop, Tools},
};
use serde_json::Value;

use super::{InProcess, call, pages, shop, tools};
use crate::application::Application;

/// The example's router, with an additional route without a gate.
pub fn router(app: &App) -> Router {
    async fn unguarded(_: Auth) -> &'static str {
        "this handler must never run"
    }

    let routes = example_axum::routes(app).route("/unguarded", get(unguarded));
    let routes = routes
        .nest("/auto", auto(app))
        .merge(shop(app))
        .merge(tools(app));
    example_axum::around(app, routes)
}

/// The shop.
pub(super) fn shop(app: &App) -> Router {
    async fn me(Auth(pass): Auth) -> Json<Value> {
        Json(shop::me(&pass))
    }

    async fn admin(admin: Scoped<shop::Admin>) -> Json<Value> {
        Json(shop::me(admin.pass()))
    }

    async fn token(PresentedToken(token): PresentedToken) -> Json<Value> {
        Json(shop::token(token.as_str()))
    }

    async fn site(verdict: Result<SameSite, AuthRejection>) -> Json<Value> {
        Json(shop::site(verdict.is_ok()))
    }

    async fn enter(
        Extension(endpoints): Extension<Endpoints>,
        ClientDevice(device): ClientDevice,
        _: SameSite,
        parts: Parts,
    ) -> Result<impl IntoResponse, AuthRejection> {
        let guest = Shop::guest().unwrap().device(device.user_agent.unwrap());
        let delivered = gatepass_axum::issue(&endpoints, guest, &parts, Delivery::Cookies).await?;
        Ok((delivered, Redirect::to("/shop/me")))
    }

    async fn again(
        Extension(endpoints): Extension<Endpoints>,
        parts: Parts,
    ) -> Result<impl IntoResponse, AuthRejection> {
        let delivered = gatepass_axum::refresh(&endpoints, &parts, None).await?;
        Ok((delivered, StatusCode::NO_CONTENT))
    }

    async fn customer(User(customer): User<Customer>) -> Json<Value> {
        Json(shop::customer(&customer))
    }

    async fn keys(request: Request, next: Next) -> Result<Response, AuthRejection> {
        let (mut parts, body) = request.into_parts();
        let state = Shop::keyed(&auth_request(&parts)?)?;
        if let Some(state) = state {
            parts.extensions.insert(state);
        }
        Ok(next.run(Request::from_parts(parts, body)).await)
    }

    let shop = shop::start(app);
    let endpoints = shop.endpoints.clone();
    let gate = GateLayer::new(&shop.authority).adopt(&shop.authority);
    let loads = gate.clone().users(&shop.users);
    let optional = gate.clone().require(shop::optional());
    let closing = shop.clone();
    let close = async move |Auth(pass): Auth| {
        closing.close(&pass);
        StatusCode::NO_CONTENT
    };
    let open = gate.clone().require(shop::open());
    Router::new()
        .route("/shop/me", get(me).route_layer(gate.clone()))
        .route(
            "/shop/customer",
            get(customer).delete(close).route_layer(loads),
        )
        .route("/shop/admin", get(admin).route_layer(gate.clone()))
        .route("/shop/presented", get(token).route_layer(gate))
        .route("/shop/enter", post(enter).route_layer(open.clone()))
        .route("/shop/site", post(site).route_layer(open))
        .route("/shop/again", post(again))
        .route(
            "/shop/orders",
            get(me).route_layer(from_fn(keys)).route_layer(optional),
        )
        .layer(Extension(endpoints.clone()))
        .merge(gatepass_axum::routes(endpoints))
}

/// The tools.
pub(super) fn tools(app: &App) -> Router {
    async fn me(Auth(pass): Auth) -> Json<Value> {
        Json(Tools::me(&pass))
    }

    async fn admin(admin: Scoped<shop::Admin>) -> Json<Value> {
        Json(Tools::me(admin.pass()))
    }

    let tools = tools::start(app);
    let gate = GateLayer::new(&tools.authority);
    let [reports, own] =
        tools::requirements().map(|requirements| gate.clone().require(requirements));
    let leaving = tools.clone();
    let log_out = async move |Auth(pass): Auth| {
        leaving.log_out(&pass).await.unwrap();
        StatusCode::NO_CONTENT
    };
    let signing = tools.clone();
    let sign = async move || Json(signing.logout_tokens());
    let routes = Router::new()
        .route("/tools/logout-tokens", get(sign))
        .route("/tools/me", get(me).route_layer(gate.clone()))
        .route("/tools/reports", get(me).route_layer(reports))
        .route("/tools/admin", get(admin).route_layer(gate.clone()))
        .route("/tools/own", get(me).route_layer(own))
        .route("/tools/logout", post(log_out).route_layer(gate))
        .merge(gatepass_axum::resource_metadata(tools.metadata));
    let endpoints = tools.logins.into_iter().chain([tools.endpoints]);
    endpoints.fold(routes, |routes, endpoints| {
        routes.merge(gatepass_axum::routes(endpoints))
    })
}

/// Routes behind gates that refresh, and that send browsers to a login page.
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
    let passkey = |name: Option<&'static str>| {
        let endpoints = app.endpoints.clone();
        let verified = async move |Auth(pass): Auth, request: Request| {
            let (identity, parts) = (pages::by_passkey(&pass, name), request.into_parts().0);
            gatepass_axum::reauthenticated(&endpoints, &pass, identity, &parts).await
        };
        post(verified).route_layer(gate.clone())
    };
    let access_only = |delivery| {
        let endpoints = app.endpoints.clone();
        let begin = async move |Auth(pass): Auth, request: Request| {
            let (identity, parts) = (pages::access_only(&pass), request.into_parts().0);
            gatepass_axum::issue(&endpoints, identity, &parts, delivery).await
        };
        post(begin).route_layer(gate.clone())
    };
    let strongly = gate.clone().require(pages::strong());
    let sliding = GateLayer::new(&app.authority).auto_renew(&app.authority);
    Router::new()
        .route("/sliding", get(me).route_layer(sliding))
        .route("/passkey", passkey(None))
        .route("/passkey-of-root", passkey(Some("root")))
        .route("/access-only", access_only(Delivery::Body))
        .route("/access-only-by-cookie", access_only(Delivery::Cookies))
        .route("/vault", get(me).route_layer(strongly))
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

/// Starts the application in process.
pub async fn in_process(clock: ManualClock, setup: Setup) -> InProcess {
    let application = Application::start(clock, setup).await;
    let router = router(&application.app);
    InProcess::new(application, move |request, opened| {
        call::<_, Body, _>(router.clone(), request, opened)
    })
}
