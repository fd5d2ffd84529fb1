//! HTTP scenarios as data, to be driven through any framework.
//!
//! A scenario is a conversation with an application: what is sent, what must come back, what passes
//! in between. [`conformance!`](crate::conformance!) mounts all of them for one [`Driver`], one named test each.
//!
//! The application has these routes beside the endpoints under `/auth`, and the users of [`USERS`]:
//!
//! | route | demand | answers |
//! |---|---|---|
//! | `GET /me` | an access token | 200, `{"subject","session_id","scope","expires_at"}` |
//! | `POST /profile` | an access token | 200 |
//! | `GET /admin` | scope `admin` | 200 |
//! | `POST /transfer` | an authentication at most 300 s old | 200 |
//! | `GET /strict` | an access token, the store asked | 200 |
//! | `GET /maybe` | nothing | 200, `{"subject": … or null}` |
//! | `GET /unguarded` | its handler wants to know who is logged in, and nobody has put a guard before it | 500 |
//!
//! Its issuer and realm are `https://issuer.test`, its lifetimes and windows the defaults, and its
//! time the [`ManualClock`](crate::ManualClock)'s. How it carries tokens, [`Setup`] says. Its endpoints
//! include `resume`, `renew` and `introspect`, and know the OAuth clients of [`CLIENTS`]; these and its
//! own client may use the password grant. It is sent requests as `https://service.test`.

mod clients;
mod cookies;
mod cross_site;
mod discovery;
mod guarding;
mod introspection;
mod login;
mod oauth;
mod refreshing;
mod resuming;
mod revocation;
mod run;
mod seeds;
mod sessions;
mod stepping_up;
mod wording;

use std::time::Duration;

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use gatepass::Transport;
use serde_json::Value;

pub use self::{
    clients::*,
    cookies::*,
    cross_site::*,
    discovery::*,
    guarding::*,
    introspection::*,
    login::*,
    oauth::*,
    refreshing::*,
    resuming::*,
    revocation::*,
    run::{Mismatch, run},
    seeds::*,
    sessions::*,
    stepping_up::*,
};

/// The users of the application: name, password, scopes.
pub const USERS: [(&str, &str, &str); 3] = [
    ("alice", "alice's password", "profile"),
    ("bob", "bob's password", "profile"),
    ("root", "root's password", "profile admin"),
];

/// The OAuth clients of the application: id, and secret where it has one.
pub const CLIENTS: [(&str, Option<&str>); 3] = [
    ("gateway", Some("the gateway's secret: 100%2D+random")),
    ("backend", Some("the-backend's-secret")),
    ("desktop", None),
];

/// How the application of a scenario is configured.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Setup {
    /// How it carries tokens.
    pub transport: Transport,
    /// How long a session may stay unused, and how long its last spent refresh token is recovered from,
    /// where that is not the default.
    pub idle_ttl: Option<Duration>,
}

/// Drives one application in one framework.
#[async_trait]
pub trait Driver: Send + Sync {
    /// Sends a request and waits for the response.
    async fn send(&self, request: Request) -> Response;

    /// Lets time pass for the application.
    async fn pass_time(&self, time: Duration);

    /// Changes the scopes of a user, or deletes it.
    async fn change_user(&self, name: &str, change: UserChange);
}

