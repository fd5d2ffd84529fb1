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

/// A request of a browser with this refresh token in its cookie.
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

async fn scope_of(app: &App, token: &str) -> Result<(String, bool), Error> {
    let verifier = app.authority.verifier();
    let pass = verifier.verify(token, &Requirements::new()).await?;
    let scope = pass.scopes().as_str().to_owned();
    Ok((scope, pass.is_outdated()))
}

#[tokio::test]
async fn a_right_that_is_taken_away_is_gone_at_once_and_the_session_goes_on() {
    let (app, _) = app().await;
    let (issued, pass) = log_in_as(&app, "root", "root-of-all-evil").await;
    let (elsewhere, _) = log_in_as(&app, "root", "root-of-all-evil").await;
    let answer = app.act(Action::Demote, &pass, empty()).await;
    assert_eq!(
        (answer.status, answer.body),
        (200, json!({"scope": "profile", "sessions": 2}))
    );
    for old in [issued, elsewhere] {
        let refused = scope_of(&app, old.access_token.as_str()).await;
        let is_stale = matches!(refused, Err(Error::Refused(Refusal::StaleGrant)));
        assert!(is_stale, "{refused:?}");
        let new = app.authority.refresh(old.refresh_token.as_str()).await;
        let new = new.unwrap();
        assert_eq!(new.session_id, old.session_id);
        let scope = scope_of(&app, new.access_token.as_str()).await;
        assert_eq!(scope.unwrap(), ("profile".to_owned(), false));
    }
    let answer = app.act(Action::Demote, &pass, empty()).await;
    assert_eq!(answer.body["sessions"], 0, "there is nothing left to take");
}

#[tokio::test]
async fn a_right_that_is_given_is_offered_and_the_next_login_has_it_too() {
    let (app, _) = app().await;
    let (issued, pass) = log_in(&app).await;
    let answer = app.act(Action::Promote, &pass, empty()).await;
    assert_eq!(
        (answer.status, answer.body),
        (200, json!({"scope": "admin profile", "sessions": 1}))
    );
    let old = scope_of(&app, issued.access_token.as_str()).await;
    assert_eq!(old.unwrap(), ("profile".to_owned(), true));
    let new = app.authority.refresh(issued.refresh_token.as_str()).await;
    let new = scope_of(&app, new.unwrap().access_token.as_str()).await;
    assert_eq!(new.unwrap(), ("admin profile".to_owned(), false));
    let (next, _) = log_in(&app).await;
    assert_eq!(next.scopes.as_str(), "admin profile");
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
async fn a_real_user_beside_the_demo_users_has_no_thief_and_changes_no_rights() {
    let (app, clock) = app().await;
    // A table can contain Bob as a real user and Alice as a demo user.
    let demo = Demo::new(
        app.authority.clone(),
        app.users.clone(),
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
    for action in [Action::Demote, Action::Promote] {
        let answer = demo.act(action, &pass, empty()).await;
        assert_eq!(
            (answer.status, &answer.body["reason"]),
            (403, &"not_a_demo_user".into())
        );
    }
    let refreshed = app.authority.refresh(issued.refresh_token.as_str()).await;
    assert_eq!(refreshed.unwrap().scopes.as_str(), "profile");
}

#[tokio::test]
async fn the_process_keeps_the_copies_of_a_bounded_number_of_sessions() {
    let (app, _) = app().await;
    let thief: Thief = Mutex::default();
    let (issued, pass) = log_in(&app).await;
    let stolen = || Stolen {
        refresh_token: Zeroizing::new(issued.refresh_token.as_str().to_owned()),
        client: pass.client_id().unwrap().clone(),
    };
    for number in 0..2 * THIEVES {
        let mut bytes = *pass.session_id().unwrap().as_bytes();
        bytes[..8].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
        keep(&thief, SessionId::from_bytes(bytes), stolen());
    }
    assert_eq!(lock(&thief).len(), THIEVES);
}

#[tokio::test]
async fn real_users_have_no_demonstrations() {
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
    for action in [
        Action::Steal,
        Action::Replay,
        Action::Demote,
        Action::Promote,
        Action::Peer,
    ] {
        let answer = app.act(action, &pass, request(&issued)).await;
        assert_eq!(answer.status, 404, "{answer:?}");
    }
}
