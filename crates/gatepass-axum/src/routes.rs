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
    Credentials, Error, Identity, Pass,
    wire::{Delivery, Endpoints, RequestBody, ResourceMetadata},
};
use gatepass_tower::{deliver, response};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::{gate::head, rejection::AuthRejection};

/// Routes for login, refresh, logout and the list of sessions. Merge them into your router, next to
/// the guarded routes and not behind their gate: a login needs no token.
///
/// gatepass knows the address of a client, or of the proxy before it, only if you serve the router
/// with [`into_make_service_with_connect_info`](Router::into_make_service_with_connect_info).
///
/// # Panics
///
/// [`Router::merge`] panics if your router has a route of the same path.
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

/// A route for the description of a protected resource (RFC 9728). Use it in a service without
/// [`routes`], for example an MCP server. Merge it next to the guarded routes and not behind their
/// gate: clients ask for it without a token.
///
/// ```
/// use axum::{Router, routing::post};
/// use gatepass_axum::{GateLayer, resource_metadata, gatepass::{Verifier, wire::ResourceMetadata}};
///
/// # fn example(verifier: &Verifier) -> Result<Router, gatepass::BuildError> {
/// let mcp = Router::new().route("/mcp", post(|| async { "the answer" }));
/// let app = mcp
///     .route_layer(GateLayer::new(verifier))
///     .merge(resource_metadata(ResourceMetadata::new(verifier)?));
/// # Ok(app) }
/// ```
///
/// [`Router::merge`] panics if you also merge the [`routes`] of an authority that describes itself
/// as a protected resource: they already serve the description.
pub fn resource_metadata<S: Clone + Send + Sync + 'static>(
    metadata: ResourceMetadata,
) -> Router<S> {
    let path = metadata.path().to_owned();
    let answer = async move |request: Request| {
        let (parts, _) = request.into_parts();
        response(metadata.handle(&head(&parts))).map(Body::from)
    };
    Router::new().route(&path, any(answer))
}

/// Issues the tokens for a login that your application has done itself, for example by OpenID
/// Connect or a passkey. Return them as the response, or as a part of it. See [`Endpoints::issue`].
///
/// ```
/// use axum::{extract::Request, response::{IntoResponse, Redirect}};
/// use gatepass::{Identity, wire::{Delivery, Endpoints}};
/// use gatepass_axum::{AuthRejection, Delivered, issue};
///
/// /// After the identity provider has said who this is: the answer of the login endpoint.
/// async fn by_script(
///     endpoints: &Endpoints,
///     identity: Identity,
///     request: Request,
/// ) -> Result<Delivered, AuthRejection> {
///     let (parts, _) = request.into_parts();
///     issue(endpoints, identity, &parts, Delivery::Body).await
/// }
///
/// /// The same for a browser that the provider has sent here.
/// async fn by_redirect(
///     endpoints: &Endpoints,
///     identity: Identity,
///     request: Request,
/// ) -> Result<impl IntoResponse, AuthRejection> {
///     let (parts, _) = request.into_parts();
///     let delivered = issue(endpoints, identity, &parts, Delivery::Cookies).await?;
///     Ok((delivered, Redirect::to("/")))
/// }
/// ```
///
/// # Errors
///
/// [`AuthRejection`], which is a complete response.
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

/// Logs a user in by credentials, in a route of your own. See [`Endpoints::login`].
///
/// ```
/// use axum::{Json, extract::{Extension, Request}};
/// use gatepass::{Credentials, wire::{Delivery, Endpoints}};
/// use gatepass_axum::{AuthRejection, Delivered, login};
/// use serde_json::{Value, json};
///
/// /// The answer has the cookies of the login, and a body of your own.
/// async fn log_in(
///     endpoints: &Endpoints,
///     credentials: Credentials,
///     request: Request,
/// ) -> Result<(Delivered, Json<Value>), AuthRejection> {
///     let (parts, _) = request.into_parts();
///     let delivered = login(endpoints, &credentials, &parts, Delivery::Cookies).await?;
///     let until = delivered.issued().refresh_expires_at.to_string();
///     Ok((delivered, Json(json!({ "logged_in_until": until }))))
/// }
/// ```
///
/// # Errors
///
/// [`AuthRejection`], which is a complete response.
pub async fn login(
    endpoints: &Endpoints,
    credentials: &Credentials,
    parts: &Parts,
    delivery: Delivery,
) -> Result<Delivered, AuthRejection> {
    let head = head(parts);
    let begun = endpoints.login(credentials, &head, delivery);
    Ok(Delivered(begun.await?))
}

