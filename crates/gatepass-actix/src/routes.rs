//! The endpoints as resources.

use std::{future::ready, ops::Deref};

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    rt::time::timeout,
    web::{Payload, ServiceConfig, resource},
};
use gatepass::{
    Credentials, Error, Identity, Pass,
    wire::{self, Delivery, Endpoints, RequestBody, ResourceMetadata},
};

use crate::{
    convert::{Headers, head, response},
    rejection::AuthRejection,
};

/// Routes for login, refresh, logout and the list of sessions, for
/// [`App::configure`](actix_web::App::configure). Put them next to the guarded resources and not
/// behind their gate: a login needs no token.
///
/// The endpoints compare the whole path of a request. To move them, use
/// [`EndpointsBuilder::mount`](gatepass::wire::EndpointsBuilder::mount) instead of a scope: below a
/// scope they answer 404. The endpoints apply their own limits to bodies. Configurations of
/// extractors, for example `JsonConfig`, have no effect on them.
///
/// If two resources have the same path, actix-web calls the one that you registered first.
///
/// Set [`HttpServer::h1_allow_half_closed`](actix_web::HttpServer::h1_allow_half_closed) to
/// `false`. By default, actix-web keeps working on the request of a client that has hung up. For
/// example, 150 abandoned logins delay the next one.
///
/// The list of sessions shows the address of the connection. Behind a proxy, configure
/// [`trusted_proxies`](gatepass::AuthorityBuilder::trusted_proxies).
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

/// A route for the description of a protected resource (RFC 9728), for
/// [`App::configure`](actix_web::App::configure). Use it in a service without [`configure`], for
/// example an MCP server. Put it next to the guarded resources and not behind their gate: clients
/// ask for it without a token.
///
/// ```
/// use actix_web::{App, web};
/// use gatepass_actix::{Gate, resource_metadata, gatepass::wire::ResourceMetadata};
///
/// # fn example(gate: Gate, metadata: ResourceMetadata) {
/// let app = App::new()
///     .route("/mcp", web::post().to(|| async { "the answer" }).wrap(gate))
///     .configure(resource_metadata(metadata));
/// # let _ = app;
/// # }
/// ```
pub fn resource_metadata(metadata: ResourceMetadata) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        let path = metadata.path().to_owned();
        let answer = move |request: HttpRequest| {
            let reply = metadata.handle(&head(request.head()));
            ready(response(reply))
        };
        config.service(resource(path).to(answer));
    }
}

/// Issues the tokens for a login that your application has done itself, for example by OpenID
/// Connect or a passkey. See [`Endpoints::issue`].
///
/// ```
/// use actix_web::{HttpRequest, HttpResponse};
/// use gatepass::{Identity, wire::{Delivery, Endpoints}};
/// use gatepass_actix::{AuthRejection, Delivered, issue};
///
/// /// After the identity provider has said who this is: the answer of the login endpoint.
/// async fn by_script(
///     endpoints: &Endpoints,
///     identity: Identity,
///     request: &HttpRequest,
/// ) -> Result<Delivered, AuthRejection> {
///     issue(endpoints, identity, request, Delivery::Body).await
/// }
///
/// /// The same for a browser that the provider has sent here.
/// async fn by_redirect(
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
/// [`AuthRejection`], which is a complete response.
pub async fn issue(
    endpoints: &Endpoints,
    identity: Identity,
    request: &HttpRequest,
    delivery: Delivery,
) -> Result<Delivered, AuthRejection> {
    let head = head(request.head());
    Ok(Delivered(endpoints.issue(identity, &head, delivery).await?))
}

/// Logs a user in by credentials, in a route of your own. See [`Endpoints::login`].
///
/// ```
/// use actix_web::{HttpRequest, HttpResponse};
/// use gatepass::{Credentials, wire::{Delivery, Endpoints}};
/// use gatepass_actix::{AuthRejection, login};
///
/// /// The answer has the cookies of the login, and a body of your own.
/// async fn log_in(
///     endpoints: &Endpoints,
///     credentials: Credentials,
///     request: HttpRequest,
/// ) -> Result<HttpResponse, AuthRejection> {
///     let delivered = login(endpoints, &credentials, &request, Delivery::Cookies).await?;
///     let until = delivered.issued().refresh_expires_at.to_string();
///     let body = serde_json::json!({ "logged_in_until": until });
///     Ok(delivered.onto(HttpResponse::Ok().json(body)))
/// }
/// ```
///
/// # Errors
///
/// [`AuthRejection`], which is a complete response.
pub async fn login(
    endpoints: &Endpoints,
    credentials: &Credentials,
    request: &HttpRequest,
    delivery: Delivery,
) -> Result<Delivered, AuthRejection> {
    let head = head(request.head());
    let begun = endpoints.login(credentials, &head, delivery);
    Ok(Delivered(begun.await?))
}

