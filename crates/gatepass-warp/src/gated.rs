//! Routes that answer refusals themselves.

use warp::{Filter, Rejection, Reply, filters::BoxedFilter, reply::Response};

use crate::{authorized::Authorized, gate::IntoGateFilter, rejection::AuthRejection};

/// A route behind a gate: `gate` judges the requests that `route` matches, and `handler` answers
/// those that `gate` lets through. The route itself answers all others as RFC 6750 §3 says, and
/// warp asks no other route.
///
/// `handler` is an async function. It takes the values that `route` extracts, followed by the value
/// that `gate` extracts:
///
/// ```
/// use gatepass_warp::{Auth, gate, gated};
/// use warp::{Filter, Reply, reply};
///
/// async fn rename(id: u64, name: String, Auth(pass): Auth) -> impl Reply {
///     reply::json(&format!("{} calls {id} {name}", pass.subject()))
/// }
///
/// # fn example(verifier: gatepass::Verifier) {
/// let path = warp::path!("documents" / u64 / "rename" / String).and(warp::post());
/// let route = gated(path, gate(verifier), rename);
/// # let _ = route;
/// # }
/// ```
///
/// If tokens travel in cookies, a reply that has no `Cache-Control` of its own gets `Cache-Control:
/// private`. A reply that sets refreshed cookies has `no-store`.
///
/// Filters that read the body belong behind the gate: see [`gate_before`](crate::gate_before).
pub fn gated<F, G, H, M, A>(
    route: F,
    gate: G,
    handler: H,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static
where
    F: Filter<Extract = M, Error: Into<Rejection>> + Send + Sync + 'static,
    G: IntoGateFilter<A>,
    H: Handler<M, A>,
    A: Send + 'static,
{
    handler.mount(route, gate.into_gate_filter())
}

/// A handler for the values `M` that its route extracts and the value `A` that its gate extracts.
/// Async functions implement it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not fit what its route and gate extract",
    label = "not a handler for `{M}` and `{A}`",
    note = "write an async function of all that the route extracts, in order, and then of what the gate \
            extracts, that returns an `impl Reply`"
)]
pub trait Handler<M, A>: Sized {
    /// The route of a filter, a gate and this handler.
    fn mount<F>(
        self,
        route: F,
        gate: BoxedFilter<(Result<Authorized<A>, AuthRejection>,)>,
    ) -> BoxedFilter<(Response,)>
    where
        F: Filter<Extract = M, Error: Into<Rejection>> + Send + Sync + 'static;
}

macro_rules! handlers {
    ($($arg:ident: $Extracted:ident),*) => {
        impl<H, Answer, A, $($Extracted),*> Handler<($($Extracted,)*), A> for H
        where
            H: Fn($($Extracted,)* A) -> Answer + Clone + Send + Sync + 'static,
            Answer: Future<Output: Reply> + Send + 'static,
            A: Send + 'static,
            $($Extracted: Send + 'static,)*
        {
            fn mount<F>(
                self,
                route: F,
                gate: BoxedFilter<(Result<Authorized<A>, AuthRejection>,)>,
            ) -> BoxedFilter<(Response,)>
            where
                F: Filter<Extract = ($($Extracted,)*), Error: Into<Rejection>> + Send + Sync + 'static,
            {
                let handle = move |$($arg: $Extracted,)* authorized: Result<Authorized<A>, AuthRejection>| {
                    let answer = authorized.map(|authorized| {
                        let (extracted, authorized) = authorized.split();
                        (self($($arg,)* extracted), authorized)
                    });
                    async move {
                        match answer {
                            Ok((answer, authorized)) => authorized.reply(answer.await).await,
                            Err(rejection) => rejection.into_response(),
                        }
                    }
                };
                route.boxed().and(gate).then(handle).boxed()
            }
        }
    };
}

handlers!();
handlers!(a: T1);
handlers!(a: T1, b: T2);
handlers!(a: T1, b: T2, c: T3);
handlers!(a: T1, b: T2, c: T3, d: T4);
handlers!(a: T1, b: T2, c: T3, d: T4, e: T5);
handlers!(a: T1, b: T2, c: T3, d: T4, e: T5, f: T6);
