//! The example in tonic. Its guarded routes are methods of its service, and all other routes are
//! HTTP.

mod driver;

use std::{any::Any, fmt, net::SocketAddr, time::Duration};

use ::axum::body::Body;
use ::tonic::transport::{Channel, Endpoint};
use async_trait::async_trait;
use gatepass_testkit::{
    ManualClock,
    scenario::{Driver, Opened, Request, Response, Setup, UserChange},
};
use tokio::{net::TcpListener, task::JoinSet};

pub use self::driver::router;
use super::{InProcess, call};
use crate::{
    application::{Application, World},
    sockets::OverSockets,
};

/// Starts the application in process.
pub async fn in_process(clock: ManualClock, setup: Setup) -> InProcess {
    let application = Application::start(clock, setup).await;
    let router = router(&application.app);
    InProcess::new(application, move |request, opened| {
        let router = router.clone();
        async move {
            match driver::method(&request) {
                Some(method) => driver::call(router, &method, &request).await,
                None => call::<_, Body, _>(router, request, opened).await,
            }
        }
    })
}

/// A driver with HTTP/1.1 for the endpoints, and one HTTP/2 connection for all calls.
pub struct OverBoth {
    http: OverSockets,
    /// The connection for calls.
    pub channel: Channel,
}

impl OverBoth {
    /// Connects to the application that `server` serves at `address`. `server` stops when it is
    /// dropped.
    pub async fn connect(
        world: impl World,
        address: SocketAddr,
        server: impl Any + Send + Sync,
    ) -> Self {
        // HTTP/2 names the host in the target, and that wins over a field `Host`.
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .unwrap()
            .origin("https://service.test".parse().unwrap());
        Self {
            http: OverSockets::new(world, address, server),
            channel: endpoint.connect().await.unwrap(),
        }
    }
}

impl fmt::Debug for OverBoth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OverBoth").field(&self.http).finish()
    }
}

/// Starts the application on a socket of this process.
pub async fn over_sockets(clock: ManualClock, setup: Setup) -> OverBoth {
    let application = Application::start(clock, setup).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = router(&application.app);
    // Dropping it aborts the task.
    let mut server = JoinSet::new();
    server.spawn(async move {
        let for_ever = std::future::pending();
        example_tonic::serve(router, listener, for_ever)
            .await
            .unwrap();
    });
    OverBoth::connect(application, address, server).await
}

#[async_trait]
impl Driver for OverBoth {
    async fn exchange(&self, request: Request, opened: Opened) -> Response {
        match driver::method(&request) {
            Some(method) => driver::call(self.channel.clone(), &method, &request).await,
            None => self.http.exchange(request, opened).await,
        }
    }

    async fn pass_time(&self, time: Duration) {
        self.http.pass_time(time).await;
    }

    async fn change_user(&self, name: &str, change: UserChange) {
        self.http.change_user(name, change).await;
    }

    async fn lose_sessions(&self) {
        self.http.lose_sessions().await;
    }
}
