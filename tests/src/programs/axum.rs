//! The example in axum, with the routes of the scenarios.

use std::process::ExitCode;

use gatepass_tests::frameworks;

#[tokio::main]
async fn main() -> ExitCode {
    example_app::exit_code(example_axum::run(frameworks::axum::router).await)
}
