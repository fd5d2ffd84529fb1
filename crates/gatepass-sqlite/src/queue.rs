//! The jobs that wait for a thread.

use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use gatepass::{StoreError, store::StoreErrorKind};

/// Jobs that may wait. A job that does not fit would wait for longer than its caller.
pub(crate) const LENGTH: usize = 4096;

/// The way to the threads that take jobs from a queue.
///
/// When it is dropped, they finish what is queued, and it waits for them: SQLite can then put its
/// write-ahead log into the file, which is whole without it.
pub(crate) struct Queue<J> {
    jobs: Option<Sender<J>>,
    threads: Vec<JoinHandle<()>>,
}

impl<J> Queue<J> {
    /// A queue without threads yet, and the end that they take jobs from.
    pub(crate) fn new() -> (Self, Receiver<J>) {
        let (jobs, queue) = crossbeam_channel::bounded(LENGTH);
        (
            Self {
                jobs: Some(jobs),
                threads: Vec::new(),
            },
            queue,
        )
    }

    /// Waits for `thread`, too, when this is dropped.
    pub(crate) fn served_by(&mut self, thread: JoinHandle<()>) {
        self.threads.push(thread);
    }

    /// Queues a job, and does not wait for room.
    pub(crate) fn send(&self, job: J) -> Result<(), StoreError> {
        let unavailable = StoreError::new(StoreErrorKind::Unavailable);
        let jobs = self.jobs.as_ref().ok_or(unavailable)?;
        jobs.try_send(job).map_err(|error| {
            StoreError::new(match error {
                TrySendError::Full(_) => StoreErrorKind::Busy,
                TrySendError::Disconnected(_) => StoreErrorKind::Unavailable,
            })
        })
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.as_ref().is_none_or(Sender::is_empty)
    }
}

impl<J> Drop for Queue<J> {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // One that panicked has nothing left to finish.
            let _ = thread.join();
        }
    }
}
