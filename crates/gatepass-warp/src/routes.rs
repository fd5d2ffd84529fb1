//! The endpoints as routes.

use std::{convert::Infallible, future::ready, ops::Deref, pin::pin};

use bytes::{Buf, BufMut};
use futures_util::{Stream, TryStreamExt};
use gatepass::{
    Credentials, Error, Identity, Pass,
    wire::{self, Delivery, Endpoints, Reply, RequestBody, ResourceMetadata},
};
use gatepass_tower::{deliver, response};
use warp::{Filter, Rejection, Reply as _, reply::Response};

use crate::{
    convert::{OwnedRequestHead, request_head},
    full_path::full_path,
    rejection::AuthRejection,
};

/// Routes for login, refresh, logout and the list of sessions. Combine them with your own routes by
/// `or`. They reject only requests for other paths.
///
/// The endpoints compare the whole path of a request. To move them, use
/// [`mount`](gatepass::wire::EndpointsBuilder::mount) instead of a `warp::path` before them. The
/// list of sessions shows the address of the connection, or the one in
/// [`PeerAddr`](crate::PeerAddr).
///
/// ```
/// use warp::Filter;
///
/// # fn example(endpoints: gatepass::wire::Endpoints) {
/// let health = warp::path!("health").map(warp::reply);
/// let app = health.or(gatepass_warp::routes(endpoints));
/// # let _ = app;
/// # }
/// ```
pub fn routes(
    endpoints: Endpoints,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let paths = endpoints.clone();
    let ours = full_path().and_then(move |path: String| {
        let served = paths.serves(&path);
        ready(served.then_some(()).ok_or_else(warp::reject::not_found))
    });
    // If an earlier filter has read the body, the request is still for this route, which must not
    // reject it.
    let body = warp::body::stream()
        .map(Some)
        .or_else(|_: Rejection| ready(Ok::<_, Infallible>((None,))));
    ours.untuple_one()
        .and(request_head())
        .and(body)
        .then(move |head, body| answer(endpoints.clone(), head, body))
}

/// A route for the description of a protected resource (RFC 9728). Use it in a service without
/// [`routes`], for example an MCP server. It needs no gate: clients ask for it without a token.
///
/// It compares the whole path of a request, like [`routes`].
///
/// ```
/// use gatepass_warp::{Auth, gate, gated, resource_metadata};
/// use gatepass_warp::gatepass::{Verifier, wire::ResourceMetadata};
/// use warp::Filter;
///
/// # fn example(verifier: &Verifier) -> Result<(), gatepass::BuildError> {
/// let mcp = gated(warp::path!("mcp").and(warp::post()), gate(verifier), |_: Auth| async { "the answer" });
/// let app = mcp.or(resource_metadata(ResourceMetadata::new(verifier)?));
/// # let _ = app; Ok(()) }
/// ```
pub fn resource_metadata(
    metadata: ResourceMetadata,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let path = metadata.path().to_owned();
    let ours = full_path().and_then(move |asked: String| {
        let served = asked == path;
        ready(served.then_some(()).ok_or_else(warp::reject::not_found))
    });
    let answer = move |head: OwnedRequestHead| {
        let reply = metadata.handle(&head.view());
        response(reply).into_response()
    };
    ours.untuple_one().and(request_head()).map(answer)
}

/// Issues the tokens for a login that your application has done itself, for example by OpenID
/// Connect or a passkey. See [`Endpoints::issue`].
///
/// ```
/// use gatepass::{Identity, wire::{Delivery, Endpoints}};
/// use gatepass_warp::{AuthRejection, Delivered, OwnedRequestHead, issue};
/// use warp::{http::Uri, redirect, reply::Response};
///
/// /// After the identity provider has said who this is: the answer of the login endpoint.
/// async fn by_script(
///     endpoints: &Endpoints,
///     identity: Identity,
///     head: &OwnedRequestHead,
/// ) -> Result<Delivered, AuthRejection> {
///     issue(endpoints, identity, head, Delivery::Body).await
/// }
///
/// /// The same for a browser that the provider has sent here.
/// async fn by_redirect(
///     endpoints: &Endpoints,
///     identity: Identity,
///     head: &OwnedRequestHead,
/// ) -> Result<Response, AuthRejection> {
///     let delivered = issue(endpoints, identity, head, Delivery::Cookies).await?;
///     Ok(delivered.onto(redirect::see_other(Uri::from_static("/"))))
/// }
/// ```
///
/// # Errors
///
/// [`AuthRejection`], which is a complete reply.
pub async fn issue(
    endpoints: &Endpoints,
    identity: Identity,
    head: &OwnedRequestHead,
    delivery: Delivery,
) -> Result<Delivered, AuthRejection> {
    let issued = endpoints.issue(identity, &head.view(), delivery).await;
    issued.map(Delivered).map_err(AuthRejection)
}

/// Logs a user in by credentials, in a route of your own. See [`Endpoints::login`].
///
/// ```
/// use gatepass::{Credentials, wire::{Delivery, Endpoints}};
/// use gatepass_warp::{AuthRejection, OwnedRequestHead, login};
/// use warp::reply::Response;
///
/// /// The answer has the cookies of the login, and a body of your own.
/// async fn log_in(
///     endpoints: Endpoints,
///     head: OwnedRequestHead,
///     credentials: Credentials,
/// ) -> Result<Response, AuthRejection> {
///     let delivered = login(&endpoints, &credentials, &head, Delivery::Cookies).await?;
///     let until = delivered.issued().refresh_expires_at.to_string();
///     let body = serde_json::json!({ "logged_in_until": until });
///     Ok(delivered.onto(warp::reply::json(&body)))
/// }
/// ```
///
/// # Errors
///
/// [`AuthRejection`], which is a complete reply.
pub async fn login(
    endpoints: &Endpoints,
    credentials: &Credentials,
    head: &OwnedRequestHead,
    delivery: Delivery,
) -> Result<Delivered, AuthRejection> {
    let head = head.view();
    let begun = endpoints.login(credentials, &head, delivery).await;
    begun.map(Delivered).map_err(AuthRejection)
}

