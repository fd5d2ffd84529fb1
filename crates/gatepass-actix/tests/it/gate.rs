//! The gate in each place where you can put it, and the extractors behind it.

use std::time::Duration;

use actix_web::{
    App, Error, FromRequest, Handler, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    error::ErrorNotFound,
    http::header::{CACHE_CONTROL, HeaderValue},
    middleware::{Next, from_fn},
    test::{
        TestRequest, call_and_read_body, call_service, init_service, read_body, try_call_service,
    },
    web::{self, Data, resource, scope},
};
use gatepass::{
    Device, Identity, Refusal, RequiredScopes, Requirements, Scopes, Staleness, Transport,
};
use gatepass_actix::{Auth, AuthRejection, Claims, MaybeAuth, Scoped};
use serde::Deserialize;

use crate::rig::{Runs, authority, authority_over, bearer, endpoints, gate, get};

async fn counted(runs: Data<Runs>) -> &'static str {
    runs.count();
    "ran"
}

async fn name(MaybeAuth(pass): MaybeAuth) -> String {
    pass.map_or("nobody".to_owned(), |pass| pass.subject().to_string())
}

#[tokio::test]
async fn a_refused_request_never_reaches_the_handler() {
    let authority = authority().await;
    let gate = gate(&authority);
    let runs = Data::new(Runs::default());
    let of_app = App::new()
        .app_data(runs.clone())
        .route("/app", web::get().to(counted))
        .wrap(gate.clone());
    let of_app = init_service(of_app).await;
    let others = App::new()
        .app_data(runs.clone())
        .service(resource("/resource").get(counted).wrap(gate.clone()))
        .route("/route", web::get().to(counted).wrap(gate.clone()))
        .service(
            scope("/scope")
                .wrap(gate)
                .route("/inner", web::get().to(counted)),
        );
    let others = init_service(others).await;

    for authorization in ["", "Bearer nonsense", "Basic YTpi", "Bearer a b"] {
        for path in ["/app", "/resource", "/route", "/scope/inner"] {
            let request = || get(path, Some(&("authorization", authorization.to_owned())));
            let response = if path == "/app" {
                call_service(&of_app, request().to_request())
                    .await
                    .map_into_boxed_body()
            } else {
                call_service(&others, request().to_request())
                    .await
                    .map_into_boxed_body()
            };
            let status = response.status().as_u16();
            assert!(
                matches!(status, 400 | 401),
                "{path} {authorization}: {status}"
            );
            let challenged = response.headers().contains_key("www-authenticate");
            assert!(challenged, "{path} {authorization}");
        }
    }
    assert_eq!(runs.so_far(), 0);

    let bearer = bearer(&authority).await;
    for path in ["/resource", "/route", "/scope/inner"] {
        let body = call_and_read_body(&others, get(path, Some(&bearer)).to_request()).await;
        assert_eq!(body, "ran", "{path}");
    }
    let body = call_and_read_body(&of_app, get("/app", Some(&bearer)).to_request()).await;
    assert_eq!((body.as_ref(), runs.so_far()), (&b"ran"[..], 4));
}

struct Admin;

impl RequiredScopes for Admin {
    const SCOPES: &'static [&'static str] = &["admin"];
}

#[derive(Deserialize)]
struct Tenant {
    #[expect(dead_code, reason = "the claim that is not there")]
    tenant: u32,
}

/// A handler that extracts `T`, and then counts its run.
fn wanting<T: FromRequest + 'static>() -> impl Handler<(T, Data<Runs>), Output = HttpResponse> {
    async |_: T, runs: Data<Runs>| {
        runs.count();
        HttpResponse::Ok().finish()
    }
}

