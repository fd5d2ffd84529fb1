//! The output of `cargo xtask demo` is safe to show: it contains no token and no password.

use std::sync::Mutex;

use gatepass_testkit::{
    ManualClock,
    scenario::{self, CLIENTS, USERS, run},
};
use gatepass_tests::{frameworks::axum, narrator::Narrator};

static TOLD: Mutex<String> = Mutex::new(String::new());

fn tell(line: &str) {
    TOLD.lock().unwrap().push_str(&format!("{line}\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_and_no_password_is_told() {
    let mut exchanges = 0;
    // Each place that can contain a token or a password, and places that must not contain one.
    for scenario in [
        scenario::seed_auto_login(),
        scenario::seed_token_endpoint(),
        scenario::a_password_is_not_accepted_from_anywhere_but_the_body(),
        scenario::a_token_in_the_query_is_not_read(),
        scenario::two_authorizations_are_refused(),
        scenario::a_confidential_client_shows_its_secret_by_basic_or_in_the_body(),
        scenario::every_endpoint_takes_cookies(),
    ] {
        let driver = axum::in_process(ManualClock::new(), scenario.setup()).await;
        let narrator = Narrator::new(driver, tell);
        run(&scenario, &narrator).await.unwrap();
        exchanges += narrator.exchanges();
    }
    let told = TOLD.lock().unwrap();
    let lines = told.lines().filter(|line| line.contains(" -> "));
    assert_eq!(lines.count(), exchanges);
    let passwords = USERS.map(|(_, password, _)| password);
    let secrets = CLIENTS.into_iter().filter_map(|(_, secret)| secret);
    for secret in ["eyJ", "gpr_"].into_iter().chain(passwords).chain(secrets) {
        let shown = told.lines().find(|line| line.contains(secret));
        assert_eq!(shown, None, "{secret}");
    }
}