/// Refreshes a session by the refresh token `token`, or by the refresh cookie if that is `None`.
/// See [`Endpoints::refresh`].
///
/// ```
/// use gatepass::wire::Endpoints;
/// use gatepass_warp::{AuthRejection, OwnedRequestHead, refresh};
/// use warp::reply::Response;
///
/// /// The token in the format of an API that was there before.
/// async fn token(
///     endpoints: Endpoints,
///     head: OwnedRequestHead,
///     presented: String,
/// ) -> Result<Response, AuthRejection> {
///     let delivered = refresh(&endpoints, &head, Some(&presented)).await?;
///     let body = serde_json::json!({ "token": delivered.issued().access_token.as_str() });
///     Ok(delivered.onto(warp::reply::json(&body)))
/// }
/// ```
///
/// # Errors
///
/// [`AuthRejection`], which is a complete reply.
pub async fn refresh(
    endpoints: &Endpoints,
    head: &OwnedRequestHead,
    token: Option<&str>,
) -> Result<Delivered, AuthRejection> {
    let refreshed = endpoints.refresh(&head.view(), token).await;
    refreshed.map(Delivered).map_err(AuthRejection)
}

/// Issues new tokens for a user whom your application has authenticated again, for example by a
/// passkey or OpenID Connect. See [`Endpoints::reauthenticated`].
///
/// ```
/// use gatepass::{Identity, Pass, wire::Endpoints};
/// use gatepass_warp::{AuthRejection, Delivered, OwnedRequestHead, reauthenticated};
///
/// async fn passkey(
///     endpoints: Endpoints,
///     pass: Pass,
///     head: OwnedRequestHead,
/// ) -> Result<Delivered, AuthRejection> {
///     // After the passkey was verified. Give the identity the scopes that a login would give now.
///     let identity = Identity::of(pass.subject().clone());
///     reauthenticated(&endpoints, &pass, identity, &head).await
/// }
/// ```
///
/// # Errors
///
/// [`AuthRejection`], which is a complete reply.
pub async fn reauthenticated(
    endpoints: &Endpoints,
    pass: &Pass,
    identity: Identity,
    head: &OwnedRequestHead,
) -> Result<Delivered, AuthRejection> {
    let head = head.view();
    let reauthenticated = endpoints.reauthenticated(pass, identity, &head).await;
    reauthenticated.map(Delivered).map_err(AuthRejection)
}

/// Turns an error of the [`Authority`](gatepass::Authority) into the complete response. See
/// [`Endpoints::rejection`].
///
/// ```
/// use gatepass::{Authority, Pass, wire::Endpoints};
/// use gatepass_warp::{AuthRejection, OwnedRequestHead, rejection};
///
/// async fn log_out_everywhere(
///     (authority, endpoints): (&Authority, &Endpoints),
///     pass: &Pass,
///     head: &OwnedRequestHead,
/// ) -> Result<(), AuthRejection> {
///     let ended = authority.logout_all(pass.subject()).await;
///     ended.map_err(|error| rejection(endpoints, error, head))?;
///     Ok(())
/// }
/// ```
pub fn rejection(endpoints: &Endpoints, error: Error, head: &OwnedRequestHead) -> AuthRejection {
    endpoints.rejection(error, &head.view()).into()
}

/// New tokens for the client. As a reply, it is the answer that the endpoints give.
/// [`onto`](Self::onto) adds the tokens to a reply of your own.
///
/// [`issued`](gatepass::wire::Delivered::issued) has the tokens for a body of your own.
#[derive(Debug)]
#[must_use = "the client gets its tokens only if you answer with this value"]
pub struct Delivered(wire::Delivered);

impl Delivered {
    /// Your reply with the cookies of the tokens, and with `Cache-Control: no-store`.
    #[must_use]
    pub fn onto(&self, reply: impl warp::Reply) -> Response {
        let mut response = reply.into_response();
        deliver(&self.0, response.headers_mut());
        response
    }
}

impl Deref for Delivered {
    type Target = wire::Delivered;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl warp::Reply for Delivered {
    fn into_response(self) -> Response {
        response(self.0.into_reply()).into_response()
    }
}

async fn answer<B: Buf>(
    endpoints: Endpoints,
    head: OwnedRequestHead,
    body: Option<impl Stream<Item = Result<B, warp::Error>>>,
) -> Response {
    let Some(body) = body else {
        return response(Reply::taken_body()).into_response();
    };
    let read = tokio::time::timeout(Endpoints::BODY_TIMEOUT, read(body)).await;
    let body = match &read {
        Ok(Ok(Some(bytes))) => RequestBody::Complete(bytes),
        Ok(Ok(None)) => RequestBody::TooLarge,
        Ok(Err(_)) => RequestBody::Broken,
        Err(_) => RequestBody::Stalled,
    };
    response(endpoints.handle(&head.view(), body).await).into_response()
}

/// Reads a whole body, unless it is too long.
async fn read<B: Buf>(
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Result<Option<Vec<u8>>, warp::Error> {
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(part) = body.try_next().await? {
        if part.remaining() > Endpoints::BODY_LIMIT - bytes.len() {
            return Ok(None);
        }
        bytes.put(part);
    }
    Ok(Some(bytes))
}
