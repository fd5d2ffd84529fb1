//! The example in actix-web.

use std::{
    future::{poll_fn, ready},
    pin::pin,
    rc::Rc,
    thread,
    time::Duration,
};

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse, Responder, Route, Scope,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    guard::{Any, Get, Head},
    http::{
        Method,
        header::{CACHE_CONTROL, HeaderName, HeaderValue, LOCATION, SET_COOKIE},
    },
    middleware::{Next, from_fn},
    rt::{self, System},
    test::{self, TestRequest},
    web::{self, ServiceConfig},
};
use async_trait::async_trait;
use gatepass::wire::{Delivery, Endpoints};
use gatepass_actix::{
    Auth, AuthRejection, ClientDevice, Gate, MaybeAuth, PresentedToken, SameSite, Scoped, User,
    auth_request,
};
use gatepass_testkit::{
    ManualClock,
    scenario::{Customer, Driver, Opened, Request, Response, Setup, Shop, Tools, UserChange},
};
use tokio::sync::{mpsc, oneshot};

use super::{PEER, pages, shop, tools};
use crate::application::{Application, World};

/// The handler of a route without a gate.
async fn unguarded(_: Auth) -> &'static str {
    "this handler must never run"
}

/// The additional routes of the scenarios: a route without a gate, and the routes of `auto`, of the
/// shop and of the tools.
pub fn routes(
    app: &example_app::App,
    (shop, tools): &(Shop, Tools),
) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let auto = auto(app);
    let (shop, tools) = (self::shop(shop), self::tools(tools));
    move |config| {
        config
            .route("/unguarded", web::get().to(unguarded))
            .service(auto)
            .configure(shop)
            .configure(tools);
    }
}

/// Starts the shop and the tools, once for all workers.
pub fn start_others(app: &example_app::App) -> (Shop, Tools) {
    (shop::start(app), tools::start(app))
}

/// The shop.
fn shop(shop: &Shop) -> impl FnOnce(&mut ServiceConfig) + use<> {
    async fn me(Auth(pass): Auth) -> impl Responder {
        web::Json(shop::me(&pass))
    }

    async fn admin(admin: Scoped<shop::Admin>) -> impl Responder {
        web::Json(shop::me(admin.pass()))
    }

    async fn token(PresentedToken(token): PresentedToken) -> impl Responder {
        web::Json(shop::token(token.as_str()))
    }

    async fn site(verdict: Result<SameSite, AuthRejection>) -> impl Responder {
        web::Json(shop::site(verdict.is_ok()))
    }

    async fn enter(
        endpoints: web::Data<Endpoints>,
        ClientDevice(device): ClientDevice,
        _: SameSite,
        request: HttpRequest,
    ) -> Result<HttpResponse, AuthRejection> {
        let guest = Shop::guest().unwrap().device(device.user_agent.unwrap());
        let issued = gatepass_actix::issue(&endpoints, guest, &request, Delivery::Cookies);
        let redirect = HttpResponse::SeeOther()
            .insert_header((LOCATION, "/shop/me"))
            .finish();
        Ok(issued.await?.onto(redirect))
    }

    async fn again(
        endpoints: web::Data<Endpoints>,
        request: HttpRequest,
    ) -> Result<HttpResponse, AuthRejection> {
        let refreshed = gatepass_actix::refresh(&endpoints, &request, None);
        Ok(refreshed.await?.onto(HttpResponse::NoContent().finish()))
    }

    async fn customer(User(customer): User<Customer>) -> impl Responder {
        web::Json(shop::customer(&customer))
    }

    async fn keys<B: MessageBody>(
        request: ServiceRequest,
        next: Next<B>,
    ) -> Result<ServiceResponse<B>, Error> {
        if let Some(state) = auth_request(request.request(), Shop::keyed)? {
            request.extensions_mut().insert(state);
        }
        next.call(request).await
    }

    let gate = Gate::new(&shop.authority).adopt(&shop.authority);
    let loads = gate.clone().users(&shop.users);
    let optional = gate.clone().require(shop::optional());
    let endpoints = shop.endpoints.clone();
    let shop = shop.clone();
    let close = move |Auth(pass): Auth| {
        shop.close(&pass);
        ready(HttpResponse::NoContent().finish())
    };
    let open = gate.clone().require(shop::open());
    move |config| {
        config
            .app_data(web::Data::new(endpoints.clone()))
            .route("/shop/me", get().to(me).wrap(gate.clone()))
            .service(
                web::resource("/shop/customer")
                    .route(get().to(customer).wrap(loads.clone()))
                    .route(web::delete().to(close).wrap(loads)),
            )
            .route("/shop/admin", get().to(admin).wrap(gate.clone()))
            .route("/shop/presented", get().to(token).wrap(gate))
            .route("/shop/enter", web::post().to(enter).wrap(open.clone()))
            .route("/shop/site", web::post().to(site).wrap(open))
            .route("/shop/again", web::post().to(again))
            .route(
                "/shop/orders",
                get().to(me).wrap(from_fn(keys)).wrap(optional),
            )
            .configure(gatepass_actix::configure(endpoints));
    }
}

