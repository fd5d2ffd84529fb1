//! Two devices of one user.

use gatepass_browser_tests::{
    browser::Browser,
    example::{Example, OUT, ask, notice},
    in_each_framework,
};
use gatepass_tests::conformance::Framework;

in_each_framework!(
    a_session_that_is_ended_on_one_device_is_over_on_the_other_at_once,
    a_logout_everywhere_ends_the_session_of_the_other_device,
);

async fn a_session_that_is_ended_on_one_device_is_over_on_the_other_at_once(framework: Framework) {
    let example = Example::start(framework).await;
    let (one, other) = (Browser::start().await, Browser::start().await);
    example.log_in(&other).await;
    let session = other.text("#who-session").await;
    assert_eq!(ask(&other, "GET /me").await, 200);
    example.log_in(&one).await;

    // The node that ends the session enforces that at once. Other nodes do within `max_staleness`.
    one.click(&format!("[data-end='{session}']")).await;
    one.until(&format!(
        "!document.querySelector('[data-session=\"{session}\"]')"
    ))
    .await;
    assert_ne!(ask(&other, "GET /me").await, 200);
    other.until(OUT).await;
    other.until(&notice("ended", "session_ended")).await;
    other.reload().await;
    other.until(OUT).await;
    assert_eq!(ask(&one, "GET /me").await, 200);
}

async fn a_logout_everywhere_ends_the_session_of_the_other_device(framework: Framework) {
    let example = Example::start(framework).await;
    let (one, other) = (Browser::start().await, Browser::start().await);
    example.log_in(&other).await;
    example.log_in(&one).await;
    one.click("#logout-all").await;
    one.until(OUT).await;
    one.until("document.querySelector('#exchanges [data-path=\"/auth/logout-all\"]')")
        .await;
    assert_ne!(ask(&other, "GET /me").await, 200);
    other.until(OUT).await;
}
