//! Several tabs of one browser.

use gatepass_browser_tests::{
    browser::Browser,
    example::{Example, OUT, PAST_EXPIRY, ask, logged_in, notice},
    in_each_framework,
};
use gatepass_tests::conformance::Framework;
use thirtyfour::WindowHandle;

in_each_framework!(
    three_tabs_that_refresh_at_once_stay_logged_in,
    three_tabs_without_a_lock_refresh_at_once_and_stay_logged_in,
    a_logout_in_one_tab_ends_all,
);

/// Logs in, and opens the session in three tabs. The last one is the current tab.
async fn three(example: &Example, browser: &Browser) -> [WindowHandle; 3] {
    example.log_in(browser).await;
    let first = browser.tab().await;
    let mut tabs = Vec::from([first]);
    for _ in 0..2 {
        tabs.push(browser.open_tab(&example.origin).await);
        browser.until(&logged_in()).await;
    }
    tabs.try_into().unwrap()
}

/// Makes all tabs do the same thing at the same moment.
async fn at_once(browser: &Browser, tabs: &[WindowHandle], act: &str) {
    for tab in tabs {
        browser.switch_to(tab).await;
        browser
            .run(&format!(
                "const start = new BroadcastChannel('start of a test');
                 window.started = null;
                 start.onmessage = () => {{
                     window.started = (async () => {{ {act} }})();
                     window.started.then((result) => {{ window.result = result; }});
                 }};"
            ))
            .await;
    }
    // A channel doesn't receive its own messages.
    browser
        .run("new BroadcastChannel('start of a test').postMessage('now')")
        .await;
}

async fn three_tabs_that_refresh_at_once_stay_logged_in(framework: Framework) {
    let example = Example::start(framework).await;
    let browser = Browser::start().await;
    let tabs = three(&example, &browser).await;
    let session = browser.text("#who-session").await;
    example.pass(PAST_EXPIRY).await;
    at_once(
        &browser,
        &tabs,
        "document.querySelector('[data-call=\"GET /me\"]').click();",
    )
    .await;
    for tab in &tabs {
        browser.switch_to(tab).await;
        browser
            .until("document.querySelector('#answer').dataset.status === '200'")
            .await;
        browser.until(&logged_in()).await;
        assert_eq!(browser.text("#who-session").await, session);
    }
}

async fn three_tabs_without_a_lock_refresh_at_once_and_stay_logged_in(framework: Framework) {
    let example = Example::start(framework).await;
    let browser = Browser::start().await;
    let tabs = three(&example, &browser).await;
    for _ in 0..3 {
        example.pass(PAST_EXPIRY).await;
        // As a page that ignores other tabs: all send the same refresh token.
        at_once(
            &browser,
            &tabs,
            "window.result = undefined;
             const answer = await fetch('/auth/refresh', { method: 'POST' });
             return answer.status;",
        )
        .await;
        for tab in &tabs {
            browser.switch_to(tab).await;
            browser.until("window.result").await;
            assert_eq!(browser.value("window.result").await, 200);
        }
    }
    for tab in &tabs {
        browser.switch_to(tab).await;
        assert_eq!(ask(&browser, "GET /me").await, 200);
    }
}

async fn a_logout_in_one_tab_ends_all(framework: Framework) {
    let example = Example::start(framework).await;
    let browser = Browser::start().await;
    let tabs = three(&example, &browser).await;
    browser.click("#logout").await;
    // The tabs are logged out before the server has answered and removed the cookies.
    browser
        .until("document.querySelector('#exchanges [data-path=\"/auth/logout\"]')")
        .await;
    for tab in &tabs {
        browser.switch_to(tab).await;
        // They send no request. Each learns it from the tab that has logged out.
        browser.until(OUT).await;
        browser.until(&notice("ended", "logged_out")).await;
        assert!(browser.cookies().await.is_empty());
    }
    for tab in &tabs {
        browser.switch_to(tab).await;
        assert_eq!(ask(&browser, "GET /me").await, 401);
    }
}
