//! The threads that read.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use gatepass::{StoreError, StoreErrorKind};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::error::Failure;

/// Questions that may wait. What does not fit would wait for longer than its caller.
const QUEUE: usize = 4096;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The way to the reading threads, which end when this is dropped.
pub(crate) struct Readers {
    jobs: Sender<Job>,
}

impl Readers {
    /// Starts one thread for each of `connections`.
    pub(crate) fn start(connections: Vec<Connection>) -> io::Result<Self> {
        let (jobs, queue) = crossbeam_channel::bounded::<Job>(QUEUE);
        for (number, mut conn) in connections.into_iter().enumerate() {
            let queue: Receiver<Job> = queue.clone();
            thread::Builder::new()
                .name(format!("gatepass-read-{number}"))
                .spawn(move || {
                    for job in queue {
                        // Nothing panics here; should it nevertheless, its caller hears of it, and
                        // the others do not wait for a thread that is gone.
                        let _ = catch_unwind(AssertUnwindSafe(|| job(&mut conn)));
                    }
                })?;
        }
        Ok(Self { jobs })
    }

    /// Has `question` answered from what is committed by then.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = move |conn: &mut Connection| {
            // A caller that has gone does not want to know.
            if !reply.is_closed() {
                let _ = reply.send(question(conn));
            }
        };
        self.jobs.try_send(Box::new(job)).map_err(|error| {
            StoreError::new(match error {
                TrySendError::Full(_) => StoreErrorKind::Busy,
                TrySendError::Disconnected(_) => StoreErrorKind::Unavailable,
            })
        })?;
        let answer = answer.await;
        let answer = answer.map_err(|_| StoreError::new(StoreErrorKind::Unavailable))?;
        answer.map_err(StoreError::from)
    }
}