#[tokio::test]
async fn a_handler_whose_gate_is_missing_never_runs() {
    let authority = authority().await;
    let runs = Data::new(Runs::default());
    let app = App::new()
        .app_data(runs.clone())
        .route("/auth", web::get().to(wanting::<Auth>()))
        .route("/maybe", web::get().to(wanting::<MaybeAuth>()))
        .route("/scoped", web::get().to(wanting::<Scoped<Admin>>()))
        .route("/claims", web::get().to(wanting::<Claims<Tenant>>()));
    let app = init_service(app).await;
    let bearer = bearer(&authority).await;
    for path in ["/auth", "/maybe", "/scoped", "/claims"] {
        for bearer in [None, Some(&bearer)] {
            let response = call_service(&app, get(path, bearer).to_request()).await;
            assert_eq!(response.status(), 500, "{path}");
            assert_eq!(
                response.headers().get("cache-control").unwrap(),
                "no-store",
                "{path}"
            );
            let body = read_body(response).await;
            let body = str::from_utf8(&body).unwrap();
            assert!(body.contains(r#""reason":"internal""#), "{path}: {body}");
        }
    }
    assert_eq!(runs.so_far(), 0);
}

#[tokio::test]
async fn extractors_refuse_what_their_gate_let_through() {
    let authority = authority().await;
    let runs = Data::new(Runs::default());
    let app = App::new()
        .app_data(runs.clone())
        .wrap(gate(&authority).require(Requirements::new().optional()))
        .route("/auth", web::get().to(wanting::<Auth>()))
        .route("/scoped", web::get().to(wanting::<Scoped<Admin>>()))
        .route("/claims", web::get().to(wanting::<Claims<Tenant>>()));
    let app = init_service(app).await;
    let bearer = bearer(&authority).await;
    for (path, bearer, status, reason) in [
        ("/auth", None, 401, "missing"),
        ("/scoped", None, 401, "missing"),
        ("/claims", None, 401, "missing"),
        ("/scoped", Some(&bearer), 403, "insufficient_scope"),
        ("/claims", Some(&bearer), 500, "internal"),
    ] {
        let response = call_service(&app, get(path, bearer).to_request()).await;
        assert_eq!(response.status(), status, "{path}");
        let body = read_body(response).await;
        let body = str::from_utf8(&body).unwrap();
        assert!(
            body.contains(&format!(r#""reason":"{reason}""#)),
            "{path}: {body}"
        );
    }
    assert_eq!(runs.so_far(), 0);
}

#[tokio::test]
async fn a_handler_can_take_the_rejection_itself() {
    async fn why(auth: Result<Auth, AuthRejection>) -> &'static str {
        let rejection = auth.unwrap_err();
        assert!(matches!(rejection.refusal(), Some(Refusal::Missing)));
        "a page of our own"
    }

    let authority = authority().await;
    let guarded = resource("/")
        .wrap(gate(&authority).require(Requirements::new().optional()))
        .get(why);
    let app = init_service(App::new().service(guarded)).await;
    assert_eq!(
        call_and_read_body(&app, get("/", None).to_request()).await,
        "a page of our own"
    );
}

#[tokio::test]
async fn an_optional_gate_lets_strangers_through_and_refuses_bad_tokens() {
    let authority = authority().await;
    let guarded = resource("/")
        .wrap(gate(&authority).require(Requirements::new().optional()))
        .get(name);
    let app = init_service(App::new().service(guarded)).await;
    let bearer = bearer(&authority).await;
    for (bearer, expected) in [(None, "nobody"), (Some(&bearer), "alice")] {
        assert_eq!(
            call_and_read_body(&app, get("/", bearer).to_request()).await,
            expected
        );
    }
    let forged = ("authorization", "Bearer a.b.c".to_owned());
    assert_eq!(
        call_service(&app, get("/", Some(&forged)).to_request())
            .await
            .status(),
        401
    );
}

#[tokio::test]
async fn requirements_of_a_route_add_up() {
    let authority = authority().await;
    let requiring = gate(&authority)
        .require(Requirements::new().optional())
        .require(Requirements::new().staleness(Staleness::Strict))
        .require(Requirements::new().max_age(Duration::from_secs(60)))
        .require(Requirements::new().scopes(Scopes::parse("admin").unwrap()));
    let app = App::new().service(resource("/").wrap(requiring).get(name));
    let app = init_service(app).await;
    let bearer = bearer(&authority).await;
    let refused = call_service(&app, get("/", Some(&bearer)).to_request()).await;
    assert_eq!(refused.status(), 403);
    let challenge = refused
        .headers()
        .get("www-authenticate")
        .unwrap()
        .to_str()
        .unwrap();
    assert!(challenge.ends_with(r#"scope="admin""#), "{challenge}");
}

#[tokio::test]
async fn of_gates_in_one_another_each_refuses_and_the_innermost_admits() {
    let authority = authority().await;
    let gate = gate(&authority);
    let admin = gate
        .clone()
        .require(Requirements::new().scopes(Scopes::parse("admin").unwrap()));
    let app = App::new().service(
        scope("/outer")
            .wrap(gate.clone())
            .service(resource("/admin").wrap(admin).get(name))
            .service(
                resource("/optional")
                    .wrap(gate.require(Requirements::new().optional()))
                    .get(name),
            ),
    );
    let app = init_service(app).await;
    let bearer = bearer(&authority).await;
    for (path, bearer, status) in [
        ("/outer/optional", None, 401),
        ("/outer/optional", Some(&bearer), 200),
        ("/outer/admin", Some(&bearer), 403),
    ] {
        let response = call_service(&app, get(path, bearer).to_request()).await;
        assert_eq!(response.status(), status, "{path}");
    }
}

#[tokio::test]
async fn a_handler_sees_what_the_gate_next_to_it_admits() {
    let (outer, inner) = (authority().await, authority_over(Transport::Cookie).await);
    let app = App::new()
        .wrap(gate(&outer).require(Requirements::new().optional()))
        .service(resource("/").wrap(gate(&inner)).get(name));
    let app = init_service(app).await;
    let (_, bearer) = bearer(&inner).await;
    let cookie = bearer.replace("Bearer ", "__Host-gatepass=");
    let request = get("/", Some(&("cookie", cookie)));
    assert_eq!(
        call_and_read_body(&app, request.to_request()).await,
        "alice"
    );
}

#[tokio::test]
async fn a_gate_guards_what_it_is_put_around_and_nothing_else() {
    let authority = authority().await;
    let gate = gate(&authority);
    let app = App::new()
        .service(resource("/resource").wrap(gate.clone()).get(name))
        .service(
            scope("/scope")
                .wrap(gate)
                .route("/inner", web::get().to(name)),
        )
        .configure(gatepass_actix::configure(endpoints(&authority)))
        .default_service(web::to(|| async { HttpResponse::ImATeapot().finish() }));
    let app = init_service(app).await;
    for (path, status) in [
        ("/nowhere", 418),
        ("/resource/", 418),
        ("/scope/nowhere", 401),
        ("/.well-known/jwks.json", 200),
        ("/auth/nowhere", 418),
        ("/auth/refresh/", 418),
    ] {
        let response = call_service(&app, get(path, None).to_request()).await;
        assert_eq!(response.status(), status, "{path}");
    }
    let post = TestRequest::post().uri("/resource").to_request();
    assert_eq!(call_service(&app, post).await.status(), 401);
}

#[tokio::test]
async fn what_answers_where_there_is_nothing_is_guarded_as_the_rest_of_its_scope() {
    async fn counted(runs: Data<Runs>, Auth(pass): Auth) -> String {
        runs.count();
        pass.subject().to_string()
    }

    let authority = authority().await;
    let runs = Data::new(Runs::default());
    let nested = scope("/nested").default_service(web::to(counted));
    let app = App::new()
        .app_data(runs.clone())
        .service(
            scope("/scope")
                .wrap(gate(&authority))
                .service(nested)
                .default_service(web::to(counted)),
        )
        .default_service(web::to(counted));
    let app = init_service(app).await;
    let bearer = bearer(&authority).await;
    for (path, bearer, status) in [
        ("/scope/nowhere", None, 401),
        ("/scope/nested/nowhere", None, 401),
        ("/scope/nowhere", Some(&bearer), 200),
        ("/scope/nested/nowhere", Some(&bearer), 200),
        // The fallback asks who is logged in, and there is no gate before it.
        ("/nowhere", None, 500),
        ("/nowhere", Some(&bearer), 500),
    ] {
        let before = runs.so_far();
        let response = call_service(&app, get(path, bearer).to_request()).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(runs.so_far() - before, usize::from(status == 200), "{path}");
    }
}

#[tokio::test]
async fn an_error_of_a_middleware_behind_the_gate_is_private_unless_it_says_otherwise() {
    async fn failing(
        request: ServiceRequest,
        _: Next<impl MessageBody>,
    ) -> Result<ServiceResponse<String>, Error> {
        let mut error = ErrorNotFound("no such document of yours");
        if request.path() == "/own" {
            error.add_response_mapper(|mut response| {
                let own = HeaderValue::from_static("no-cache");
                response.headers_mut().insert(CACHE_CONTROL, own);
                response
            });
        }
        Err(error)
    }

    for (transport, path, expected) in [
        (Transport::Cookie, "/document", Some("private")),
        (Transport::Both, "/document", Some("private")),
        (Transport::Cookie, "/own", Some("no-cache")),
        (Transport::Bearer, "/document", None),
    ] {
        let authority = authority_over(transport).await;
        let document = resource(path).get(counted).wrap(from_fn(failing));
        let app = App::new().service(document.wrap(gate(&authority)));
        let app = init_service(app).await;
        let bearer = bearer(&authority).await;
        let answer = try_call_service(&app, get(path, Some(&bearer)).to_request()).await;
        let response = answer.unwrap_err().error_response();
        assert_eq!(response.status(), 404);
        let cache_control = response.headers().get(CACHE_CONTROL);
        let cache_control = cache_control.map(|value| value.to_str().unwrap());
        assert_eq!(cache_control, expected, "{transport:?} {path}");
    }
}

#[tokio::test]
async fn an_error_behind_a_gate_that_refreshes_brings_the_cookies() {
    async fn failing(_: Auth) -> Result<HttpResponse, Error> {
        Err(ErrorNotFound("no such document of yours"))
    }

    let authority = authority_over(Transport::Cookie).await;
    let alice = Identity::new("alice").unwrap();
    let issued = authority.issue(alice, Device::default()).await.unwrap();
    let cookies = format!("__Host-gatepass-refresh={}", issued.refresh_token.as_str());
    let gate = gate(&authority).auto_refresh(&authority);
    let app = App::new().service(resource("/document").get(failing).wrap(gate));
    let app = init_service(app).await;
    let request = get("/document", Some(&("cookie", cookies)));
    let response = call_service(&app, request.to_request()).await;
    assert_eq!(response.status(), 404);
    assert_eq!(response.headers().get_all("set-cookie").count(), 2);
    assert_eq!(response.headers().get(CACHE_CONTROL).unwrap(), "no-store");
}
