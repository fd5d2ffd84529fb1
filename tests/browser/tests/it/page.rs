//! The page itself: accessibility, and requests to others.

use gatepass_browser_tests::{
    browser::Browser,
    example::{Example, OUT, ask, notice},
    in_each_framework, tools,
};
use gatepass_tests::conformance::Framework;
use serde_json::Value;

in_each_framework!(
    the_page_has_no_barriers_in_any_state,
    the_page_asks_no_other_origin,
    a_name_of_a_device_is_text_and_never_markup,
);

/// Checks the current page for barriers with axe-core.
pub(crate) async fn assert_no_barriers(browser: &Browser, state: &str) {
    browser.run(&tools::axe()).await;
    let found = browser
        .run(
            "return axe.run({ resultTypes: ['violations'] }).then(({ violations, passes }) => ({
                 passes: passes.length,
                 violations: violations.map(({ id, help, nodes }) =>
                     `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ')}`),
             }))",
        )
        .await;
    assert_eq!(
        found["violations"],
        Value::Array(Vec::new()),
        "{state}: {:#}",
        found["violations"]
    );
    assert!(found["passes"].as_u64() > Some(10), "{state}: {found}");
}

async fn the_page_has_no_barriers_in_any_state(framework: Framework) {
    let example = Example::start(framework).await;
    let browser = Browser::start().await;
    let name = framework.name();
    browser.open(&example.origin).await;
    browser.until(OUT).await;
    assert_no_barriers(&browser, "logged out").await;
    browser.picture(&format!("logged-out-{name}")).await;

    example.log_in(&browser).await;
    browser.click("#add-device").await;
    browser
        .until("document.querySelectorAll('#sessions [data-session]').length === 2")
        .await;
    assert_eq!(ask(&browser, "GET /admin").await, 403);
    // Colours that are still fading in have less contrast than at the end.
    browser
        .run("return Promise.all(document.getAnimations().map(({ finished }) => finished)).then(() => null)")
        .await;
    assert_no_barriers(&browser, "logged in").await;
    browser.picture(&format!("logged-in-{name}")).await;

    browser.open(&format!("{}/account", example.origin)).await;
    browser.until("document.querySelector('#subject')").await;
    assert_no_barriers(&browser, "the account").await;
    browser.picture(&format!("account-{name}")).await;

    browser.open(&example.origin).await;
    browser.click("#logout").await;
    browser.until(&notice("ended", "logged_out")).await;
    browser
        .run("return Promise.all(document.getAnimations().map(({ finished }) => finished)).then(() => null)")
        .await;
    assert_no_barriers(&browser, "session ended").await;
    browser.picture(&format!("session-ended-{name}")).await;
}

async fn the_page_asks_no_other_origin(framework: Framework) {
    let example = Example::start(framework).await;
    let browser = Browser::start().await;
    example.log_in(&browser).await;
    browser.click("#refresh").await;
    assert_eq!(ask(&browser, "POST /profile").await, 200);
    browser.click("#logout").await;
    browser.until(OUT).await;
    let asked = browser
        .value("performance.getEntriesByType('resource').map(({ name }) => name)")
        .await;
    let asked = asked.as_array().unwrap();
    assert!(asked.len() > 8, "{asked:?}");
    for url in asked {
        let url = url.as_str().unwrap();
        assert!(url.starts_with(&format!("{}/", example.origin)), "{url}");
    }
    // The browser would also refuse it: the page may not do this, even with an attacker's script.
    let refused = browser
        .run(
            "return new Promise((done) => {
                 document.addEventListener('securitypolicyviolation', (event) =>
                     done(event.effectiveDirective), { once: true });
                 fetch('http://localhost:9/').catch(() => {});
             })",
        )
        .await;
    assert_eq!(refused, "connect-src");
}

async fn a_name_of_a_device_is_text_and_never_markup(framework: Framework) {
    let example = Example::start(framework).await;
    let browser = Browser::start().await;
    let device = "<img src=x onerror=\"window.markup=1\"><b id=markup>phone</b>";
    let login = serde_json::json!({
        "username": "alice", "password": "alice-in-wonderland", "device": device,
    });
    let answer = reqwest::Client::new()
        .post(format!("{}/auth/login", example.origin))
        .json(&login)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    example.log_in(&browser).await;
    browser
        .until("document.querySelectorAll('#sessions [data-session]').length === 2")
        .await;
    let listed = browser.text("#sessions").await;
    assert!(listed.contains(device), "{listed}");
    let markup = "document.querySelector('#markup, #sessions img')";
    assert_eq!(browser.value(markup).await, Value::Null);
}
