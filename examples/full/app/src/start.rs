//! Starts the application from the command line, and turns its end into an exit code.

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

/// Reads the settings, starts to log, listens, and starts the application. A mistake in the command
/// line ends the process here.
///
/// # Errors
///
/// The error describes the fault of the settings or of the files that they name, and says what to
/// do.
pub async fn start() -> anyhow::Result<(App, TcpListener)> {
    let settings = Settings::parse();
    log()?;
    // Listens first, so that an accidental second start doesn't touch the files of the first.
    let listener = settings.bind()?;
    Ok((App::start(&settings).await?, listener))
}

/// Logs to stderr, as `RUST_LOG` says.
fn log() -> anyhow::Result<()> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env()
        .context("RUST_LOG must be a filter such as info,gatepass=debug")?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init()
        .map_err(|error| anyhow::anyhow!(error))
        .context("cannot start to log")
}

/// How long the requests in progress may take after the process got the signal to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs a server that stops by [`shutdown`]. If clients keep connections open, it stops after ten
/// seconds, or at the second signal to stop.
///
/// # Errors
///
/// The error with which the server ended.
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

/// Resolves when the process gets a signal to stop.
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

/// The exit code for the result of an application. Prints an error to stderr, in one line.
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
