//! HTTP scenarios as data, for applications in any framework.
//!
//! A scenario is a conversation with an application: the requests, the responses that must come
//! back, and the time in between. [`conformance!`](crate::conformance!) mounts all of them for one
//! [`Driver`], with one named test for each.
//!
//! Next to the endpoints under `/auth`, the application has these routes. Its users are [`USERS`]:
//!
//! | route | requires | answers |
//! |---|---|---|
//! | `GET /me` | an access token | 200, `{"subject","session_id","scope","expires_at"}` |
//! | `DELETE /me` | an authentication at most 300 s old | 204, and deletes the user and ends all sessions of the user |
//! | `PUT /me/password` | an access token | 204, takes `{"current_password","new_password"}`, and ends all other sessions of the user; 403 `bad_credentials` if the current password is wrong, which counts as a failed login |
//! | `POST /profile` | an access token | 200 |
//! | `GET /admin` | scope `admin` | 200 |
//! | `POST /transfer` | an authentication at most 300 s old | 200 |
//! | `GET /strict` | an access token, the store asked | 200, with `Cache-Control: no-store` of its own |
//! | `GET /maybe` | nothing | 200, `{"subject": … or null}` |
//! | `GET /events` | an access token | 200, server-sent events: `data: tick` at once and each second, until the session ends |
//! | `GET /openapi.json` | nothing | 200, its [endpoints described](gatepass::wire::Endpoints::openapi) |
//! | `GET /auto/me`, `/auto/admin`, `/auto/strict`, `POST /auto/profile`, `/auto/transfer`, `GET` and `POST /auto/maybe` | the same as the route without `/auto` (`HEAD /auto/me` as well), of a gate that [refreshes](gatepass::wire::Gate::auto_refresh) and sends browsers to the [login page](gatepass::wire::Gate::login_page) `/login` | the same, and `/auto/strict` sets no `Cache-Control` |
//! | `GET /auto/public` | as `/auto/me` | 200, with `Cache-Control: public, max-age=60` of its own |
//! | `GET /auto/theme` | as `/auto/me` | 200, and sets the cookie `theme` with the attributes that gatepass's cookies have |
//! | `GET /auto/own` | as `/auto/me` | 200, and sets the cookie `__Host-gatepass` by itself, in the same way |
//! | `GET /auto/stream` | as `/auto/me` | 200, in several parts |
//! | `POST /auto/take` | as `/auto/me` | 200, and takes the scope `admin` away from all sessions of the user ([enforced](gatepass::Change::enforced)) |
//! | `POST /auto/give` | as `/auto/me` | 200, and gives the scope `admin` to all sessions of the user ([offered](gatepass::Change::offered)) |
//! | `POST /auto/passkey` | as `/auto/me` | as [`Endpoints::reauthenticated`](gatepass::wire::Endpoints::reauthenticated) after an authentication with the `amr` `hwk` and `user` and the `acr` `phr` |
//! | `POST /auto/passkey-of-root` | as `/auto/me` | the same, as if `root` had been authenticated |
//! | `POST /auto/access-only` | as `/auto/me` | as [`Endpoints::issue`](gatepass::wire::Endpoints::issue), for the same user, [without a refresh token](gatepass::Identity::access_only) |
//! | `POST /auto/access-only-by-cookie` | as `/auto/me` | the same, in cookies |
//! | `GET /auto/sliding` | an access token; its gate [renews](gatepass::wire::Gate::auto_renew) that in the header `X-Renewed-Token`, and refreshes nothing | 200 |
//! | `GET /auto/vault` | an authentication of the class `phr` or `phrh`, with the method `hwk` | 200 |
//! | `GET /unguarded` | its handler wants to know who is logged in, and its route has no gate | 500 |
//!
//! Its issuer and realm are `https://issuer.test`. Its lifetimes and windows are the defaults, and
//! a [`ManualClock`](crate::ManualClock) sets its time. It trusts the `X-Forwarded-For` of
//! 127.0.0.1, where the requests come from. [`Setup`] says how it carries tokens. Its endpoints
//! include `resume`, `renew` and `introspect`, and let clients wait for a logout everywhere. They
//! know the OAuth clients of [`CLIENTS`]. These clients and the application's own client may use
//! the password grant. A login with `"remember_me":false` begins a session of at most a day, whose
//! cookies a browser forgets when it closes. Requests go to `https://service.test`.
//!
//! A driver also mounts the [`Shop`], an application with its own API, and the [`Tools`], whose
//! users log in at another service.