/// The tools.
fn tools(tools: &Tools) -> impl FnOnce(&mut ServiceConfig) + use<> {
    async fn me(Auth(pass): Auth) -> impl Responder {
        web::Json(Tools::me(&pass))
    }

    async fn admin(admin: Scoped<shop::Admin>) -> impl Responder {
        web::Json(Tools::me(admin.pass()))
    }

    let gate = Gate::new(&tools.authority);
    let [reports, own] =
        tools::requirements().map(|requirements| gate.clone().require(requirements));
    let tools = tools.clone();
    let leaving = tools.clone();
    let log_out = move |Auth(pass): Auth| {
        let tools = leaving.clone();
        async move {
            tools.log_out(&pass).await.unwrap();
            HttpResponse::NoContent().finish()
        }
    };
    let signing = tools.clone();
    let sign = move || {
        let tokens = signing.logout_tokens();
        async move { web::Json(tokens) }
    };
    move |config| {
        config
            .route("/tools/logout-tokens", get().to(sign))
            .route("/tools/me", get().to(me).wrap(gate.clone()))
            .route("/tools/reports", get().to(me).wrap(reports))
            .route("/tools/admin", get().to(admin).wrap(gate.clone()))
            .route("/tools/own", get().to(me).wrap(own))
            .route("/tools/logout", web::post().to(log_out).wrap(gate))
            .configure(gatepass_actix::resource_metadata(tools.metadata));
        for endpoints in tools.logins.into_iter().chain([tools.endpoints]) {
            config.configure(gatepass_actix::configure(endpoints));
        }
    }
}

/// Routes behind gates that refresh, and that send browsers to a login page.
fn auto(app: &example_app::App) -> Scope {
    async fn me(Auth(pass): Auth) -> impl Responder {
        web::Json(example_app::me(&pass))
    }

    async fn maybe(MaybeAuth(pass): MaybeAuth) -> impl Responder {
        web::Json(example_app::maybe(pass.as_ref()))
    }

    async fn stream(_: Auth) -> HttpResponse {
        HttpResponse::Ok()
            .content_type(pages::TEXT)
            .streaming(pages::parts())
    }

    let gate = Gate::new(&app.authority)
        .auto_refresh(&app.authority)
        .login_page(pages::login_page());
    let [admins, recently, strictly, optionally] =
        pages::requirements().map(|requirements| gate.clone().require(requirements));
    let with = |name: HeaderName, value: &'static str| {
        let handler = move |Auth(pass): Auth| {
            let name = name.clone();
            async move {
                web::Json(example_app::me(&pass))
                    .customize()
                    .append_header((name, value))
            }
        };
        get().to(handler).wrap(gate.clone())
    };
    let at = |path: &'static str, route: Route| web::resource(path).route(route);
    let (taking, giving) = (app.clone(), app.clone());
    let take = move |Auth(pass): Auth| {
        let taken = pages::take(taking.clone(), pass);
        async { web::Json(taken.await) }
    };
    let give = move |Auth(pass): Auth| {
        let given = pages::give(giving.clone(), pass);
        async { web::Json(given.await) }
    };
    let passkey = |name: Option<&'static str>| {
        let endpoints = app.endpoints.clone();
        let verified = move |Auth(pass): Auth, request: HttpRequest| {
            let endpoints = endpoints.clone();
            async move {
                let identity = pages::by_passkey(&pass, name);
                gatepass_actix::reauthenticated(&endpoints, &pass, identity, &request).await
            }
        };
        web::post().to(verified).wrap(gate.clone())
    };
    let access_only = |delivery| {
        let endpoints = app.endpoints.clone();
        let begin = move |Auth(pass): Auth, request: HttpRequest| {
            let endpoints = endpoints.clone();
            async move {
                let identity = pages::access_only(&pass);
                gatepass_actix::issue(&endpoints, identity, &request, delivery).await
            }
        };
        web::post().to(begin).wrap(gate.clone())
    };
    let strongly = gate.clone().require(pages::strong());
    let sliding = Gate::new(&app.authority).auto_renew(&app.authority);
    web::scope("/auto")
        .service(at("/sliding", get().to(me).wrap(sliding)))
        .service(at("/passkey", passkey(None)))
        .service(at("/passkey-of-root", passkey(Some("root"))))
        .service(at("/access-only", access_only(Delivery::Body)))
        .service(at("/access-only-by-cookie", access_only(Delivery::Cookies)))
        .service(at("/vault", get().to(me).wrap(strongly)))
        .service(at("/take", web::post().to(take).wrap(gate.clone())))
        .service(at("/give", web::post().to(give).wrap(gate.clone())))
        .service(at("/me", get().to(me).wrap(gate.clone())))
        .service(at("/profile", web::post().to(me).wrap(gate.clone())))
        .service(at("/public", with(CACHE_CONTROL, pages::PUBLIC)))
        .service(at("/theme", with(SET_COOKIE, pages::THEME)))
        .service(at("/own", with(SET_COOKIE, pages::OWN)))
        .service(at("/stream", get().to(stream).wrap(gate.clone())))
        .service(at("/admin", get().to(me).wrap(admins)))
        .service(at("/transfer", web::post().to(me).wrap(recently)))
        .service(at("/strict", get().to(me).wrap(strictly)))
        .service(
            at("/maybe", get().to(maybe).wrap(optionally.clone()))
                .route(web::post().to(maybe).wrap(optionally)),
        )
}

