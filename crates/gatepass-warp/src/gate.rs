//! The filters that judge requests.

use std::{convert::Infallible, future::ready};

use gatepass::{
    Authority, LocalPath, Requirements, Verifier,
    wire::{self, AuthRequest, AuthState, Users},
};
use http::Method;
use warp::{Filter, Rejection, filters::BoxedFilter, reject::Reject};

use crate::{
    authorized::Authorized,
    convert::{Judged, OwnedRequestHead, Seen, judged, request_head},
    extract::FromAuthRequest,
    rejection::AuthRejection,
};

/// A gate that judges requests. [`gated`](crate::gated) puts it before a handler, and
/// [`gate_before`] puts it before a filter. Made by [`gate`], cheap to clone.
///
/// One gate serves any number of routes. Each handler's signature says what the gate extracts for
/// it.
///
/// ```
/// use std::time::Duration;
///
/// use gatepass_warp::{Auth, Requirements, gate, gated};
/// use warp::Filter;
///
/// async fn me(Auth(pass): Auth) -> String {
///     pass.subject().to_string()
/// }
///
/// async fn greeting(auth: Option<Auth>) -> String {
///     auth.map_or("hello, stranger".to_owned(), |Auth(pass)| format!("hello, {}", pass.subject()))
/// }
///
/// # fn example(verifier: gatepass::Verifier) {
/// let gate = gate(verifier);
/// let recently = gate.clone().require(Requirements::new().max_age(Duration::from_secs(300)));
/// let optional = gate.clone().require(Requirements::new().optional());
/// let routes = gated(warp::path!("me").and(warp::get()), gate, me)
///     .or(gated(warp::path!("transfer").and(warp::post()), recently, me))
///     .or(gated(warp::path!("greeting").and(warp::get()), optional, greeting));
/// # let _ = routes;
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Gate(wire::Gate);

/// A gate that lets a request through if `verifier` accepts its access token. Give it a
/// [`Verifier`], or the [`Authority`](gatepass::Authority) that has one: `gate(&authority)`.
pub fn gate(verifier: impl Into<Verifier>) -> Gate {
    Gate(wire::Gate::new(verifier))
}

impl Gate {
    /// Requires more of each request than a valid access token: for example scopes, a recent
    /// authentication, or fresher revocation data. The requirements of several calls add up. For
    /// example, a gate that is `optional` and then requires a scope no longer lets strangers
    /// through.
    pub fn require(self, requirements: Requirements) -> Self {
        Self(self.0.require(requirements))
    }

    /// Refreshes a browser's cookies. If the access cookie has expired or is missing and the
    /// refresh cookie is good, the gate serves the request, and the response sets both cookies. For
    /// example, a page without JavaScript stays logged in. The rules are documented in
    /// [`wire::Gate::auto_refresh`](gatepass::wire::Gate::auto_refresh).
    ///
    /// ```
    /// # fn example(authority: &gatepass::Authority) -> Result<(), gatepass::InvalidLocalPath> {
    /// let pages = gatepass_warp::gate(authority)
    ///     .auto_refresh(authority)
    ///     .login_page("/login".parse()?);
    /// # Ok(()) }
    /// ```
    ///
    /// If a filter behind [`gate_before`] rejects, the response can't set the cookies. gatepass
    /// then treats the next request like a retry after a lost answer, once. If that one is rejected
    /// as well, the request after it may end the session as `reused`. So use
    /// [`gated`](crate::gated) alone for routes that can reject, for example with 404.
    pub fn auto_refresh(self, authority: &Authority) -> Self {
        Self(self.0.auto_refresh(authority))
    }

    /// Renews access tokens while clients use them, for clients that have no refresh token. Once
    /// half of a token's lifetime has passed, the response brings a new one, in the access cookie
    /// or in the header that
    /// [`renewed_token_header`](gatepass::AuthorityBuilder::renewed_token_header) names. The rules
    /// are documented in [`wire::Gate::auto_renew`](gatepass::wire::Gate::auto_renew).
    pub fn auto_renew(self, authority: &Authority) -> Self {
        Self(self.0.auto_renew(authority))
    }

    /// Also accepts the tokens of the old system that `authority`
    /// [adopts](gatepass::AuthorityBuilder::adopt), until the date of the move. A browser with the
    /// old system's cookie gets gatepass's cookies in the response. The rules are documented in
    /// [`wire::Gate::adopt`](gatepass::wire::Gate::adopt).
    ///
    /// If a filter behind [`gate_before`] rejects, the response can't set the cookies. gatepass
    /// exchanges the old cookie again at the next request.
    pub fn adopt(self, authority: &Authority) -> Self {
        Self(self.0.adopt(authority))
    }

    /// Redirects a browser that asks for a page to a login page, in place of a 401. Programs still
    /// get the 401. The rules are documented in
    /// [`wire::Gate::login_page`](gatepass::wire::Gate::login_page).
    pub fn login_page(self, page: LocalPath) -> Self {
        Self(self.0.login_page(page))
    }

