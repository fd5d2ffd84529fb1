//! Runs the example application in axum: `cargo run -p example-axum`, with `--help` for its settings.

use std::{net::SocketAddr, process::ExitCode};

use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    example_app::exit_code(run().await)
}

async fn run() -> anyhow::Result<()> {
    let (mut app, listener) = example_app::start().await?;
    let listener = TcpListener::from_std(listener)?;
    app.announce(listener.local_addr()?);
    // With the address of the connection, which the list of sessions shows.
    let service = example_axum::router(&app).into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, service).with_graceful_shutdown(example_app::shutdown());
    example_app::drained(server.into_future()).await
}
