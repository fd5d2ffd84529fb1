//! The example's own program, as a process that can be killed.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

/// A server on a port of its own. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Starts the server on the files in `directory`, with the user `alice`, and waits until it listens.
    pub(crate) async fn start(directory: &Path) -> Self {
        let users = directory.join("users.json");
        fs::write(
            &users,
            r#"[{"username":"alice","password":"a password","scope":"profile"}]"#,
        )
        .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_example-axum-under-test"))
            .current_dir(directory)
            .args(["--listen", "127.0.0.1:0", "--users"])
            .arg(users)
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        let stdout = child.stdout.take().unwrap();
        let first = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        });
        let line = first.await.unwrap().unwrap();
        let url = line
            .trim()
            .strip_prefix("Listening on ")
            .expect("the line of a server that listens");
        Self {
            child,
            url: url.to_owned(),
        }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Kills the server as `kill -9` does, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
