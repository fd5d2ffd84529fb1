//! The parts of the scenarios' tools that are the same in each framework.

use std::sync::{LazyLock, mpsc};

use example_app::App;
use gatepass::{Requirements, Scopes};
use gatepass_testkit::scenario::Tools;
use tokio::runtime::{Builder, Runtime};

use super::shop::Of;

/// Frameworks make their routes in synchronous code, but the tools first fetch the keys of an
/// issuer.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut runtime = Builder::new_multi_thread();
    runtime.worker_threads(1).enable_all().build().unwrap()
});

/// Starts the tools with the application's clock.
pub(super) fn start(app: &App) -> Tools {
    let clock = Of::new(app);
    let (tools, started) = mpsc::channel();
    RUNTIME.spawn(async move { tools.send(Tools::start(clock).await.unwrap()) });
    started.recv().unwrap()
}

/// The requirements of the reports, and of the route for the service's own users.
pub(super) fn requirements() -> [Requirements; 2] {
    let reports = Requirements::new().scopes(Scopes::parse("admin").unwrap());
    [reports, Requirements::new().own_issuer()]
}
