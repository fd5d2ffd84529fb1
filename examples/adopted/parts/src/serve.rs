//! Serves so that no client holds a connection for ever, as the docs of gatepass-warp show.

use std::{convert::Infallible, time::Duration};

use gatepass_warp::PeerAddr;
use hyper::{Request, body::Body, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, time::sleep};
use tower::{Layer, Service, ServiceExt};
use tower_http::timeout::RequestBodyDeadlineLayer;
use warp::{filters::BoxedFilter, reply::Response};

/// How long a client may take to send the head of a request.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// How long a client may take to send a body. Longer than gatepass waits for one, so that gatepass
/// can answer with the reason.
const BODY_PATIENCE: Duration = Duration::from_secs(15);

pub(crate) async fn serve(listener: TcpListener, routes: BoxedFilter<(Response,)>) -> Infallible {
    let app = bounded(routes);
    loop {
        let Ok((stream, address)) = listener.accept().await else {
            // Too many connections: wait until some close.
            sleep(Duration::from_secs(1)).await;
            continue;
        };
        let app = app.clone().map_request(move |mut request: Request<_>| {
            request.extensions_mut().insert(PeerAddr(address));
            request
        });
        let mut server = http1::Builder::new();
        server
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE);
        let service = TowerToHyperService::new(app);
        tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
    }
}

/// The routes, for bodies that arrive in time. Breaks off a slower body.
fn bounded<B>(
    routes: BoxedFilter<(Response,)>,
) -> impl Service<Request<B>, Response = Response, Error = Infallible, Future: Send> + Clone
where
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Sync + 'static,
{
    RequestBodyDeadlineLayer::new(BODY_PATIENCE).layer(warp::service(routes))
}

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;
    use hyper::body::{Bytes, Frame};
    use serde_json::Value;
    use tokio::time::Instant;
    use warp::{Filter, Reply};

    use super::*;
    use crate::service::answering_rejections;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_refused_after_fifteen_seconds() {
        let routes = warp::body::json().map(|body: Value| warp::reply::json(&body).into_response());
        let never = futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>();
        let begun = Instant::now();
        let app = bounded(answering_rejections(routes.boxed()));
        let answer = app.oneshot(Request::new(StreamBody::new(never))).await;
        assert_eq!(answer.unwrap().status(), 400);
        assert_eq!(begun.elapsed().as_secs(), 15);
    }
}
