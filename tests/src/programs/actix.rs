//! The example in actix-web, with the routes of the scenarios.

use std::{process::ExitCode, sync::OnceLock};

use gatepass_testkit::scenario::Shop;
use gatepass_tests::frameworks::actix::{routes, start_shop};

/// The one shop of all workers.
static SHOP: OnceLock<Shop> = OnceLock::new();

#[actix_web::main]
async fn main() -> ExitCode {
    example_app::exit_code(
        example_actix::run(|app, config| {
            let shop = SHOP.get_or_init(|| start_shop(app));
            routes(app, shop)(config)
        })
        .await,
    )
}
