//! The example in actix-web, with the routes of the scenarios.

use std::process::ExitCode;

use gatepass_tests::frameworks::actix::routes;

#[actix_web::main]
async fn main() -> ExitCode {
    example_app::exit_code(example_actix::run(|app, config| routes(app)(config)).await)
}
