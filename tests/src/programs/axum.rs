//! The example in axum, with the routes of the scenarios.

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
    let router = gatepass_tests::frameworks::axum::router(&app);
    example_app::drained(example_axum::serve(
        router,
        listener,
        example_app::shutdown(),
    ))
    .await
}
