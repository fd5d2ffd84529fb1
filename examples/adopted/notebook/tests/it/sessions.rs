//! Sessions of browsers, and how they end.

use crate::browser::{PASSWORD, World};

const DAY: u64 = 24 * 60;

#[tokio::test]
async fn a_page_stays_logged_in_while_it_is_used() {
    let world = World::open().await;
    let browser = world.registered("alice").await;
    for _ in 0..5 {
        // Longer than an access token lives.
        world.minutes(20);
        assert!(browser.is_logged_in().await);
        world.minutes(20);
        let page = browser.post("/notes", &[("text", "still here")]).await;
        assert_eq!((page.status, page.path.as_str()), (200, "/notes"));
    }
}

#[tokio::test]
async fn a_browser_forgets_the_user_when_it_is_closed_unless_it_should_remember() {
    let world = World::open().await;
    world.registered("alice").await;
    let guest = world.logged_in("alice", false).await;
    let own = world.logged_in("alice", true).await;
    guest.restart();
    own.restart();
    assert!(!guest.is_logged_in().await);
    assert!(own.is_logged_in().await);
    world.minutes(60 * DAY);
    assert!(own.is_logged_in().await);

    // A browser that restores its tabs keeps the cookies, but the session ends after a day.
    let tabs = world.logged_in("alice", false).await;
    world.minutes(DAY + 1);
    assert!(!tabs.is_logged_in().await);
}

#[tokio::test]
async fn a_logout_is_for_this_browser_alone() {
    let world = World::open().await;
    let laptop = world.registered("alice").await;
    let phone = world.logged_in("alice", true).await;
    assert_eq!(laptop.post("/logout", &[]).await.path, "/login");
    assert!(!laptop.is_logged_in().await);
    assert!(phone.is_logged_in().await);
    assert_eq!(
        laptop.post("/logout", &[]).await.path,
        "/login",
        "a second click"
    );
}

#[tokio::test]
async fn a_stale_tab_is_sent_to_the_login_and_posts_nothing() {
    let world = World::open().await;
    let laptop = world.registered("alice").await;
    let phone = world.logged_in("alice", true).await;
    // The phone's tab shows the form while the laptop logs out all devices.
    assert!(
        phone
            .visit("/notes")
            .await
            .html
            .contains(r#"action="/notes""#)
    );
    laptop.post("/devices/end-all", &[]).await;
    let page = phone.post("/notes", &[("text", "too late")]).await;
    assert_eq!(page.path, "/login?reason=revoked");
    assert!(page.html.contains("You are logged out."));
    let notes = phone.log_in("alice", PASSWORD, false).await;
    assert_eq!(
        (notes.path.as_str(), notes.html.contains("too late")),
        ("/notes", false)
    );
    assert_eq!(
        phone.post("/notes", &[("text", "in time")]).await.status,
        200
    );
    assert!(phone.visit("/notes").await.html.contains("in time"));
}

#[tokio::test]
async fn a_logout_everywhere_is_for_all_browsers_of_the_user() {
    let world = World::open().await;
    let laptop = world.registered("alice").await;
    let phone = world.logged_in("alice", true).await;
    let bob = world.registered("bob").await;
    let page = laptop.post("/devices/end-all", &[]).await;
    assert_eq!(
        (page.status, page.path.as_str()),
        (200, "/login?reason=revoked")
    );
    assert!(!laptop.is_logged_in().await);
    assert!(!phone.is_logged_in().await);
    assert!(bob.is_logged_in().await);
}

#[tokio::test]
async fn a_user_logs_one_device_out_from_another() {
    let world = World::open().await;
    let laptop = world.registered("alice").await;
    world.minutes(3 * 60);
    let phone = world.logged_in("alice", true).await;
    let page = phone.visit("/devices").await;
    assert!(
        page.html
            .contains("<li>phone <strong>this device</strong></li>"),
        "{page:?}"
    );
    assert!(
        page.html.contains("<li>laptop seen 3 hours ago"),
        "{page:?}"
    );
    let (_, rest) = page.html.split_once("/devices/").unwrap();
    let (id, _) = rest.split_once("/end").unwrap();
    let end = format!("/devices/{id}/end");

    // Another user can't end it.
    let bob = world.registered("bob").await;
    assert_eq!(bob.post(&end, &[]).await.status, 404);
    assert_eq!(phone.post("/devices/nonsense/end", &[]).await.status, 404);
    assert!(laptop.is_logged_in().await);

    let page = phone.post(&end, &[]).await;
    assert_eq!(page.path, "/devices?done=ended");
    assert!(!page.html.contains("laptop"), "{page:?}");
    assert!(!laptop.is_logged_in().await);
    assert!(phone.is_logged_in().await);
}

#[tokio::test]
async fn a_new_password_logs_the_other_browsers_out() {
    let world = World::open().await;
    let laptop = world.registered("alice").await;
    let phone = world.logged_in("alice", true).await;
    for (current, new, message) in [
        ("guess", "through-it", "This is not your password."),
        (PASSWORD, "short", "A password has at least 8 characters."),
    ] {
        let page = laptop
            .post("/password", &[("current", current), ("new", new)])
            .await;
        assert_eq!(
            (page.status, page.html.contains(message)),
            (422, true),
            "{page:?}"
        );
    }
    assert!(phone.is_logged_in().await);

    let form = [("current", PASSWORD), ("new", "through-it")];
    let page = laptop.post("/password", &form).await;
    assert_eq!(page.path, "/devices?done=password");
    assert!(page.html.contains("all other devices are logged out"));
    assert!(laptop.is_logged_in().await);
    assert!(!phone.is_logged_in().await);
    let old = phone.log_in("alice", PASSWORD, false).await;
    assert_eq!(old.path, "/login?reason=bad_credentials");
    assert_eq!(
        phone.log_in("alice", "through-it", false).await.path,
        "/notes"
    );
}

#[tokio::test]
async fn a_guesser_of_the_present_password_is_told_how_long_to_wait() {
    let world = World::open().await;
    let browser = world.registered("alice").await;
    let form = [("current", "guess"), ("new", "through-it")];
    let mut page = browser.post("/password", &form).await;
    for _ in 0..25 {
        if page.status != 422 {
            break;
        }
        page = browser.post("/password", &form).await;
    }
    assert_eq!(page.status, 429, "{page:?}");
    assert!(page.headers.contains_key("retry-after"), "{page:?}");
    assert!(page.html.contains("Too many attempts."), "{page:?}");
}

#[tokio::test]
async fn a_failure_of_the_database_is_no_wrong_password() {
    let world = World::open().await;
    let browser = world.registered("alice").await;
    let form = [("current", PASSWORD), ("new", "through-it")];
    // The gate keeps the account meanwhile.
    assert!(browser.is_logged_in().await);
    world.rename_users("users", "away");
    for _ in 0..25 {
        assert_eq!(browser.post("/password", &form).await.status, 503);
    }
    world.rename_users("away", "users");
    let page = browser.post("/password", &form).await;
    assert_eq!(page.path, "/devices?done=password", "{page:?}");
}
