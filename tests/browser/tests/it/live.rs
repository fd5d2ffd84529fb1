//! A connection of the page that stays open.

use gatepass_browser_tests::{browser::Browser, example::Example, in_each_framework};
use gatepass_tests::conformance::Framework;

use crate::page::assert_no_barriers;

in_each_framework!(a_connection_of_the_page_is_cut_when_its_session_ends);

async fn a_connection_of_the_page_is_cut_when_its_session_ends(framework: Framework) {
    let example = Example::start(framework).await;
    let browser = Browser::start().await;
    example.log_in(&browser).await;

    browser.click("#live-open").await;
    let open = "document.querySelector('#live').dataset.state === 'open'";
    let told = "!document.querySelector('#live-result').textContent.includes(': 0 events')";
    browser.until(&format!("{open} && {told}")).await;
    browser.click("#logout").await;
    let ended = "document.querySelector('#live').dataset.state === 'ended'";
    browser.until(ended).await;
    let reason = "document.querySelector('#live').dataset.reason";
    assert_eq!(browser.value(reason).await, "revoked");
    let said = browser.text("#live-result").await;
    assert!(said.contains("the session is over"), "{said}");
    browser
        .run("return Promise.all(document.getAnimations().map(({ finished }) => finished)).then(() => null)")
        .await;
    assert_no_barriers(&browser, "a connection was cut").await;
    browser.picture(&format!("live-{}", framework.name())).await;
}
