//! A Chromium for one test.

use std::{
    fmt,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::{
    By, ChromiumLikeCapabilities, Cookie, DesiredCapabilities, WebDriver, WindowHandle,
};

use crate::tools;

/// How long a condition may take to become true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two requests to the browser.
const PAUSE: Duration = Duration::from_millis(25);

/// The browser contacts no server by itself, for updates, sync or guesses. Root may run it.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--window-size=1280,1400",
];

/// A browser with its own profile. It ends when this is dropped.
pub struct Browser {
    driver: WebDriver,
    chromedriver: Chromedriver,
    profile: Arc<TempDir>,
}

/// The program that starts the browser and takes WebDriver requests.
struct Chromedriver {
    child: Child,
    /// The process of the browser. It outlives the driver unless this kills it.
    browser: Option<u64>,
}

impl Browser {
    /// Starts a browser with a new profile.
    ///
    /// # Panics
    ///
    /// If Chromium or its driver isn't installed or doesn't start.
    pub async fn start() -> Self {
        Self::with_profile(Arc::new(TempDir::new().unwrap())).await
    }

    /// Quits the browser as its user would, and starts it again.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub async fn restart(self) -> Self {
        self.driver.clone().quit().await.unwrap();
        let profile = Arc::clone(&self.profile);
        drop(self);
        Self::with_profile(profile).await
    }

    async fn with_profile(profile: Arc<TempDir>) -> Self {
        let (mut chromedriver, url) = Chromedriver::start();
        let mut capabilities = DesiredCapabilities::chrome();
        let directory = format!("--user-data-dir={}", profile.path().display());
        for flag in FLAGS.iter().copied().chain([directory.as_str()]) {
            capabilities.add_arg(flag).unwrap();
        }
        let driver = WebDriver::new(url, capabilities).await;
        let driver = driver.unwrap_or_else(|error| panic!("Chromium doesn't start: {error}"));
        let process = driver.capabilities().get("goog:processID");
        chromedriver.browser = process.and_then(Value::as_u64);
        assert!(chromedriver.browser.is_some(), "{process:?}");
        Self {
            driver,
            chromedriver,
            profile,
        }
    }

    /// Opens a page in the current tab.
    pub async fn open(&self, url: &str) {
        self.driver.goto(url).await.unwrap();
    }

    /// Reloads the page of the current tab.
    pub async fn reload(&self) {
        self.driver.refresh().await.unwrap();
    }

    /// The URL of the current tab.
    pub async fn url(&self) -> String {
        self.driver.current_url().await.unwrap().into()
    }

    /// Opens a page in a new tab, and makes it the current one.
    pub async fn open_tab(&self, url: &str) -> WindowHandle {
        let tab = self.driver.new_tab().await.unwrap();
        self.switch_to(&tab).await;
        self.open(url).await;
        tab
    }

    /// The current tab.
    pub async fn tab(&self) -> WindowHandle {
        self.driver.window().await.unwrap()
    }

    /// Makes another tab the current one.
    pub async fn switch_to(&self, tab: &WindowHandle) {
        self.driver.switch_to_window(tab.clone()).await.unwrap();
    }

    /// Runs `body` in the current tab's page. `body` is the body of a JavaScript function, which
    /// may return a promise.
    ///
    /// # Panics
    ///
    /// If the function throws.
    pub async fn run(&self, body: &str) -> Value {
        let ran = self.driver.execute(body, Vec::new()).await;
        let ran = ran.unwrap_or_else(|error| panic!("{body}: {error}"));
        ran.json().clone()
    }

    /// The value of an expression in JavaScript.
    pub async fn value(&self, expression: &str) -> Value {
        self.run(&format!("return ({expression})")).await
    }

    /// Waits until an expression is true of the current tab's page.
    ///
    /// # Panics
    ///
    /// If that takes too long.
    pub async fn until(&self, expression: &str) {
        let begun = Instant::now();
        let body = format!("return Boolean({expression})");
        loop {
            // A page that is unloading runs no script.
            let ran = self.driver.execute(body.as_str(), Vec::new()).await;
            if ran.is_ok_and(|ran| *ran.json() == json!(true)) {
                return;
            }
            if begun.elapsed() > PATIENCE {
                let shown = self.driver.execute(SHOWN, Vec::new()).await;
                let shown = shown.map(|shown| shown.json().clone());
                panic!("it never came true: {expression}; the page shows: {shown:#?}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Clicks on the element with this CSS selector, as soon as it is visible.
    pub async fn click(&self, selector: &str) {
        let element = format!("document.querySelector({})", json!(selector));
        self.until(&format!(
            "{element}?.checkVisibility() && !{element}.disabled"
        ))
        .await;
        let found = self.driver.find(By::Css(selector)).await.unwrap();
        found.click().await.unwrap();
    }

    /// Types into the element with this CSS selector.
    pub async fn type_into(&self, selector: &str, text: &str) {
        let found = self.driver.find(By::Css(selector)).await.unwrap();
        found.send_keys(text).await.unwrap();
    }

    /// The text of the element with this CSS selector.
    pub async fn text(&self, selector: &str) -> String {
        let element = format!("document.querySelector({})", json!(selector));
        let text = self.value(&format!("{element}?.textContent ?? null")).await;
        let text = text.as_str().map(str::to_owned);
        text.unwrap_or_else(|| panic!("there is no {selector}"))
    }

    /// All cookies that the browser sends to the current page's service, including those that no
    /// script can read.
    pub async fn cookies(&self) -> Vec<Cookie> {
        self.driver.get_all_cookies().await.unwrap()
    }

    /// The value of the cookie with this name.
    pub async fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.cookies().await;
        let cookie = cookies.into_iter().find(|cookie| cookie.name == name);
        cookie.map(|cookie| cookie.value)
    }

    /// Saves a picture of the current tab in `target/browser`.
    pub async fn picture(&self, name: &str) {
        let file = tools::picture(name);
        self.driver.screenshot(&file).await.unwrap();
        println!("{}", file.display());
    }
}

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let process = self.chromedriver.browser;
        let mut shown = f.debug_struct("Browser");
        shown.field("process", &process).finish_non_exhaustive()
    }
}

impl Chromedriver {
    /// Starts chromedriver on a free port, and returns its URL.
    fn start() -> (Self, String) {
        let child = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.unwrap_or_else(|error| {
            panic!("chromedriver: {error}; run `cargo xtask setup`, which installs it")
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let own = Self {
            child,
            browser: None,
        };
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let port = port.unwrap_or_else(|| panic!("chromedriver ended before it listened"));
        // Read the later output, so that a full pipe doesn't stop the driver.
        std::thread::spawn(move || lines.for_each(drop));
        (own, format!("http://127.0.0.1:{port}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver's own drop would block the runtime that drives it.
        let _ = self.driver.clone().leak();
    }
}

impl Drop for Chromedriver {
    fn drop(&mut self) {
        // All of these fail only if the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(browser) = self.browser {
            // The shell's own `kill`, because a small machine may have no other.
            let kill = ["-c", "kill -KILL \"$0\" 2>&-", &browser.to_string()];
            let _ = Command::new("sh").args(kill).status();
        }
    }
}

/// The parts of a page that best show its state.
const SHOWN: &str = "return {
    url: location.href,
    state: document.body.dataset.state,
    notice: document.getElementById('notice')?.outerHTML,
    answer: document.getElementById('answer')?.outerHTML,
    exchanges: document.getElementById('exchanges')?.innerText,
    text: document.body.innerText.slice(0, 300),
}";
