use std::{sync::Arc, time::Duration};

use clap::Parser;
use gatepass::{
    Credentials, Device, Error, Issued, MasterSecret, MemoryStore, Requirements,
    store::StoreErrorKind,
};
use gatepass_testkit::{ManualClock, Op, StoreFault, TestStore};
use rusqlite::Connection as SqliteConnection;
use serde_json::json;
use sqlx::{Connection, PgConnection};

use super::*;
use crate::{settings::Settings, testing};

const OLD: &str = "alice-in-wonderland";
const NEW: &str = "through the looking-glass";

/// A login of alice.
struct Client {
    app: App,
    issued: Issued,
    pass: Pass,
}

impl Client {
    async fn log_in(app: &App, password: &str) -> Result<Self, Error> {
        let credentials = Credentials::new("alice", password);
        let issued = app.authority.login(&credentials, Device::default()).await?;
        let (token, any) = (issued.access_token.as_str(), Requirements::new());
        let pass = app.authority.verifier().verify(token, &any).await.unwrap();
        let app = app.clone();
        Ok(Self { app, issued, pass })
    }

    async fn change_password(&self, current: &str, new: &str) -> Answer {
        let body = json!({ "current_password": current, "new_password": new }).to_string();
        self.app
            .change_password(&self.pass, &Device::default(), Some(body.as_bytes()))
            .await
    }

    async fn delete(&self) -> Answer {
        self.app.delete_user(&self.pass).await
    }

    async fn has_good_access_token(&self) -> bool {
        let (token, any) = (self.issued.access_token.as_str(), Requirements::new());
        let verifier = self.app.authority.verifier();
        verifier.verify(token, &any).await.is_ok()
    }

    /// Whether the access token and the session are valid. Both must agree.
    async fn is_logged_in(&self) -> bool {
        let verified = self.has_good_access_token().await;
        let refresh_token = self.issued.refresh_token.as_str();
        let refreshed = self.app.authority.refresh(refresh_token).await;
        assert_eq!(refreshed.is_ok(), verified, "{refreshed:?}");
        verified
    }
}

async fn may_log_in(app: &App, password: &str) -> bool {
    match Client::log_in(app, password).await {
        Ok(_) => true,
        Err(Error::Refused(Refusal::BadCredentials)) => false,
        Err(error) => panic!("{error}"),
    }
}

/// Applications with users and sessions in one database, each with its URL.
async fn applications() -> (tempfile::TempDir, Vec<(String, App)>) {
    let (directory, databases) = testing::databases().await;
    let secret = directory.path().join("secret");
    testing::write_private(&secret, &"0123456789abcdef".repeat(8));
    let secret = secret.display().to_string();
    let mut applications = Vec::new();
    for database in databases {
        let args = ["example", "--store", &database, "--secret-file", &secret];
        let app = App::start(&Settings::parse_from(args)).await.unwrap();
        applications.push((database, app));
    }
    (directory, applications)
}

/// An application with its sessions in a separate store.
async fn with_sessions_elsewhere() -> (App, TestStore, ManualClock) {
    let clock = ManualClock::new();
    let store = TestStore::new(MemoryStore::with_clock(clock.clone()));
    let settings = Settings::parse_from(["example", "--store", "memory"]);
    let secret = MasterSecret::generate().unwrap();
    let app = App::with_store(&settings, secret, Arc::new(store.clone()), clock.clone()).await;
    (app.unwrap(), store, clock)
}

async fn all_applications() -> (tempfile::TempDir, Vec<App>) {
    let (directory, applications) = applications().await;
    let mut all = Vec::from_iter(applications.into_iter().map(|(_, app)| app));
    all.push(with_sessions_elsewhere().await.0);
    (directory, all)
}

/// Executes statements in the database without the application's knowledge.
async fn execute(database: &str, statements: &'static str) {
    match database.strip_prefix("sqlite:") {
        Some(path) => {
            let connection = SqliteConnection::open(path).unwrap();
            connection.execute_batch(statements).unwrap();
        }
        None => {
            let mut connection = PgConnection::connect(database).await.unwrap();
            let run = sqlx::raw_sql(statements).execute(&mut connection).await;
            run.unwrap();
        }
    }
}

