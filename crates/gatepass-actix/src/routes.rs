//! The endpoints as resources.

use actix_web::{
    HttpRequest, HttpResponse,
    rt::time::timeout,
    web::{Payload, ServiceConfig, resource},
};
use gatepass::{
    Identity,
    wire::{Delivery, Endpoints, RequestBody},
};

use crate::convert::{head, response};

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
