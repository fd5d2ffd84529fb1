//! The jobs that wait for a thread.

use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use gatepass::{StoreError, store::StoreErrorKind};

/// The most jobs that may wait. Any further job would wait longer than its caller.
pub(crate) const LENGTH: usize = 4096;

/// A queue of jobs, and the threads that take jobs from it.
///
/// When it is dropped, it waits until the threads have finished the queued jobs. SQLite can then
/// write its write-ahead log into the file, which is complete without it.
pub(crate) struct Queue<J> {
    jobs: Option<Sender<J>>,
    threads: Vec<JoinHandle<()>>,
}

impl<J> Queue<J> {
    /// A queue without threads yet, and the receiver that threads take jobs from.
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

    /// Makes the queue also wait for `thread` when it is dropped.
    pub(crate) fn served_by(&mut self, thread: JoinHandle<()>) {
        self.threads.push(thread);
    }

    /// Queues a job. Fails at once if there is no room.
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
            // A thread that panicked has nothing left to finish.
            let _ = thread.join();
        }
    }
}