/// In actix-web, a route for `GET` doesn't include `HEAD`.
fn get() -> Route {
    web::route().guard(Any(Get()).or(Head()))
}

/// The application, called directly. actix-web's services stay on the thread that made them, so
/// this sends requests to such a thread.
#[derive(Debug)]
pub struct InProcess {
    application: Application,
    requests: mpsc::UnboundedSender<Asked>,
}

/// A request, with the receivers of the response's head and of the whole response.
type Asked = (Request, Opened, oneshot::Sender<Response>);

/// Starts the application in process.
pub async fn in_process(clock: ManualClock, setup: Setup) -> InProcess {
    let application = Application::start(clock, setup).await;
    let (requests, received) = mpsc::unbounded_channel();
    let app = application.app.clone();
    // The thread ends with the last sender.
    thread::spawn(move || System::new().block_on(serve(app, received)));
    InProcess {
        application,
        requests,
    }
}

async fn serve(app: example_app::App, mut received: mpsc::UnboundedReceiver<Asked>) {
    let others = start_others(&app);
    let app = example_actix::application(&app).configure(routes(&app, &others));
    let service = Rc::new(test::init_service(app).await);
    while let Some((request, opened, answer)) = received.recv().await {
        let service = Rc::clone(&service);
        rt::spawn(async move {
            let is_head = request.method == "HEAD";
            let response = test::call_service(&*service, made(request).to_request()).await;
            let mut response = read(response, opened).await;
            if is_head {
                // A server omits the body.
                response.body.clear();
            }
            answer.send(response).unwrap();
        });
    }
}

fn made(request: Request) -> TestRequest {
    let mut made = TestRequest::with_uri(&request.path)
        .peer_addr(PEER)
        .method(Method::from_bytes(request.method.as_bytes()).unwrap())
        .set_payload(request.body);
    for (name, value) in request.headers {
        made = made.append_header((name, HeaderValue::from_bytes(&value).unwrap()));
    }
    made
}

async fn read(response: ServiceResponse<impl MessageBody>, opened: Opened) -> Response {
    let headers = response.headers().iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let (status, headers) = (response.status().as_u16(), headers.collect());
    let mut parts = pin!(response.into_body());
    let mut body = Vec::new();
    let mut opened = Some(opened);
    loop {
        let part = poll_fn(|context| parts.as_mut().poll_next(context)).await;
        if let Some(opened) = opened.take() {
            opened.now();
        }
        match part {
            Some(Ok(part)) => body.extend(part),
            Some(Err(_)) => panic!("the body broke"),
            None => break,
        }
    }
    Response {
        status,
        headers,
        body,
    }
}

#[async_trait]
impl Driver for InProcess {
    async fn exchange(&self, request: Request, opened: Opened) -> Response {
        let (answer, response) = oneshot::channel();
        self.requests.send((request, opened, answer)).unwrap();
        response.await.unwrap()
    }

    async fn pass_time(&self, time: Duration) {
        self.application.pass_time(time).await;
    }

    async fn change_user(&self, name: &str, change: UserChange) {
        self.application.change_user(name, change).await;
    }

    async fn lose_sessions(&self) {
        self.application.lose_sessions().await;
    }
}
