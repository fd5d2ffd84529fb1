//! Runs the example application in actix-web: `cargo run -p example-actix`. Add `-- --help` for its
//! settings.

use std::process::ExitCode;

#[actix_web::main]
async fn main() -> ExitCode {
    example_app::exit_code(example_actix::run(|_, _| {}).await)
}
