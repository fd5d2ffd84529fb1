use std::iter;

use clap::Parser;
use gatepass::{Credentials, Issued, MasterSecret, MemoryStore, Refusal, Requirements};
use gatepass_testkit::ManualClock;

use super::*;
use crate::{app::App, settings::Settings};

const OVERLAP: Duration = Duration::from_secs(30);

async fn app() -> (App, ManualClock) {
    let clock = ManualClock::new();
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    let secret = MasterSecret::generate().unwrap();
    let settings = Settings::parse_from(["example", "--store", "memory"]);
    let app = App::with_store(&settings, secret, store, clock.clone()).await;
    (app.unwrap(), clock)
}

async fn log_in(app: &App) -> (Issued, Pass) {
    log_in_as(app, "alice", "alice-in-wonderland").await
}

async fn log_in_as(app: &App, name: &str, password: &str) -> (Issued, Pass) {
    let credentials = Credentials::new(name, password);
    let issued = app.authority.login(&credentials, Device::default()).await;
    let issued = issued.unwrap();
    let token = issued.access_token.as_str();
    let verifier = app.authority.verifier();
    let pass = verifier.verify(token, &Requirements::new()).await.unwrap();
    (issued, pass)
}

/// A request of a browser that has this refresh token in its cookie.
fn request(issued: &Issued) -> Brought {
    let cookie = format!("__Host-gatepass-refresh={}", issued.refresh_token.as_str());
    Brought::new(iter::empty(), iter::once(cookie.as_bytes()))
}

fn empty() -> Brought {
    Brought::new(iter::empty(), iter::empty())
}

