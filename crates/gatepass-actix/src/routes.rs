//! The endpoints as resources.

use std::ops::Deref;

use actix_web::{
    HttpRequest, HttpResponse,
    rt::time::timeout,
    web::{Payload, ServiceConfig, resource},
};
use gatepass::{
    Identity, Pass,
    wire::{self, Delivery, Endpoints, RequestBody},
};

use crate::{
    convert::{Headers, head, response},
    rejection::AuthRejection,
};

/// Login, refresh, logout and the list of sessions, for
/// [`App::configure`](actix_web::App::configure).
///
/// Their paths are those that requests are sent to: to have them elsewhere, use
/// [`EndpointsBuilder::mount`](gatepass::wire::EndpointsBuilder::mount) and no scope, below which
/// they are 404. Bodies are read by the endpoints' own limits; configurations of extractors do not
/// apply.
///
/// Configure the app with them beside what is guarded, and not below its gate: a login needs no
/// token. If two resources have one path, actix-web asks the one that it was told of first.
///
/// Set [`HttpServer::h1_allow_half_closed`](actix_web::HttpServer::h1_allow_half_closed) to
/// `false`. By default actix-web goes on with the request of a client that has hung up. For
/// example, 150 abandoned logins delay the next one.
///
/// The address in the list of sessions is that of the connection. Behind a proxy, set
/// `ServiceRequest::head_mut().peer_addr` in a middleware, from what the proxy says and clients
/// cannot.
///
/// ```
/// # fn example(endpoints: gatepass::wire::Endpoints) {
/// let app = actix_web::App::new().configure(gatepass_actix::configure(endpoints));
/// # let _ = app;
/// # }
/// ```
pub fn configure(endpoints: Endpoints) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        for path in endpoints.paths() {
            let endpoints = endpoints.clone();
            config.service(
                resource(path).to(move |request: HttpRequest, payload: Payload| {
                    answer(endpoints.clone(), request, payload)
                }),
            );
        }
    }
}

/// The response to a login that the application has done itself, by OpenID Connect or a passkey:
/// the same as that of the login endpoint.
///
/// ```
/// use actix_web::{HttpRequest, HttpResponse, web};
/// use gatepass::{Identity, Subject, wire::{Delivery, Endpoints}};
///
/// async fn callback(endpoints: web::Data<Endpoints>, request: HttpRequest) -> HttpResponse {
///     // After the identity provider has said who this is:
///     let Ok(subject) = Subject::new("alice") else { return HttpResponse::BadRequest().finish() };
///     gatepass_actix::issued(&endpoints, Identity::of(subject), &request, Delivery::Cookies).await
/// }
/// # let _ = actix_web::App::new().route("/callback", web::get().to(callback));
/// ```
pub async fn issued(
    endpoints: &Endpoints,
    identity: Identity,
    request: &HttpRequest,
    delivery: Delivery,
) -> HttpResponse {
    response(
        endpoints
            .issued(identity, &head(request.head()), delivery)
            .await,
    )
}

/// The tokens of a login that the application has done itself, for a response of its own. The rules
/// are those of [`issued`].
///
/// ```
/// use actix_web::{HttpRequest, HttpResponse};
/// use gatepass::{Identity, wire::{Delivery, Endpoints}};
/// use gatepass_actix::{AuthRejection, issue};
///
/// /// After the identity provider has said who this is.
/// async fn log_in(
///     endpoints: &Endpoints,
///     identity: Identity,
///     request: &HttpRequest,
/// ) -> Result<HttpResponse, AuthRejection> {
///     let delivered = issue(endpoints, identity, request, Delivery::Cookies).await?;
///     Ok(delivered.onto(HttpResponse::SeeOther().insert_header(("location", "/")).finish()))
/// }
/// ```
///
/// # Errors
///
/// The rejection, whose response is complete.
pub async fn issue(
    endpoints: &Endpoints,
    identity: Identity,
    request: &HttpRequest,
    delivery: Delivery,
) -> Result<Delivered, AuthRejection> {
    let head = head(request.head());
    Ok(Delivered(endpoints.issue(identity, &head, delivery).await?))
}

/// The tokens of a refresh, for a response of your own: of `token`, or of the refresh cookie. See
/// [`Endpoints::refreshed`].
///
/// # Errors
///
/// The rejection, whose response is complete.
pub async fn refreshed(
    endpoints: &Endpoints,
    request: &HttpRequest,
    token: Option<&str>,
) -> Result<Delivered, AuthRejection> {
    let head = head(request.head());
    Ok(Delivered(endpoints.refreshed(&head, token).await?))
}

/// New tokens, for a response of your own.
/// [`Delivered::issued`](gatepass::wire::Delivered::issued) has the tokens for a body of your own.
#[derive(Debug)]
#[must_use = "the client gets its tokens by this"]
pub struct Delivered(wire::Delivered);

impl Delivered {
    /// Your response with the cookies of the tokens, and with `Cache-Control: no-store`.
    pub fn onto<B>(&self, mut response: HttpResponse<B>) -> HttpResponse<B> {
        self.0.apply(&mut Headers(response.headers_mut()));
        response
    }
}

impl Deref for Delivered {
    type Target = wire::Delivered;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// The response to a user whom the application has authenticated again by itself, by a passkey or
/// OpenID Connect: the same as that of the reauthentication endpoint.
///
/// See [`Endpoints::reauthenticated`].
///
/// ```
/// use actix_web::{HttpRequest, HttpResponse, web};
/// use gatepass::{Identity, wire::Endpoints};
/// use gatepass_actix::Auth;
///
/// async fn passkey(
///     Auth(pass): Auth,
///     endpoints: web::Data<Endpoints>,
///     request: HttpRequest,
/// ) -> HttpResponse {
///     // After the passkey was verified. Give the identity the scopes that a login would give now.
///     let identity = Identity::of(pass.subject().clone());
///     gatepass_actix::reauthenticated(&endpoints, &pass, identity, &request).await
/// }
/// # let _ = actix_web::App::new().route("/passkey", web::post().to(passkey));
/// ```
pub async fn reauthenticated(
    endpoints: &Endpoints,
    pass: &Pass,
    identity: Identity,
    request: &HttpRequest,
) -> HttpResponse {
    let head = head(request.head());
    response(endpoints.reauthenticated(pass, identity, &head).await)
}

async fn answer(endpoints: Endpoints, request: HttpRequest, payload: Payload) -> HttpResponse {
    let read = payload.to_bytes_limited(Endpoints::BODY_LIMIT);
    let read = timeout(Endpoints::BODY_TIMEOUT, read).await;
    let body = match &read {
        Ok(Ok(Ok(bytes))) => RequestBody::Complete(bytes),
        Ok(Ok(Err(_))) => RequestBody::Broken,
        Ok(Err(_)) => RequestBody::TooLarge,
        Err(_) => RequestBody::Stalled,
    };
    response(endpoints.handle(&head(request.head()), body).await)
}
