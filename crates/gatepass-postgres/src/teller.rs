//! Notifies other nodes of new entries in the log.
//!
//! In the whole cluster, PostgreSQL commits only one transaction at a time that notifies. If a
//! revocation itself notified, the others would wait while it waits for the disk. So a revocation
//! commits first. Then a task of this node notifies in its own transaction, which doesn't wait for
//! the disk. Revocations that come meanwhile share the next notification.
//!
//! A notification is only a hint. It delays no revocation and makes none fail. If a node dies
//! before it notifies, the others find the entry by their next poll.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, task::JoinHandle, time::sleep};

use crate::{
    error::Failure,
    link::{Link, Links},
    log,
    reader::PostgresLog,
    sql::Statement,
};

/// The least time between two notifications of a node: a fraction of the time between two polls.
const PAUSE: Duration = Duration::from_millis(30);

/// The task that notifies. It ends when this is dropped.
pub(crate) struct Teller {
    asked: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Teller {
    /// Starts a task that notifies over the connections of `log`.
    pub(crate) fn start(log: PostgresLog) -> Self {
        let asked = Arc::new(Notify::new());
        let waiting = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            loop {
                waiting.notified().await;
                notify(log.links()).await;
                sleep(PAUSE).await;
            }
        });
        Self { asked, task }
    }

    /// Makes the task notify other nodes of a commit. Doesn't wait for it.
    pub(crate) fn tell(&self) {
        self.asked.notify_one();
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn notify(links: &Links) {
    // If this fails, pulls also fail, and they report it.
    let _ = links.call(|link| Box::pin(send(link))).await;
}

async fn send(mut link: Link<'_>) -> Result<(), Failure> {
    let notify = Statement::new(
        "SELECT pg_catalog.set_config('synchronous_commit', 'off', true),
             pg_catalog.pg_notify($1, '')::pg_catalog.text",
    );
    let notify = notify.text(log::channel(&link.dialect().schema));
    link.rows(notify).await?;
    Ok(())
}

/// Notifies when the transaction commits. This is for the application's own transaction, because
/// this node doesn't learn of its commit.
pub(crate) async fn notify_at_commit(mut link: Link<'_>) -> Result<(), Failure> {
    let notify = Statement::new("SELECT pg_catalog.pg_notify($1, '')::pg_catalog.text");
    let notify = notify.text(log::channel(&link.dialect().schema));
    link.rows(notify).await?;
    Ok(())
}