/// Makes each end of sessions fail, until [`repair`] is called.
async fn break_ends(database: &str) {
    let statements = if database.starts_with("sqlite:") {
        "CREATE TRIGGER broken BEFORE INSERT ON gatepass_revocations
         BEGIN SELECT RAISE(ABORT, 'broken'); END"
    } else {
        "CREATE FUNCTION gatepass.broken() RETURNS trigger LANGUAGE plpgsql
         AS $$ BEGIN RAISE 'broken'; END $$;
         CREATE TRIGGER broken BEFORE INSERT ON gatepass.revocations
         FOR EACH ROW EXECUTE FUNCTION gatepass.broken()"
    };
    execute(database, statements).await;
}

async fn repair(database: &str) {
    let statements = if database.starts_with("sqlite:") {
        "DROP TRIGGER broken"
    } else {
        "DROP TRIGGER broken ON gatepass.revocations"
    };
    execute(database, statements).await;
}

#[tokio::test]
async fn a_new_password_ends_all_other_sessions_of_the_user_at_once() {
    let (_directory, applications) = all_applications().await;
    for app in applications {
        let own = Client::log_in(&app, OLD).await.unwrap();
        let other = Client::log_in(&app, OLD).await.unwrap();
        assert_eq!(own.change_password(OLD, NEW).await, Answer::no_content());
        assert!(!other.is_logged_in().await);
        assert!(own.is_logged_in().await);
        assert!(!may_log_in(&app, OLD).await);
        assert!(may_log_in(&app, NEW).await);
    }
}

#[tokio::test]
async fn a_deletion_ends_all_sessions_of_the_user_at_once() {
    let (_directory, applications) = all_applications().await;
    for app in applications {
        let own = Client::log_in(&app, OLD).await.unwrap();
        let other = Client::log_in(&app, OLD).await.unwrap();
        assert_eq!(own.delete().await, Answer::no_content());
        // First, because a refresh would end the session of a deleted user.
        assert!(!own.has_good_access_token().await);
        assert!(!other.has_good_access_token().await);
        assert!(!own.is_logged_in().await);
        assert!(!other.is_logged_in().await);
        assert!(!may_log_in(&app, OLD).await);
        // Again, like a client that didn't get the answer.
        assert_eq!(own.delete().await, Answer::no_content());
    }
}

#[tokio::test]
async fn sessions_that_cannot_be_ended_leave_the_user_unchanged() {
    let (_directory, applications) = applications().await;
    for (database, app) in applications {
        let own = Client::log_in(&app, OLD).await.unwrap();
        let other = Client::log_in(&app, OLD).await.unwrap();
        break_ends(&database).await;
        // A client must not repeat a new password by itself, because the server may have accepted
        // it.
        let changed = own.change_password(OLD, NEW).await;
        for (answer, retry_after, reason) in [
            (changed, None, "not_confirmed"),
            (own.delete().await, Some(2), "store_unavailable"),
        ] {
            assert_eq!((answer.status, answer.retry_after), (503, retry_after));
            assert_eq!(answer.body["reason"], reason);
            assert!(!answer.body.to_string().contains("broken"), "{answer:?}");
        }
        assert!(may_log_in(&app, OLD).await);
        assert!(!may_log_in(&app, NEW).await);
        assert!(own.is_logged_in().await && other.is_logged_in().await);

        repair(&database).await;
        assert_eq!(own.change_password(OLD, NEW).await, Answer::no_content());
        assert!(!other.is_logged_in().await);
    }
}

