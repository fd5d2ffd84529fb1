//! The endpoints as routes.

use std::{convert::Infallible, ops::Deref};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::request::Parts,
    response::{IntoResponse, IntoResponseParts, Response, ResponseParts},
    routing::any,
};
use bytes::Bytes;
use gatepass::{
    Identity, Pass,
    wire::{Delivery, Endpoints, RequestBody},
};
use gatepass_tower::{deliver, response};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::{gate::head, rejection::AuthRejection};

/// Login, refresh, logout and the list of sessions, to be merged into the application's router.
///
/// gatepass knows the address of a client, or of the proxy before it, where the server is run with
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

/// The tokens of a login that the application has done itself, for a response of its own. The rules
/// are those of [`issued`].
///
/// ```
/// use axum::{http::request::Parts, response::{IntoResponse, Redirect}};
/// use gatepass::{Identity, wire::{Delivery, Endpoints}};
/// use gatepass_axum::AuthRejection;
///
/// /// After the identity provider has said who this is.
/// async fn log_in(
///     endpoints: &Endpoints,
///     identity: Identity,
///     parts: &Parts,
/// ) -> Result<impl IntoResponse, AuthRejection> {
///     let delivered = gatepass_axum::issue(endpoints, identity, parts, Delivery::Cookies).await?;
///     Ok((delivered, Redirect::to("/")))
/// }
/// ```
///
/// # Errors
///
/// The rejection, whose response is complete.
pub async fn issue(
    endpoints: &Endpoints,
    identity: Identity,
    parts: &Parts,
    delivery: Delivery,
) -> Result<Delivered, AuthRejection> {
    Ok(Delivered(
        endpoints.issue(identity, &head(parts), delivery).await?,
    ))
}

/// The tokens of a refresh, for a response of your own: of `token`, or of the refresh cookie. See
/// [`Endpoints::refreshed`].
///
/// # Errors
///
/// The rejection, whose response is complete.
pub async fn refreshed(
    endpoints: &Endpoints,
    parts: &Parts,
    token: Option<&str>,
) -> Result<Delivered, AuthRejection> {
    Ok(Delivered(endpoints.refreshed(&head(parts), token).await?))
}

/// New tokens, as a part of your response: their cookies, and `Cache-Control: no-store`.
/// [`Delivered::issued`](gatepass::wire::Delivered::issued) has the tokens for a body of your own.
#[derive(Debug)]
#[must_use = "the client gets its tokens by this part of the response"]
pub struct Delivered(gatepass::wire::Delivered);

impl Deref for Delivered {
    type Target = gatepass::wire::Delivered;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl IntoResponseParts for Delivered {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        deliver(&self.0, response.headers_mut());
        Ok(response)
    }
}

impl IntoResponse for Delivered {
    fn into_response(self) -> Response {
        (self, ()).into_response()
    }
}

/// The response to a user whom the application has authenticated again by itself, by a passkey or
/// OpenID Connect: the same as that of the reauthentication endpoint.
///
/// See [`Endpoints::reauthenticated`].
///
/// ```
/// use axum::{extract::{Extension, Request}, response::Response};
/// use gatepass::{Identity, wire::Endpoints};
/// use gatepass_axum::Auth;
///
/// async fn passkey(
///     Auth(pass): Auth,
///     Extension(endpoints): Extension<Endpoints>,
///     request: Request,
/// ) -> Response {
///     let (parts, _) = request.into_parts();
///     // After the passkey was verified. Give the identity the scopes that a login would give now.
///     let identity = Identity::of(pass.subject().clone());
///     gatepass_axum::reauthenticated(&endpoints, &pass, identity, &parts).await
/// }
/// # axum::Router::<()>::new().route("/passkey", axum::routing::post(passkey));
/// ```
pub async fn reauthenticated(
    endpoints: &Endpoints,
    pass: &Pass,
    identity: Identity,
    parts: &Parts,
) -> Response {
    let head = head(parts);
    response(endpoints.reauthenticated(pass, identity, &head).await).map(Body::from)
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
