//! The routes, and the layers of tower around them.

use std::{convert::Infallible, error::Error, fmt, path::Path, time::Duration};

use gatepass::{Authority, Clock, MasterSecret, Requirements, Scopes, wire::Endpoints};
use gatepass_sqlite::SqliteStore;
use gatepass_warp::{GateLayer, PeerAddr, gate, gate_before, gate_from_layer, gated, routes};
use http::{HeaderValue, Request, header::CACHE_CONTROL};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use serde::de::DeserializeOwned;
use tokio::{net::TcpListener, time::sleep};
use tower::{Layer, ServiceExt, service_fn};
use warp::{
    Filter, Rejection,
    filters::BoxedFilter,
    reply::{Reply, Response},
};

use crate::{
    database::Database,
    error::of_rejection,
    keys::{self, admission::admitted},
    parts,
    passwords::Passwords,
    users::Users,
};

/// How long ago a user may have logged in who makes or revokes a key.
const RECENTLY: Duration = Duration::from_secs(300);

/// The service, over its database.
pub struct Service {
    database: Database,
    users: Users,
    authority: Authority,
}

impl Service {
    /// Opens the database, which also has the sessions.
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
        clock: impl Clock + Clone,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let sessions = SqliteStore::builder(path).clock(clock.clone()).open()?;
        let database = Database::open(path)?;
        let users = Users::new(database.clone(), Passwords::new()?);
        let authority = Authority::builder("https://parts.example", "parts-api", secret, sessions)
            .authenticator(users.clone())
            .clock(clock)
            .build()
            .await?;
        Ok(Self {
            database,
            users,
            authority,
        })
    }

    /// Adds a user, or changes the password and the scopes of one.
    ///
    /// # Errors
    ///
    /// That these are no scopes, or the error of the database.
    pub async fn set_user(
        &self,
        name: &str,
        password: &str,
        scopes: &str,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let scopes = Scopes::parse(scopes)?;
        Ok(self.users.set(name, password, &scopes).await?)
    }

    /// Answers the connections of `listener`, for as long as the process runs.
    pub async fn serve(&self, listener: TcpListener) -> Infallible {
        let database = self.database.clone();
        let api = warp::service(self.api());
        let keyed = service_fn(move |request: Request<Incoming>| {
            let (database, api) = (database.clone(), api.clone());
            async move {
                let has_key = request.headers().contains_key("x-api-key");
                let mut response = match admitted(&database, request).await {
                    Ok(request) => api.oneshot(request).await?,
                    Err(refused) => refused,
                };
                if has_key {
                    // Shared caches know `Authorization`, and not this header.
                    let caching = response.headers_mut().entry(CACHE_CONTROL);
                    caching.or_insert(HeaderValue::from_static("private"));
                }
                Ok::<_, Infallible>(response)
            }
        });
        // The gate of the routes that take keys. It is not around the endpoints: a client that
        // refreshes may send its old access token.
        let optional = Requirements::new().optional();
        let keyed = GateLayer::new(&self.authority)
            .require(optional)
            .layer(keyed);
        let people = warp::service(self.people());
        let app = service_fn(move |request: Request<Incoming>| {
            let (keyed, people) = (keyed.clone(), people.clone());
            async move {
                if request.uri().path().starts_with("/api/") {
                    keyed.oneshot(request).await
                } else {
                    people.oneshot(request).await
                }
            }
        });
        loop {
            let Ok((stream, address)) = listener.accept().await else {
                sleep(Duration::from_secs(1)).await; // too many connections: wait until some are closed
                continue;
            };
            let app = app
                .clone()
                .map_request(move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(PeerAddr(address));
                    request
                });
            let mut server = http1::Builder::new();
            server
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(30));
            let connection =
                server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
            tokio::spawn(connection);
        }
    }

    /// The routes for machines and people.
    fn api(&self) -> BoxedFilter<(Response,)> {
        let list = warp::path!("api" / "parts")
            .and(warp::get())
            .and(self.database());
        let set = warp::path!("api" / "parts" / String)
            .and(warp::put())
            .and(self.database());
        let whoami = warp::path!("api" / "whoami").and(warp::get());
        let routes = gated(list, gate_from_layer(), parts::list)
            .or(gated(
                set,
                gate_before(gate_from_layer(), json()),
                parts::set,
            ))
            .unify()
            .or(gated(whoami, gate_from_layer(), parts::whoami))
            .unify();
        answering_rejections(routes.boxed())
    }

    /// The routes for people alone.
    fn people(&self) -> BoxedFilter<(Response,)> {
        let gate = gate(&self.authority);
        let recent = gate.clone().require(Requirements::new().max_age(RECENTLY));
        let list = warp::path!("keys").and(warp::get()).and(self.database());
        let create = warp::path!("keys").and(warp::post()).and(self.database());
        let revoke = warp::path!("keys" / i64)
            .and(warp::delete())
            .and(self.database());
        let endpoints = Endpoints::new(self.authority.clone());
        let routes = gated(list, gate, keys::list)
            .or(gated(
                create,
                gate_before(recent.clone(), json()),
                keys::create,
            ))
            .unify()
            .or(gated(revoke, recent, keys::revoke))
            .unify()
            .or(routes(endpoints).map(Reply::into_response))
            .unify();
        answering_rejections(routes.boxed())
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

fn json<T: DeserializeOwned + Send>() -> impl Filter<Extract = (T,), Error = Rejection> + Copy {
    warp::body::content_length_limit(16 * 1024).and(warp::body::json())
}

fn answering_rejections(routes: BoxedFilter<(Response,)>) -> BoxedFilter<(Response,)> {
    routes
        .recover(async |rejection: Rejection| {
            Ok::<_, Infallible>(of_rejection(&rejection).into_response())
        })
        .unify()
        .boxed()
}
