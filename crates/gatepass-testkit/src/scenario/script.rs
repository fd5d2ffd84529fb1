//! A conversation: the requests, the responses that must come back, and the time in between.

use std::time::Duration;

use gatepass::Transport;
use serde_json::Value;

use super::{Request, Setup, UserChange};

/// A conversation.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub(super) name: &'static str,
    pub(super) setup: Setup,
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Exchange(Exchange),
    Parallel(usize, Exchange),
    Race(Race),
    WhileOpen(Exchange, Vec<Exchange>),
    PassTime(Duration),
    ChangeUser(&'static str, UserChange),
    LoseSessions,
    /// A claim about a response where there is none.
    Misplaced,
}

/// Simultaneous requests, in an unknown order.
#[derive(Clone, Debug)]
pub(super) struct Race {
    /// Each request with its possible statuses.
    pub(super) requests: Vec<(Request, &'static [u16])>,
    /// A pointer, and the name for the value there. The last response with such a value counts.
    pub(super) kept: (&'static str, &'static str),
}

#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) request: Request,
    pub(super) status: u16,
    pub(super) expected: Vec<Expected>,
    pub(super) kept: Vec<(&'static str, &'static str)>,
    pub(super) kept_cookies: Vec<(&'static str, &'static str)>,
    pub(super) kept_headers: Vec<(&'static str, &'static str)>,
}

