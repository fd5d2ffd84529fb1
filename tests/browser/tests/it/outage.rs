//! A store that the service can't reach.

use std::{io::Write, time::Duration};

use gatepass_browser_tests::{
    browser::Browser,
    example::{Example, ask, logged_in, notice},
    in_each_framework,
};
use gatepass_servers::{Directory, Durability, Redis};
use gatepass_tests::conformance::Framework;
use test_support::servers::{proxy_before, through};

use crate::page::assert_no_barriers;

in_each_framework!(an_outage_of_the_store_shows_as_such_and_ends_no_session);

async fn an_outage_of_the_store_shows_as_such_and_ends_no_session(framework: Framework) {
    let directory = Directory::make(std::env::temp_dir().join("gatepass-servers")).unwrap();
    let redis = Redis::start(&directory, Durability::None).unwrap();
    let proxy = proxy_before(&redis.url()).await;
    // Only the owner may read the file, or the example refuses it.
    let mut secret = tempfile::NamedTempFile::new().unwrap();
    let content = "0123456789abcdef".repeat(8);
    secret.write_all(content.as_bytes()).unwrap();
    let store = through(&redis.url(), &proxy);
    let flags = [
        "--store",
        &store,
        "--secret-file",
        secret.path().to_str().unwrap(),
    ];
    let example = Example::with(framework, &flags).await;
    let browser = Browser::start().await;
    example.log_in(&browser).await;
    let session = browser.text("#who-session").await;

    proxy.refuse();
    // The service may use its old data for `--max-staleness`.
    example.pass(Duration::from_secs(3)).await;
    browser.click("[data-call='GET /me']").await;
    browser
        .until(&notice("unavailable", "store_unavailable"))
        .await;
    assert_eq!(browser.value("document.body.dataset.state").await, "in");
    assert_no_barriers(&browser, "an outage").await;
    browser
        .picture(&format!("outage-{}", framework.name()))
        .await;
    assert_eq!(browser.cookies().await.len(), 2);

    proxy.heal();
    browser
        .until("document.querySelector('#notice').dataset.state === 'available'")
        .await;
    assert_eq!(ask(&browser, "GET /me").await, 200);
    assert_eq!(ask(&browser, "GET /strict").await, 200);
    browser.reload().await;
    browser.until(&logged_in()).await;
    assert_eq!(browser.text("#who-session").await, session);
}
