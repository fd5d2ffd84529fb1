//! The parts of the scenarios' shop that are the same in each framework.

use std::sync::Arc;

use example_app::App;
use futures_util::FutureExt;
use gatepass::{Clock, Pass, RequiredScopes, Requirements, Timestamp};
use gatepass_testkit::scenario::{Customer, Shop};
use serde_json::{Value, json};

/// The scopes of the shop's administrators.
pub(super) struct Admin;

impl RequiredScopes for Admin {
    const SCOPES: &'static [&'static str] = &["admin"];
}

/// Starts the shop with the application's clock.
pub(super) fn start(app: &App) -> Shop {
    // A store in memory answers immediately.
    let started = Shop::start(Of::new(app)).now_or_never();
    started.unwrap().unwrap()
}

/// The requirements of routes that judge no credentials.
pub(super) fn open() -> Requirements {
    Requirements::new().open()
}

/// The requirements of routes that also take API keys.
pub(super) fn optional() -> Requirements {
    Requirements::new().optional()
}

pub(super) fn me(pass: &Pass) -> Value {
    json!({ "subject": pass.subject().as_str() })
}

pub(super) fn customer(customer: &Customer) -> Value {
    json!({ "name": customer.name, "loaded": customer.loaded })
}

pub(super) fn site(same_site: bool) -> Value {
    json!({ "same_site": same_site })
}

pub(super) fn token(token: &str) -> Value {
    json!({ "token": token })
}

/// The application's clock.
#[derive(Clone)]
pub(super) struct Of(Arc<dyn Clock>);

impl Of {
    pub(super) fn new(app: &App) -> Self {
        Self(Arc::clone(app.clock()))
    }
}

impl Clock for Of {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn monotonic(&self) -> std::time::Duration {
        self.0.monotonic()
    }
}
