//! The thread that copies the write-ahead log into the file, so that no caller waits for it.
//!
//! SQLite itself has the thread that commits do it. Copying thousands of pages to places all over
//! the file takes tens of milliseconds, and all callers of the writer would wait as long. Here the
//! thread copies while the writer goes on appending. The writer then copies the few pages that it
//! has appended meanwhile: only between two of its own transactions is all of the log copied, so
//! that the log can begin anew.

use std::{cell::Cell, io, thread};

use crossbeam_channel::{Receiver, Sender};
use rusqlite::Connection;

/// Pages in the log from which on they are copied: 16 MiB. A page that many refreshes change is
/// copied once.
const MANY: u32 = 4000;
/// Pages in the log at which the writer waits for the thread: 64 MiB. This bounds the room that the
/// log takes on a disk that is slower at copying than at appending.
const TOO_MANY: u32 = 16_000;
/// Pages that the writer copies itself: fewer than a full group of refreshes appends. The thread
/// goes on while there are more.
const FEW: u32 = 200;
/// How often the thread copies at most before the writer does. Each time there is less to copy,
/// unless the disk is too slow.
const PASSES: usize = 4;

thread_local! {
    /// The pages in the log after the last commit of this thread's connection.
    static PAGES: Cell<u32> = const { Cell::new(0) };
}

/// The writer's end.
pub(crate) struct Checkpoints {
    begin: Option<Sender<()>>,
    done: Receiver<()>,
    thread: Option<thread::JoinHandle<()>>,
    state: State,
    /// The pages at which the next copy begins: more than [`MANY`] if the last one could not copy
    /// all. For example, a long transaction of another process may need the old state of the file.
    next: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The thread has nothing to do.
    Idle,
    /// The thread copies.
    Copying,
}

/// The step to take after a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    None,
    /// Have the thread copy.
    Begin,
    /// Copy the rest if the thread is done.
    FinishIfDone,
    /// Wait until the thread is done, and copy the rest.
    Finish,
}

impl Checkpoints {
    /// Starts the thread, with a connection of its own. It ends when this is dropped.
    pub(crate) fn start(conn: Connection) -> io::Result<Self> {
        let (begin, todo) = crossbeam_channel::bounded(1);
        let (said, done) = crossbeam_channel::bounded(1);
        let thread = thread::Builder::new()
            .name("gatepass-checkpoint".to_owned())
            .spawn(move || {
                while let Ok(()) = todo.recv() {
                    for _ in 0..PASSES {
                        if copy(&conn).is_none_or(|left| left <= FEW) {
                            break;
                        }
                    }
                    if said.send(()).is_err() {
                        break;
                    }
                }
            })?;
        Ok(Self {
            begin: Some(begin),
            done,
            thread: Some(thread),
            state: State::Idle,
            next: MANY,
        })
    }

    /// Has `conn`, the writer's connection, count the pages in the log, and copy none of them.
    pub(crate) fn watch(conn: &Connection) {
        // In place of SQLite's own, which would copy.
        conn.wal_hook(Some(|_, pages| {
            PAGES.set(u32::try_from(pages).unwrap_or(0));
            Ok(())
        }));
    }

    /// Takes the next step after a commit of `conn` in this thread. Its callers have their answers
    /// by then.
    pub(crate) fn after_commit(&mut self, conn: &Connection) {
        match step(self.state, PAGES.get(), self.next) {
            Step::None => {}
            Step::Begin => {
                let begun = self.begin.as_ref().map(|begin| begin.try_send(()));
                if let Some(Ok(())) = begun {
                    self.state = State::Copying;
                }
            }
            Step::FinishIfDone => {
                if self.done.try_recv().is_ok() {
                    self.finish(conn);
                }
            }
            Step::Finish => {
                // A thread that is gone has nothing left to say.
                let _ = self.done.recv();
                self.finish(conn);
            }
        }
    }

    fn finish(&mut self, conn: &Connection) {
        self.state = State::Idle;
        let left = copy(conn);
        // The next commit begins the log anew if all of it was copied. If another process has just
        // appended a little, the next try may copy all.
        self.next = match left {
            Some(0..=FEW) => MANY,
            _ => PAGES.get().saturating_add(MANY),
        };
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.begin = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has nothing left to finish.
            let _ = thread.join();
        }
    }
}

const fn step(state: State, pages: u32, next: u32) -> Step {
    match state {
        State::Idle if pages >= next => Step::Begin,
        State::Idle => Step::None,
        State::Copying if pages >= next.saturating_add(TOO_MANY - MANY) => Step::Finish,
        State::Copying => Step::FinishIfDone,
    }
}

