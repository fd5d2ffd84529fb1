//! A service for the tests of your own handlers.

#![expect(
    clippy::unwrap_used,
    reason = "a test whose service doesn't start has nothing to go on with"
)]

use std::{
    future::{Future, IntoFuture},
    iter,
    net::TcpListener,
    pin::Pin,
};

use gatepass::{
    Authority, AuthorityBuilder, Identity, MasterSecret, MemoryStore, Pass, Requirements, Scopes,
    Transport,
    wire::{Delivery, Endpoints, RequestHead},
};
use serde::Serialize;
use tokio::task::JoinHandle;

use crate::{clock::ManualClock, test_store::TestStore};

/// A service for the tests of your own handlers: an [`Authority`] with its own store in memory, and
/// a clock that your test sets.
///
/// Give its authority to your application, and log users in by one line. This example tests a
/// handler in axum. The other frameworks work the same way:
///
/// ```
/// use axum::{Router, body::Body, http::{Request, StatusCode}, routing::get};
/// use gatepass_axum::{Auth, Authority, GateLayer, Requirements, Scopes};
/// use gatepass_testkit::TestService;
/// use tower::ServiceExt;
///
/// /// Your application.
/// fn app(authority: &Authority) -> Router {
///     let admins = Requirements::new().scopes(Scopes::parse("admin").unwrap());
///     let report = async |Auth(pass): Auth| format!("for {}", pass.subject());
///     Router::new().route("/report", get(report).route_layer(GateLayer::new(authority).require(admins)))
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let service = TestService::start().await;
/// for (scopes, status) in [("profile admin", StatusCode::OK), ("profile", StatusCode::FORBIDDEN)] {
///     let alice = service.logged_in("alice").scopes(scopes).await;
///     let request = Request::get("/report").header("authorization", alice.bearer());
///     let request = request.body(Body::empty()).unwrap();
///     let response = app(service.authority()).oneshot(request).await.unwrap();
///     assert_eq!(response.status(), status);
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TestService {
    authority: Authority,
    clock: ManualClock,
}

impl TestService {
    /// Starts a service that takes bearer tokens and cookies. Its issuer is `https://service.test`.
    pub async fn start() -> Self {
        Self::configured(|builder| builder).await
    }

    /// Starts a service with further settings. For example, with your own
    /// [`Authenticator`](gatepass::Authenticator):
    ///
    /// ```
    /// use gatepass_testkit::{OnePassword, TestService};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let users = OnePassword::new("wonderland");
    /// let service = TestService::configured(|builder| builder.authenticator(users)).await;
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If gatepass refuses the settings.
    pub async fn configured(configure: impl FnOnce(AuthorityBuilder) -> AuthorityBuilder) -> Self {
        let clock = ManualClock::new();
        // Counts as durable, as a store of production does, so no request asks it.
        let store = TestStore::new(MemoryStore::with_clock(clock.clone())).durable();
        let secret = MasterSecret::generate().unwrap();
        let builder = Authority::builder("https://service.test", "service", secret, store)
            .transport(Transport::Both)
            .clock(clock.clone());
        let authority = configure(builder).build().await.unwrap();
        Self { authority, clock }
    }

    /// The authority, for your application.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The clock of the service. For example, an access token has expired after
    /// `service.clock().advance(Duration::from_secs(1000))`.
    #[must_use]
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// Logs a user in. Set the scopes and claims, if any, and await it.
    ///
    /// ```
    /// use gatepass_testkit::TestService;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let service = TestService::start().await;
    /// let alice = service.logged_in("alice").scopes("admin").await;
    /// assert!(alice.pass().scopes().contains("admin"));
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If `subject` is not a valid subject.
    pub fn logged_in(&self, subject: &str) -> TestLogin {
        self.logged_in_as(Identity::new(subject).unwrap())
    }

    /// Logs a user in with this identity.
    pub fn logged_in_as(&self, identity: Identity) -> TestLogin {
        TestLogin {
            authority: self.authority.clone(),
            identity,
        }
    }
}

/// A login that a test is about to do, from [`TestService::logged_in`].
#[derive(Debug)]
#[must_use = "await it to log the user in"]
pub struct TestLogin {
    authority: Authority,
    identity: Identity,
}

