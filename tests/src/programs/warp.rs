//! The example in warp, with the routes of the scenarios.

use std::process::ExitCode;

use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    example_app::exit_code(run().await)
}

async fn run() -> anyhow::Result<()> {
    let (mut app, listener) = example_app::start().await?;
    let listener = TcpListener::from_std(listener)?;
    app.announce(listener.local_addr()?);
    let service = example_warp::service(&app, gatepass_tests::frameworks::warp::routes(&app));
    let server = example_warp::serve(listener, service, example_app::shutdown());
    example_app::drained(server).await
}
