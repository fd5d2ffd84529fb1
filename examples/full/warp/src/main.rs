//! Runs the example application in warp: `cargo run -p example-warp`. Add `-- --help` for its
//! settings.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    example_app::exit_code(example_warp::run(example_warp::routes).await)
}
