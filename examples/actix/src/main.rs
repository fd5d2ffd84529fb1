//! Runs the example application in actix-web: `cargo run -p example-actix`, with `--help` for its
//! settings.

use std::process::ExitCode;

use actix_web::rt;

#[actix_web::main]
async fn main() -> ExitCode {
    example_app::exit_code(run().await)
}

async fn run() -> anyhow::Result<()> {
    let (mut app, listener) = example_app::start().await?;
    app.announce(listener.local_addr()?);
    let server = example_actix::server(listener, move || example_actix::application(&app))?;
    let handle = server.handle();
    rt::spawn(async move {
        example_app::shutdown().await;
        handle.stop(true).await;
    });
    example_app::drained(server).await
}
