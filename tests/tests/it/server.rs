//! The example's own program, as processes that share a directory and may be killed.

pub(crate) mod api;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
};

use self::api::Api;

/// A server on its own port. It is killed when dropped.
pub(crate) struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Starts the server on the files in `directory`, with the user `alice`, and waits until it
    /// listens.
    pub(crate) async fn start(directory: &Path) -> Self {
        Self::start_with(directory, &[]).await
    }

    /// As [`start`](Self::start), with these further arguments.
    pub(crate) async fn start_with(directory: &Path, further: &[&str]) -> Self {
        let mut command = Command::new(program());
        command.args(arguments(directory)).args(further);
        let started = Self::run(command, directory).await;
        started.unwrap_or_else(|said| panic!("it does not start: {said}"))
    }

    /// Runs `command`, which must end up as the [`program`] with these [`arguments`]. An error is
    /// the output of the process before it ended.
    pub(crate) async fn run(mut command: Command, directory: &Path) -> Result<Self, String> {
        let child = command
            .current_dir(directory)
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        let stdout = child.stdout.take().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let said = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).unwrap();
            match line.trim().strip_prefix("Listening on ") {
                Some(url) => {
                    // Read the later output, so that a full pipe doesn't stop the server.
                    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
                    Ok(url.to_owned())
                }
                None => {
                    let mut text = String::new();
                    stderr.read_to_string(&mut text).unwrap();
                    Err(text)
                }
            }
        });
        let mut server = Self {
            child,
            url: String::new(),
        };
        match said.await.unwrap() {
            Ok(url) => {
                server.url = url;
                Ok(server)
            }
            Err(text) => {
                assert!(!server.child.wait().unwrap().success(), "{text}");
                Err(text)
            }
        }
    }

    pub(crate) fn api(&self) -> Api {
        Api::new(&self.url)
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits until a server that got a signal to stop has ended.
    pub(crate) fn wait(mut self) {
        self.child.wait().unwrap();
    }

    /// Kills the server as `kill -9` does, and waits until it has ended.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The path of the program.
pub(crate) fn program() -> &'static str {
    env!("CARGO_BIN_EXE_example-axum-under-test")
}

/// The program's arguments. Makes the file of the users in `directory`, which must be the working
/// directory.
pub(crate) fn arguments(directory: &Path) -> Vec<&'static str> {
    let users = directory.join("users.json");
    if !users.exists() {
        let alice = r#"[{"username":"alice","password":"a password","scope":"profile"}]"#;
        fs::write(users, alice).unwrap();
    }
    ["--listen", "127.0.0.1:0", "--users", "users.json"].into()
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process may already have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
