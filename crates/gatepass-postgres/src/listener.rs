//! Being told that there may be more in the log, where the server can tell.
//!
//! It is a hint and nothing else: followers poll as well. A connection that died without a word, a
//! proxy that swallows notifications and a queue that was lost in a failover all cost time, and no
//! entry.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

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
const SILENCE: Duration = Duration::from_secs(5);
/// How long it has to connect, or to answer that.
const PATIENCE: Duration = Duration::from_secs(3);

/// A connection of its own that listens, and the task that keeps it. Ends when dropped.
pub(crate) struct Listener {
    heard: watch::Receiver<Heard>,
    task: JoinHandle<()>,
}

/// The knowledge of a listener.
#[derive(Clone, Copy, Default)]
struct Heard {
    /// How often there may have been something new.
    times: u64,
    /// Whether it listens, as far as it can tell.
    listens: bool,
}

impl Listener {
    /// Starts to listen on `channel`, over a connection that is not one of the pool's: it would be
    /// missing there.
    pub(crate) fn start(options: PgConnectOptions, channel: String) -> Self {
        let (tell, heard) = watch::channel(Heard::default());
        let task = tokio::spawn(async move {
            let mut pauses = Pauses::default();
            loop {
                // The error is not reported: a pull finds out itself when the database is away.
                let _ = listen(&options, &channel, &tell, &mut pauses).await;
                tell.send_modify(|heard| heard.listens = false);
                sleep(pauses.next()).await;
            }
        });
        Self { heard, task }
    }

    /// How often it has heard something.
    pub(crate) fn times(&self) -> u64 {
        self.heard.borrow().times
    }

    /// Whether it listens. A connection that died without a word is found out within [`SILENCE`]
    /// and [`PATIENCE`].
    pub(crate) fn listens(&self) -> bool {
        self.heard.borrow().listens
    }

    /// Resolves once it has heard something more often than `times`.
    pub(crate) async fn heard_since(&self, times: u64) {
        let mut heard = self.heard.clone();
        // The task that tells lives as long as this.
        let _ = heard.wait_for(|heard| heard.times > times).await;
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
    tell: &watch::Sender<Heard>,
    pauses: &mut Pauses,
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
    *pauses = Pauses::default();
    loop {
        // The first time for what was committed before it listened.
        tell.send_modify(|heard| {
            heard.times += 1;
            heard.listens = true;
        });
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

/// How long to wait before it is tried again: twice as long after each failure, and shorter by
/// chance, so that all nodes that lost one server do not come back to it at once.
struct Pauses {
    longest: Duration,
}

/// The first, after a connection that did listen.
const SHORTEST: Duration = Duration::from_millis(250);
/// The longest pause. Meanwhile a reader that waits asks the database itself.
const LONGEST: Duration = Duration::from_secs(30);

impl Default for Pauses {
    fn default() -> Self {
        Self { longest: SHORTEST }
    }
}

impl Pauses {
    fn next(&mut self) -> Duration {
        let longest = self.longest;
        self.longest = (longest * 2).min(LONGEST);
        let share = u32::try_from(RandomState::new().hash_one(()) >> 48).unwrap_or(0);
        longest / 2 + longest / 2 * share / (1 << 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_differ() {
        let mut pauses = Pauses::default();
        let mut longest = SHORTEST;
        let mut seen = Vec::new();
        for _ in 0..20 {
            let pause = pauses.next();
            assert!((longest / 2..=longest).contains(&pause), "{pause:?}");
            longest = (longest * 2).min(LONGEST);
            seen.push(pause);
        }
        seen.dedup();
        assert!(seen.len() > 15, "{seen:?}");
    }
}
