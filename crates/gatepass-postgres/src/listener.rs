//! Notifications of new entries in the log.
//!
//! A notification is only a hint, because followers also poll. If a connection dies silently, a
//! proxy swallows a notification, or a failover loses the queue, entries arrive later, but none is
//! lost.

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

/// How long a connection may be silent before the listener tests it.
const SILENCE: Duration = Duration::from_secs(5);
/// The time limit to connect, or to answer that test.
const PATIENCE: Duration = Duration::from_secs(3);

/// A connection that only listens, and its task. They end when this is dropped.
pub(crate) struct Listener {
    heard: watch::Receiver<Heard>,
    task: JoinHandle<()>,
}

/// The state of a listener.
#[derive(Clone, Copy, Default)]
struct Heard {
    /// How often there may have been new entries.
    times: u64,
    /// Whether it listens, as far as it knows.
    listens: bool,
}

impl Listener {
    /// Starts to listen on `channel`, over its own connection. A connection from the pool would be
    /// missing there.
    pub(crate) fn start(options: PgConnectOptions, channel: String) -> Self {
        let (tell, heard) = watch::channel(Heard::default());
        let task = tokio::spawn(async move {
            let mut pauses = Pauses::default();
            loop {
                // The error is not reported, because a pull reports a database that is away.
                let _ = listen(&options, &channel, &tell, &mut pauses).await;
                tell.send_modify(|heard| heard.listens = false);
                sleep(pauses.next()).await;
            }
        });
        Self { heard, task }
    }

    /// How often it has heard of something.
    pub(crate) fn times(&self) -> u64 {
        self.heard.borrow().times
    }

    /// Whether it listens. The listener notices within [`SILENCE`] and [`PATIENCE`] that a
    /// connection has died silently.
    pub(crate) fn listens(&self) -> bool {
        self.heard.borrow().listens
    }

    /// Resolves once it has heard of something more often than `times`.
    pub(crate) async fn heard_since(&self, times: u64) {
        let mut heard = self.heard.clone();
        // The task lives as long as `self`.
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
        // The first time covers entries that were committed before it listened.
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

/// How long to wait before the next try: twice as long after each failure, minus a random part. So
/// the nodes that lost a server don't all come back at once.
struct Pauses {
    longest: Duration,
}

/// The first pause, after a connection that did listen.
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