    /// Loads your application's own record of the user for each request that the gate lets through,
    /// for [`User<T>`](crate::User). The rules are documented in [`Users`](gatepass::wire::Users).
    pub fn users<T: Send + Sync + 'static>(self, users: &Users<T>) -> Self {
        Self(self.0.users(users))
    }

    /// The gate as a filter, for handlers that answer refusals in their own way.
    ///
    /// It extracts the user who is logged in, or the reason to refuse the request. It never
    /// rejects, so warp doesn't ask an `or` behind it.
    ///
    /// ```
    /// use gatepass_warp::{Authorized, Auth, AuthRejection, gate};
    /// use warp::{Filter, Reply};
    ///
    /// async fn me(auth: Result<Authorized<Auth>, AuthRejection>) -> Result<impl Reply, AuthRejection> {
    ///     let authorized = auth?;
    ///     let Auth(pass) = authorized.extracted();
    ///     Ok(authorized.reply(pass.subject().to_string()).await)
    /// }
    ///
    /// # fn example(verifier: gatepass::Verifier) {
    /// let route = warp::path!("me").and(warp::get()).and(gate(verifier).filter()).then(me);
    /// # let _ = route;
    /// # }
    /// ```
    pub fn filter<A: FromAuthRequest>(
        self,
    ) -> BoxedFilter<(Result<Authorized<A>, AuthRejection>,)> {
        let Self(gate) = self;
        judged(gate.clone(), A::READS_HEAD)
            .then(move |judged| {
                let gate = gate.clone();
                async move {
                    let (judged, seen) = settled(&gate, judged).await;
                    let extracted = async {
                        let state = judged?;
                        match A::from_auth_request(&state.of(seen.view())) {
                            Ok(extracted) => Ok(Authorized::new(extracted, state.outgoing())),
                            Err(rejection) => Err(rejection.behind(state.outgoing()).await),
                        }
                    };
                    let extracted: Result<_, wire::AuthRejection> = extracted.await;
                    extracted.map_err(|rejection| rejected(rejection, seen.view().method()))
                }
            })
            .boxed()
    }

    /// Calls `judge` for each request that the gate lets through, so that you can also accept
    /// credentials of your own, such as API keys. `judge` gets the gate's [`AuthState`], and
    /// returns that one or another.
    ///
    /// The gate must be [optional](Requirements::optional), so that it lets requests without a
    /// token through. [`AuthRequest::authenticated`](gatepass::wire::AuthRequest::authenticated)
    /// has the rules.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use gatepass::{Identity, Refusal};
    /// use gatepass_warp::{Auth, AuthState, Authority, OwnedRequestHead, Requirements, gate, gated};
    /// use warp::Filter;
    ///
    /// # async fn owner_of(_: &str) -> Option<Identity> { None }
    /// # fn example(authority: &Authority) {
    /// let optional = gate(authority).require(Requirements::new().optional());
    /// let keys = optional.and_then(async |state: AuthState, head: OwnedRequestHead| {
    ///     let head = head.view();
    ///     let Some(key) = head.header("x-api-key") else { return Ok(state) };
    ///     let request = state.of(head.clone());
    ///     let owner = owner_of(key).await.ok_or_else(|| request.rejection(Refusal::Revoked))?;
    ///     Ok(request.authenticated("api-key", &owner, Duration::from_secs(60))?)
    /// });
    /// let orders = warp::path!("orders").and(warp::get());
    /// let route = gated(orders, keys, async |Auth(pass): Auth| format!("of {}", pass.subject()));
    /// # let _ = route;
    /// # }
    /// ```
    pub fn and_then<F, R>(self, judge: F) -> AndThen<F>
    where
        F: Fn(AuthState, OwnedRequestHead) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<AuthState, AuthRejection>> + Send + 'static,
    {
        AndThen {
            gate: self.0,
            judge,
        }
    }
}

/// A gate followed by a check of your own. Made by [`Gate::and_then`].
#[derive(Clone, Debug)]
#[must_use]
pub struct AndThen<F> {
    gate: wire::Gate,
    judge: F,
}