/// Refreshes a session by the refresh token `token`, or by the refresh cookie if that is `None`.
/// See [`Endpoints::refresh`].
///
/// ```
/// use actix_web::{HttpRequest, HttpResponse, web};
/// use gatepass::wire::Endpoints;
/// use gatepass_actix::{AuthRejection, refresh};
///
/// /// The token in the format of an API that was there before.
/// async fn token(
///     endpoints: web::Data<Endpoints>,
///     request: HttpRequest,
/// ) -> Result<HttpResponse, AuthRejection> {
///     let presented = request.headers().get("x-refresh-token");
///     let presented = presented.and_then(|token| token.to_str().ok());
///     let delivered = refresh(&endpoints, &request, presented).await?;
///     let body = serde_json::json!({ "token": delivered.issued().access_token.as_str() });
///     Ok(delivered.onto(HttpResponse::Ok().json(body)))
/// }
/// # let _ = actix_web::App::new().route("/token", web::post().to(token));
/// ```
///
/// # Errors
///
/// [`AuthRejection`], which is a complete response.
pub async fn refresh(
    endpoints: &Endpoints,
    request: &HttpRequest,
    token: Option<&str>,
) -> Result<Delivered, AuthRejection> {
    let head = head(request.head());
    Ok(Delivered(endpoints.refresh(&head, token).await?))
}

/// Issues new tokens for a user whom your application has authenticated again, for example by a
/// passkey or OpenID Connect. See [`Endpoints::reauthenticated`].
///
/// ```
/// use actix_web::{HttpRequest, web};
/// use gatepass::{Identity, wire::Endpoints};
/// use gatepass_actix::{Auth, AuthRejection, Delivered, reauthenticated};
///
/// async fn passkey(
///     Auth(pass): Auth,
///     endpoints: web::Data<Endpoints>,
///     request: HttpRequest,
/// ) -> Result<Delivered, AuthRejection> {
///     // After the passkey was verified. Give the identity the scopes that a login would give now.
///     let identity = Identity::of(pass.subject().clone());
///     reauthenticated(&endpoints, &pass, identity, &request).await
/// }
/// # let _ = actix_web::App::new().route("/passkey", web::post().to(passkey));
/// ```
///
/// # Errors
///
/// [`AuthRejection`], which is a complete response.
pub async fn reauthenticated(
    endpoints: &Endpoints,
    pass: &Pass,
    identity: Identity,
    request: &HttpRequest,
) -> Result<Delivered, AuthRejection> {
    let head = head(request.head());
    let reauthenticated = endpoints.reauthenticated(pass, identity, &head);
    Ok(Delivered(reauthenticated.await?))
}

/// Turns an error of the [`Authority`](gatepass::Authority) into the complete response. See
/// [`Endpoints::rejection`].
///
/// ```
/// use actix_web::HttpRequest;
/// use gatepass::{Authority, Pass, wire::Endpoints};
/// use gatepass_actix::{AuthRejection, rejection};
///
/// async fn log_out_everywhere(
///     (authority, endpoints): (&Authority, &Endpoints),
///     pass: &Pass,
///     request: &HttpRequest,
/// ) -> Result<(), AuthRejection> {
///     let ended = authority.logout_all(pass.subject()).await;
///     ended.map_err(|error| rejection(endpoints, error, request))?;
///     Ok(())
/// }
/// ```
pub fn rejection(endpoints: &Endpoints, error: Error, request: &HttpRequest) -> AuthRejection {
    endpoints.rejection(error, &head(request.head())).into()
}

/// New tokens for the client. As a responder, it is the answer that the endpoints give.
/// [`onto`](Self::onto) adds the tokens to a response of your own.
///
/// [`issued`](gatepass::wire::Delivered::issued) has the tokens for a body of your own.
#[derive(Debug)]
#[must_use = "the client gets its tokens only if you answer with this value"]
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

impl Responder for Delivered {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        response(self.0.into_reply())
    }
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
