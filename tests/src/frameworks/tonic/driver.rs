//! Plays the scenarios on the example. The guarded routes are methods of its service, and all other
//! routes are HTTP.
//!
//! The driver translates the answer of a method into the answer of the scenario's route: the status
//! from the code, the JSON body from message and reason, the header fields from the metadata. So a
//! scenario holds if a gRPC client learns the same.

use ::axum::{
    Router,
    http::{HeaderMap, HeaderName, HeaderValue},
};
use ::tonic::{
    Code, Status,
    body::Body,
    client::GrpcService,
    codegen::{Body as HttpBody, Bytes, StdError},
    metadata::MetadataMap,
    server::NamedService,
};
use example_app::App;
use example_tonic::proto::{Identity, Visitor};
use gatepass_testkit::scenario::{Request, Response};
use serde_json::{Value, json};
use test_support::tonic::{
    calls::{reason, unary},
    probe::Probe,
};

use crate::frameworks;

/// The example's router, with a service without a gate, and with HTTP pages for browsers.
pub fn router(app: &App) -> Router {
    let path = format!("/{}/{{*method}}", Probe::NAME);
    let probe = tower::ServiceExt::map_request(
        Probe::default(),
        |request: axum::http::Request<axum::body::Body>| request.map(Body::new),
    );
    let routes = example_tonic::routes(app)
        .route_service(&path, probe)
        .nest("/auto", frameworks::axum::auto(app))
        .merge(example_tonic::of_endpoints(frameworks::axum::shop(app)))
        .merge(example_tonic::of_endpoints(frameworks::axum::tools(app)));
    example_tonic::around(app, routes)
}

/// The path of the method for a guarded route. `None` for other routes.
pub(super) fn method(request: &Request) -> Option<String> {
    let (path, query) = match request.path.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None => (&*request.path, String::new()),
    };
    let method = match (request.method, path) {
        ("GET", "/me") => "gatepass.example.v1.Account/Me",
        ("POST", "/profile") => "gatepass.example.v1.Account/Profile",
        ("GET", "/admin") => "gatepass.example.v1.Account/Admin",
        ("POST", "/transfer") => "gatepass.example.v1.Account/Transfer",
        ("GET", "/strict") => "gatepass.example.v1.Account/Strict",
        ("GET", "/maybe") => "gatepass.example.v1.Account/Maybe",
        ("GET", "/unguarded") => "Probe/Unary",
        _ => return None,
    };
    Some(format!("/{method}{query}"))
}

/// Calls the method at `path`, as `request` calls its route.
pub(super) async fn call<S>(service: S, path: &str, request: &Request) -> Response
where
    S: GrpcService<Body>,
    S::Error: Into<StdError>,
    S::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <S::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
    let mut metadata = HeaderMap::new();
    for (name, value) in &request.headers {
        let name = HeaderName::from_static(name);
        metadata.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    let answer = if request.path.starts_with("/maybe") {
        let answer = unary(service, path, metadata).await;
        answer.map(|answer| answer.map(|Visitor { subject }| json!({ "subject": subject })))
    } else {
        unary(service, path, metadata)
            .await
            .map(|answer| answer.map(identity))
    };
    match answer {
        Ok(answer) => {
            let metadata = answer.metadata().clone();
            response(200, &metadata, &answer.into_inner())
        }
        Err(status) => refused(&status),
    }
}

fn identity(identity: Identity) -> Value {
    json!({
        "subject": identity.subject,
        "session_id": identity.session_id,
        "scope": identity.scope,
        "expires_at": identity.expires_at,
    })
}

fn refused(status: &Status) -> Response {
    let http = match status.code() {
        Code::InvalidArgument => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::ResourceExhausted => 429,
        Code::Internal => 500,
        Code::Unavailable => 503,
        other => panic!("{other:?} is none of the gate's: {status:?}"),
    };
    let reason = reason(status).unwrap();
    let body = json!({
        "error": error(status, reason), "error_description": status.message(), "reason": reason,
    });
    response(http, status.metadata(), &body)
}

/// The OAuth name of the error: from the challenge, or else by the reason.
fn error(status: &Status, reason: &str) -> String {
    let challenge = status.metadata().get("www-authenticate");
    let challenge = challenge.map_or("", |challenge| challenge.to_str().unwrap());
    let named = challenge.split_once(r#"error=""#);
    match (named.and_then(|(_, rest)| rest.split_once('"')), reason) {
        (Some((error, _)), _) => error.to_owned(),
        (None, "missing") => "missing_token".to_owned(),
        (None, "cross_site") => "cross_site_request".to_owned(),
        (None, "internal") => "server_error".to_owned(),
        (None, "store_unavailable") => "temporarily_unavailable".to_owned(),
        (None, other) => panic!("{other} has a challenge that names it"),
    }
}

fn response(status: u16, metadata: &MetadataMap, body: &Value) -> Response {
    let body = body.to_string();
    let mut headers = metadata.clone().into_headers();
    // The status and the body contain these values.
    for name in ["grpc-status", "grpc-message", gatepass_tonic::REASON] {
        headers.remove(name);
    }
    // The header fields of the translated body.
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("content-length", HeaderValue::from(body.len()));
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    Response {
        status,
        headers: headers.iter().map(text).collect(),
        body: body.into_bytes(),
    }
}
