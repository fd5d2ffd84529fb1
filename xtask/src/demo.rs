//! `cargo xtask demo`: the axum example as its users meet it, over real sockets, through real
//! restarts.

mod scenarios;
mod seeds;

use xshell::Shell;

use crate::{built, client::Client, example::Server, progress::step};

const EXAMPLE: &str = "example-axum";

/// Plays every scenario, and fails if one exchange was not answered as it must be.
pub(crate) fn run(sh: &Shell) -> anyhow::Result<()> {
    step("demo", &format!("build {EXAMPLE}"));
    let binary = built::executable(sh, EXAMPLE, EXAMPLE)?;

    // Removed when dropped, the server's files included.
    let directory = sh.create_temp_dir()?;
    let overlap = format!("{}s", scenarios::OVERLAP.as_secs());
    let flags = ["--overlap", &overlap, "--recovery", "0s"];
    let mut server = Server::prepare(binary, directory.path(), &scenarios::users(), &flags)?;
    let mut client = Client::new(server.url());

    let played = server
        .start(|| client.is_ready())
        .and_then(|()| scenarios::play(&mut server, &mut client))
        .and_then(|()| seeds::play(&mut server, &mut client));
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
