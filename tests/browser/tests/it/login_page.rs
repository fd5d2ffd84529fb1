//! The way to the login page and back.

use gatepass_browser_tests::{
    browser::Browser,
    example::{Example, OUT, logged_in},
    in_each_framework,
};
use gatepass_tests::conformance::Framework;

in_each_framework!(
    a_browser_without_a_session_is_sent_to_the_login_page_and_back,
    the_login_page_goes_to_no_other_site,
);

async fn a_browser_without_a_session_is_sent_to_the_login_page_and_back(framework: Framework) {
    let example = Example::start(framework).await;
    let browser = Browser::start().await;
    let account = format!("{}/account?tab=sessions", example.origin);
    browser.open(&account).await;
    browser.until(OUT).await;
    let url = browser.url().await;
    assert!(
        url.starts_with(&format!("{}/?", example.origin)) && url.contains("reason=missing"),
        "{url}"
    );
    let said = browser.text("#return-to").await;
    assert!(said.contains("/account?tab=sessions"), "{said}");
    browser
        .picture(&format!("login-page-{}", framework.name()))
        .await;

    browser.type_into("#username", "alice").await;
    browser.type_into("#password", "alice-in-wonderland").await;
    browser.click("#login").await;
    browser.until("document.querySelector('#subject')").await;
    assert_eq!(browser.url().await, account);
    assert_eq!(browser.text("#subject").await, "alice");
    assert!(!browser.url().await.contains("wonderland"));
}

async fn the_login_page_goes_to_no_other_site(framework: Framework) {
    let example = Example::start(framework).await;
    let browser = Browser::start().await;
    for elsewhere in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "/%09/evil.example/",
        "/.//evil.example/",
        "/a/..//evil.example/",
        "/%252e//evil.example/",
        "javascript:alert(1)",
        "",
    ] {
        let url = format!(
            "{}/?return_to={}",
            example.origin,
            elsewhere.replace('\\', "%5C")
        );
        browser.open(&url).await;
        browser.until(OUT).await;
        let hidden = browser.value("document.querySelector('#return-to').hidden");
        assert_eq!(hidden.await, true, "{elsewhere}");
        browser.click("[data-user=alice]").await;
        browser.until(&logged_in()).await;
        assert!(browser.url().await.starts_with(&example.origin));
        browser.click("#logout").await;
        browser.until(OUT).await;
    }
}
