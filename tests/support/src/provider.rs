//! A real OpenID Connect provider: npm's `oidc-provider`, in its own process.

use std::{path::PathBuf, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// A provider that accepts any name and password. It ends when this is dropped.
pub struct Provider {
    issuer: String,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _process: Child,
}

impl Provider {
    /// The secret of its only client, `shop-web`.
    pub const SECRET: &str = "a secret of the tests";

    /// Starts a provider for the service at `origin`. Browsers come back to the path `redirect`,
    /// and logout tokens go to the path `logout`.
    ///
    /// # Panics
    ///
    /// If it can't be started, for example because it isn't installed.
    pub async fn start(origin: &str, redirect: &str, logout: &str) -> Self {
        let script = script();
        let process = Command::new("node")
            .arg(&script)
            .args([origin, redirect, logout])
            // The provider ends when this closes, even if the test is killed.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut process = process.unwrap_or_else(|error| panic!("node: {error}: {INSTALL}"));
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut issuer = String::new();
        output.read_line(&mut issuer).await.unwrap();
        assert!(!issuer.is_empty(), "{} fails: {INSTALL}", script.display());
        let issuer = issuer.trim_end().to_owned();
        Self {
            issuer,
            input: process.stdin.take().unwrap(),
            output,
            _process: process,
        }
    }

    /// Makes the provider replace its signing key with a new one.
    ///
    /// # Panics
    ///
    /// If the provider has ended.
    pub async fn rotate_key(&mut self) {
        self.input.write_all(b"\n").await.unwrap();
        let mut line = String::new();
        // The provider also prints notices.
        while !line.starts_with("key-") {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).await.unwrap(), 0);
        }
    }

    /// The provider's issuer, which is also its URL.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}

const INSTALL: &str = "run `cargo xtask setup`, which installs what it needs";

/// The path of the script, next to its libraries, below the target directory of this program.
fn script() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let target = own
        .ancestors()
        .find(|path| path.join("CACHEDIR.TAG").exists());
    target.unwrap().join("interop/node/provider.mjs")
}
