//! Being told that there may be more in the log, where the server can tell.
//!
//! It is a hint and nothing else: who waits for it looks for themselves, too. A connection that died
//! without a word, a proxy that swallows notifications and a queue that was lost in a failover all cost
//! time, and no entry.

use std::time::Duration;

use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// How long it may be silent before it is asked whether it still lives.
const SILENCE: Duration = Duration::from_secs(15);
/// How long it has to connect, or to answer that.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long after a failure it is tried again.
const PAUSE: Duration = Duration::from_secs(5);

/// A connection of its own that listens, and the task that keeps it. Ends when dropped.
pub(crate) struct Listener {
    heard: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Starts to listen on `channel`, over a connection that is not one of the pool's: it would be
    /// missing there.
    pub(crate) fn start(options: PgConnectOptions, channel: String) -> Self {
        let (tell, heard) = watch::channel(0);
        let task = tokio::spawn(async move {
            loop {
                // What went wrong is not told: pulling finds out itself when the database is away.
                let _ = listen(&options, &channel, &tell).await;
                sleep(PAUSE).await;
            }
        });
        Self { heard, task }
    }

    /// Resolves with the next notification.
    pub(crate) async fn heard(&self) {
        let mut heard = self.heard.clone();
        heard.mark_unchanged();
        // Whoever is told lives as long as whoever tells.
        let _ = heard.changed().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens until the connection is lost.
async fn listen(
    options: &PgConnectOptions,
    channel: &str,
    tell: &watch::Sender<u64>,
) -> Result<(), sqlx::Error> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(options.clone().disable_statement_logging());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.eager_reconnect(false);
    listener.listen(channel).await?;
    loop {
        // What was committed before it listened, or while nobody asked, is looked for now.
        tell.send_modify(|heard| *heard += 1);
        match timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(_))) => {}
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                let alive = sqlx::raw_sql("SELECT 1").execute(&mut listener);
                let late = |_| sqlx::Error::PoolTimedOut;
                timeout(PATIENCE, alive).await.map_err(late)??;
            }
        }
    }
}
