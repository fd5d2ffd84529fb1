//! Runs the example application in tonic: `cargo run -p example-tonic`. Add `-- --help` for its
//! settings.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    example_app::exit_code(example_tonic::run(example_tonic::router).await)
}