impl<A, F, R> IntoGateFilter<A> for AndThen<F>
where
    A: FromAuthRequest,
    F: Fn(AuthState, OwnedRequestHead) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<AuthState, AuthRejection>> + Send + 'static,
{
    fn into_gate_filter(self) -> BoxedFilter<(Result<Authorized<A>, AuthRejection>,)> {
        let Self { gate, judge } = self;
        request_head()
            .then(move |head: OwnedRequestHead| {
                let (gate, judge) = (gate.clone(), judge.clone());
                async move {
                    let extracted = async {
                        let state = gate.judge(&head.view()).await?;
                        // `judge` may return another state, which knows nothing of the cookies that
                        // the gate has refreshed.
                        let outgoing = state.outgoing();
                        let state = judge(state, head.clone()).await;
                        let extracted = state
                            .map_err(|AuthRejection(rejection)| rejection)
                            .and_then(|state| A::from_auth_request(&state.of(head.view())));
                        match extracted {
                            Ok(extracted) => Ok(Authorized::new(extracted, outgoing)),
                            Err(rejection) => Err(rejection.behind(outgoing).await),
                        }
                    };
                    let extracted: Result<_, wire::AuthRejection> = extracted.await;
                    extracted.map_err(|rejection| rejected(rejection, head.view().method()))
                }
            })
            .boxed()
    }
}

/// The verdict of a gate, which may have to ask the store first.
async fn settled(
    gate: &wire::Gate,
    judged: Judged,
) -> (Result<AuthState, wire::AuthRejection>, Seen) {
    match judged {
        Judged::AtOnce(judged, seen) => (judged, seen),
        Judged::Waiting(head) => {
            let judged = gate.judge(&head.view()).await;
            (judged, Seen::Head(head))
        }
        Judged::Unseen => {
            let unseen = wire::AuthRejection::unseen();
            (Err(unseen), Seen::Method(Method::GET))
        }
    }
}

/// A gate for [`gated`](crate::gated) and [`gate_before`]: a [`Gate`], or a filter that extracts
/// what [`Gate::filter`] does, such as [`gate_from_layer`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a gate that extracts `{A}`",
    label = "not a gate for this handler",
    note = "gates extract `Auth`, `Option<Auth>`, `Scoped<R>`, `Claims<T>`, `Connection`, and pairs of these"
)]
pub trait IntoGateFilter<A> {
    /// The gate as a filter.
    fn into_gate_filter(self) -> BoxedFilter<(Result<Authorized<A>, AuthRejection>,)>;
}

impl<A: FromAuthRequest> IntoGateFilter<A> for Gate {
    fn into_gate_filter(self) -> BoxedFilter<(Result<Authorized<A>, AuthRejection>,)> {
        self.filter()
    }
}

impl<A, F> IntoGateFilter<A> for F
where
    F: Filter<Extract = (Result<Authorized<A>, AuthRejection>,), Error: Into<Rejection>>
        + Send
        + Sync
        + 'static,
    A: Send + 'static,
{
    fn into_gate_filter(self) -> BoxedFilter<(Result<Authorized<A>, AuthRejection>,)> {
        self.boxed()
    }
}

/// A gate that uses the verdict of a [`GateLayer`](crate::GateLayer) around the [`warp::service`].
/// Without that layer, the answer is 500, and the log says why.
pub fn gate_from_layer<A: FromAuthRequest>()
-> impl Filter<Extract = (Result<Authorized<A>, AuthRejection>,), Error = Infallible>
+ Copy
+ Send
+ Sync
+ 'static {
    warp::ext::optional::<AuthState>()
        .and(request_head())
        .map(|found: Option<AuthState>, head: OwnedRequestHead| extract(found.as_ref(), &head))
}

fn extract<A: FromAuthRequest>(
    found: Option<&AuthState>,
    head: &OwnedRequestHead,
) -> Result<Authorized<A>, AuthRejection> {
    let view = head.view();
    AuthState::find(found, "gatepass_warp::GateLayer", view.clone())
        .and_then(authorized)
        .map_err(|rejection| rejected(rejection, view.method()))
}

fn authorized<A: FromAuthRequest>(
    request: AuthRequest<'_, '_>,
) -> Result<Authorized<A>, wire::AuthRejection> {
    let extracted = A::from_auth_request(&request)?;
    Ok(Authorized::new(extracted, request.outgoing()))
}

/// Removes the body from the answer to a `HEAD`, which warp doesn't do.
fn rejected(rejection: wire::AuthRejection, method: &str) -> AuthRejection {
    AuthRejection(rejection.for_method(method))
}

/// A gate before a filter that may reject, for example one that reads the body. warp asks `rest`
/// only if the gate lets the request through. So a stranger gets 401, and not an error about the
/// body.
///
/// The handler gets the values of the gate and of `rest` as a pair. A rejection of `rest` stays a
/// rejection.
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
    reason = "it is the type of a gate, with one more value"
)]
pub fn gate_before<G, F, A, T>(
    gate: G,
    rest: F,
) -> BoxedFilter<(Result<Authorized<(A, T)>, AuthRejection>,)>
where
    G: IntoGateFilter<A>,
    F: Filter<Extract = (T,), Error: Into<Rejection>> + Send + Sync + 'static,
    A: Send + 'static,
    T: Send + 'static,
{
    gate.into_gate_filter()
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

/// A refusal on its way past the filter that must not run. It never leaves [`gate_before`].
#[derive(Debug)]
struct Passing(AuthRejection);

impl Reject for Passing {}
