//! Plays every scenario in every framework, in process and against the example's own program, and
//! compares each reply.

use std::{any::Any, fmt, future::Future, panic::AssertUnwindSafe, path::PathBuf, time::Duration};

use futures_util::FutureExt;
use gatepass_testkit::{
    ManualClock,
    scenario::{Driver, Scenario, Setup, Transcript, run},
};

use crate::{
    frameworks::{actix, axum, tonic, warp},
    program::Program,
    sockets::OverSockets,
};

/// A framework of the example application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Framework {
    Axum,
    Actix,
    Warp,
    Tonic,
}

/// A way to send requests to an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Calls its service.
    InProcess,
    /// Runs its program, and sends requests over sockets.
    Program,
}

/// A scenario that some frameworks don't play.
#[derive(Clone, Copy, Debug)]
pub struct Exception {
    /// The name of the scenario.
    pub scenario: &'static str,
    /// The frameworks that don't play it.
    pub frameworks: &'static [Framework],
    /// The ways in which they don't play it.
    pub ways: &'static [Way],
    /// The reason.
    pub reason: &'static str,
}

/// All exceptions.
pub const EXCEPTIONS: &[Exception] = &[
    Exception {
        scenario: "a_path_and_a_method_come_before_the_gate",
        frameworks: &[Framework::Tonic],
        ways: &Way::ALL,
        reason: "a call is a POST, and all paths of a service are its methods",
    },
    Exception {
        scenario: "a_guarded_route_answers_head_as_get",
        frameworks: &[Framework::Tonic],
        ways: &Way::ALL,
        reason: "a call is a POST",
    },
    Exception {
        scenario: "a_guarded_route_answers_options_as_a_method_that_it_does_not_have",
        frameworks: &[Framework::Tonic],
        ways: &Way::ALL,
        reason: "a call is a POST",
    },
    // `refusals::a_call_by_cookie_may_change_something` in the tests of gatepass-tonic is its
    // counterpart.
    Exception {
        scenario: "a_request_that_changes_nothing_may_come_from_anywhere",
        frameworks: &[Framework::Tonic],
        ways: &Way::ALL,
        reason: "every call is a POST, so that none is known to change nothing",
    },
    own_account("a_new_password_ends_all_other_sessions_of_the_user"),
    own_account("a_new_password_needs_the_current_one"),
    own_account("a_new_password_by_cookie_comes_from_the_services_own_pages"),
    own_account("a_user_is_deleted_with_all_sessions"),
    own_account("a_deletion_needs_a_recent_login"),
    Exception {
        scenario: "a_session_without_a_refresh_token_ends_with_its_access_token",
        frameworks: &[Framework::Tonic],
        ways: &[Way::Program],
        reason: "the pages beside its service don't know the address that the list shows",
    },
    streams("an_event_stream_ends_with_a_logout"),
    streams("a_logout_everywhere_ends_event_streams"),
    streams("an_event_stream_ends_with_its_token"),
    streams("an_event_stream_by_cookie_ends_with_its_token"),
    streams("an_event_stream_is_behind_a_gate"),
];

/// A route for users who change their own account.
const fn own_account(scenario: &'static str) -> Exception {
    Exception {
        scenario,
        frameworks: &[Framework::Tonic],
        ways: &Way::ALL,
        reason: "the example in tonic has no such method",
    }
}

/// A stream of events. The calls in `tests/tests/it/connections` are its counterpart.
const fn streams(scenario: &'static str) -> Exception {
    Exception {
        scenario,
        frameworks: &[Framework::Tonic],
        ways: &Way::ALL,
        reason: "a stream is a method of gRPC, and ends with a status",
    }
}

/// Header fields that aren't compared, with the reason.
pub const NOT_COMPARED: &[(&str, &str)] = &[(
    "connection",
    "a server ends a connection when it likes: actix-web's after each refusal of a body that it has not read",
)];

/// How long a scenario may take in one framework. A scenario waits for nothing, so one that takes
/// longer hangs.
const PATIENCE: Duration = Duration::from_secs(100);

/// The result of a scenario in one framework.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// All replies were the same as in axum, and as the scenario expects. The number of replies.
    Same(usize),
    /// The framework doesn't play it, for this reason.
    Excepted(&'static str),
    /// A reply differed, or the scenario failed.
    Differs(String),
}

/// The results of a scenario.
#[derive(Clone, Debug)]
pub struct Row {
    /// The name of the scenario.
    pub scenario: &'static str,
    /// The outcome of each framework and way.
    pub outcomes: Vec<(Framework, Way, Outcome)>,
}

impl Framework {
    /// All frameworks. The first is axum, with which the others are compared.
    pub const ALL: [Self; 4] = [Self::Axum, Self::Actix, Self::Warp, Self::Tonic];

