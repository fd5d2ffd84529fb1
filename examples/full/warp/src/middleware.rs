//! The layers that every service needs around its routes.
//!
//! They come from tower-http, and wrap the routes as a [`warp::service`]. warp has no timeout and
//! no request ids. Its `cors` refuses the pages of the service's own origin if the list has other
//! origins.

use std::convert::Infallible;

use example_app::{App, tower as middleware};
use hyper::{
    Request, Response,
    body::{Body, Bytes},
};
use tower::{Service, ServiceBuilder};
use tower_http::trace::TraceLayer;
use warp::{Filter, Rejection, Reply};

/// The whole application, whose routes are `routes`.
pub fn service<B, F>(
    app: &App,
    routes: F,
) -> impl Service<
    Request<B>,
    Response = Response<impl Body<Data = Bytes, Error = warp::Error> + Send + use<B, F>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ use<B, F>
where
    B: Body<Error: std::error::Error + Send + Sync> + Send + Sync + 'static,
    F: Filter<Extract: Reply, Error = Rejection> + Clone + Send,
{
    let log = TraceLayer::new_for_http()
        .make_span_with(middleware::span)
        .on_response(middleware::log_response());
    // The outermost layer first.
    ServiceBuilder::new()
        .layer(middleware::identify())
        .layer(middleware::hide_credentials())
        .layer(log)
        .layer(middleware::tell_id())
        .layer(middleware::cors(app))
        .layer(middleware::cut_off())
        .service(warp::service(routes))
}
