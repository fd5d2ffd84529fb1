//! The example in actix, with the routes of the scenarios.

use std::process::ExitCode;

use actix_web::rt;
use gatepass_tests::frameworks;

#[actix_web::main]
async fn main() -> ExitCode {
    example_app::exit_code(run().await)
}

async fn run() -> anyhow::Result<()> {
    let (mut app, listener) = example_app::start().await?;
    app.announce(listener.local_addr()?);
    let server = example_actix::server(listener, move || {
        let routes = frameworks::actix::routes(&app);
        example_actix::application(&app).configure(routes)
    })?;
    let handle = server.handle();
    rt::spawn(async move {
        example_app::shutdown().await;
        handle.stop(true).await;
    });
    example_app::drained(server).await
}