#[tokio::test]
async fn a_change_that_is_repeated_ends_sessions_elsewhere_that_a_fault_left_alive() {
    let (app, store, _) = with_sessions_elsewhere().await;
    let own = Client::log_in(&app, OLD).await.unwrap();
    let other = Client::log_in(&app, OLD).await.unwrap();
    let fault = StoreFault::Fail(StoreErrorKind::Unavailable);
    store.inject(Op::End, fault);
    assert_eq!(own.change_password(OLD, NEW).await.status, 503);
    // The password is committed, and the sessions are still live: this is not one transaction.
    assert!(other.is_logged_in().await);
    assert!(may_log_in(&app, NEW).await);
    store.heal();
    assert_eq!(own.change_password(NEW, NEW).await, Answer::no_content());
    assert!(!other.is_logged_in().await);

    store.inject(Op::End, fault);
    assert_eq!(own.delete().await.status, 503);
    store.heal();
    assert_eq!(own.delete().await, Answer::no_content());
    assert!(!own.is_logged_in().await);
}

#[tokio::test]
async fn a_password_that_another_request_has_replaced_is_not_replaced_again() {
    let (_directory, applications) = all_applications().await;
    for app in applications {
        let one = Client::log_in(&app, OLD).await.unwrap();
        let other = Client::log_in(&app, OLD).await.unwrap();
        let answers = tokio::join!(
            one.change_password(OLD, "of one"),
            other.change_password(OLD, "of other"),
        );
        let mut statuses = [answers.0.status, answers.1.status];
        let winner = if statuses[0] == 204 {
            "of one"
        } else {
            "of other"
        };
        assert!(may_log_in(&app, winner).await);
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 403]);
        let lives = (one.is_logged_in().await, other.is_logged_in().await);
        assert_eq!(lives, (winner == "of one", winner == "of other"));
    }
}

#[tokio::test]
async fn wrong_passwords_count_together_with_logins() {
    let (app, _, clock) = with_sessions_elsewhere().await;
    let own = Client::log_in(&app, OLD).await.unwrap();
    for _ in 0..10 {
        let answer = own.change_password("a guess", NEW).await;
        assert_eq!(answer.status, 403);
        assert_eq!(answer.body["reason"], "bad_credentials");
        assert!(!may_log_in(&app, "a guess").await);
    }
    let answer = own.change_password(OLD, NEW).await;
    assert_eq!((answer.status, answer.retry_after), (429, Some(1)));
    assert_eq!(answer.body["error"], "slow_down");
    assert_eq!(answer.body["reason"], "too_many_attempts");
    clock.advance(Duration::from_secs(1));
    assert_eq!(own.change_password(OLD, NEW).await, Answer::no_content());
}

#[tokio::test]
async fn a_request_that_is_not_understood_changes_nothing() {
    let (app, _, _) = with_sessions_elsewhere().await;
    let own = Client::log_in(&app, OLD).await.unwrap();
    let other = Client::log_in(&app, OLD).await.unwrap();
    for body in [
        "",
        "{",
        "[]",
        r#"{"current_password":"alice-in-wonderland"}"#,
        r#"{"current_password":"alice-in-wonderland","new_password":1}"#,
        r#"{"current_password":"alice-in-wonderland","new_password":"a","new_password":"b"}"#,
        r#"{"current_password":"alice-in-wonderland","new_password":"a","username":"bob"}"#,
    ] {
        let (device, bytes) = (Device::default(), Some(body.as_bytes()));
        let answer = app.change_password(&own.pass, &device, bytes).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.body["reason"], "body_unparseable", "{body}");
        assert!(
            !answer.body.to_string().contains("wonderland"),
            "{answer:?}"
        );
    }
    for new in ["", &"x".repeat(MAX_PASSWORD + 1)] {
        let answer = own.change_password(OLD, new).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.body["reason"], "bad_password");
    }
    assert!(other.is_logged_in().await);
    let longest = "x".repeat(MAX_PASSWORD);
    assert_eq!(own.change_password(OLD, &longest).await.status, 204);
    assert!(may_log_in(&app, &longest).await);
}

#[tokio::test]
async fn a_demo_user_who_changes_the_password_is_no_longer_a_demo_user() {
    let (_directory, applications) = all_applications().await;
    for app in applications {
        let own = Client::log_in(&app, OLD).await.unwrap();
        assert_eq!(own.change_password(OLD, NEW).await.status, 204);
        assert_eq!(app.users.demo_names().await.unwrap(), ["bob", "root"]);
    }
}
