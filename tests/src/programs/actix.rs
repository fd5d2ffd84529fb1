//! The example in actix-web, with the routes of the scenarios.

use std::{process::ExitCode, sync::OnceLock};

use gatepass_testkit::scenario::{Shop, Tools};
use gatepass_tests::frameworks::actix::{routes, start_others};

/// The shop and the tools, which all workers share.
static OTHERS: OnceLock<(Shop, Tools)> = OnceLock::new();

#[actix_web::main]
async fn main() -> ExitCode {
    example_app::exit_code(
        example_actix::run(|app, config| {
            let others = OTHERS.get_or_init(|| start_others(app));
            routes(app, others)(config)
        })
        .await,
    )
}
