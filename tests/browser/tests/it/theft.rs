//! A refresh cookie that a thief copied.

use gatepass_browser_tests::{
    browser::Browser,
    example::{Example, OUT, PAST_OVERLAP, REFRESH, notice},
    in_each_framework,
};
use gatepass_tests::conformance::Framework;
use reqwest::header::{COOKIE, SET_COOKIE};
use serde_json::Value;

in_each_framework!(
    a_copy_that_is_used_after_the_overlap_ends_the_session_and_the_page_says_so,
    a_thief_who_is_faster_is_caught_by_the_page,
    the_page_plays_the_theft_to_its_end,
);

/// A thief's refresh with a copied cookie. Returns the status, and the new cookie or the reason of
/// the refusal.
async fn refresh(example: &Example, stolen: &str) -> (u16, String) {
    let answer = reqwest::Client::new()
        .post(format!("{}/auth/refresh", example.origin))
        .header(COOKIE, format!("{REFRESH}={stolen}"))
        .send()
        .await
        .unwrap();
    let status = answer.status().as_u16();
    let brought = answer.headers().get_all(SET_COOKIE).iter().find_map(|set| {
        let set = set.to_str().unwrap().strip_prefix(REFRESH)?;
        Some(set.strip_prefix('=')?.split(';').next()?.to_owned())
    });
    let said: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default();
    let reason = said["reason"].as_str().unwrap_or_default().to_owned();
    (status, brought.unwrap_or(reason))
}

/// Presses the button, and waits until the page has another refresh token.
async fn refresh_by_the_page(browser: &Browser) {
    let before = browser.cookie(REFRESH).await.unwrap();
    browser
        .run("document.querySelector('#exchanges').replaceChildren()")
        .await;
    browser.click("#refresh").await;
    browser
        .until(
            "document.querySelector('#exchanges [data-path=\"/auth/refresh\"][data-status=\"200\"]')",
        )
        .await;
    assert_ne!(browser.cookie(REFRESH).await.unwrap(), before);
}

async fn a_copy_that_is_used_after_the_overlap_ends_the_session_and_the_page_says_so(
    framework: Framework,
) {
    let example = Example::start(framework).await;
    let browser = Browser::start().await;
    example.log_in(&browser).await;
    let stolen = browser.cookie(REFRESH).await.unwrap();
    refresh_by_the_page(&browser).await;
    // Within the overlap, the service takes the copy for a second tab's token, and the thief gets
    // nothing newer.
    assert_eq!(refresh(&example, &stolen).await.0, 200);
    example.pass(PAST_OVERLAP).await;
    refresh_by_the_page(&browser).await;
    example.pass(PAST_OVERLAP).await;
    assert_eq!(refresh(&example, &stolen).await, (401, "reused".to_owned()));

    browser.click("[data-call='GET /me']").await;
    browser.until(OUT).await;
    browser.until(&notice("ended", "session_ended")).await;
    let said = browser.text("#notice").await;
    assert!(said.contains("ended") && said.contains("copy"), "{said}");
}

async fn a_thief_who_is_faster_is_caught_by_the_page(framework: Framework) {
    let example = Example::start(framework).await;
    let browser = Browser::start().await;
    example.log_in(&browser).await;
    let mut stolen = browser.cookie(REFRESH).await.unwrap();
    for _ in 0..2 {
        let (status, next) = refresh(&example, &stolen).await;
        assert_eq!(status, 200, "{next}");
        stolen = next;
        example.pass(PAST_OVERLAP).await;
    }
    browser.click("#refresh").await;
    browser.until(OUT).await;
    browser.until(&notice("ended", "reused")).await;
    let said = browser.text("#notice").await;
    assert!(said.contains("thief"), "{said}");
    browser
        .picture(&format!("theft-{}", framework.name()))
        .await;
    assert_eq!(refresh(&example, &stolen).await.0, 401);
}

async fn the_page_plays_the_theft_to_its_end(framework: Framework) {
    // The page waits by the browser's clock, so the overlap is short. The test moves the service's
    // clock when the page has begun to wait.
    let example = Example::with(framework, &["--overlap", "1s"]).await;
    let browser = Browser::start().await;
    example.log_in(&browser).await;
    browser.click("#steal").await;
    for step in 2..4 {
        browser
            .until(&format!(
                "document.querySelector('#thief-steps [data-step=\"{step}\"][data-state=done]')"
            ))
            .await;
        example.pass(PAST_OVERLAP).await;
    }
    browser
        .until("document.querySelector('#thief').dataset.state === 'caught'")
        .await;
    browser.until(OUT).await;
    browser.until(&notice("ended", "reused")).await;
}
