//! The threads that read the file.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use gatepass::{StoreError, store::StoreErrorKind};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::{error::Failure, queue::Queue};

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A handle to the reading threads. They end when it is dropped.
pub(crate) struct Readers {
    queue: Queue<Job>,
}

impl Readers {
    /// Starts one thread for each of `connections`.
    pub(crate) fn start(connections: Vec<Connection>) -> io::Result<Self> {
        let (mut queue, jobs) = Queue::<Job>::new();
        for (number, mut conn) in connections.into_iter().enumerate() {
            let jobs = jobs.clone();
            let thread = thread::Builder::new()
                .name(format!("gatepass-read-{number}"))
                .spawn(move || {
                    for job in jobs {
                        // No job should panic. If one does, its caller gets an error, and the
                        // thread still serves the others.
                        let _ = catch_unwind(AssertUnwindSafe(|| job(&mut conn)));
                    }
                })?;
            queue.served_by(thread);
        }
        Ok(Self { queue })
    }

    /// Runs `question` on a reading thread, on the committed state.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = move |conn: &mut Connection| {
            // A caller that is gone needs no answer.
            if !reply.is_closed() {
                let _ = reply.send(question(conn));
            }
        };
        self.queue.send(Box::new(job))?;
        let answer = answer.await;
        let answer = answer.map_err(|_| StoreError::new(StoreErrorKind::Unavailable))?;
        answer.map_err(StoreError::from)
    }
}
