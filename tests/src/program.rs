//! The programs of `programs/`. They serve an example with the routes of the scenarios, as
//! processes that take their time from a file.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use example_app::{Database, Users};
use gatepass_testkit::{
    ManualClock,
    scenario::{Setup, USERS, UserChange},
};
use serde_json::json;
use tempfile::TempDir;

use crate::application::{STORE, World, change_user, flags, lose_sessions};

/// A running program with its own files. It is killed when dropped, and the drop panics if it has
/// already ended.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    flags: Vec<String>,
    running: Mutex<Child>,
    address: SocketAddr,
    time: AtomicI64,
    directory: TempDir,
}

/// How to end a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By SIGTERM. The program finishes its requests.
    Terminated,
    /// By SIGKILL, as in a power failure.
    Killed,
}

impl Program {
    /// Starts the program with the scenarios' users, and waits until it listens.
    pub async fn start(program: PathBuf, setup: Setup) -> Self {
        let directory = TempDir::new().unwrap();
        let users = USERS.map(|(username, password, scope)| json!({ "username": username, "password": password, "scope": scope }));
        let users = serde_json::to_vec(&users).unwrap();
        fs::write(directory.path().join("users.json"), users).unwrap();
        let mut flags = flags(setup);
        flags.extend(["--users", "users.json"].map(str::to_owned));
        Self::run(program, directory, flags).await
    }

    /// Starts the program with the example's own demo users and these flags, and waits until it
    /// listens.
    pub async fn with_demo_users(program: PathBuf, flags: &[&str]) -> Self {
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        Self::run(program, TempDir::new().unwrap(), flags).await
    }

    async fn run(path: PathBuf, directory: TempDir, flags: Vec<String>) -> Self {
        let started = tokio::task::spawn_blocking(move || Self::run_here(path, directory, flags));
        started.await.unwrap()
    }

    fn run_here(path: PathBuf, directory: TempDir, flags: Vec<String>) -> Self {
        let start = ManualClock::START.unix_millis();
        write_time(directory.path(), start);

        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let (child, address) = launch(&path, directory.path(), any_port, &flags);
        Self {
            path,
            flags,
            running: Mutex::new(child),
            address,
            time: AtomicI64::new(start),
            directory,
        }
    }

    /// Ends the program, and starts it again with the same files and address.
    ///
    /// # Panics
    ///
    /// If it doesn't end as it should, or doesn't start.
    pub async fn restart(self: &Arc<Self>, end: End) {
        let own = Arc::clone(self);
        let restarted = tokio::task::spawn_blocking(move || {
            let mut running = own.running.lock().unwrap();
            stop(&mut running, end);
            *running = launch(&own.path, own.directory.path(), own.address, &own.flags).0;
        });
        restarted.await.unwrap();
    }

    /// The program's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The log of all runs, with every event of gatepass.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join(LOG)).unwrap()
    }
}

/// Starts the program in its directory, and returns its address.
fn launch(
    program: &Path,
    directory: &Path,
    address: SocketAddr,
    flags: &[String],
) -> (Child, SocketAddr) {
    let mut command = Command::new(program);
    // The developer's own settings must not change the example.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GATEPASS_") {
            command.env_remove(name);
        }
    }
    let log = directory.join(LOG);
    let writer = fs::File::options().create(true).append(true).open(&log);
    let child = command
        .current_dir(directory)
        .env("EXAMPLE_CLOCK_FILE", CLOCK)
        .env("RUST_LOG", "error,gatepass=trace")
        .args(["--listen", &address.to_string()])
        .args(flags)
        // The program ends with this process, even if this process is killed.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(writer.unwrap())
        .spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let mut said = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut said).unwrap();
    let Some(address) = said.trim().strip_prefix("Listening on http://") else {
        let log = fs::read_to_string(log).unwrap();
        panic!("{} does not start: {said}{log}", program.display());
    };
    let address = address.parse().unwrap();
    // Read the later output, so that a full pipe doesn't stop the program.
    std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
    (child, address)
}

fn stop(child: &mut Child, end: End) {
    // Kept until the program has ended, because it kills itself when its stdin closes.
    let _stdin = child.stdin.take();
    match end {
        End::Terminated => {
            let process = child.id().to_string();
            // The shell's own `kill`, because a small machine may have no other.
            let kill = ["-c", "kill -TERM \"$0\"", &process];
            assert!(Command::new("sh").args(kill).status().unwrap().success());
            assert!(child.wait().unwrap().success(), "after SIGTERM");
        }
        End::Killed => {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

#[async_trait]
impl World for Program {
    async fn pass_time(&self, time: Duration) {
        let time = i64::try_from(time.as_millis()).unwrap();
        let now = self.time.fetch_add(time, Ordering::SeqCst) + time;
        write_time(self.directory.path(), now);
    }

    async fn change_user(&self, name: &str, change: UserChange) {
        let database = Database::Sqlite(self.directory.path().join(STORE));
        let users = Users::open(&database).await.unwrap();
        change_user(self.directory.path(), &users, name, change).await;
    }

    async fn lose_sessions(&self) {
        lose_sessions(self.directory.path());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let child = self
            .running
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let ended = child.try_wait();
        let _ = child.kill();
        let _ = child.wait();
        if !std::thread::panicking() {
            assert!(matches!(ended, Ok(None)), "it ended by itself: {ended:?}");
        }
    }
}

const CLOCK: &str = "clock";
const LOG: &str = "log";

/// Writes the time at once, because the program must never read half a number.
fn write_time(directory: &Path, millis: i64) {
    let new = directory.join("clock.new");
    fs::write(&new, millis.to_string()).unwrap();
    fs::rename(new, directory.join(CLOCK)).unwrap();
}
