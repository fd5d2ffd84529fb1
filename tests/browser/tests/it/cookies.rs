//! The cookies of a session, as a browser keeps them.

use gatepass_browser_tests::{
    browser::Browser,
    example::{ACCESS, Example, OUT, REFRESH, ask, logged_in},
    in_each_framework,
};
use gatepass_tests::conformance::Framework;
use serde_json::json;
use thirtyfour::common::cookie::SameSite;

in_each_framework!(
    a_login_sets_two_cookies_that_no_script_can_read_or_replace,
    a_login_stays_after_a_reload_and_a_restart_of_the_browser,
    no_token_is_in_the_page_its_storage_a_url_or_the_log,
    a_logout_takes_both_cookies_away,
);

async fn a_login_sets_two_cookies_that_no_script_can_read_or_replace(framework: Framework) {
    let example = Example::start(framework).await;
    let browser = Browser::start().await;
    example.log_in(&browser).await;

    let cookies = browser.cookies().await;
    let mut names: Vec<_> = cookies.iter().map(|cookie| cookie.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, [ACCESS, REFRESH]);
    for cookie in &cookies {
        let name = &cookie.name;
        assert_eq!(cookie.http_only, Some(true), "{name}");
        assert_eq!(cookie.secure, Some(true), "{name}");
        assert_eq!(cookie.path.as_deref(), Some("/"), "{name}");
        // A cookie for subdomains would have a dot before the domain.
        assert_eq!(cookie.domain.as_deref(), Some("127.0.0.1"), "{name}");
        assert!(matches!(cookie.same_site, Some(SameSite::Lax)), "{name}");
        assert!(cookie.expiry.is_some(), "{name} ends with the browser");
    }

    assert_eq!(browser.value("document.cookie").await, json!(""));
    let value = browser.cookie(REFRESH).await;
    for attributes in ["", "; Secure; Path=/", "; Secure; Path=/; Max-Age=0"] {
        let written = format!("{REFRESH}=planted{attributes}");
        browser
            .run(&format!("document.cookie = {}", json!(written)))
            .await;
    }
    assert_eq!(browser.cookie(REFRESH).await, value);
    assert_eq!(ask(&browser, "GET /me").await, 200);
}

async fn a_login_stays_after_a_reload_and_a_restart_of_the_browser(framework: Framework) {
    let example = Example::start(framework).await;
    let browser = Browser::start().await;
    example.log_in(&browser).await;
    let session = browser.text("#who-session").await;

    browser.reload().await;
    browser.until(&logged_in()).await;
    assert_eq!(browser.text("#who-session").await, session);

    let browser = browser.restart().await;
    browser.open(&example.origin).await;
    browser.until(&logged_in()).await;
    assert_eq!(browser.text("#who-session").await, session);
    assert_eq!(ask(&browser, "GET /me").await, 200);
}

async fn no_token_is_in_the_page_its_storage_a_url_or_the_log(framework: Framework) {
    let example = Example::start(framework).await;
    let browser = Browser::start().await;
    example.log_in(&browser).await;
    let mut tokens: Vec<_> = browser.cookies().await;
    browser.click("#refresh").await;
    browser
        .until("document.querySelector('#refreshed').textContent")
        .await;
    tokens.extend(browser.cookies().await);
    assert_eq!(ask(&browser, "POST /profile").await, 200);

    let readable = "JSON.stringify([
        document.cookie, { ...localStorage }, { ...sessionStorage }, window.name, history.state,
        location.href, document.referrer, document.documentElement.outerHTML,
        performance.getEntries().map(({ name }) => name),
    ])";
    let readable = browser.value(readable).await;
    let readable = readable.as_str().unwrap();
    let log = example.program.log();
    assert!(log.contains("gatepass"), "it logs nothing: {log}");
    for cookie in tokens {
        // Each part is secret: header, claims and signature of an access token.
        for part in cookie.value.split(['.', '~', '_']) {
            if part.len() > 20 {
                assert!(!readable.contains(part), "{} can be read", cookie.name);
                assert!(!log.contains(part), "{} is in the log", cookie.name);
            }
        }
        assert!(
            !readable.contains(&cookie.value),
            "{} can be read",
            cookie.name
        );
        assert!(
            !log.contains(&cookie.value),
            "{} is in the log",
            cookie.name
        );
    }
}

async fn a_logout_takes_both_cookies_away(framework: Framework) {
    let example = Example::start(framework).await;
    let browser = Browser::start().await;
    example.log_in(&browser).await;
    browser.click("#logout").await;
    browser.until(OUT).await;
    browser
        .until("document.querySelector('#exchanges [data-path=\"/auth/logout\"]')")
        .await;
    assert!(browser.cookies().await.is_empty());
    assert_eq!(ask(&browser, "GET /me").await, 401);

    browser.reload().await;
    browser.until(OUT).await;
    assert_eq!(ask(&browser, "GET /me").await, 401);
}
