//! Runs the example application in tonic: `cargo run -p example-tonic`, with `--help` for its
//! settings.

use std::{io, process::ExitCode};

use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    example_app::exit_code(run().await)
}

async fn run() -> anyhow::Result<()> {
    let (app, listener) = example_app::start().await?;
    let listener = TcpListener::from_std(listener)?;
    app.announce_with(listener.local_addr()?, include_str!("transcript.sh"));
    let server = example_tonic::serve(
        example_tonic::router(&app),
        listener,
        example_app::shutdown(),
    );
    example_app::drained(async { server.await.map_err(io::Error::other) }).await
}
