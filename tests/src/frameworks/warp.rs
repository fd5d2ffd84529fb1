//! The example in warp.

use std::future::ready;

use ::axum::body::Bytes;
use ::warp::{
    Filter, Rejection, Reply,
    filters::BoxedFilter,
    http::{StatusCode, Uri},
    redirect,
    reply::{self, Response},
};
use example_app::App;
use gatepass::{
    Pass,
    wire::{AuthRequest, AuthState, Delivery, Endpoints},
};
use gatepass_testkit::{
    ManualClock,
    scenario::{Customer, Setup, Shop, Tools},
};
use gatepass_warp::{
    Auth, AuthRejection, ClientDevice, FromAuthRequest, OwnedRequestHead, PresentedToken, SameSite,
    Scoped, User, gate, gate_from_layer, gated, issue, refresh, request_head,
};
use http_body_util::Full;
use tokio::{net::TcpListener, task::JoinSet};

use super::{InProcess, call, pages, shop, tools};
use crate::{application::Application, sockets::OverSockets};

/// The example's routes, with an additional route without a gate.
pub fn routes(
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

    let unguarded = gated(
        ::warp::path!("unguarded").and(::warp::get()),
        gate_from_layer(),
        unguarded,
    );
    example_warp::routes(app)
        .or(unguarded)
        .or(auto(app))
        .or(shop(app))
        .or(tools(app))
}

/// The shop.
fn shop(app: &App) -> BoxedFilter<(Response,)> {
    async fn me(Auth(pass): Auth) -> impl Reply {
        reply::json(&shop::me(&pass))
    }

    async fn admin(admin: Scoped<shop::Admin>) -> impl Reply {
        reply::json(&shop::me(admin.pass()))
    }

    async fn token(PresentedToken(token): PresentedToken) -> impl Reply {
        reply::json(&shop::token(token.as_str()))
    }

    async fn site(verdict: Option<SameSite>) -> impl Reply {
        reply::json(&shop::site(verdict.is_some()))
    }

    async fn enter(
        endpoints: Endpoints,
        head: OwnedRequestHead,
        (ClientDevice(device), SameSite { .. }): (ClientDevice, SameSite),
    ) -> Result<Response, AuthRejection> {
        let guest = Shop::guest().unwrap().device(device.user_agent.unwrap());
        let delivered = issue(&endpoints, guest, &head, Delivery::Cookies).await?;
        Ok(delivered.onto(redirect::see_other(Uri::from_static("/shop/me"))))
    }

    async fn again(
        endpoints: Endpoints,
        head: OwnedRequestHead,
    ) -> Result<Response, AuthRejection> {
        let delivered = refresh(&endpoints, &head, None).await?;
        Ok(delivered.onto(StatusCode::NO_CONTENT))
    }

    async fn customer(User(customer): User<Customer>) -> impl Reply {
        reply::json(&shop::customer(&customer))
    }

    /// The user of a session or of an API key.
    struct Caller(Pass);

    impl FromAuthRequest for Caller {
        const READS_HEAD: bool = true;

        fn from_auth_request(
            request: &AuthRequest<'_, '_>,
        ) -> Result<Self, gatepass::wire::AuthRejection> {
            let keyed = Shop::keyed(request)?;
            let pass = keyed.as_ref().and_then(AuthState::optional_pass);
            let pass = pass.map_or_else(|| request.pass(), Ok);
            Ok(Self(pass?.clone()))
        }
    }

    async fn orders(Caller(pass): Caller) -> impl Reply {
        reply::json(&shop::me(&pass))
    }

    let shop = shop::start(app);
    let endpoints = shop.endpoints.clone();
    let gate = gate(&shop.authority).adopt(&shop.authority);
    let loads = gate.clone().users(&shop.users);
    let optional = gate.clone().require(shop::optional());
    let close = move |Auth(pass): Auth| {
        shop.close(&pass);
        ready(StatusCode::NO_CONTENT)
    };
    let open = gate.clone().require(shop::open());
    let own = endpoints.clone();
    let with = ::warp::any().map(move || own.clone()).and(request_head());
    let at = |last: &'static str| {
        ::warp::path("shop")
            .and(::warp::path(last))
            .and(::warp::path::end())
    };
    let (get, post) = (::warp::get(), ::warp::post());
    let again = at("again")
        .and(post)
        .and(with.clone())
        .then(again)
        .map(Reply::into_response);
    gated(at("me").and(get), gate.clone(), me)
        .or(gated(at("admin").and(get), gate.clone(), admin))
        .unify()
        .or(gated(at("customer").and(get), loads.clone(), customer))
        .unify()
        .or(gated(at("customer").and(::warp::delete()), loads, close))
        .unify()
        .or(gated(at("presented").and(get), gate, token))
        .unify()
        .or(gated(at("enter").and(post).and(with), open.clone(), enter))
        .unify()
        .or(gated(at("site").and(post), open, site))
        .unify()
        .or(again)
        .unify()
        .or(gated(at("orders").and(get), optional, orders))
        .unify()
        .or(::gatepass_warp::routes(endpoints))
        .unify()
        .boxed()
}

