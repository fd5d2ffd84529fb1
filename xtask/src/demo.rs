//! `cargo xtask demo`: the axum example as its users meet it, over real sockets, through real restarts.

mod client;
mod scenarios;
mod server;

use std::path::PathBuf;

use anyhow::Context;
use serde_json::Value;
use xshell::{Shell, cmd};

use self::{client::Client, server::Server};
use crate::progress::step;

const EXAMPLE: &str = "example-axum";

/// Plays every scenario, and fails if one exchange was not answered as it must be.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    step("demo", &format!("build {EXAMPLE}"));
    let binary = build(sh)?;

    // Removed when dropped, the server's files included.
    let directory = sh.create_temp_dir()?;
    let mut server = Server::prepare(binary, directory.path(), &scenarios::users())?;
    let mut client = Client::new(server.url());

    let played = server
        .start(&client)
        .and_then(|()| scenarios::play(&mut server, &mut client));
    server.kill();

    let failed = client.failed();
    if played.is_err() || failed > 0 {
        step("demo", "what the server said");
        println!("{}", server.log());
    }
    played?;
    anyhow::ensure!(
        failed == 0,
        "demo: {failed} of {} steps failed",
        client.played()
    );
    step("demo", &format!("all {} steps ok", client.played()));
    Ok(())
}

/// Builds the example, and asks cargo where it put it.
fn build(sh: &Shell) -> anyhow::Result<PathBuf> {
    let messages = cmd!(
        sh,
        "cargo build --quiet --package {EXAMPLE} --message-format json-render-diagnostics"
    )
    .quiet()
    .read()?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| {
            message
                .pointer("/target/name")
                .is_some_and(|name| name == EXAMPLE)
        })
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .with_context(|| format!("cargo built no executable for {EXAMPLE}"))
}
