//! The filters that judge requests.

use std::{convert::Infallible, future::ready, sync::Arc};

use gatepass::{
    Demand, Verifier,
    wire::{self, Admission, Inquiry},
};
use warp::{Filter, Rejection, filters::BoxedFilter, reject::Reject};

use crate::{
    admitted::Admitted,
    denied::Denied,
    extract::FromAdmission,
    head::{Head, head},
};

/// Judges requests by what `verifier` verifies.
///
/// It extracts who is logged in, or why the request must be refused, and never rejects: an `or` behind it
/// is not asked. Most routes want [`guarded`](crate::guarded), which answers the refusals; alone it is
/// for handlers that do so themselves:
///
/// ```
/// use gatepass_warp::{Admitted, Auth, Denied, gate};
/// use warp::{Filter, Reply};
///
/// async fn me(auth: Result<Admitted<Auth>, Denied>) -> Result<impl Reply, Denied> {
///     let admitted = auth?;
///     let Auth(pass) = admitted.extracted();
///     Ok(admitted.reply(pass.subject().to_string()))
/// }
///
/// # fn example(verifier: gatepass::Verifier) {
/// let route = warp::path!("me").and(warp::get()).and(gate(verifier)).then(me);
/// # let _ = route;
/// # }
/// ```
pub fn gate<A: FromAdmission>(
    verifier: Verifier,
) -> impl Filter<Extract = (Result<Admitted<A>, Denied>,), Error = Infallible>
+ Clone
+ Send
+ Sync
+ 'static {
    gate_with(verifier, Demand::new())
}

/// Judges requests by what `verifier` verifies, and what satisfies `demand`: scopes, a recent
/// authentication, fresher knowledge of revocations; or lets strangers through, too.
///
/// ```
/// use std::time::Duration;
///
/// use gatepass::Demand;
/// use gatepass_warp::{Auth, gate_with, guarded};
/// use warp::Filter;
///
/// async fn transfer(Auth(pass): Auth) -> String {
///     pass.subject().to_string()
/// }
///
/// # fn example(verifier: gatepass::Verifier) {
/// let recently = gate_with(verifier, Demand::new().max_age(Duration::from_secs(300)));
/// let route = guarded(warp::path!("transfer").and(warp::post()), recently, transfer);
/// # let _ = route;
/// # }
/// ```
pub fn gate_with<A: FromAdmission>(
    verifier: Verifier,
    demand: Demand,
) -> impl Filter<Extract = (Result<Admitted<A>, Denied>,), Error = Infallible>
+ Clone
+ Send
+ Sync
+ 'static {
    let gate = Arc::new((verifier, demand));
    head().then(move |head: Head| {
        let gate = Arc::clone(&gate);
        async move {
            let (verifier, demand) = &*gate;
            let admitted = verifier.guard(&head.view(), demand).await;
            let admission = admitted.map_err(|error| denied(verifier.rejection(error), &head))?;
            extract(Some(&admission), &head)
        }
    })
}

/// What a [`GateLayer`](crate::GateLayer) around the [`warp::service`] has found. Without that layer, the
/// answer is 500, and the log says why.
pub fn admitted<A: FromAdmission>()
-> impl Filter<Extract = (Result<Admitted<A>, Denied>,), Error = Infallible>
+ Copy
+ Send
+ Sync
+ 'static {
    warp::ext::optional::<Admission>()
        .and(head())
        .map(|admission: Option<Admission>, head: Head| extract(admission.as_ref(), &head))
}

fn extract<A: FromAdmission>(
    admission: Option<&Admission>,
    head: &Head,
) -> Result<Admitted<A>, Denied> {
    let view = head.view();
    let inquiry =
        Inquiry::new(admission, "gatepass_warp::GateLayer").at(view.method(), view.path());
    let extracted = A::from_admission(inquiry).map_err(|rejection| denied(rejection, head))?;
    let cache_control = admission.and_then(Admission::cache_control);
    Ok(Admitted::new(extracted, cache_control))
}

/// warp leaves the body in what answers a `HEAD`.
fn denied(rejection: wire::Rejection, head: &Head) -> Denied {
    Denied(rejection.for_method(head.view().method()))
}

/// A gate before a filter that may reject, such as one that reads the body: only where the gate lets the
/// request through, `rest` is asked. So a stranger is told that, and not what is wrong with its body.
///
/// What both extract comes as a pair. Rejections of `rest` remain what they are.
///
/// ```
/// use gatepass_warp::{Auth, before, gate, guarded};
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
/// let route = guarded(path, before(gate(verifier), body), put);
/// # let _ = route;
/// # }
/// ```
#[expect(
    clippy::type_complexity,
    reason = "it is that of a gate, for one more value"
)]
pub fn before<G, F, A, T>(gate: G, rest: F) -> BoxedFilter<(Result<Admitted<(A, T)>, Denied>,)>
where
    G: Filter<Extract = (Result<Admitted<A>, Denied>,), Error: Into<Rejection>>
        + Send
        + Sync
        + 'static,
    F: Filter<Extract = (T,), Error: Into<Rejection>> + Send + Sync + 'static,
    A: Send + 'static,
    T: Send + 'static,
{
    gate.boxed()
        .and_then(|admitted: Result<Admitted<A>, Denied>| {
            ready(admitted.map_err(|denied| warp::reject::custom(Passing(denied))))
        })
        .and(rest.boxed())
        .map(|admitted: Admitted<A>, extracted| Ok(admitted.with(extracted)))
        .or_else(|rejection: Rejection| {
            ready(match rejection.find::<Passing>() {
                Some(Passing(denied)) => Ok((Err(denied.clone()),)),
                None => Err(rejection),
            })
        })
        .boxed()
}

/// A refusal on its way past the filter that must not be asked. It never leaves [`before`].
#[derive(Debug)]
struct Passing(Denied);

impl Reject for Passing {}