/// What happens to a user of the application while it is logged in.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a driver must be able to do all that is asked"
)]
pub enum UserChange {
    /// It has these scopes from now on.
    Scope(&'static str),
    /// It is gone.
    Deleted,
}

/// A request as plain data. `{name}` in header values and body stands for what was kept under that name.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "drivers take it apart")]
pub struct Request {
    /// The method.
    pub method: &'static str,
    /// The path.
    pub path: String,
    /// The header fields, in order.
    pub headers: Vec<(&'static str, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A response as plain data.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "drivers build it")]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A conversation.
#[derive(Clone, Debug)]
pub struct Scenario {
    name: &'static str,
    setup: Setup,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    Exchange(Exchange),
    Parallel(usize, Exchange),
    PassTime(Duration),
    ChangeUser(&'static str, UserChange),
}

#[derive(Clone, Debug)]
struct Exchange {
    request: Request,
    status: u16,
    expected: Vec<Expected>,
    kept: Vec<(&'static str, &'static str)>,
    kept_cookies: Vec<(&'static str, &'static str)>,
    kept_headers: Vec<(&'static str, &'static str)>,
}

#[derive(Clone, Debug)]
enum Expected {
    /// The header field has this value.
    Header(&'static str, String),
    /// The header field is not there.
    NoHeader(&'static str),
    /// The JSON body has this at the pointer.
    Json(&'static str, Value),
    /// The JSON body has at the pointer what was kept under the name.
    SameAs(&'static str, &'static str),
    /// The JSON body has at the pointer something else than what was kept under the name.
    OtherThan(&'static str, &'static str),
    /// The body is empty.
    Empty,
    /// The JSON body has nothing at the pointer.
    NoJson(&'static str),
    /// The cookies of these names, and no others, are set.
    SetCookies(&'static [&'static str]),
    /// Both cookies are cleared.
    ClearCookies,
    /// The cookie is given the value that was kept under the name.
    SameCookie(&'static str, &'static str),
    /// The cookie is given another value than what was kept under the name.
    OtherCookie(&'static str, &'static str),
}

impl Request {
    fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A `GET`.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    /// A `POST`.
    pub fn post(path: impl Into<String>) -> Self {
        Self::new("POST", path)
    }

    /// A `DELETE`.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new("DELETE", path)
    }

    /// A request of any method.
    pub fn method(method: &'static str, path: impl Into<String>) -> Self {
        Self::new(method, path)
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Authorizes with a bearer token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Sends a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    /// Sends a form.
    #[must_use]
    pub fn form(self, parameters: &[(&str, &str)]) -> Self {
        let mut body = form_urlencoded::Serializer::new(String::new());
        for (name, value) in parameters {
            body.append_pair(name, value);
        }
        // What was kept is filled in later, and needs its braces for that.
        let body = body.finish().replace("%7B", "{").replace("%7D", "}");
        self.header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    }

    /// Authenticates an OAuth client by HTTP Basic (RFC 6749 §2.3.1).
    #[must_use]
    pub fn basic(self, id: &str, secret: &str) -> Self {
        let encoded =
            |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
        let pair = format!("{}:{}", encoded(id), encoded(secret));
        self.header("authorization", format!("Basic {}", STANDARD.encode(pair)))
    }

    /// Sends cookies, as a browser does: `name=value; name=value`.
    #[must_use]
    pub fn cookies(self, cookies: &str) -> Self {
        self.header("cookie", cookies)
    }

    /// Sends a body of no declared type.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

impl Scenario {
    /// A scenario of this name, which nothing happens in yet.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            setup: Setup::default(),
            steps: Vec::new(),
        }
    }

    /// Plays it on an application that carries tokens like this, instead of as bearers.
    #[must_use]
    pub fn over(mut self, transport: Transport) -> Self {
        self.setup.transport = transport;
        self
    }

    /// Plays it on an application whose sessions end when they stay unused for so long.
    #[must_use]
    pub fn idle_for(mut self, time: Duration) -> Self {
        self.setup.idle_ttl = Some(time);
        self
    }

    /// How its application is configured.
    #[must_use]
    pub fn setup(&self) -> Setup {
        self.setup
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Sends `request` and expects a response of this status. What follows says more about it.
    #[must_use]
    pub fn send(mut self, request: Request, status: u16) -> Self {
        let exchange = Exchange {
            request,
            status,
            expected: Vec::new(),
            kept: Vec::new(),
            kept_cookies: Vec::new(),
            kept_headers: Vec::new(),
        };
        self.steps.push(Step::Exchange(exchange));
        self
    }

    /// Sends `request` so many times at once, and expects the same of each response.
    #[must_use]
    pub fn send_at_once(mut self, times: usize, request: Request, status: u16) -> Self {
        let exchange = Exchange {
            request,
            status,
            expected: Vec::new(),
            kept: Vec::new(),
            kept_cookies: Vec::new(),
            kept_headers: Vec::new(),
        };
        self.steps.push(Step::Parallel(times, exchange));
        self
    }

    /// Lets time pass.
    #[must_use]
    pub fn pass(mut self, time: Duration) -> Self {
        self.steps.push(Step::PassTime(time));
        self
    }

    /// Changes a user of the application.
    #[must_use]
    pub fn change_user(mut self, name: &'static str, change: UserChange) -> Self {
        self.steps.push(Step::ChangeUser(name, change));
        self
    }

    /// The response has this header field.
    #[must_use]
    pub fn header(self, name: &'static str, value: impl Into<String>) -> Self {
        self.expecting(Expected::Header(name, value.into()))
    }

    /// The response does not have this header field.
    #[must_use]
    pub fn no_header(self, name: &'static str) -> Self {
        self.expecting(Expected::NoHeader(name))
    }

    /// The response's JSON body has `value` at `pointer`.
    #[must_use]
    pub fn json(self, pointer: &'static str, value: impl Into<Value>) -> Self {
        self.expecting(Expected::Json(pointer, value.into()))
    }

    /// The response's JSON body has at `pointer` what was kept as `name`.
    #[must_use]
    pub fn same_as(self, pointer: &'static str, name: &'static str) -> Self {
        self.expecting(Expected::SameAs(pointer, name))
    }

    /// The response's JSON body has at `pointer` something else than what was kept as `name`.
    #[must_use]
    pub fn other_than(self, pointer: &'static str, name: &'static str) -> Self {
        self.expecting(Expected::OtherThan(pointer, name))
    }

    /// The response has no body.
    #[must_use]
    pub fn empty(self) -> Self {
        self.expecting(Expected::Empty)
    }

    /// Keeps what the response's JSON body has at `pointer` as `name`.
    #[must_use]
    pub fn keep(mut self, pointer: &'static str, name: &'static str) -> Self {
        if let Some(Step::Exchange(exchange)) = self.steps.last_mut() {
            exchange.kept.push((pointer, name));
        }
        self
    }

    /// Keeps the value of the response's header field as `name`.
    #[must_use]
    pub fn keep_header(mut self, header: &'static str, name: &'static str) -> Self {
        if let Some(Step::Exchange(exchange)) = self.steps.last_mut() {
            exchange.kept_headers.push((header, name));
        }
        self
    }

    /// The response's JSON body has nothing at `pointer`.
    #[must_use]
    pub fn no_json(self, pointer: &'static str) -> Self {
        self.expecting(Expected::NoJson(pointer))
    }

    /// The response sets the cookies of these names, with the attributes that they must have, and no others.
    /// A response of which nothing is said about cookies must set none.
    #[must_use]
    pub fn sets_cookies(self, names: &'static [&'static str]) -> Self {
        self.expecting(Expected::SetCookies(names))
    }

    /// The response clears both cookies.
    #[must_use]
    pub fn clears_cookies(self) -> Self {
        self.expecting(Expected::ClearCookies)
    }

    /// The response gives the cookie the value that was kept as `name`.
    #[must_use]
    pub fn same_cookie(self, cookie: &'static str, name: &'static str) -> Self {
        self.expecting(Expected::SameCookie(cookie, name))
    }

    /// The response gives the cookie another value than what was kept as `name`.
    #[must_use]
    pub fn other_cookie(self, cookie: &'static str, name: &'static str) -> Self {
        self.expecting(Expected::OtherCookie(cookie, name))
    }

    /// Keeps the value that the response gives to the cookie as `name`.
    #[must_use]
    pub fn keep_cookie(mut self, cookie: &'static str, name: &'static str) -> Self {
        if let Some(Step::Exchange(exchange)) = self.steps.last_mut() {
            exchange.kept_cookies.push((cookie, name));
        }
        self
    }

    fn expecting(mut self, expected: Expected) -> Self {
        if let Some(Step::Exchange(exchange) | Step::Parallel(_, exchange)) = self.steps.last_mut()
        {
            exchange.expected.push(expected);
        }
        self
    }
}

/// Expands to one test for each scenario, for a [`Driver`] that the given function starts.
///
/// The function is called once per test with a [`ManualClock`](crate::ManualClock) and a
/// [`Setup`](crate::scenario::Setup), and must return a driver of a fresh application that is set up so and
/// takes its time from that clock. The crate that mounts the scenarios
/// needs `tokio` with the features `macros` and `rt-multi-thread`.
///
/// A scenario that a framework cannot play is declared, with the reason, and has no test; all others have one.
///
/// ```no_run
/// # mod tests { use gatepass_testkit::{*, scenario::*}; async fn start(_: ManualClock, _: Setup) -> Never { Never }
/// # struct Never;
/// # #[async_trait::async_trait] impl Driver for Never {
/// #     async fn send(&self, _: Request) -> Response { unreachable!() }
/// #     async fn pass_time(&self, _: std::time::Duration) {}
/// #     async fn change_user(&self, _: &str, _: UserChange) {}
/// # }
/// gatepass_testkit::conformance!(start, except: {
///     a_head_request_gets_the_head_of_a_get: "the framework knows no HEAD",
/// });
/// # }
/// ```
///
/// A name that no scenario has does not compile, nor does an empty reason:
///
/// ```compile_fail,E0425
/// # mod tests { use gatepass_testkit::{*, scenario::*}; async fn start(_: ManualClock, _: Setup) -> Never { Never }
/// # struct Never;
/// # #[async_trait::async_trait] impl Driver for Never {
/// #     async fn send(&self, _: Request) -> Response { unreachable!() }
/// #     async fn pass_time(&self, _: std::time::Duration) {}
/// #     async fn change_user(&self, _: &str, _: UserChange) {}
/// # }
/// gatepass_testkit::conformance!(start, except: {
///     a_scenario_that_there_is_not: "the framework knows no HEAD",
/// });
/// # }
/// ```
#[macro_export]
macro_rules! conformance {
    ($start:expr) => {
        $crate::conformance!($start, except: {});
    };
    ($start:expr, except: { $($except:ident: $reason:literal),* $(,)? }) => {
        $(
            const _: fn() -> $crate::scenario::Scenario = $crate::scenario::$except;
            const _: () = assert!(!$reason.is_empty(), "an exception has a reason");
        )*
        $crate::conformance! {
            @tests [$] $start, [$($except)*] =>

            a_login_gives_tokens_that_work
            a_wrong_password_and_an_unknown_user_get_the_same_answer
            too_many_attempts_are_told_when_to_try_again
            a_login_that_is_not_understood_changes_nothing
            a_password_is_not_accepted_from_anywhere_but_the_body

            a_refresh_gives_a_new_pair
            a_refresh_sent_twice_gets_the_same_successor
            sixty_four_refreshes_at_once_get_the_same_successor
            a_lost_answer_is_recovered_from_once
            a_stolen_refresh_token_ends_the_session_for_both
            a_refresh_token_expires_when_it_is_not_used
            a_session_ends_at_its_absolute_end
            a_deleted_user_is_refused_at_the_next_refresh
            changed_scopes_take_effect_at_the_next_refresh
            an_access_token_does_not_refresh
            a_forged_refresh_token_changes_nothing
            a_refresh_that_is_not_understood_spends_nothing

            a_logout_by_access_token_ends_the_session
            a_logout_by_refresh_token_ends_the_session
            a_logout_by_a_spent_refresh_token_ends_the_session
            a_logout_by_an_expired_access_token_ends_the_session
            a_logout_can_be_repeated
            a_logout_needs_a_token_of_ours
            a_logout_leaves_other_devices_alone
            a_logout_everywhere_ends_every_session_and_later_logins_live
            sessions_are_listed_with_the_current_one_marked
            a_session_is_ended_from_another_device
            a_foreign_session_is_not_found
            all_sessions_but_the_current_one_are_ended
            an_ended_session_cannot_end_others

            a_guard_wants_a_token
            the_scheme_of_an_authorization_knows_no_case
            two_authorizations_are_refused
            an_authorization_that_is_not_one_token_is_refused
            a_token_in_the_query_is_not_read
            a_token_in_a_cookie_is_not_read
            an_expired_token_is_refused
            a_token_that_is_no_token_is_refused
            a_refresh_token_gives_no_access
            a_scope_that_is_missing_is_named
            an_old_authentication_does_not_transfer
            a_strict_route_works_and_refuses_ended_sessions
            an_optional_guard_refuses_bad_tokens
            a_missing_guard_is_a_loud_500
            a_refused_connection_can_be_used_again

            wrong_methods_are_told_the_right_ones
            an_unknown_endpoint_is_not_found
            a_head_request_gets_the_head_of_a_get
            media_types_are_checked
            bodies_that_are_not_one_json_object_are_refused
            bodies_that_are_too_long_are_refused
            authentication_is_judged_before_the_body
            answers_with_tokens_or_sessions_are_not_kept

            a_password_grant_gives_tokens_that_work
            a_refresh_at_the_token_endpoint_gives_a_new_pair
            a_refused_refresh_is_400_at_the_token_endpoint
            bad_credentials_are_400_at_the_token_endpoint
            too_many_attempts_are_429_at_the_token_endpoint
            a_grant_type_that_is_not_offered_is_unsupported
            scopes_that_were_not_granted_spend_and_begin_nothing
            a_narrowed_refresh_narrows_that_access_token_alone
            a_renewed_token_is_no_wider_than_the_one_it_replaces
            a_password_grant_with_scopes_limits_its_session_for_good
            parameters_are_there_once_and_not_empty
            parameters_are_read_from_the_form_alone
            a_form_has_its_media_type_and_size
            oauth_endpoints_tell_the_right_methods
            oauth_endpoints_never_touch_cookies

            a_public_client_names_itself
            a_client_that_names_nobody_is_the_applications_own
            a_confidential_client_shows_its_secret_by_basic_or_in_the_body
            a_client_that_does_not_prove_itself_is_refused
            an_authorization_that_is_no_clients_is_refused
            a_client_that_authenticates_twice_is_refused
            tokens_of_a_client_are_refused_to_others
            tokens_of_a_client_are_refused_by_the_applications_own_endpoints

            revoking_an_access_token_leaves_its_session_alone
            revoking_a_refresh_token_ends_its_session
            revoking_a_spent_refresh_token_ends_its_session
            what_is_unknown_or_dead_is_revoked_already

            introspection_says_what_an_access_token_is
            introspection_says_what_a_refresh_token_is
            introspection_of_what_is_no_good_says_nothing_more
            introspection_changes_nothing
            introspection_is_for_confidential_clients

            secret_keys_are_not_published
            the_metadata_lists_what_there_is
            public_documents_are_kept_and_asked_for_again

            a_login_by_cookie_gives_no_tokens_to_scripts
            where_both_are_on_a_login_gets_what_it_asks_for
            where_cookies_are_off_none_is_read_or_set
            every_endpoint_takes_cookies
            what_came_by_cookie_is_answered_by_cookie_alone
            a_bearer_outranks_cookies
            other_credentials_do_not_disturb_cookies
            a_cookie_is_found_among_others
            a_cookie_that_is_no_good_is_refused
            an_optional_guard_takes_a_bad_cookie_for_none
            tabs_that_refresh_at_once_get_the_same_cookie
            a_refresh_by_cookie_recovers_once_and_finds_a_thief
            a_logout_by_cookie_ends_the_session_and_clears
            a_logout_by_expired_or_ended_cookies_clears
            a_logout_by_forged_cookies_clears_nothing
            one_good_cookie_is_enough_to_log_out
            cookies_of_two_sessions_are_both_logged_out
            a_logout_by_a_token_leaves_cookies_alone
            nothing_but_a_logout_clears_cookies

            a_cross_site_login_is_refused
            a_cross_site_refresh_is_refused
            a_cross_site_logout_is_refused
            a_cross_site_call_is_refused
            a_request_that_changes_nothing_may_come_from_anywhere
            bearer_requests_may_come_from_anywhere

            an_old_authentication_is_renewed_by_the_password
            a_wrong_password_renews_nothing
            reauthentication_counts_attempts
            nobody_reauthenticates_as_somebody_else
            an_ended_session_is_not_reauthenticated
            a_reauthentication_spends_the_refresh_token_as_a_refresh_does
            a_reauthentication_reads_the_user_again

            a_good_access_token_is_resumed_with_nothing_new
            an_expired_access_token_is_resumed_by_the_refresh_token
            an_idle_session_is_resumed_by_both_of_its_tokens
            tokens_of_two_sessions_do_not_resume
            forged_tokens_do_not_resume
            an_ended_session_is_not_resumed
            sixty_four_resumes_at_once_get_the_same_successor
            a_bad_access_token_outranks_a_bad_body_at_a_resume
            a_renewed_token_is_of_the_same_session_and_brings_no_refresh_token
            a_renewal_does_not_keep_an_unused_session
            only_a_good_access_token_is_renewed
            a_renewal_reads_the_user_again

            seed_expiry_and_logging
            seed_session_renewal
            seed_auto_login
            seed_token_endpoint
            seed_logout_allow_list
        }
    };
    // The names of exceptions are patterns of a macro of their own, since only patterns compare names. `$d` is a
    // dollar for that macro.
    (@tests [$d:tt] $start:expr, [$($except:ident)*] => $($name:ident)*) => {
        macro_rules! scenario {
            $( ($except) => {}; )*
            ($d name:ident) => {
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $d name() {
                    let scenario = $crate::scenario::$d name();
                    let driver = ($start)($crate::ManualClock::new(), scenario.setup()).await;
                    if let Err(mismatch) = $crate::scenario::run(&scenario, &driver).await {
                        panic!("{mismatch}");
                    }
                }
            };
        }
        $( scenario!($name); )*
    };
}
