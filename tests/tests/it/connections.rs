//! Connections of the examples over real sockets. They end with their session, and send the reason.

mod grpc;
mod page;
mod web_sockets;

use std::{any::Any, future::pending, net::SocketAddr, sync::Arc, time::Duration};

use example_app::App;
use gatepass::{
    Device, Identity, Issued, MemoryStore, Pass, Requirements, Scopes, Subject,
    store::StoreErrorKind,
};
use gatepass_testkit::{ManualClock, Op, StoreFault, TestStore};
use gatepass_tests::application::Application;
use test_support::actix::{self, Served};
use tokio::{net::TcpListener, task::JoinSet};

const DOWN: StoreFault = StoreFault::Fail(StoreErrorKind::Unavailable);
const SECOND: Duration = Duration::from_secs(1);
/// The time after which an access token of the example has expired, including the leeway.
const EXPIRY: Duration = Duration::from_secs(930);
/// How long each step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// An example on a socket of this process.
struct Site {
    address: SocketAddr,
    application: Application,
    store: TestStore,
    clock: ManualClock,
    _server: Box<dyn Any + Send>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framework {
    Axum,
    Actix,
    Warp,
    Tonic,
}

impl Site {
    async fn start(framework: Framework) -> Self {
        let clock = ManualClock::new();
        let store = TestStore::new(MemoryStore::with_clock(clock.clone())).durable();
        let application = Application::over(Arc::new(store.clone()), clock.clone()).await;
        let app = application.app.clone();
        let (server, address): (Box<dyn Any + Send>, _) = if framework == Framework::Actix {
            let (listener, address) = actix::listener();
            let server = example_actix::server(listener, move || example_actix::application(&app));
            (Box::new(Served::new(server.unwrap())), address)
        } else {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let mut server = JoinSet::new();
            match framework {
                Framework::Axum => {
                    let router = example_axum::router(&app);
                    server.spawn(async {
                        drop(example_axum::serve(router, listener, pending()).await)
                    })
                }
                Framework::Warp => {
                    let service = example_warp::service(&app, example_warp::routes(&app));
                    server.spawn(async {
                        drop(example_warp::serve(listener, service, pending()).await)
                    })
                }
                _ => {
                    let router = example_tonic::router(&app);
                    server.spawn(async {
                        drop(example_tonic::serve(router, listener, pending()).await)
                    })
                }
            };
            (Box::new(server), address)
        };
        Self {
            address,
            application,
            store,
            clock,
            _server: server,
        }
    }

    fn app(&self) -> &App {
        &self.application.app
    }

    async fn login(&self) -> Issued {
        // The user's current rights, so that a refresh doesn't change them.
        let scopes = Scopes::parse("profile").unwrap();
        let identity = Identity::of(Subject::new("alice").unwrap()).scopes(scopes);
        let issued = self.app().authority.issue(identity, Device::default());
        issued.await.unwrap()
    }

    async fn pass(&self, issued: &Issued) -> Pass {
        let verifier = self.app().authority.verifier();
        let token = issued.access_token.as_str();
        verifier.verify(token, &Requirements::new()).await.unwrap()
    }

    /// Ends the connections of a session in this way.
    async fn end(&self, way: Way, issued: &Issued) {
        let authority = &self.app().authority;
        match way {
            Way::Logout => {
                let token = issued.access_token.as_str();
                authority.logout(token).await.unwrap();
            }
            Way::LogoutEverywhere => {
                let alice = Subject::new("alice").unwrap();
                authority.logout_all(&alice).await.unwrap();
            }
            Way::Revocation => {
                let pass = self.pass(issued).await;
                authority.revoke_token(&pass).await.unwrap();
            }
            Way::Expiry => {
                // Connections check the clock twice a minute, and immediately if the node has lost
                // its lease. The reason "expired" comes before a lost store.
                self.store.inject(Op::Pull, DOWN);
                self.clock.advance(EXPIRY);
            }
            Way::LostStore => {
                self.store.inject_everywhere(DOWN);
                self.clock.advance(3 * SECOND);
            }
        }
    }
}

/// A way to end connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Logout,
    LogoutEverywhere,
    Revocation,
    Expiry,
    LostStore,
}

impl Way {
    const ALL: [Self; 5] = [
        Self::Logout,
        Self::LogoutEverywhere,
        Self::Revocation,
        Self::Expiry,
        Self::LostStore,
    ];

    fn reason(self) -> &'static str {
        match self {
            Self::Logout | Self::LogoutEverywhere | Self::Revocation => "revoked",
            Self::Expiry => "expired",
            Self::LostStore => "store_unavailable",
        }
    }
}