/// Copies the pages that no reader needs in the log, without waiting for any; says how many are
/// left. `None` if it failed or another connection is copying: a later copy finds the same pages.
fn copy(conn: &Connection) -> Option<u32> {
    let copied = conn
        .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")
        .and_then(|mut checkpoint| {
            checkpoint.query_row((), |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, i64>(2)?,
                ))
            })
        });
    match copied {
        Ok((0, pages, copied)) => u32::try_from(pages.saturating_sub(copied)).ok(),
        Ok(_) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use tempfile::TempDir;

    use super::*;
    use crate::schema::{open_checkpointer, open_writer};

    const PATIENCE: Duration = Duration::from_secs(60);
    /// Pages that a transaction of these tests appends at least.
    const EACH: u32 = 400;

    struct Fixture {
        conn: Connection,
        checkpoints: Checkpoints,
        directory: TempDir,
    }

    fn fixture() -> Fixture {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("sessions.db");
        let (conn, _) = open_writer(&path, PATIENCE).unwrap();
        // These tests are about the log, and need not wait for the disk.
        conn.execute_batch("PRAGMA synchronous = OFF; CREATE TABLE t (n INTEGER PRIMARY KEY, b)")
            .unwrap();
        let checkpointer = open_checkpointer(&path, PATIENCE).unwrap();
        checkpointer
            .execute_batch("PRAGMA synchronous = OFF")
            .unwrap();
        Checkpoints::watch(&conn);
        Fixture {
            conn,
            checkpoints: Checkpoints::start(checkpointer).unwrap(),
            directory,
        }
    }

    impl Fixture {
        /// Writes the same rows again, and returns how many pages the log then has.
        fn write(&mut self) -> u32 {
            let write = "INSERT OR REPLACE INTO t VALUES (1, randomblob(4096 * ?1))";
            self.conn.execute(write, [EACH]).unwrap();
            self.checkpoints.after_commit(&self.conn);
            PAGES.get()
        }

        fn path(&self) -> std::path::PathBuf {
            self.directory.path().join("sessions.db")
        }
    }

    fn rows(path: &Path) -> i64 {
        let conn = Connection::open(path).unwrap();
        let count = "SELECT count(*) FROM t";
        conn.query_row(count, (), |row| row.get(0)).unwrap()
    }

    #[test]
    fn the_writer_waits_for_a_copy_only_if_the_log_is_far_too_long() {
        use State::{Copying, Idle};
        for (state, pages, next, expected) in [
            (Idle, MANY - 1, MANY, Step::None),
            (Idle, MANY, MANY, Step::Begin),
            (Copying, MANY + 1, MANY, Step::FinishIfDone),
            (Copying, TOO_MANY - 1, MANY, Step::FinishIfDone),
            (Copying, TOO_MANY, MANY, Step::Finish),
            // A log that could not be emptied is not copied again and again.
            (Idle, 2 * MANY, 3 * MANY, Step::None),
            (Copying, TOO_MANY, 2 * MANY, Step::FinishIfDone),
        ] {
            let found = step(state, pages, next);
            assert_eq!(found, expected, "{state:?}, {pages} pages, next at {next}");
        }
    }

    #[test]
    fn the_log_begins_anew_while_writes_go_on() {
        let mut fixture = fixture();
        let (mut longest, mut before, mut anew) = (0, 0, 0);
        for _ in 0..200 {
            let pages = fixture.write();
            anew += usize::from(pages < before);
            longest = longest.max(pages);
            before = pages;
        }
        assert!(anew > 0, "the log has {before} pages");
        assert!(longest <= TOO_MANY + 2 * EACH, "{longest}");
        assert_eq!(rows(&fixture.path()), 1);
    }

    /// Otherwise each commit would copy the log once more, for as long as the reader reads.
    #[test]
    fn a_log_that_a_reader_keeps_is_copied_again_only_when_it_has_grown_much() {
        let mut fixture = fixture();
        fixture.write();
        let reader = Connection::open(fixture.path()).unwrap();
        reader
            .execute_batch("BEGIN; SELECT count(*) FROM t")
            .unwrap();
        let mut pages = 0;
        while fixture.checkpoints.next == MANY {
            pages = fixture.write();
            assert!(pages <= TOO_MANY + 2 * EACH, "{pages}");
        }
        assert!(fixture.checkpoints.next >= pages + MANY - EACH);
        reader.execute_batch("COMMIT").unwrap();
        let mut before = 0;
        loop {
            let pages = fixture.write();
            if pages < before {
                break;
            }
            assert!(pages <= 2 * TOO_MANY, "the log never begins anew");
            before = pages;
        }
    }
}