mod adopting;
mod auto_refresh;
mod changing;
mod clients;
mod connections;
mod cookies;
mod cross_site;
mod describing;
mod discovery;
mod gates;
mod introspection;
mod lifetimes;
mod login;
mod login_page;
mod message;
mod mount;
mod oauth;
mod own_account;
mod pages;
mod provider;
mod provider_logouts;
mod proxies;
mod refreshing;
mod resuming;
mod revocation;
mod run;
mod script;
mod seeds;
mod sessions;
mod shop;
mod stepping_up;
mod throttling;
mod tools;
mod transcript;
mod wording;

use std::time::Duration;

use async_trait::async_trait;
use gatepass::Transport;
use tokio::sync::oneshot;

pub use self::{
    adopting::*,
    auto_refresh::*,
    changing::*,
    clients::*,
    connections::*,
    cookies::*,
    cross_site::*,
    describing::*,
    discovery::*,
    gates::*,
    introspection::*,
    lifetimes::*,
    login::*,
    login_page::*,
    message::{Request, Response},
    mount::all,
    oauth::*,
    own_account::*,
    pages::*,
    provider_logouts::*,
    proxies::*,
    refreshing::*,
    resuming::*,
    revocation::*,
    run::{Mismatch, run},
    script::Scenario,
    seeds::*,
    sessions::*,
    shop::*,
    stepping_up::*,
    throttling::*,
    tools::*,
    transcript::Transcript,
};

/// The users of the application: name, password and scopes.
pub const USERS: [(&str, &str, &str); 3] = [
    ("alice", "alice's password", "profile"),
    ("bob", "bob's password", "profile"),
    ("root", "root's password", "profile admin"),
];

/// The OAuth clients of the application: id, and secret if any.
pub const CLIENTS: [(&str, Option<&str>); 3] = [
    ("gateway", Some("the gateway's secret: 100%2D+random")),
    ("backend", Some("the-backend's-secret")),
    ("desktop", None),
];

/// The configuration of a scenario's application.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Setup {
    /// The transport of its tokens.
    pub transport: Transport,
    /// How long a session may stay unused, and how long the server can recover its last spent
    /// refresh token. `None` means the default.
    pub idle_ttl: Option<Duration>,
}

/// Drives one application in one framework.
#[async_trait]
pub trait Driver: Send + Sync {
    /// Sends a request and waits for the whole response. Calls [`Opened::now`] as soon as the body
    /// begins or ends. The body may stay open until another request changes something.
    async fn exchange(&self, request: Request, opened: Opened) -> Response;

    /// Sends a request and waits for the whole response.
    async fn send(&self, request: Request) -> Response {
        self.exchange(request, Opened::default()).await
    }

    /// Lets time pass for the application.
    async fn pass_time(&self, time: Duration);

    /// Changes the scopes of a user, or deletes the user.
    async fn change_user(&self, name: &str, change: UserChange);

    /// Makes the store lose all sessions without an entry in its log, as a restore from a backup
    /// does.
    async fn lose_sessions(&self);
}

/// A listener for the beginning of a response's body. By default there is none.
#[derive(Debug, Default)]
pub struct Opened(Option<oneshot::Sender<()>>);

impl Opened {
    /// Reports that the body has begun or ended.
    pub fn now(self) {
        if let Self(Some(listener)) = self {
            // A listener that has gone needs no report.
            let _ = listener.send(());
        }
    }
}

/// A change to a user who is logged in.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a driver must be able to do all that is asked"
)]
pub enum UserChange {
    /// The user has these scopes from now on.
    Scope(&'static str),
    /// The user is gone.
    Deleted,
}