/// Refreshes a session by the refresh token `token`, or by the refresh cookie if that is `None`.
/// Return the new tokens as the response, or as a part of it. See [`Endpoints::refresh`].
///
/// ```
/// use axum::{Extension, Json, extract::Request};
/// use gatepass::wire::Endpoints;
/// use gatepass_axum::{AuthRejection, Delivered, refresh};
/// use serde_json::{Value, json};
///
/// /// The token in the format of an API that was there before.
/// async fn token(
///     Extension(endpoints): Extension<Endpoints>,
///     request: Request,
/// ) -> Result<(Delivered, Json<Value>), AuthRejection> {
///     let (parts, _) = request.into_parts();
///     let presented = parts.headers.get("x-refresh-token").and_then(|token| token.to_str().ok());
///     let delivered = refresh(&endpoints, &parts, presented).await?;
///     let body = json!({ "token": delivered.issued().access_token.as_str() });
///     Ok((delivered, Json(body)))
/// }
/// # axum::Router::<()>::new().route("/token", axum::routing::post(token));
/// ```
///
/// # Errors
///
/// [`AuthRejection`], which is a complete response.
pub async fn refresh(
    endpoints: &Endpoints,
    parts: &Parts,
    token: Option<&str>,
) -> Result<Delivered, AuthRejection> {
    Ok(Delivered(endpoints.refresh(&head(parts), token).await?))
}

/// Issues new tokens for a user whom your application has authenticated again, for example by a
/// passkey or OpenID Connect. See [`Endpoints::reauthenticated`].
///
/// ```
/// use axum::extract::{Extension, Request};
/// use gatepass::{Identity, wire::Endpoints};
/// use gatepass_axum::{Auth, AuthRejection, Delivered, reauthenticated};
///
/// async fn passkey(
///     Auth(pass): Auth,
///     Extension(endpoints): Extension<Endpoints>,
///     request: Request,
/// ) -> Result<Delivered, AuthRejection> {
///     let (parts, _) = request.into_parts();
///     // After the passkey was verified. Give the identity the scopes that a login would give now.
///     let identity = Identity::of(pass.subject().clone());
///     reauthenticated(&endpoints, &pass, identity, &parts).await
/// }
/// # axum::Router::<()>::new().route("/passkey", axum::routing::post(passkey));
/// ```
///
/// # Errors
///
/// [`AuthRejection`], which is a complete response.
pub async fn reauthenticated(
    endpoints: &Endpoints,
    pass: &Pass,
    identity: Identity,
    parts: &Parts,
) -> Result<Delivered, AuthRejection> {
    let head = head(parts);
    let reauthenticated = endpoints.reauthenticated(pass, identity, &head);
    Ok(Delivered(reauthenticated.await?))
}

/// Turns an error of the [`Authority`](gatepass::Authority) into the complete response. See
/// [`Endpoints::rejection`].
///
/// ```
/// use axum::http::request::Parts;
/// use gatepass::{Authority, Pass, wire::Endpoints};
/// use gatepass_axum::{AuthRejection, rejection};
///
/// async fn log_out_everywhere(
///     (authority, endpoints): (&Authority, &Endpoints),
///     pass: &Pass,
///     parts: &Parts,
/// ) -> Result<(), AuthRejection> {
///     let ended = authority.logout_all(pass.subject()).await;
///     ended.map_err(|error| rejection(endpoints, error, parts))?;
///     Ok(())
/// }
/// ```
pub fn rejection(endpoints: &Endpoints, error: Error, parts: &Parts) -> AuthRejection {
    endpoints.rejection(error, &head(parts)).into()
}

/// New tokens for the client. As a response, it is the answer that the endpoints give. As a part of
/// your own response, it adds the cookies and `Cache-Control: no-store`.
///
/// [`issued`](gatepass::wire::Delivered::issued) has the tokens for a body of your own.
#[derive(Debug)]
#[must_use = "the client gets its tokens only if you answer with this value"]
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
        response(self.0.into_reply()).map(Body::from)
    }
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
