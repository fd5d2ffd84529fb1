//! The example's program, and its page in a browser.

use std::{sync::Arc, time::Duration};

use gatepass_tests::{application::World, conformance::Framework, program::Program};

use crate::browser::Browser;

/// The names of the cookies.
pub const ACCESS: &str = "__Host-gatepass";
/// The name of the refresh token's cookie.
pub const REFRESH: &str = "__Host-gatepass-refresh";

/// Longer than the lifetime of an access token with the leeway, by a second.
pub const PAST_EXPIRY: Duration = Duration::from_secs(15 * 60 + 31);
/// Longer than the overlap of a spent refresh token, by a second.
pub const PAST_OVERLAP: Duration = Duration::from_secs(31);

/// A running program with the demo users.
#[derive(Debug)]
pub struct Example {
    /// The program.
    pub program: Arc<Program>,
    /// The origin of its page.
    pub origin: String,
}

impl Example {
    /// Starts the example of a framework.
    pub async fn start(framework: Framework) -> Self {
        Self::with(framework, &[]).await
    }

    /// Starts the example with these flags.
    pub async fn with(framework: Framework, flags: &[&str]) -> Self {
        let program = Program::with_demo_users(framework.program(), flags).await;
        Self {
            origin: format!("http://{}", program.address()),
            program: Arc::new(program),
        }
    }

    /// Moves the clock of the service. The browser's clock runs by itself.
    pub async fn pass(&self, time: Duration) {
        self.program.pass_time(time).await;
    }

    /// Opens the page, and logs alice in there.
    pub async fn log_in(&self, browser: &Browser) {
        self.log_in_at(browser, &self.origin).await;
    }

    /// As [`log_in`](Self::log_in), at another URL of the service.
    pub async fn log_in_at(&self, browser: &Browser, url: &str) {
        browser.open(url).await;
        browser.until(OUT).await;
        browser.click("[data-user=alice]").await;
        browser.until(&logged_in()).await;
    }
}

/// The page shows that no user is logged in.
pub const OUT: &str = "document.body?.dataset.state === 'out'";

/// The page shows alice's session, and has loaded everything that it shows.
#[must_use]
pub fn logged_in() -> String {
    "document.body?.dataset.state === 'in' && document.querySelector('#who').textContent === 'alice' \
     && document.querySelector('#sessions [data-current]')"
        .to_owned()
}

/// The page shows this notice.
#[must_use]
pub fn notice(state: &str, reason: &str) -> String {
    format!(
        "document.querySelector('#notice[data-state={state}][data-reason={reason}]')?.textContent"
    )
}

/// Requests a route with a button of the page, and returns the status of the answer.
pub async fn ask(browser: &Browser, call: &str) -> u64 {
    browser
        .run("delete document.querySelector('#answer').dataset.status")
        .await;
    browser.click(&format!("[data-call='{call}']")).await;
    let status = "document.querySelector('#answer').dataset.status";
    browser.until(status).await;
    let status = browser.value(status).await;
    status.as_str().unwrap().parse().unwrap()
}
