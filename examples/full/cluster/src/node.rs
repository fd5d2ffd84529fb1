//! A node: one of the examples' programs, with a client.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::{Value, json};
use ureq::Agent;

/// How long a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running program, which stops when this is dropped.
pub(crate) struct Node {
    pub(crate) framework: &'static str,
    process: Child,
    log: PathBuf,
    url: String,
    user: String,
    agent: Agent,
}

/// A login, and the node that issued its tokens.
pub(crate) struct Session {
    pub(crate) framework: &'static str,
    access: String,
    refresh: String,
}

impl Node {
    /// Starts `command` in the new directory `home`.
    pub(crate) fn start(
        framework: &'static str,
        mut command: Command,
        home: PathBuf,
        store: &str,
        user: &str,
    ) -> anyhow::Result<Self> {
        fs::create_dir(&home)?;
        let log = home.join("log");
        // Your own settings are for your own servers.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GATEPASS_") {
                command.env_remove(name);
            }
        }
        let process = command
            .current_dir(&home)
            .args(["--listen", "127.0.0.1:0"])
            // Other users of the machine can see arguments, and this one may contain a password.
            .env("GATEPASS_STORE", store)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("cannot start the node in {framework}"))?;
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            // The node is on this machine, even if your environment names a proxy.
            .proxy(None)
            .build();
        Ok(Self {
            framework,
            process,
            log,
            url: String::new(),
            user: user.to_owned(),
            agent: agent.into(),
        })
    }

    /// Waits until the node serves requests, including those with tokens.
    pub(crate) fn wait(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let stdout = self.process.stdout.take().context("waited for twice")?;
        let mut lines = BufReader::new(stdout);
        let mut first = String::new();
        lines.read_line(&mut first)?;
        let url = first.trim().strip_prefix("Listening on ");
        let url =
            url.with_context(|| format!("{} does not start:\n{}", self.framework, self.log()))?;
        self.url = url.to_owned();
        // If nothing reads the pipe, the node stops when it is full.
        thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        let ready = format!("{}/ready", self.url);
        while !self
            .agent
            .get(&ready)
            .call()
            .is_ok_and(|answer| answer.status() == 200)
        {
            anyhow::ensure!(
                begun.elapsed() < PATIENCE,
                "{} is not ready:\n{}",
                self.framework,
                self.log()
            );
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The URL of the node's page.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The URL that answers with the current user.
    pub(crate) fn me(&self) -> String {
        format!("{}/me", self.url)
    }

    /// Everything that the node logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn login(&self, password: &str) -> anyhow::Result<Session> {
        let body = json!({"username": self.user, "password": password});
        self.session("/auth/login", &body)
    }

    pub(crate) fn refresh(&self, session: &Session) -> anyhow::Result<Session> {
        self.session("/auth/refresh", &json!({"refresh_token": session.refresh}))
    }

    /// Logs out, and returns when the node answered.
    pub(crate) fn logout(&self, path: &str, session: &Session) -> anyhow::Result<Instant> {
        let post = self.agent.post(format!("{}{path}", self.url));
        let answer = post
            .header("authorization", session.bearer())
            .send_empty()?;
        let answered = Instant::now();
        self.tell("POST", path, answer.status().as_u16(), 204)?;
        Ok(answered)
    }

    /// Fails unless the node accepts the session's access token.
    pub(crate) fn accepts(&self, session: &Session) -> anyhow::Result<()> {
        self.judges(session, 200)
    }

    /// Fails unless the node refuses the session's access token.
    pub(crate) fn refuses(&self, session: &Session) -> anyhow::Result<()> {
        self.judges(session, 401)
    }

    fn judges(&self, session: &Session, status: u16) -> anyhow::Result<()> {
        let get = self.agent.get(self.me());
        let answer = get.header("authorization", session.bearer()).call()?;
        self.tell("GET", "/me", answer.status().as_u16(), status)
    }

    fn session(&self, path: &str, body: &Value) -> anyhow::Result<Session> {
        let post = self.agent.post(format!("{}{path}", self.url));
        let post = post.header("content-type", "application/json");
        let answer = post.send(body.to_string())?;
        self.tell("POST", path, answer.status().as_u16(), 200)?;
        let body: Value = serde_json::from_str(&answer.into_body().read_to_string()?)?;
        let token = |name: &str| {
            let token = body.get(name).and_then(Value::as_str);
            token
                .map(str::to_owned)
                .with_context(|| format!("an answer without {name}"))
        };
        Ok(Session {
            framework: self.framework,
            access: token("access_token")?,
            refresh: token("refresh_token")?,
        })
    }

    fn tell(&self, method: &str, path: &str, status: u16, expected: u16) -> anyhow::Result<()> {
        let told = format!("{:<6} {method} {path} -> {status}", self.framework);
        println!("  {told}");
        anyhow::ensure!(status == expected, "{told}, but {expected} was expected");
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Both calls fail only if the process has already ended.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Session {
    /// The header field with the session's access token.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.access)
    }
}

/// A random text.
pub(crate) fn random() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