impl TestLogin {
    /// Gives the user these scopes, separated by spaces.
    ///
    /// # Panics
    ///
    /// If `scopes` is not a valid list of scopes.
    pub fn scopes(mut self, scopes: &str) -> Self {
        self.identity = self.identity.scopes(Scopes::parse(scopes).unwrap());
        self
    }

    /// Gives the user these custom claims.
    ///
    /// # Panics
    ///
    /// If gatepass refuses them as custom claims.
    pub fn claims(mut self, claims: &impl Serialize) -> Self {
        self.identity = self.identity.claims(claims).unwrap();
        self
    }
}

impl IntoFuture for TestLogin {
    type Output = TestUser;
    type IntoFuture = Pin<Box<dyn Future<Output = TestUser> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self {
                authority,
                identity,
            } = self;
            let endpoints = Endpoints::new(authority.clone());
            let head = RequestHead::new("POST", "/", |_| iter::empty());
            let delivered = endpoints.issue(identity, &head, Delivery::Cookies).await;
            let delivered = delivered.unwrap();
            let set = delivered.headers();
            let set = set.filter(|(name, _)| *name == "set-cookie");
            let cookies = set.filter_map(|(_, cookie)| {
                let (name, value) = cookie.split(';').next()?.split_once('=')?;
                Some((name.to_owned(), value.to_owned()))
            });
            let token = delivered.issued().access_token.as_str();
            let requirements = Requirements::new();
            let pass = authority.verifier().verify(token, &requirements).await;
            TestUser {
                pass: pass.unwrap(),
                cookies: cookies.collect(),
                bearer: format!("Bearer {token}"),
            }
        })
    }
}

/// A user who is logged in to a [`TestService`], with credentials in every form.
#[derive(Clone)]
pub struct TestUser {
    pass: Pass,
    bearer: String,
    cookies: Vec<(String, String)>,
}

impl TestUser {
    /// The value of the header `Authorization`: `Bearer eyJ…`.
    #[must_use]
    pub fn bearer(&self) -> &str {
        &self.bearer
    }

    /// The access token without `Bearer`.
    #[must_use]
    pub fn access_token(&self) -> &str {
        self.bearer.trim_start_matches("Bearer ")
    }

    /// The value of the header `Cookie`, as a browser sends it.
    #[must_use]
    pub fn cookie(&self) -> String {
        let pairs = self.cookies.iter();
        let pairs = pairs.map(|(name, value)| format!("{name}={value}"));
        Vec::from_iter(pairs).join("; ")
    }

    /// The names and values of the cookies, for a browser that your test drives.
    #[must_use]
    pub fn cookies(&self) -> &[(String, String)] {
        &self.cookies
    }

    /// The pass that a handler gets, for a test that calls the handler as a function:
    /// `my_handler(Auth(alice.pass())).await`.
    #[must_use]
    pub fn pass(&self) -> Pass {
        self.pass.clone()
    }
}

impl std::fmt::Debug for TestUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TestUser").field(&self.pass).finish()
    }
}

/// Your application on a port of this machine, for tests with a browser. The server stops when you
/// drop it.
///
/// ```no_run
/// use axum::Router;
/// use gatepass_testkit::{TestServer, TestService};
///
/// # fn app(_: &gatepass::Authority) -> Router { Router::new() }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// // Browsers send cookies to http://localhost that are not `Secure`.
/// let service = TestService::configured(|builder| builder.danger_insecure_cookies_on_localhost()).await;
/// let app = app(service.authority());
/// let server = TestServer::start(|listener| async {
///     let listener = tokio::net::TcpListener::from_std(listener).unwrap();
///     axum::serve(listener, app).await.unwrap();
/// });
/// let alice = service.logged_in("alice").await;
/// println!("open {} with the cookies {:?}", server.url(), alice.cookies());
/// # }
/// ```
#[derive(Debug)]
pub struct TestServer {
    url: String,
    serving: JoinHandle<()>,
}

impl TestServer {
    /// Starts a server. `serve` gets a non-blocking listener, and serves your application on it.
    ///
    /// # Panics
    ///
    /// If the machine has no free port, or if you call it outside of a tokio runtime.
    pub fn start<F>(serve: impl FnOnce(TcpListener) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        Self {
            url: format!("http://localhost:{port}"),
            serving: tokio::spawn(serve(listener)),
        }
    }

    /// Its URL, without a slash at the end: `http://localhost:41234`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