    /// The framework's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Axum => "axum",
            Self::Actix => "actix",
            Self::Warp => "warp",
            Self::Tonic => "tonic",
        }
    }

    /// The program of this framework's example, in the directory of the current program.
    #[must_use]
    pub fn program(self) -> PathBuf {
        let own = std::env::current_exe().unwrap();
        let mut directory = own.parent().unwrap();
        // Cargo puts tests into this directory.
        if directory.ends_with("deps") {
            directory = directory.parent().unwrap();
        }
        let name = format!("example-{}-under-test", self.name());
        directory
            .join(name)
            .with_extension(std::env::consts::EXE_EXTENSION)
    }

    async fn play(self, way: Way, scenario: &Scenario) -> Result<Transcript, String> {
        let setup = scenario.setup();
        match way {
            Way::InProcess => match self {
                Self::Axum => in_process(axum::in_process, scenario).await,
                Self::Actix => in_process(actix::in_process, scenario).await,
                Self::Warp => in_process(warp::in_process, scenario).await,
                Self::Tonic => in_process(tonic::in_process, scenario).await,
            },
            Way::Program => {
                let program = Program::start(self.program(), setup).await;
                let address = program.address();
                if self == Self::Tonic {
                    let driver = tonic::OverBoth::connect(program, address, ()).await;
                    transcript(scenario, &driver).await
                } else {
                    transcript(scenario, &OverSockets::new(program, address, ())).await
                }
            }
        }
    }
}

impl Way {
    /// Both ways.
    pub const ALL: [Self; 2] = [Self::InProcess, Self::Program];
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InProcess => "in process",
            Self::Program => "program",
        })
    }
}

/// Plays a scenario in every framework and way.
pub async fn play(scenario: &Scenario) -> Row {
    let mut outcomes = Vec::new();
    for way in Way::ALL {
        let mut expected: Option<Transcript> = None;
        for framework in Framework::ALL {
            let outcome = match exception(scenario, framework, way) {
                Some(exception) => Outcome::Excepted(exception.reason),
                None => match played(framework, way, scenario).await {
                    Err(mismatch) => Outcome::Differs(mismatch),
                    Ok(own) => {
                        let expected = expected.get_or_insert_with(|| own.clone());
                        match own.difference(expected) {
                            None if own.replies() == 0 => {
                                Outcome::Differs("nothing was asked".to_owned())
                            }
                            Some(difference) => Outcome::Differs(difference),
                            None => Outcome::Same(own.replies()),
                        }
                    }
                },
            };
            outcomes.push((framework, way, outcome));
        }
    }
    Row {
        scenario: scenario.name(),
        outcomes,
    }
}

/// Plays a scenario in every framework and way.
///
/// # Panics
///
/// If the scenario fails, or a reply differs from axum's.
pub async fn hold(scenario: &Scenario) {
    let mut wrong = String::new();
    for (framework, way, outcome) in play(scenario).await.outcomes {
        if let Outcome::Differs(difference) = outcome {
            wrong.push_str(&format!("{}, {way}: {difference}\n\n", framework.name()));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Plays a scenario in one framework. A panic or a hang doesn't affect the others.
async fn played(framework: Framework, way: Way, scenario: &Scenario) -> Result<Transcript, String> {
    let playing = AssertUnwindSafe(framework.play(way, scenario)).catch_unwind();
    match tokio::time::timeout(PATIENCE, playing).await {
        Ok(Ok(played)) => played,
        Ok(Err(panic)) => Err(format!("panicked: {}", said(&*panic))),
        Err(_) => Err(format!("still at it after {PATIENCE:?}")),
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let said = panic.downcast_ref().map(String::as_str);
    said.or_else(|| panic.downcast_ref().copied())
        .unwrap_or_default()
}

async fn in_process<D, F>(
    start: impl FnOnce(ManualClock, Setup) -> F,
    scenario: &Scenario,
) -> Result<Transcript, String>
where
    D: Driver,
    F: Future<Output = D>,
{
    let driver = start(ManualClock::new(), scenario.setup()).await;
    let transcript = transcript(scenario, &driver).await?;
    // Only a server sets the length of a body, and there is none here.
    Ok(transcript.without_headers(&["content-length"]))
}

async fn transcript(scenario: &Scenario, driver: &impl Driver) -> Result<Transcript, String> {
    let played = run(scenario, driver).await;
    let transcript = played.map_err(|mismatch| mismatch.to_string())?;
    let names: Vec<_> = NOT_COMPARED.iter().map(|(name, _)| *name).collect();
    Ok(transcript.without_headers(&names))
}

fn exception(scenario: &Scenario, framework: Framework, way: Way) -> Option<&'static Exception> {
    EXCEPTIONS.iter().find(|exception| {
        exception.scenario == scenario.name()
            && exception.frameworks.contains(&framework)
            && exception.ways.contains(&way)
    })
}
