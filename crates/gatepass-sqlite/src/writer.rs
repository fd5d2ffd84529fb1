//! The one thread that writes, and group commit.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::Receiver;
use gatepass::{Clock, StoreError, Timestamp, store::StoreErrorKind};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{oneshot, watch};

use crate::{
    error::{self, Failure},
    log,
    opened::Opened,
    queue::Queue,
};

/// The most changes in one transaction. There are enough that the `fsync` no longer matters, and
/// few enough that the first caller doesn't wait long.
const GROUP: usize = 256;

/// How long to wait between tries for a lock that another process holds. SQLite itself would soon
/// wait a tenth of a second between tries. If several processes write much, the lock is free only
/// for moments, and a process that tries so rarely may miss all of them for seconds.
const RETRY: Duration = Duration::from_micros(500);
/// How long a store with much to write may take the lock again and again, and how long it then
/// leaves the lock to others. The pause is longer than `RETRY`, so another process gets a try.
/// Otherwise, on busy processors, the store would take the lock again before another process could
/// try.
const TURN: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_millis(1);

/// The transaction that a change is made in.
pub(crate) struct Write<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) now: Timestamp,
}

/// A handle to the writing thread. The thread ends when it is dropped.
pub(crate) struct Writer {
    queue: Queue<Box<dyn Job>>,
    last_seq: watch::Receiver<i64>,
    #[cfg(test)]
    transactions: Arc<std::sync::atomic::AtomicUsize>,
}

impl Writer {
    pub(crate) fn start(
        conn: Connection,
        opened: Opened,
        clock: Arc<dyn Clock>,
        busy_timeout: Duration,
        last_seq: i64,
    ) -> io::Result<Self> {
        // The thread itself waits for the lock. If this setting failed, the connection would only
        // wait longer.
        let _ = conn.busy_timeout(Duration::ZERO);
        let (mut queue, jobs) = Queue::new();
        let (committed, last_seq) = watch::channel(last_seq);
        #[cfg(test)]
        let transactions = Arc::default();
        let thread = Thread {
            conn,
            opened,
            clock,
            busy_timeout,
            patience: busy_timeout.max(Duration::from_secs(1)),
            committed,
            #[cfg(test)]
            transactions: Arc::clone(&transactions),
        };
        let thread = thread::Builder::new()
            .name("gatepass-writer".to_owned())
            .spawn(move || thread.run(&jobs))?;
        queue.served_by(thread);
        Ok(Self {
            queue,
            last_seq,
            #[cfg(test)]
            transactions,
        })
    }

    /// Makes `change`, and returns its result once the change is durable. The thread may call it
    /// more than once, each time on the state before it.
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
        self.queue.send(Box::new(task))?;
        // A job without an answer has panicked, or shared its transaction with one that did.
        let dropped = Err(StoreError::new(StoreErrorKind::Unavailable));
        answer.await.unwrap_or(dropped)
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
        // A caller that is gone needs no answer.
        let _ = reply.send(committed.and_then(|()| done.ok_or_else(not_run)));
    }
}

/// How a transaction failed.
enum Failed {
    /// It could not begin: another process holds the lock, or the file is gone. Another transaction
    /// would also fail.
    ToBegin(StoreError),
    /// A change or the commit failed.
    Within(StoreError),
}

struct Thread {
    conn: Connection,
    opened: Opened,
    clock: Arc<dyn Clock>,
    busy_timeout: Duration,
    patience: Duration,
    committed: watch::Sender<i64>,
    #[cfg(test)]
    transactions: Arc<std::sync::atomic::AtomicUsize>,
}

impl Thread {
    fn run(self, jobs: &Receiver<Box<dyn Job>>) {
        let mut group = Vec::with_capacity(GROUP);
        let (mut turn_began, mut released) = (Instant::now(), Instant::now());
        while let Ok(first) = jobs.recv() {
            if turn_began.elapsed() > TURN && released.elapsed() < PAUSE {
                thread::sleep(PAUSE);
            }
            if released.elapsed() >= PAUSE {
                turn_began = Instant::now();
            }
            let others = jobs.try_iter().take(GROUP - 1);
            for job in std::iter::once(first).chain(others) {
                if job.is_abandoned() {
                    continue;
                }
                // A job that has waited so long behind others would wait as long again.
                if job.waited() > self.patience {
                    job.answer(Err(StoreError::new(StoreErrorKind::Busy)));
                } else {
                    group.push(job);
                }
            }
            // No job should panic. If one does, the transaction is rolled back while the stack
            // unwinds, and the callers get an error: it is unknown whether their changes were made.
            // If the thread died instead, the callers in the queue would wait forever.
            let _ = catch_unwind(AssertUnwindSafe(|| self.serve(&mut group)));
            group.clear();
            released = Instant::now();
        }
    }

