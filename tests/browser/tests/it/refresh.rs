//! Refreshes that the user doesn't notice.

use gatepass_browser_tests::{
    browser::Browser,
    example::{ACCESS, Example, PAST_EXPIRY, PAST_OVERLAP, REFRESH, ask, logged_in},
    in_each_framework,
};
use gatepass_tests::conformance::Framework;

in_each_framework!(
    the_page_refreshes_when_the_access_token_has_expired,
    a_page_of_the_server_is_refreshed_by_its_gate,
    several_pages_at_once_are_refreshed_to_one_session,
);

async fn the_page_refreshes_when_the_access_token_has_expired(framework: Framework) {
    let example = Example::start(framework).await;
    let browser = Browser::start().await;
    example.log_in(&browser).await;
    let session = browser.text("#who-session").await;
    for _ in 0..3 {
        let before = browser.cookie(ACCESS).await.unwrap();
        example.pass(PAST_EXPIRY).await;
        assert_eq!(ask(&browser, "GET /me").await, 200);
        assert_ne!(browser.cookie(ACCESS).await.unwrap(), before);
        browser
            .until(
                "document.querySelector('#exchanges [data-path=\"/me\"][data-reason=expired]') \
                 && document.querySelector('#exchanges [data-path=\"/auth/refresh\"][data-status=\"200\"]')",
            )
            .await;
    }
    browser.reload().await;
    browser.until(&logged_in()).await;
    assert_eq!(browser.text("#who-session").await, session);
}

async fn a_page_of_the_server_is_refreshed_by_its_gate(framework: Framework) {
    let example = Example::start(framework).await;
    let browser = Browser::start().await;
    example.log_in(&browser).await;
    let account = format!("{}/account", example.origin);
    for _ in 0..3 {
        let before = browser.cookie(REFRESH).await.unwrap();
        example.pass(PAST_EXPIRY).await;
        browser.open(&account).await;
        assert_eq!(browser.text("#subject").await, "alice");
        assert_eq!(browser.url().await, account);
        assert_ne!(browser.cookie(REFRESH).await.unwrap(), before);
    }
    // The page's own script continues with the cookies that the gate has set.
    browser.open(&example.origin).await;
    browser.until(&logged_in()).await;
    assert_eq!(ask(&browser, "GET /me").await, 200);
}

async fn several_pages_at_once_are_refreshed_to_one_session(framework: Framework) {
    let example = Example::start(framework).await;
    let browser = Browser::start().await;
    example.log_in(&browser).await;
    let session = browser.text("#who-session").await;
    example.pass(PAST_EXPIRY).await;
    // As when a browser restores its tabs of yesterday: each brings the same spent cookies.
    let subjects = browser
        .run(
            "const open = async () => {
                 const answer = await fetch('/account', { headers: { accept: 'text/html' } });
                 const text = await answer.text();
                 return new DOMParser().parseFromString(text, 'text/html')
                     .querySelector('#subject')?.textContent ?? answer.url;
             };
             return Promise.all(Array.from({ length: 6 }, open)).then((all) => all.join());",
        )
        .await;
    assert_eq!(subjects, "alice,alice,alice,alice,alice,alice");
    example.pass(PAST_OVERLAP).await;
    assert_eq!(ask(&browser, "GET /me").await, 200);
    assert_eq!(browser.text("#who-session").await, session);
}
