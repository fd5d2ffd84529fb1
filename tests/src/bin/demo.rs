//! Plays scenarios against the axum example's program, and describes each exchange.

use std::{
    io::Write,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use gatepass_testkit::scenario::{
    self, Driver, Opened, Request, Response, Scenario, UserChange, run,
};
use gatepass_tests::{
    application::World,
    conformance::Framework,
    narrator::Narrator,
    program::{End, Program},
    sockets::OverSockets,
};

/// A title and a scenario.
type Story = (&'static str, fn() -> Scenario);

const STORIES: [Story; 12] = [
    (
        "A login gives tokens that work",
        scenario::a_login_gives_tokens_that_work,
    ),
    (
        "A wrong password and an unknown user get the same answer",
        scenario::a_wrong_password_and_an_unknown_user_get_the_same_answer,
    ),
    (
        "A client lost an answer, and sends its refresh token again",
        scenario::a_lost_answer_is_recovered_from_once,
    ),
    (
        "A thief uses a refresh token before its owner does",
        scenario::a_stolen_refresh_token_ends_the_session_for_both,
    ),
    (
        "A session, from login to logout",
        scenario::a_logout_by_access_token_ends_the_session,
    ),
    (
        "A logout of all devices",
        scenario::a_logout_everywhere_ends_every_session_and_later_logins_live,
    ),
    (
        "A browser keeps its tokens in cookies",
        scenario::a_login_by_cookie_gives_no_tokens_to_scripts,
    ),
    (
        "An OAuth client sends a user name and a password",
        scenario::seed_token_endpoint,
    ),
    (
        "A route asks the store at each request, and a user is deleted",
        scenario::seed_logout_allow_list,
    ),
    (
        "An expired token is refused for another reason than a forged one",
        scenario::seed_expiry_and_logging,
    ),
    (
        "A good access token is exchanged for one that lasts longer",
        scenario::seed_session_renewal,
    ),
    (
        "A client that comes back with both of its tokens is logged in again",
        scenario::seed_auto_login,
    ),
];

#[tokio::main]
async fn main() -> ExitCode {
    let mut told = Told::default();
    for (title, scenario) in STORIES {
        let scenario = scenario();
        let program = start(&scenario).await;
        let address = program.address();
        let driver = OverSockets::new(program, address, ());
        told.play(title, &scenario, driver).await;
    }
    let scenario = scenario::a_logout_leaves_other_devices_alone();
    let driver = Restarting {
        program: Arc::new(start(&scenario).await),
        restarts: AtomicUsize::new(0),
    };
    let title = "The server restarts before each request, and forgets no session and no logout";
    told.play(title, &scenario, driver).await;

    let Told { exchanges, wrong } = told;
    line(&format!("\n{exchanges} exchanges, {wrong} wrong"));
    if wrong == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn start(scenario: &Scenario) -> Program {
    Program::start(Framework::Axum.program(), scenario.setup()).await
}

#[derive(Default)]
struct Told {
    exchanges: usize,
    wrong: usize,
}

impl Told {
    async fn play(&mut self, title: &str, scenario: &Scenario, driver: impl Driver) {
        line(&format!("\n{title} ({})", scenario.name()));
        let narrator = Narrator::new(driver, line);
        if let Err(mismatch) = run(scenario, &narrator).await {
            line(&format!("  WRONG: {mismatch}"));
            self.wrong += 1;
        }
        self.exchanges += narrator.exchanges();
    }
}

/// Restarts the program before each request: by SIGKILL and by SIGTERM in turn.
struct Restarting {
    program: Arc<Program>,
    restarts: AtomicUsize,
}

#[async_trait]
impl Driver for Restarting {
    async fn exchange(&self, request: Request, opened: Opened) -> Response {
        let end = match self.restarts.fetch_add(1, Ordering::Relaxed) % 2 {
            0 => End::Killed,
            _ => End::Terminated,
        };
        line(match end {
            End::Terminated => "  ... SIGTERM, and a new start",
            End::Killed => "  ... SIGKILL, and a new start",
        });
        self.program.restart(end).await;
        // A new client has no connection to the old process.
        let sockets = OverSockets::new(Arc::clone(&self.program), self.program.address(), ());
        sockets.exchange(request, opened).await
    }

    async fn pass_time(&self, time: Duration) {
        self.program.pass_time(time).await;
    }

    async fn change_user(&self, name: &str, change: UserChange) {
        self.program.change_user(name, change).await;
    }

    async fn lose_sessions(&self) {
        self.program.lose_sessions().await;
    }
}

fn line(text: &str) {
    // There is no place to report this failure.
    let _ = writeln!(std::io::stdout(), "{text}");
}
