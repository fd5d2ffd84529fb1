//! The example in tonic, with the routes of the scenarios.

use std::{io, process::ExitCode};

use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    example_app::exit_code(run().await)
}

async fn run() -> anyhow::Result<()> {
    let (app, listener) = example_app::start().await?;
    let listener = TcpListener::from_std(listener)?;
    app.announce_with(
        listener.local_addr()?,
        include_str!("../../../examples/tonic/src/transcript.sh"),
    );
    let server = example_tonic::serve(
        gatepass_tests::frameworks::tonic::router(&app),
        listener,
        example_app::shutdown(),
    );
    example_app::drained(async { server.await.map_err(io::Error::other) }).await
}