/// The tools.
fn tools(app: &App) -> BoxedFilter<(Response,)> {
    async fn me(Auth(pass): Auth) -> impl Reply {
        reply::json(&Tools::me(&pass))
    }

    async fn admin(admin: Scoped<shop::Admin>) -> impl Reply {
        reply::json(&Tools::me(admin.pass()))
    }

    let tools = tools::start(app);
    let gate = gate(&tools.authority);
    let [reports, own] =
        tools::requirements().map(|requirements| gate.clone().require(requirements));
    let leaving = tools.clone();
    let log_out = move |Auth(pass): Auth| {
        let tools = leaving.clone();
        async move {
            tools.log_out(&pass).await.unwrap();
            StatusCode::NO_CONTENT
        }
    };
    let signing = tools.clone();
    let sign = move || reply::json(&signing.logout_tokens()).into_response();
    let at = |last: &'static str| {
        ::warp::path("tools")
            .and(::warp::path(last))
            .and(::warp::path::end())
    };
    let get = ::warp::get();
    let routes = gated(at("me").and(get), gate.clone(), me)
        .or(gated(at("reports").and(get), reports, me))
        .unify()
        .or(gated(at("admin").and(get), gate.clone(), admin))
        .unify()
        .or(gated(at("own").and(get), own, me))
        .unify()
        .or(gated(at("logout").and(::warp::post()), gate, log_out))
        .unify()
        .or(at("logout-tokens").and(get).map(sign))
        .unify()
        .or(::gatepass_warp::resource_metadata(tools.metadata))
        .unify()
        .boxed();
    let endpoints = tools.logins.into_iter().chain([tools.endpoints]);
    endpoints.fold(routes, |routes, endpoints| {
        let endpoints = ::gatepass_warp::routes(endpoints);
        routes.or(endpoints).unify().boxed()
    })
}

