//! A real Chromium, driven over WebDriver, and the pages that the tests open in it. The tests are
//! in `tests/`.

#![expect(
    clippy::exhaustive_structs,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says where its pictures are"
)]

pub mod browser;
pub mod example;
pub mod site;
pub mod tools;
mod turn;

pub use self::turn::turn;

/// Mounts claims as tests for each framework that serves the page: `axum::claim`, `actix::claim`
/// and `warp::claim`.
#[macro_export]
macro_rules! in_each_framework {
    ($($claim:ident),+ $(,)?) => {
        $crate::in_each_framework!(axum Axum: $($claim),+);
        $crate::in_each_framework!(actix Actix: $($claim),+);
        $crate::in_each_framework!(warp Warp: $($claim),+);
    };
    ($module:ident $framework:ident: $($claim:ident),+) => {
        mod $module {
            $(
                #[tokio::test]
                async fn $claim() {
                    let framework = gatepass_tests::conformance::Framework::$framework;
                    $crate::turn(super::$claim(framework)).await;
                }
            )+
        }
    };
}
