//! The filters that judge requests.

use std::{convert::Infallible, future::ready, sync::Arc};

use gatepass::{
    Requirements, Verifier,
    wire::{self, AuthState},
};
use warp::{Filter, Rejection, filters::BoxedFilter, reject::Reject};

use crate::{
    authorized::Authorized,
    convert::{OwnedRequestHead, request_head},
    extract::FromAuthState,
    rejection::AuthRejection,
};

/// Judges requests by what `verifier` verifies.
///
/// Give it an [`Authority`](gatepass::Authority) or a [`Verifier`]: `gate(&authority)`. It extracts
/// who is logged in, or why the request must be refused, and never rejects: an `or` behind it is
/// not asked. Most routes want [`gated`](crate::gated), which answers the refusals; alone it is for
/// handlers that do so themselves:
///
/// ```
/// use gatepass_warp::{Authorized, Auth, AuthRejection, gate};
/// use warp::{Filter, Reply};
///
/// async fn me(auth: Result<Authorized<Auth>, AuthRejection>) -> Result<impl Reply, AuthRejection> {
///     let authorized = auth?;
///     let Auth(pass) = authorized.extracted();
///     Ok(authorized.reply(pass.subject().to_string()))
/// }
///
/// # fn example(verifier: gatepass::Verifier) {
/// let route = warp::path!("me").and(warp::get()).and(gate(verifier)).then(me);
/// # let _ = route;
/// # }
/// ```
pub fn gate<A: FromAuthState>(
    verifier: impl Into<Verifier>,
) -> BoxedFilter<(Result<Authorized<A>, AuthRejection>,)> {
    gate_requiring(verifier, Requirements::new())
}

/// Judges requests by what `verifier` verifies, and what satisfies `requirements`: scopes, a recent
/// authentication, fresher knowledge of revocations; or lets strangers through, too.
///
/// ```
/// use std::time::Duration;
///
/// use gatepass::Requirements;
/// use gatepass_warp::{Auth, gate_requiring, gated};
/// use warp::Filter;
///
/// async fn transfer(Auth(pass): Auth) -> String {
///     pass.subject().to_string()
/// }
///
/// # fn example(verifier: gatepass::Verifier) {
/// let recently = gate_requiring(verifier, Requirements::new().max_age(Duration::from_secs(300)));
/// let route = gated(warp::path!("transfer").and(warp::post()), recently, transfer);
/// # let _ = route;
/// # }
/// ```
pub fn gate_requiring<A: FromAuthState>(
    verifier: impl Into<Verifier>,
    requirements: Requirements,
) -> BoxedFilter<(Result<Authorized<A>, AuthRejection>,)> {
    let gate = Arc::new((verifier.into(), requirements));
    request_head()
        .then(move |head: OwnedRequestHead| {
            let gate = Arc::clone(&gate);
            async move {
                let (verifier, requirements) = &*gate;
                let authorized = verifier.gate(&head.view(), requirements).await;
                let state =
                    authorized.map_err(|error| rejected(verifier.rejection(error), &head))?;
                extract(Some(&state), &head)
            }
        })
        .boxed()
}

/// Extracts what a [`GateLayer`](crate::GateLayer) around the [`warp::service`] has found. Without
/// that layer, the answer is 500, and the log says why.
pub fn gate_from_layer<A: FromAuthState>()
-> impl Filter<Extract = (Result<Authorized<A>, AuthRejection>,), Error = Infallible>
+ Copy
+ Send
+ Sync
+ 'static {
    warp::ext::optional::<AuthState>()
        .and(request_head())
        .map(|found: Option<AuthState>, head: OwnedRequestHead| extract(found.as_ref(), &head))
}

fn extract<A: FromAuthState>(
    found: Option<&AuthState>,
    head: &OwnedRequestHead,
) -> Result<Authorized<A>, AuthRejection> {
    let view = head.view();
    let place = Some((view.method(), view.path()));
    let extracted = AuthState::find(found, "gatepass_warp::GateLayer", place)
        .and_then(|state| Ok((A::from_auth_state(state)?, state.cache_control())));
    let (extracted, cache_control) = extracted.map_err(|rejection| rejected(rejection, head))?;
    Ok(Authorized::new(extracted, cache_control))
}

/// warp leaves the body in what answers a `HEAD`.
fn rejected(rejection: wire::AuthRejection, head: &OwnedRequestHead) -> AuthRejection {
    AuthRejection(rejection.for_method(head.view().method()))
}

/// A gate before a filter that may reject, such as one that reads the body: only where the gate
/// lets the request through, `rest` is asked. So a stranger is told that, and not what is wrong
/// with its body.
///
/// The values that both extract come as a pair. Rejections of `rest` remain what they are.
///
/// ```
/// use gatepass_warp::{Auth, gate_before, gate, gated};
/// use warp::Filter;
///
/// #[derive(serde::Deserialize)]
/// struct Document { title: String }
///
/// async fn put(id: u64, (Auth(pass), document): (Auth, Document)) -> String {
///     format!("{id}: {} by {}", document.title, pass.subject())
/// }
///
/// # fn example(verifier: gatepass::Verifier) {
/// let body = warp::body::content_length_limit(16 * 1024).and(warp::body::json());
/// let path = warp::path!("documents" / u64).and(warp::put());
/// let route = gated(path, gate_before(gate(verifier), body), put);
/// # let _ = route;
/// # }
/// ```
#[expect(
    clippy::type_complexity,
    reason = "it is that of a gate, for one more value"
)]
pub fn gate_before<G, F, A, T>(
    gate: G,
    rest: F,
) -> BoxedFilter<(Result<Authorized<(A, T)>, AuthRejection>,)>
where
    G: Filter<Extract = (Result<Authorized<A>, AuthRejection>,), Error: Into<Rejection>>
        + Send
        + Sync
        + 'static,
    F: Filter<Extract = (T,), Error: Into<Rejection>> + Send + Sync + 'static,
    A: Send + 'static,
    T: Send + 'static,
{
    gate.boxed()
        .and_then(|authorized: Result<Authorized<A>, AuthRejection>| {
            ready(authorized.map_err(|rejection| warp::reject::custom(Passing(rejection))))
        })
        .and(rest.boxed())
        .map(|authorized: Authorized<A>, extracted| Ok(authorized.with(extracted)))
        .or_else(|passing: Rejection| {
            ready(match passing.find::<Passing>() {
                Some(Passing(rejection)) => Ok((Err(rejection.clone()),)),
                None => Err(passing),
            })
        })
        .boxed()
}

/// A refusal on its way past the filter that must not be asked. It never leaves [`gate_before`].
#[derive(Debug)]
struct Passing(AuthRejection);

impl Reject for Passing {}