/// Routes behind gates that refresh, and that send browsers to a login page.
fn auto(app: &App) -> BoxedFilter<(Response,)> {
    async fn me(Auth(pass): Auth) -> impl Reply {
        reply::json(&example_app::me(&pass))
    }

    async fn maybe(auth: Option<Auth>) -> impl Reply {
        reply::json(&example_app::maybe(auth.as_ref().map(|Auth(pass)| pass)))
    }

    async fn stream(_: Auth) -> impl Reply {
        reply::with_header(reply::stream(pages::parts()), "content-type", pages::TEXT)
    }

    let gate = gate(&app.authority)
        .auto_refresh(&app.authority)
        .login_page(pages::login_page());
    let [admins, recently, strictly, optionally] =
        pages::requirements().map(|requirements| gate.clone().require(requirements));
    let at = |last: &'static str| {
        ::warp::path("auto")
            .and(::warp::path(last))
            .and(::warp::path::end())
    };
    let (get, post) = (::warp::get(), ::warp::post());
    let head_or_get = ::warp::get().or(::warp::head()).unify();
    let with = |last, name: &'static str, value: &'static str| {
        let handler = move |Auth(pass): Auth| {
            let me = reply::json(&example_app::me(&pass));
            ready(reply::with_header(me, name, value))
        };
        gated(at(last).and(get), gate.clone(), handler).boxed()
    };
    let (taking, giving) = (app.clone(), app.clone());
    let take = move |Auth(pass): Auth| {
        let taken = pages::take(taking.clone(), pass);
        async { reply::json(&taken.await) }
    };
    let give = move |Auth(pass): Auth| {
        let given = pages::give(giving.clone(), pass);
        async { reply::json(&given.await) }
    };
    let plain = gated(at("me").and(head_or_get), gate.clone(), me)
        .or(gated(at("profile").and(post), gate.clone(), me))
        .unify()
        .or(gated(at("take").and(post), gate.clone(), take))
        .unify()
        .or(gated(at("give").and(post), gate.clone(), give))
        .unify()
        .or(with("public", "cache-control", pages::PUBLIC))
        .unify()
        .or(with("theme", "set-cookie", pages::THEME))
        .unify()
        .or(with("own", "set-cookie", pages::OWN))
        .unify()
        .or(gated(at("stream").and(get), gate.clone(), stream))
        .unify();
    let passkey = |last, name: Option<&'static str>| {
        let endpoints = app.endpoints.clone();
        let verified = move |head: OwnedRequestHead, Auth(pass): Auth| {
            let endpoints = endpoints.clone();
            async move {
                let identity = pages::by_passkey(&pass, name);
                gatepass_warp::reauthenticated(&endpoints, &pass, identity, &head).await
            }
        };
        let at = at(last).and(post).and(request_head());
        gated(at, gate.clone(), verified).boxed()
    };
    let access_only = |last, delivery| {
        let endpoints = app.endpoints.clone();
        let begin = move |head: OwnedRequestHead, Auth(pass): Auth| {
            let endpoints = endpoints.clone();
            async move {
                let identity = pages::access_only(&pass);
                issue(&endpoints, identity, &head, delivery).await
            }
        };
        let at = at(last).and(post).and(request_head());
        gated(at, gate.clone(), begin).boxed()
    };
    let strongly = gate.clone().require(pages::strong());
    let sliding = ::gatepass_warp::gate(&app.authority).auto_renew(&app.authority);
    let stepping_up = passkey("passkey", None)
        .or(gated(at("sliding").and(get), sliding, me))
        .unify()
        .or(passkey("passkey-of-root", Some("root")))
        .unify()
        .or(access_only("access-only", Delivery::Body))
        .unify()
        .or(access_only("access-only-by-cookie", Delivery::Cookies))
        .unify()
        .or(gated(at("vault").and(get), strongly, me))
        .unify();
    plain
        .or(stepping_up)
        .unify()
        .or(gated(at("admin").and(get), admins, me))
        .unify()
        .or(gated(at("transfer").and(post), recently, me))
        .unify()
        .or(gated(at("strict").and(get), strictly, me))
        .unify()
        .or(gated(
            at("maybe").and(get.or(post).unify()),
            optionally,
            maybe,
        ))
        .unify()
        .boxed()
}

/// Starts the application in process.
pub async fn in_process(clock: ManualClock, setup: Setup) -> InProcess {
    let application = Application::start(clock, setup).await;
    let app = application.app.clone();
    let routes = routes(&app);
    InProcess::new(application, move |request, opened| {
        let service = example_warp::service(&app, routes.clone());
        call::<_, Full<Bytes>, _>(service, request, opened)
    })
}

/// Starts only the routes, with warp's own server.
pub async fn by_warps_own_server(clock: ManualClock, setup: Setup) -> OverSockets {
    let application = Application::start(clock, setup).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    let routes = routes(&application.app);
    server.spawn(::warp::serve(routes).incoming(listener).run());
    OverSockets::new(application, address, server)
}
