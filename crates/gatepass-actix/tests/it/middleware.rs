//! Middleware around the gate and the endpoints treats a refusal like any other response.

use actix_cors::Cors;
use actix_web::{
    App, Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, StatusCode, header},
    middleware::{
        Compress, ErrorHandlerResponse, ErrorHandlers, Logger, Next, NormalizePath, from_fn,
    },
    test::{TestRequest, call_service, init_service, read_body, try_call_service},
    web::{Data, resource, scope},
};
use gatepass::Requirements;
use gatepass_actix::Auth;

use crate::rig::{Runs, authority, bearer, endpoints, gate, get, unguarded};

async fn name(Auth(pass): Auth) -> String {
    pass.subject().to_string()
}

#[tokio::test]
async fn refusals_have_the_headers_of_cors() {
    let authority = authority().await;
    let cors = Cors::default()
        .allowed_origin("https://app.example")
        .supports_credentials();
    let app = App::new()
        .service(resource("/guarded").wrap(gate(&authority)).get(name))
        .service(
            resource("/extracted")
                .wrap(gate(&authority).require(Requirements::new().optional()))
                .get(name),
        )
        .service(resource("/unguarded").get(unguarded))
        .configure(gatepass_actix::configure(endpoints(&authority)))
        .wrap(cors);
    let app = init_service(app).await;
    for (path, status) in [
        ("/guarded", 401),
        ("/extracted", 401),
        ("/unguarded", 500),
        ("/auth/sessions", 401),
        ("/auth/refresh", 405),
    ] {
        let request = get(path, None).insert_header(("origin", "https://app.example"));
        let response = call_service(&app, request.to_request()).await;
        assert_eq!(response.status(), status, "{path}");
        let allowed = response.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        assert_eq!(allowed.unwrap(), "https://app.example", "{path}");
    }
}

#[tokio::test]
async fn a_preflight_is_not_asked_for_a_token_where_cors_is_around_the_gate() {
    let authority = authority().await;
    let cors = || {
        Cors::default()
            .allowed_origin("https://app.example")
            .allowed_methods(["GET"])
    };
    let (around, inside) = (scope("/around"), scope("/inside"));
    let app = App::new()
        .service(
            around
                .service(resource("/guarded").get(unguarded))
                .wrap(gate(&authority))
                .wrap(cors()),
        )
        .service(
            inside
                .service(resource("/guarded").get(unguarded))
                .wrap(cors())
                .wrap(gate(&authority)),
        );
    let app = init_service(app).await;
    // With CORS inside the gate, the gate refuses preflights: browsers send no credentials with
    // them.
    for (path, status) in [("/around/guarded", 200), ("/inside/guarded", 401)] {
        let request = get(path, None)
            .method(Method::OPTIONS)
            .insert_header(("origin", "https://app.example"))
            .insert_header(("access-control-request-method", "GET"));
        let response = call_service(&app, request.to_request()).await;
        assert_eq!(response.status(), status, "{path}");
        let allowed = response.headers().get(header::ACCESS_CONTROL_ALLOW_METHODS);
        assert_eq!(allowed.is_some(), status == 200, "{path}");
    }
}

/// Counts the requests that come back with a response, and not with an error.
async fn answered(
    runs: Data<Runs>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let response = next.call(request).await?;
    runs.count();
    Ok(response)
}

#[tokio::test]
async fn refusals_come_back_through_all_that_is_around() {
    let authority = authority().await;
    let runs = Data::new(Runs::default());
    let app = App::new()
        .app_data(runs.clone())
        .service(resource("/guarded").wrap(gate(&authority)).get(name))
        .service(resource("/unguarded").get(unguarded))
        .configure(gatepass_actix::configure(endpoints(&authority)))
        .wrap(from_fn(answered))
        .wrap(Compress::default())
        .wrap(NormalizePath::trim())
        .wrap(Logger::default());
    let app = init_service(app).await;
    let bearer = bearer(&authority).await;
    for (answers, (path, bearer, status)) in (1..).zip([
        ("/guarded", None, 401),
        ("/guarded/", None, 401),
        ("/guarded", Some(&bearer), 200),
        ("/unguarded", Some(&bearer), 500),
        ("/auth/sessions", None, 401),
        ("/auth/sessions/", Some(&bearer), 200),
    ]) {
        let request = get(path, bearer).insert_header(("accept-encoding", "gzip"));
        let response = try_call_service(&app, request.to_request()).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        if path != "/guarded" || status != 200 {
            assert_eq!(
                response.headers().get("content-type").unwrap(),
                "application/json",
                "{path}"
            );
            assert_eq!(
                response.headers().get("cache-control").unwrap(),
                "no-store",
                "{path}"
            );
            assert_eq!(
                response.headers().get("content-encoding").unwrap(),
                "gzip",
                "{path}"
            );
        }
        assert_eq!(runs.so_far(), answers, "{path}");
    }
}

#[tokio::test]
async fn a_page_can_be_put_in_the_place_of_a_refusal() {
    fn page<B>(response: ServiceResponse<B>) -> actix_web::Result<ErrorHandlerResponse<B>> {
        let response = response.map_body(|_, _| "please log in".to_owned().boxed());
        Ok(ErrorHandlerResponse::Response(
            response.map_into_right_body(),
        ))
    }

    let authority = authority().await;
    let app = App::new()
        .service(resource("/guarded").wrap(gate(&authority)).get(name))
        .wrap(ErrorHandlers::new().handler(StatusCode::UNAUTHORIZED, page));
    let app = init_service(app).await;
    let response = call_service(&app, TestRequest::with_uri("/guarded").to_request()).await;
    let challenge = response.headers().get("www-authenticate").unwrap();
    assert_eq!(challenge, r#"Bearer realm="https://issuer.test""#);
    assert_eq!(read_body(response).await, "please log in");
}
