//! A driver for each framework.

pub mod actix;
pub mod axum;
pub mod tonic;
pub mod warp;

use ::axum::http;
use ::tower::{Service, ServiceExt};
use gatepass_testkit::scenario::{Request, Response};
use http_body_util::BodyExt;

/// Calls a service in process, as tower has them.
async fn call<S, I, O>(service: S, request: Request) -> Response
where
    S: Service<http::Request<I>, Response = http::Response<O>>,
    I: From<Vec<u8>>,
    O: http_body::Body,
{
    let mut builder = http::Request::builder()
        .method(request.method)
        .uri(request.path);
    for (name, value) in request.headers {
        builder = builder.header(name, value);
    }
    let is_head = request.method == "HEAD";
    let request = builder.body(I::from(request.body)).unwrap();
    let Ok(response) = service.oneshot(request).await else {
        panic!("a service of an application has no errors");
    };
    let (head, body) = response.into_parts();
    let Ok(body) = body.collect().await else {
        panic!("the body broke");
    };
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    Response {
        status: head.status.as_u16(),
        headers: head.headers.iter().map(header).collect(),
        // A server leaves it out.
        body: if is_head {
            Vec::new()
        } else {
            body.to_bytes().into()
        },
    }
}