#[derive(Clone, Debug)]
pub(super) enum Expected {
    /// The header field has this value.
    Header(&'static str, String),
    /// The field `Allow` lists these, in any order.
    Allow(&'static str),
    /// The header field is not there.
    NoHeader(&'static str),
    /// The JSON body has this at the pointer.
    Json(&'static str, Value),
    /// The JSON body has the kept value of this name at the pointer.
    SameAs(&'static str, &'static str),
    /// The JSON body has another value at the pointer than the kept one of this name.
    OtherThan(&'static str, &'static str),
    /// The JSON body has any value at the pointer.
    SomeJson(&'static str),
    /// The body is empty.
    Empty,
    /// The body is this text.
    Body(&'static str),
    /// The JSON body has nothing at the pointer.
    NoJson(&'static str),
    /// The response sets these cookies and no others.
    SetCookies(&'static [&'static str]),
    /// The same, for cookies that a browser forgets when it closes.
    SetSessionCookies(&'static [&'static str]),
    /// The response clears both cookies.
    ClearCookies,
    /// The response sets the cookie to the kept value of this name.
    SameCookie(&'static str, &'static str),
    /// The response sets the cookie to another value than the kept one of this name.
    OtherCookie(&'static str, &'static str),
}

impl Exchange {
    fn new(request: Request, status: u16) -> Self {
        Self {
            request,
            status,
            expected: Vec::new(),
            kept: Vec::new(),
            kept_cookies: Vec::new(),
            kept_headers: Vec::new(),
        }
    }
}

impl Scenario {
    /// An empty scenario with this name.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            setup: Setup::default(),
            steps: Vec::new(),
        }
    }

    /// Plays it on an application with this transport. The default is bearer tokens.
    #[must_use]
    pub fn over(mut self, transport: Transport) -> Self {
        self.setup.transport = transport;
        self
    }

    /// Plays it on an application with this idle lifetime.
    #[must_use]
    pub fn idle_for(mut self, time: Duration) -> Self {
        self.setup.idle_ttl = Some(time);
        self
    }

    /// The configuration of its application.
    #[must_use]
    pub fn setup(&self) -> Setup {
        self.setup
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Sends `request` and expects a response of this status. The calls that follow say more about
    /// it.
    #[must_use]
    pub fn send(mut self, request: Request, status: u16) -> Self {
        self.steps
            .push(Step::Exchange(Exchange::new(request, status)));
        self
    }

    /// Sends `request` this many times at once. The calls that follow apply to each response.
    #[must_use]
    pub fn send_at_once(mut self, times: usize, request: Request, status: u16) -> Self {
        let exchange = Exchange::new(request, status);
        self.steps.push(Step::Parallel(times, exchange));
        self
    }

    /// Sends all requests at once. Each response must have one of the statuses of its request. If a
    /// response has a value at `pointer` of its JSON body, it is kept as `name`. A
    /// [`Transcript`](super::Transcript) omits the responses of a race.
    #[must_use]
    pub fn race(
        mut self,
        requests: Vec<(Request, &'static [u16])>,
        pointer: &'static str,
        name: &'static str,
    ) -> Self {
        let kept = (pointer, name);
        self.steps.push(Step::Race(Race { requests, kept }));
        self
    }

    /// Sends `request`, whose response stays open. Once its head is there, sends the others one
    /// after the other, each with its expected status. The calls that follow apply to the open
    /// response. Repetitions of an event count once, because their number depends on timing.
    #[must_use]
    pub fn while_open(
        mut self,
        request: Request,
        status: u16,
        others: Vec<(Request, u16)>,
    ) -> Self {
        let others = others.into_iter();
        let others = others.map(|(request, status)| Exchange::new(request, status));
        let exchange = Exchange::new(request, status);
        self.steps.push(Step::WhileOpen(exchange, others.collect()));
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

    /// Makes the store lose all sessions.
    #[must_use]
    pub fn lose_sessions(mut self) -> Self {
        self.steps.push(Step::LoseSessions);
        self
    }

    /// The response has this header field.
    #[must_use]
    pub fn header(self, name: &'static str, value: impl Into<String>) -> Self {
        self.expecting(Expected::Header(name, value.into()))
    }

    /// The response allows these methods, in any order.
    #[must_use]
    pub fn allows(self, methods: &'static str) -> Self {
        self.expecting(Expected::Allow(methods))
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

    /// The response's JSON body has the value that was kept as `name` at `pointer`.
    #[must_use]
    pub fn same_as(self, pointer: &'static str, name: &'static str) -> Self {
        self.expecting(Expected::SameAs(pointer, name))
    }

    /// The response's JSON body has another value at `pointer` than the one that was kept as
    /// `name`.
    #[must_use]
    pub fn other_than(self, pointer: &'static str, name: &'static str) -> Self {
        self.expecting(Expected::OtherThan(pointer, name))
    }

    /// The response has no body.
    #[must_use]
    pub fn empty(self) -> Self {
        self.expecting(Expected::Empty)
    }

    /// The response's body is this text.
    #[must_use]
    pub fn body(self, text: &'static str) -> Self {
        self.expecting(Expected::Body(text))
    }

    /// Keeps what the response's JSON body has at `pointer` as `name`.
    #[must_use]
    pub fn keep(self, pointer: &'static str, name: &'static str) -> Self {
        self.keeping(|exchange| exchange.kept.push((pointer, name)))
    }

    /// Keeps the value of the response's header field as `name`.
    #[must_use]
    pub fn keep_header(self, header: &'static str, name: &'static str) -> Self {
        self.keeping(|exchange| exchange.kept_headers.push((header, name)))
    }

    /// The response's JSON body has any value at `pointer`.
    #[must_use]
    pub fn some_json(self, pointer: &'static str) -> Self {
        self.expecting(Expected::SomeJson(pointer))
    }

    /// The response's JSON body has no value at `pointer`.
    #[must_use]
    pub fn no_json(self, pointer: &'static str) -> Self {
        self.expecting(Expected::NoJson(pointer))
    }

    /// The response sets these cookies and no others, with the right attributes. Without this call,
    /// a response must set no cookie.
    #[must_use]
    pub fn sets_cookies(self, names: &'static [&'static str]) -> Self {
        self.expecting(Expected::SetCookies(names))
    }

    /// The response sets the cookies of these names, as [`sets_cookies`](Self::sets_cookies) says,
    /// but without a `Max-Age`.
    #[must_use]
    pub fn sets_session_cookies(self, names: &'static [&'static str]) -> Self {
        self.expecting(Expected::SetSessionCookies(names))
    }

    /// The response clears both cookies.
    #[must_use]
    pub fn clears_cookies(self) -> Self {
        self.expecting(Expected::ClearCookies)
    }

    /// The response sets the cookie to the value that was kept as `name`.
    #[must_use]
    pub fn same_cookie(self, cookie: &'static str, name: &'static str) -> Self {
        self.expecting(Expected::SameCookie(cookie, name))
    }

    /// The response sets the cookie to another value than the one that was kept as `name`.
    #[must_use]
    pub fn other_cookie(self, cookie: &'static str, name: &'static str) -> Self {
        self.expecting(Expected::OtherCookie(cookie, name))
    }

    /// Keeps the value that the response sets the cookie to as `name`.
    #[must_use]
    pub fn keep_cookie(self, cookie: &'static str, name: &'static str) -> Self {
        self.keeping(|exchange| exchange.kept_cookies.push((cookie, name)))
    }

    fn expecting(mut self, expected: Expected) -> Self {
        match self.steps.last_mut() {
            Some(
                Step::Exchange(exchange)
                | Step::Parallel(_, exchange)
                | Step::WhileOpen(exchange, _),
            ) => {
                exchange.expected.push(expected);
            }
            _ => self.steps.push(Step::Misplaced),
        }
        self
    }

    /// Keeps a part of one response. With simultaneous requests, it would be unclear which response
    /// is meant.
    fn keeping(mut self, keep: impl FnOnce(&mut Exchange)) -> Self {
        match self.steps.last_mut() {
            Some(Step::Exchange(exchange)) => keep(exchange),
            _ => self.steps.push(Step::Misplaced),
        }
        self
    }
}
