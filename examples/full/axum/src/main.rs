//! Runs the example application in axum: `cargo run -p example-axum`. Add `-- --help` for its
//! settings.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    example_app::exit_code(example_axum::run(example_axum::router).await)
}
