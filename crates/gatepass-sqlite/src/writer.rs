//! The one thread that writes, and group commit.

use std::{
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use gatepass::{Clock, StoreError, StoreErrorKind, Timestamp};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{oneshot, watch};

use crate::{error::Failure, log};

/// Changes that one transaction makes at most. Enough that the `fsync` no longer matters, and few
/// enough that the first caller does not wait for long.
const GROUP: usize = 256;

/// Changes that may wait. What does not fit would wait for longer than its caller.
const QUEUE: usize = 4096;

/// The transaction that a change is made in.
pub(crate) struct Write<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) now: Timestamp,
}

/// The way to the writing thread, which ends when this is dropped.
pub(crate) struct Writer {
    jobs: Sender<Box<dyn Job>>,
    last_seq: watch::Receiver<i64>,
}

impl Writer {
    pub(crate) fn start(
        conn: Connection,
        clock: Arc<dyn Clock>,
        busy_timeout: Duration,
        last_seq: i64,
    ) -> io::Result<Self> {
        let (jobs, queue) = crossbeam_channel::bounded(QUEUE);
        let (committed, last_seq) = watch::channel(last_seq);
        let thread = Thread {
            conn,
            clock,
            patience: busy_timeout.max(Duration::from_secs(1)),
            committed,
            #[cfg(test)]
            transactions: Arc::default(),
        };
        thread::Builder::new()
            .name("gatepass-sqlite-writer".to_owned())
            .spawn(move || thread.run(&queue))?;
        Ok(Self { jobs, last_seq })
    }

    /// Has `change` made, and returns what it returned once that is durable. It may be called more
    /// than once, each time on the state before it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        change: impl FnMut(&Write<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let task = Task {
            change,
            done: None,
            reply,
            queued_at: Instant::now(),
        };
        self.jobs.try_send(Box::new(task)).map_err(|error| {
            StoreError::new(match error {
                TrySendError::Full(_) => StoreErrorKind::Busy,
                TrySendError::Disconnected(_) => StoreErrorKind::Unavailable,
            })
        })?;
        // The thread answers every job that it takes, unless it is gone.
        let gone = Err(StoreError::new(StoreErrorKind::Unavailable));
        answer.await.unwrap_or(gone)
    }

    /// The number of the last log entry that this process knows to be committed.
    pub(crate) fn last_seq(&self) -> watch::Receiver<i64> {
        self.last_seq.clone()
    }
}

/// A change, its result and its caller, without their types.
trait Job: Send {
    fn is_abandoned(&self) -> bool;
    fn waited(&self) -> Duration;
    fn run(&mut self, write: &Write<'_>) -> Result<(), Failure>;
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Task<F, T> {
    change: F,
    done: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
    queued_at: Instant,
}

impl<F, T> Job for Task<F, T>
where
    F: FnMut(&Write<'_>) -> Result<T, Failure> + Send,
    T: Send,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn waited(&self) -> Duration {
        self.queued_at.elapsed()
    }

    fn run(&mut self, write: &Write<'_>) -> Result<(), Failure> {
        self.done = Some((self.change)(write)?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { done, reply, .. } = *self;
        let not_run = || StoreError::new(StoreErrorKind::Unavailable);
        // A caller that has gone meanwhile does not want to know.
        let _ = reply.send(committed.and_then(|()| done.ok_or_else(not_run)));
    }
}

/// How a transaction failed.
enum Failed {
    /// It could not begin: the lock is another process's, or the file is gone. No other would fare better.
    ToBegin(StoreError),
    /// A change failed, or the commit.
    Within(StoreError),
}

struct Thread {
    conn: Connection,
    clock: Arc<dyn Clock>,
    patience: Duration,
    committed: watch::Sender<i64>,
    #[cfg(test)]
    transactions: Arc<std::sync::atomic::AtomicUsize>,
}

impl Thread {
    fn run(mut self, queue: &Receiver<Box<dyn Job>>) {
        let mut group = Vec::with_capacity(GROUP);
        while let Ok(first) = queue.recv() {
            let others = queue.try_iter().take(GROUP - 1);
            for job in std::iter::once(first).chain(others) {
                if job.is_abandoned() {
                    continue;
                }
                // Whoever has waited for that long behind others would wait as long again.
                if job.waited() > self.patience {
                    job.answer(Err(StoreError::new(StoreErrorKind::Busy)));
                } else {
                    group.push(job);
                }
            }
            self.serve(&mut group);
        }
    }

    /// Makes the changes of `group` and answers their callers, leaving it empty.
    fn serve(&mut self, group: &mut Vec<Box<dyn Job>>) {
        let mut failed = match self.commit(group) {
            Ok(()) => {
                group.drain(..).for_each(|job| job.answer(Ok(())));
                return;
            }
            Err(Failed::Within(_)) if group.len() > 1 => None,
            Err(Failed::ToBegin(error) | Failed::Within(error)) => Some(error),
        };
        // One of them may be at fault, so each is tried on its own.
        for mut job in group.drain(..) {
            let outcome = match &failed {
                Some(error) => Err(error.clone()),
                None => match self.commit(std::slice::from_mut(&mut job)) {
                    Ok(()) => Ok(()),
                    Err(Failed::Within(error)) => Err(error),
                    Err(Failed::ToBegin(error)) => {
                        failed = Some(error.clone());
                        Err(error)
                    }
                },
            };
            job.answer(outcome);
        }
    }

    /// Makes all changes of `group` in one transaction, or none.
    fn commit(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), Failed> {
        if group.is_empty() {
            return Ok(());
        }
        // Dropped without a commit, it is rolled back.
        let tx = self
            .conn
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| Failed::ToBegin(Failure::from(error).into()))?;
        let within = |failure: Failure| Failed::Within(failure.into());
        for job in group {
            let write = Write {
                conn: &tx,
                now: self.clock.now(),
            };
            job.run(&write).map_err(within)?;
        }
        let last_seq = log::last_seq(&tx).map_err(within)?;
        tx.commit().map_err(|error| within(error.into()))?;
        #[cfg(test)]
        self.transactions
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        self.committed
            .send_if_modified(|last| std::mem::replace(last, last_seq) != last_seq);
        Ok(())
    }
}
