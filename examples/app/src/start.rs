//! From the command line to a running application, and back to an exit code.

use std::{
    io::{self, IsTerminal},
    net::TcpListener,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::Parser;
use tracing::{info, warn};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::{app::App, settings::Settings};

/// Reads the settings, starts to log, listens, and starts the application. Mistakes in the command
/// line end the process here.
///
/// # Errors
///
/// The error says what is wrong with the settings or the files that they name, and what to do.
pub async fn start() -> anyhow::Result<(App, TcpListener)> {
    let settings = Settings::parse();
    log()?;
    // First, so that a second start by mistake does nothing to the files of the first.
    let listener = settings.bind()?;
    Ok((App::start(&settings).await?, listener))
}

/// Logs to stderr, as `RUST_LOG` says.
fn log() -> anyhow::Result<()> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env()
        .context("RUST_LOG must be such as info,gatepass=debug")?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init()
        .map_err(|error| anyhow::anyhow!(error))
        .context("cannot start to log")
}

/// How long requests that are under way have to finish when the process is told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs a server that stops by [`shutdown`], and does not wait for ever for those who hold on to a
/// connection: for ten seconds, or until it is told to stop once more.
///
/// # Errors
///
/// The error that the server ended with.
pub async fn drained(server: impl Future<Output = io::Result<()>>) -> anyhow::Result<()> {
    let overdue = async {
        told_to_stop().await;
        let _ = tokio::time::timeout(DRAIN, told_to_stop()).await;
    };
    tokio::select! {
        ended = server => Ok(ended?),
        () = overdue => {
            warn!("stopped: not all requests were finished");
            Ok(())
        }
    }
}

/// Resolves when the process is told to stop.
pub async fn shutdown() {
    told_to_stop().await;
    info!("stopping: no new requests, those under way are finished");
}

/// Resolves at the next Ctrl-C, or SIGTERM where there are signals.
async fn told_to_stop() {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};

        match signal(SignalKind::terminate()) {
            Ok(mut terminated) => {
                terminated.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        () = interrupted => {}
        () = terminated => {}
    }
}

/// The exit code of an application that ended like this; says on stderr why, in one line.
#[expect(
    clippy::print_stderr,
    reason = "the last word of a command-line program"
)]
#[must_use]
pub fn exit_code(ended: anyhow::Result<()>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
