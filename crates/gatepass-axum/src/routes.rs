//! The endpoints as routes.

use std::net::SocketAddr;

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    response::Response,
    routing::any,
};
use bytes::Bytes;
use gatepass::wire::{Endpoints, RequestBody};
use gatepass_tower::{head, response};
use http_body_util::{BodyExt, LengthLimitError, Limited};

/// Login, refresh, logout and the list of sessions, to be merged into the application's router.
///
/// The address in the list of sessions is that of the connection, where the server is run with
/// [`into_make_service_with_connect_info`](Router::into_make_service_with_connect_info).
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

async fn answer(endpoints: Endpoints, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let read = tokio::time::timeout(Endpoints::BODY_TIMEOUT, read(body)).await;
    let body = match &read {
        Ok(Ok(bytes)) => RequestBody::Complete(bytes),
        Ok(Err(error)) if error.is::<LengthLimitError>() => RequestBody::TooLarge,
        Ok(Err(_)) => RequestBody::Broken,
        Err(_) => RequestBody::Stalled,
    };
    let request = Request::from_parts(parts, ());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let head = head(&request).address(peer.map(|peer| peer.0.ip()));
    response(endpoints.handle(&head, body).await).map(Body::from)
}

async fn read(body: Body) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Limited::new(body, Endpoints::BODY_LIMIT)
        .collect()
        .await?
        .to_bytes())
}
