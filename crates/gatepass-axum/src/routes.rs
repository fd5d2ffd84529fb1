//! The endpoints as routes.

use axum::{
    Router, body::Body, extract::Request, http::request::Parts, response::Response, routing::any,
};
use bytes::Bytes;
use gatepass::{
    Identity,
    wire::{Delivery, Endpoints, RequestBody},
};
use gatepass_tower::response;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::gate::head;

/// Login, refresh, logout and the list of sessions, to be merged into the application's router.
///
/// The address in the list of sessions is that of the connection, where the server is run with
/// [`into_make_service_with_connect_info`](Router::into_make_service_with_connect_info).
///
/// Merge it beside the guarded routes, and not below their gate: a login needs no token.
///
/// # Panics
///
/// [`Router::merge`] does, where the application has routes of the same paths.
///
/// ```
/// # fn example(endpoints: gatepass::wire::Endpoints) {
/// let app: axum::Router = axum::Router::new().merge(gatepass_axum::routes(endpoints));
/// # }
/// ```
pub fn routes<S: Clone + Send + Sync + 'static>(endpoints: Endpoints) -> Router<S> {
    endpoints.paths().fold(Router::new(), |router, path| {
        let endpoints = endpoints.clone();
        router.route(
            &path,
            any(move |request: Request| answer(endpoints, request)),
        )
    })
}

/// The response to a login that the application has done itself, by OpenID Connect or a passkey:
/// the same as that of the login endpoint.
///
/// ```
/// use axum::{extract::{Extension, Request}, response::Response};
/// use gatepass::{Identity, Subject, wire::{Delivery, Endpoints}};
///
/// async fn callback(Extension(endpoints): Extension<Endpoints>, request: Request) -> Response {
///     let (parts, _) = request.into_parts();
///     // After the identity provider has said who this is:
///     let Ok(subject) = Subject::new("alice") else { return Response::default() };
///     gatepass_axum::issued(&endpoints, Identity::of(subject), &parts, Delivery::Cookies).await
/// }
/// # axum::Router::<()>::new().route("/callback", axum::routing::get(callback));
/// ```
pub async fn issued(
    endpoints: &Endpoints,
    identity: Identity,
    parts: &Parts,
    delivery: Delivery,
) -> Response {
    response(endpoints.issued(identity, &head(parts), delivery).await).map(Body::from)
}

async fn answer(endpoints: Endpoints, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let read = tokio::time::timeout(Endpoints::BODY_TIMEOUT, read(body)).await;
    let body = match &read {
        Ok(Ok(bytes)) => RequestBody::Complete(bytes),
        Ok(Err(error)) if error.is::<LengthLimitError>() => RequestBody::TooLarge,
        Ok(Err(_)) => RequestBody::Broken,
        Err(_) => RequestBody::Stalled,
    };
    response(endpoints.handle(&head(&parts), body).await).map(Body::from)
}

async fn read(body: Body) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Limited::new(body, Endpoints::BODY_LIMIT)
        .collect()
        .await?
        .to_bytes())
}