async fn steal(app: &App, pass: &Pass, issued: &Issued) -> u64 {
    let answer = app.act(Action::Steal, pass, request(issued)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["wait_ms"].as_u64().unwrap()
}

async fn replay(app: &App, pass: &Pass) -> (u64, Option<String>) {
    let answer = app.act(Action::Replay, pass, empty()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let reason = answer.body["reason"].as_str().map(str::to_owned);
    (answer.body["status"].as_u64().unwrap(), reason)
}

#[tokio::test]
async fn a_thief_who_is_slower_than_two_refreshes_ends_the_session() {
    let (app, clock) = app().await;
    let (issued, pass) = log_in(&app).await;
    assert_eq!(
        steal(&app, &pass, &issued).await,
        0,
        "a login is no rotation"
    );

    let mut mine = issued;
    for _ in 0..2 {
        let next = app.authority.refresh(mine.refresh_token.as_str()).await;
        mine = next.unwrap();
        clock.advance(OVERLAP + Duration::from_millis(400));
    }
    assert_eq!(replay(&app, &pass).await, (401, Some("reused".to_owned())));

    let refused = app.authority.refresh(mine.refresh_token.as_str()).await;
    let ended = matches!(refused, Err(Error::Refused(Refusal::SessionEnded)));
    assert!(ended, "{refused:?}");
    let answer = app.act(Action::Replay, &pass, empty()).await;
    assert_eq!(answer.status, 409, "the copy is worthless: {answer:?}");
}

#[tokio::test]
async fn a_thief_who_refreshes_twice_makes_the_users_own_token_the_old_one() {
    let (app, clock) = app().await;
    let (issued, pass) = log_in(&app).await;
    steal(&app, &pass, &issued).await;
    for _ in 0..2 {
        assert_eq!(replay(&app, &pass).await, (200, None));
        clock.advance(OVERLAP + Duration::from_millis(400));
    }
    let refused = app.authority.refresh(issued.refresh_token.as_str()).await;
    assert!(
        matches!(refused, Err(Error::Refused(Refusal::Reused))),
        "{refused:?}"
    );
    assert_eq!(
        replay(&app, &pass).await,
        (401, Some("session_ended".to_owned()))
    );
}

#[tokio::test]
async fn the_page_is_told_how_long_a_refresh_brings_no_new_token() {
    let (app, clock) = app().await;
    let (issued, pass) = log_in(&app).await;
    let next = app.authority.refresh(issued.refresh_token.as_str()).await;
    let next = next.unwrap();
    for (later, wait) in [(0, 30_000), (10, 20_000), (20, 0), (20, 0)] {
        clock.advance(Duration::from_secs(later));
        assert_eq!(steal(&app, &pass, &next).await, wait);
    }
}

#[tokio::test]
async fn no_answer_has_a_token() {
    let (app, _) = app().await;
    let (issued, pass) = log_in(&app).await;
    let stolen = app.act(Action::Steal, &pass, request(&issued)).await;
    let replayed = app.act(Action::Replay, &pass, empty()).await;
    for answer in [stolen, replayed] {
        let body = answer.body.to_string();
        assert!(!body.contains("gpr_") && !body.contains("eyJ"), "{body}");
    }
    assert!(!format!("{app:?}").contains("gpr_"));
}

#[tokio::test]
async fn nothing_is_stolen_without_a_cookie_and_a_thief_needs_a_copy() {
    let (app, _) = app().await;
    let (_, pass) = log_in(&app).await;
    let answer = app.act(Action::Steal, &pass, empty()).await;
    assert_eq!(
        (answer.status, &answer.body["reason"]),
        (400, &"nothing_to_steal".into())
    );
    let answer = app.act(Action::Replay, &pass, empty()).await;
    assert_eq!(
        (answer.status, &answer.body["reason"]),
        (409, &"not_stolen".into())
    );
}

#[tokio::test]
async fn a_real_user_beside_the_demo_users_has_no_thief() {
    let (app, clock) = app().await;
    // A table can hold Bob as a real user beside Alice, whom it marks as a demo user.
    let demo = Demo::new(
        app.authority.clone(),
        Arc::new(clock),
        OVERLAP,
        CookieNames::new(false),
        Arc::new(["alice".to_owned()]),
        None,
    );
    let (issued, pass) = log_in(&app).await;
    let answer = demo.act(Action::Steal, &pass, request(&issued)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let (issued, pass) = log_in_as(&app, "bob", "bob-the-builder").await;
    let answer = demo.act(Action::Steal, &pass, request(&issued)).await;
    assert_eq!(
        (answer.status, &answer.body["reason"]),
        (403, &"not_a_demo_user".into())
    );
    let answer = demo.act(Action::Replay, &pass, empty()).await;
    assert_eq!(answer.status, 409, "nothing was copied: {answer:?}");
}

#[tokio::test]
async fn the_process_keeps_the_copies_of_a_bounded_number_of_sessions() {
    let (app, _) = app().await;
    let thief: Thief = Mutex::default();
    let (issued, pass) = log_in(&app).await;
    let stolen = || Stolen {
        refresh_token: Zeroizing::new(issued.refresh_token.as_str().to_owned()),
        client: pass.client_id().clone(),
    };
    for number in 0..2 * THIEVES {
        let mut bytes = *pass.session_id().as_bytes();
        bytes[..8].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
        keep(&thief, SessionId::from_bytes(bytes), stolen());
    }
    assert_eq!(lock(&thief).len(), THIEVES);
}

#[tokio::test]
async fn real_users_have_no_thief() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("users.json");
    std::fs::write(
        &file,
        r#"[{"username":"alice","password":"alice-in-wonderland"}]"#,
    )
    .unwrap();
    let users = file.to_str().unwrap();
    let settings = Settings::parse_from(["example", "--store", "memory", "--users", users]);
    let app = App::start(&settings).await.unwrap();
    assert!(app.actions().is_empty());
    let (issued, pass) = log_in(&app).await;
    for action in [Action::Steal, Action::Replay, Action::Peer] {
        let answer = app.act(action, &pass, request(&issued)).await;
        assert_eq!(answer.status, 404, "{answer:?}");
    }
}
