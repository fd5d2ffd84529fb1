//! Every scenario holds in every framework, in process and against the example's own program. Each
//! reply is the same in all of them.

use gatepass_testkit::scenario;
use gatepass_tests::conformance::{EXCEPTIONS, hold};

macro_rules! tests {
    ($($name:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                hold(&scenario::$name()).await;
            }
        )*
    };
}

gatepass_testkit::with_scenarios!([tests]);

#[test]
fn exceptions_are_of_scenarios_that_there_are() {
    let names: Vec<_> = scenario::all()
        .iter()
        .map(scenario::Scenario::name)
        .collect();
    for exception in EXCEPTIONS {
        assert!(names.contains(&exception.scenario), "{exception:?}");
        assert!(!exception.reason.is_empty(), "{exception:?}");
    }
}
