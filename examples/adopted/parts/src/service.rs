//! The routes with their gates.

use std::{convert::Infallible, error::Error, fmt, path::Path, sync::Arc, time::Duration};

use example_passwords::Passwords;
use gatepass::{
    Authority, Change, Clock, MasterSecret, Requirements, Scopes, Subject, wire::Endpoints,
};
use gatepass_sqlite::SqliteStore;
use gatepass_warp::{
    Auth, AuthRejection, Authorized, IntoGateFilter, Scoped, gate, gate_before, gated, routes,
};
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use warp::{
    Filter, Rejection,
    filters::BoxedFilter,
    http::{HeaderValue, header::CACHE_CONTROL},
    reply::{Reply, Response},
};

use crate::{
    caller::{Caller, Write},
    database::Database,
    error::of_rejection,
    keys::{self, admission::admit},
    parts,
    serve::serve,
    users::Users,
};

/// Maximum age of the login of a user who makes or revokes a key.
const RECENTLY: Duration = Duration::from_secs(300);

/// The service, over its database.
pub struct Service {
    database: Database,
    users: Users,
    sessions: SqliteStore,
    authority: Authority,
}

impl Service {
    /// Opens the database, which also stores the sessions.
    ///
    /// ```no_run
    /// use example_parts::Service;
    /// use gatepass::{MasterSecret, SystemClock};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// let service = Service::start("parts.db".as_ref(), MasterSecret::generate()?, SystemClock).await?;
    /// service.set_user("admin", "looking-glass", "parts:read parts:write").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// The error of the database.
    pub async fn start(
        path: &Path,
        secret: MasterSecret,
        clock: impl Clock,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let clock = Arc::new(clock);
        let sessions = SqliteStore::builder(path)
            .clock(Arc::clone(&clock))
            .open()?;
        let database = Database::open(path)?;
        let users = Users::new(database.clone(), Passwords::new()?);
        let authority = Authority::builder(
            "https://parts.example",
            "parts-api",
            secret,
            sessions.clone(),
        )
        .authenticator(users.clone())
        .clock(clock)
        .build()
        .await?;
        Ok(Self {
            database,
            users,
            sessions,
            authority,
        })
    }

    /// Adds a user, or changes the password and the scopes of one. Another password ends the user's
    /// sessions. Other scopes are those of the sessions that go on.
    ///
    /// # Errors
    ///
    /// An error if `name` or `scopes` can't be parsed, and the error of the database. Call it again
    /// then: the password may have changed, and the scopes of the sessions not.
    pub async fn set_user(
        &self,
        name: &str,
        password: &str,
        scopes: &str,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let scopes = Scopes::parse(scopes)?;
        let subject = Subject::new(name)?;
        let owner = (&self.sessions, self.authority.account(&subject));
        self.users.set(name, password, &scopes, owner).await?;
        // This node refuses the ended sessions from the next request on.
        self.authority.verifier().catch_up().await?;
        // Also if the user had these scopes: the last call may have failed here.
        let change = Change::enforced(move |identity| Ok(identity.scopes(scopes.clone())));
        self.authority.change(&subject, &change).await?;
        Ok(())
    }

    /// Answers the connections of `listener`, for as long as the process runs.
    pub async fn serve(&self, listener: TcpListener) {
        let routes = self.api().or(self.people()).unify();
        serve(listener, answering_rejections(routes.boxed())).await;
    }

    /// The routes for machines and people. The endpoints aren't behind this gate, because a client
    /// that refreshes may send its old access token.
    fn api(&self) -> BoxedFilter<(Response,)> {
        let optional = gate(&self.authority).require(Requirements::new().optional());
        let database = self.database.clone();
        let callers = optional.and_then(move |state, head| admit(database.clone(), state, head));
        let list = warp::path!("api" / "parts")
            .and(warp::get())
            .and(self.database());
        let set = warp::path!("api" / "parts" / String)
            .and(warp::put())
            .and(self.database())
            .and(json::<(Caller, Scoped<Write>), _>(callers.clone()));
        let whoami = warp::path!("api" / "whoami").and(warp::get());
        gated(list, callers.clone(), parts::list)
            .or(gated(set, callers.clone(), parts::set))
            .unify()
            .or(gated(whoami, callers, parts::whoami))
            .unify()
            // Shared caches know `Authorization`, but not the header of a key.
            .map(private)
            .boxed()
    }

    /// The routes for people.
    fn people(&self) -> BoxedFilter<(Response,)> {
        let gate = gate(&self.authority);
        let recent = gate.clone().require(Requirements::new().max_age(RECENTLY));
        let list = warp::path!("keys").and(warp::get()).and(self.database());
        let create = warp::path!("keys")
            .and(warp::post())
            .and(self.database())
            .and(json::<Auth, _>(recent.clone()));
        let revoke = warp::path!("keys" / i64)
            .and(warp::delete())
            .and(self.database());
        let endpoints = Endpoints::new(self.authority.clone());
        gated(list, gate, keys::list)
            .or(gated(create, recent.clone(), keys::create))
            .unify()
            .or(gated(revoke, recent, keys::revoke))
            .unify()
            .or(routes(endpoints).map(Reply::into_response))
            .unify()
            .boxed()
    }

    fn database(
        &self,
    ) -> impl Filter<Extract = (Database,), Error = Infallible> + Clone + Send + Sync + 'static
    {
        let database = self.database.clone();
        warp::any().map(move || database.clone())
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

/// The JSON body of a request that `gate` lets through for `A`. So a client without access learns
/// nothing about faults of its body. The gate of the route judges the request again when the body
/// is complete, because that may take long. For example, a key that was revoked meanwhile changes
/// nothing.
fn json<A, T>(gate: impl IntoGateFilter<A>) -> BoxedFilter<(Result<T, AuthRejection>,)>
where
    A: Send + 'static,
    T: DeserializeOwned + Send + 'static,
{
    let body = warp::body::content_length_limit(16 * 1024).and(warp::body::json());
    gate_before(gate, body)
        .map(|read: Result<Authorized<(A, T)>, AuthRejection>| {
            let (_, body) = read?.into_extracted();
            Ok(body)
        })
        .boxed()
}

fn private(mut response: Response) -> Response {
    let caching = response.headers_mut().entry(CACHE_CONTROL);
    caching.or_insert(HeaderValue::from_static("private"));
    response
}

pub(crate) fn answering_rejections(routes: BoxedFilter<(Response,)>) -> BoxedFilter<(Response,)> {
    routes
        .recover(async |rejection: Rejection| {
            Ok::<_, Infallible>(of_rejection(&rejection).into_response())
        })
        .unify()
        .boxed()
}
