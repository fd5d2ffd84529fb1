//! Rights that change while a user is logged in.

use gatepass_browser_tests::{
    browser::Browser,
    example::{Example, ask},
    in_each_framework,
};
use gatepass_tests::conformance::Framework;

use crate::page::assert_no_barriers;

in_each_framework!(
    the_page_goes_on_with_a_right_that_was_given_and_without_one_that_was_taken_away,
);

async fn the_page_goes_on_with_a_right_that_was_given_and_without_one_that_was_taken_away(
    framework: Framework,
) {
    let example = Example::start(framework).await;
    let browser = Browser::start().await;
    example.log_in(&browser).await;
    let session = browser.text("#who-session").await;
    assert_eq!(browser.text("#who-scope").await, "profile");
    assert_eq!(ask(&browser, "GET /admin").await, 403);

    browser.click("#promote").await;
    browser.until(&shows("given", "admin profile")).await;
    let offered = exchange("[data-path='/me'][data-status='200'][data-hint=grant_changed]");
    assert_eq!(browser.value(&offered).await, 1);
    let refreshes = exchange("[data-path='/auth/refresh'][data-status='200']");
    assert_eq!(browser.value(&refreshes).await, 1);
    assert_eq!(ask(&browser, "GET /admin").await, 200);

    browser.click("#demote").await;
    browser.until(&shows("taken", "profile")).await;
    let stale = exchange("[data-path='/me'][data-status='401'][data-reason=stale_grant]");
    assert_eq!(browser.value(&stale).await, 1);
    assert_eq!(browser.value(&refreshes).await, 2);
    assert_eq!(ask(&browser, "GET /admin").await, 403);

    assert_eq!(browser.text("#who-session").await, session);
    let logins = exchange("[data-path='/auth/login']");
    assert_eq!(browser.value(&logins).await, 1, "only the one by hand");
    let said = browser.text("#rights-result").await;
    assert!(said.contains("gave no password"), "{said}");
    browser
        .run("return Promise.all(document.getAnimations().map(({ finished }) => finished)).then(() => null)")
        .await;
    assert_no_barriers(&browser, "rights have changed").await;
    browser
        .picture(&format!("rights-{}", framework.name()))
        .await;
}

/// The demonstration is in this state, and the page shows these scopes.
fn shows(state: &str, scope: &str) -> String {
    format!(
        "document.querySelector('#rights').dataset.state === '{state}' \
         && document.querySelector('#who-scope').textContent === '{scope}'"
    )
}

/// How many exchanges of this kind the page lists.
fn exchange(selector: &str) -> String {
    format!("document.querySelectorAll(\"#exchanges {selector}\").length")
}
