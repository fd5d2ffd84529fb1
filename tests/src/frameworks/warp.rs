//! The example in warp.

use ::axum::body::Bytes;
use ::warp::{Filter, Rejection, Reply};
use example_app::App;
use gatepass_testkit::{ManualClock, scenario::Setup};
use gatepass_warp::{Auth, gate_from_layer, gated};
use http_body_util::Full;
use tokio::{net::TcpListener, task::JoinSet};

use super::{InProcess, call};
use crate::{application::Application, sockets::OverSockets};

/// The example's routes, with one whose gate was forgotten.
pub fn routes(
    app: &App,
) -> impl Filter<Extract = (impl Reply + use<>,), Error = Rejection>
+ Clone
+ Send
+ Sync
+ 'static
+ use<> {
    async fn unguarded(_: Auth) -> &'static str {
        "this handler must never run"
    }

    let unguarded = gated(
        ::warp::path!("unguarded").and(::warp::get()),
        gate_from_layer(),
        unguarded,
    );
    example_warp::routes(app).or(unguarded)
}

/// Starts it in process.
pub async fn in_process(clock: ManualClock, setup: Setup) -> InProcess {
    let application = Application::start(clock, setup).await;
    let app = application.app.clone();
    InProcess::new(application, move |request| {
        call::<_, Full<Bytes>, _>(example_warp::service(&app, routes(&app)), request)
    })
}

/// Starts its routes alone, by warp's own server.
pub async fn by_warps_own_server(clock: ManualClock, setup: Setup) -> OverSockets {
    let application = Application::start(clock, setup).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    let routes = routes(&application.app);
    server.spawn(::warp::serve(routes).incoming(listener).run());
    OverSockets::new(application, address, server)
}
