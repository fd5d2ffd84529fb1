//! Telling other nodes that there is more in the log.
//!
//! PostgreSQL lets only one transaction at a time commit that notifies, in the whole cluster. A
//! revocation that notified would hold that turn while it waits for the disk. So a revocation
//! commits first, and then a task of this node notifies in a transaction of its own, which waits
//! for no disk. Revocations that come meanwhile share the next notification.
//!
//! A notification is a hint and nothing else. It delays no revocation and fails none. When a node
//! dies before it has told, the others find the entry with their next poll.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, task::JoinHandle, time::sleep};

use crate::{
    error::Failure,
    link::{Link, Links},
    log,
    reader::PostgresLog,
    sql::Statement,
};

/// The least time between two notifications of a node: a fraction of the time in which followers
/// poll.
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

    /// Has other nodes told that something was committed, and does not wait for it.
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
    // When it fails, pulls fail too, and they report it.
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

/// Notifies when the transaction commits. For one of the application's own, of whose commit this
/// node does not learn.
pub(crate) async fn notify_at_commit(mut link: Link<'_>) -> Result<(), Failure> {
    let notify = Statement::new("SELECT pg_catalog.pg_notify($1, '')::pg_catalog.text");
    let notify = notify.text(log::channel(&link.dialect().schema));
    link.rows(notify).await?;
    Ok(())
}