    /// Makes the changes of `group` and answers their callers, leaving it empty.
    fn serve(&self, group: &mut Vec<Box<dyn Job>>) {
        let mut failed = match self.commit(group) {
            Ok(()) => {
                group.drain(..).for_each(|job| job.answer(Ok(())));
                return;
            }
            Err(Failed::Within(_)) if group.len() > 1 => None,
            Err(Failed::ToBegin(error) | Failed::Within(error)) => Some(error),
        };
        // One change may be at fault, so the thread tries each alone.
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

    /// Begins a transaction that holds the lock. Waits if another process holds it.
    fn begin(&self) -> rusqlite::Result<Transaction<'_>> {
        let start = Instant::now();
        loop {
            match Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate) {
                Err(error) if error::is_busy(&error) && start.elapsed() < self.busy_timeout => {
                    thread::sleep(RETRY);
                }
                begun => return begun,
            }
        }
    }

    /// Makes all changes of `group` in one transaction, or none.
    fn commit(&self, group: &mut [Box<dyn Job>]) -> Result<(), Failed> {
        if group.is_empty() {
            return Ok(());
        }
        // If it is dropped without a commit, it is rolled back.
        let tx = self
            .begin()
            .map_err(|error| Failed::ToBegin(Failure::from(error).into()))?;
        let within = |failure: Failure| Failed::Within(failure.into());
        for job in group {
            // The caller may have gone while the writer waited for the lock.
            if job.is_abandoned() {
                continue;
            }
            let write = Write {
                conn: &tx,
                now: self.clock.now(),
            };
            job.run(&write).map_err(within)?;
        }
        let last_seq = log::last_seq(&tx).map_err(within)?;
        // Checks last, right before the commit. Another transaction would also fail.
        let gone = |failure: Failure| Failed::ToBegin(failure.into());
        self.opened.check().map_err(gone)?;
        tx.commit().map_err(|error| within(error.into()))?;
        #[cfg(test)]
        self.transactions
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        self.committed
            .send_if_modified(|last| std::mem::replace(last, last_seq) != last_seq);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, path::PathBuf, pin::pin, task::Poll};

    use gatepass::SystemClock;
    use tempfile::TempDir;
    use tokio::task::{JoinSet, yield_now};

    use super::*;
    use crate::{queue::LENGTH, schema::open_writer};

    struct Fixture {
        writer: Arc<Writer>,
        path: PathBuf,
        _directory: TempDir,
    }

    /// A writer on a file with the table `t (n)`.
    fn fixture() -> Fixture {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("sessions.db");
        let patience = Duration::from_secs(60);
        let (conn, _) = open_writer(&path, patience).unwrap();
        conn.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY)")
            .unwrap();
        Fixture {
            writer: Arc::new(
                Writer::start(
                    conn,
                    Opened::new(&path).unwrap(),
                    Arc::new(SystemClock),
                    patience,
                    0,
                )
                .unwrap(),
            ),
            path,
            _directory: directory,
        }
    }

    impl Fixture {
        fn lock(&self) -> Connection {
            let conn = Connection::open(&self.path).unwrap();
            conn.execute_batch("BEGIN IMMEDIATE").unwrap();
            conn
        }

        async fn insert(writer: Arc<Writer>, n: i64) -> Result<(), StoreError> {
            let change = move |write: &Write<'_>| {
                write.conn.execute("INSERT INTO t VALUES (?1)", [n])?;
                Ok(())
            };
            writer.run(change).await
        }

        fn rows(&self) -> Vec<i64> {
            let conn = Connection::open(&self.path).unwrap();
            let mut rows = conn.prepare("SELECT n FROM t ORDER BY n").unwrap();
            let rows = rows.query_map((), |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        }

        fn transactions(&self) -> usize {
            self.writer
                .transactions
                .load(std::sync::atomic::Ordering::SeqCst)
        }
    }

    /// Inserts each of `numbers` by its own caller. All their changes wait for the same lock.
    async fn insert_together(
        fixture: &Fixture,
        numbers: impl IntoIterator<Item = i64>,
    ) -> Vec<(i64, Result<(), StoreError>)> {
        let lock = fixture.lock();
        let mut callers = JoinSet::new();
        for n in numbers {
            let writer = Arc::clone(&fixture.writer);
            callers.spawn(async move { (n, Fixture::insert(writer, n).await) });
        }
        // On a runtime with one thread, each caller has now queued its change.
        yield_now().await;
        lock.execute_batch("COMMIT").unwrap();
        callers.join_all().await
    }

    #[tokio::test]
    async fn changes_that_wait_together_are_committed_together() {
        let fixture = fixture();
        let answers = insert_together(&fixture, 0..64).await;
        assert!(answers.iter().all(|(_, answer)| answer.is_ok()));
        assert_eq!(fixture.rows(), Vec::from_iter(0..64));
        // The thread takes the first changes as soon as they come. It takes all others together,
        // once the first have waited.
        assert!(fixture.transactions() <= 2, "{}", fixture.transactions());
    }

    #[tokio::test]
    async fn a_change_that_fails_takes_no_other_with_it() {
        let fixture = fixture();
        Fixture::insert(Arc::clone(&fixture.writer), 7)
            .await
            .unwrap();
        let answers = insert_together(&fixture, 0..32).await;
        for (n, answer) in answers {
            // The table already has a 7.
            assert_eq!(answer.is_err(), n == 7, "{n}");
        }
        assert_eq!(fixture.rows(), Vec::from_iter(0..32));
    }

    #[tokio::test]
    async fn a_change_whose_caller_has_gone_is_not_made() {
        let fixture = fixture();
        let lock = fixture.lock();
        let mut first = pin!(Fixture::insert(Arc::clone(&fixture.writer), 1));
        {
            let mut gone = pin!(Fixture::insert(Arc::clone(&fixture.writer), 2));
            std::future::poll_fn(|context| {
                assert!(first.as_mut().poll(context).is_pending());
                // Waits until the thread has taken the first change alone.
                while !fixture.writer.queue.is_empty() {
                    thread::yield_now();
                }
                assert!(gone.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        lock.execute_batch("COMMIT").unwrap();
        first.await.unwrap();
        let last = Fixture::insert(Arc::clone(&fixture.writer), 3);
        last.await.unwrap();
        assert_eq!(fixture.rows(), [1, 3]);
    }

    #[tokio::test]
    async fn a_change_that_panics_is_rolled_back_and_does_not_stop_the_writer() {
        let fixture = fixture();
        let panics: Result<(), _> = fixture
            .writer
            .run(|write| {
                write.conn.execute("INSERT INTO t VALUES (1)", ())?;
                panic!("as nothing in this crate does")
            })
            .await;
        assert_eq!(panics.unwrap_err().kind(), StoreErrorKind::Unavailable);
        let next = Fixture::insert(Arc::clone(&fixture.writer), 2);
        next.await.unwrap();
        assert_eq!(fixture.rows(), [2]);
    }

    #[tokio::test]
    async fn a_full_queue_is_answered_at_once() {
        let fixture = fixture();
        let lock = fixture.lock();
        let mut callers = JoinSet::new();
        for n in 0..(LENGTH + GROUP + 1) {
            let n = i64::try_from(n).unwrap();
            callers.spawn(Fixture::insert(Arc::clone(&fixture.writer), n));
        }
        let busy = callers.join_next().await.unwrap().unwrap().unwrap_err();
        assert_eq!(busy.kind(), StoreErrorKind::Busy);
        lock.execute_batch("COMMIT").unwrap();
        let answers = callers.join_all().await;
        let made = answers.iter().filter(|answer| answer.is_ok()).count();
        assert!(made >= LENGTH);
        assert_eq!(fixture.rows().len(), made);
    }
}
