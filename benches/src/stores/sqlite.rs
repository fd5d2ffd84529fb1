//! The least: one table of ids and numbers, one thread that writes it in groups, with the pragmas of
//! `gatepass-sqlite`.

use std::{path::Path, thread};

use anyhow::Context;
use crossbeam_channel::{Receiver, Sender};
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::{Caller, SESSIONS, after, first};

const GROUP: usize = 256;
const QUEUE: usize = 4096;

/// A compare-and-advance, and who waits to hear whether it fitted.
struct Job {
    id: [u8; 18],
    from: i64,
    reply: oneshot::Sender<bool>,
}

pub(super) struct Raw(Sender<Job>);

impl Raw {
    /// A file with `sessions` rows, and the thread that writes it.
    pub(super) fn open(path: &Path, sessions: usize) -> anyhow::Result<Self> {
        let conn = Connection::open(path)?;
        conn.query_row("PRAGMA journal_mode = WAL", (), |_| Ok(()))?;
        conn.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;
             CREATE TABLE sessions (id BLOB PRIMARY KEY, generation INTEGER, seen_at INTEGER); BEGIN",
        )?;
        for number in 0..sessions {
            conn.prepare_cached("INSERT INTO sessions VALUES (?1, 0, 0)")?
                .execute([id(number).as_slice()])?;
        }
        conn.execute_batch("COMMIT")?;
        let (jobs, queue) = crossbeam_channel::bounded(QUEUE);
        thread::spawn(move || write(conn, &queue));
        Ok(Self(jobs))
    }

    pub(super) fn caller(&self, caller: usize) -> Session {
        let numbers = caller * SESSIONS..(caller + 1) * SESSIONS;
        Session {
            jobs: self.0.clone(),
            sessions: numbers.map(|number| (id(number), 0)).collect(),
            turn: first(caller),
        }
    }
}

fn write(mut conn: Connection, queue: &Receiver<Job>) -> rusqlite::Result<()> {
    let mut done = Vec::with_capacity(GROUP);
    while let Ok(first) = queue.recv() {
        let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for job in std::iter::once(first).chain(queue.try_iter().take(GROUP - 1)) {
            let changed = tx
                .prepare_cached(
                    "UPDATE sessions SET generation = ?2 + 1, seen_at = ?3
                     WHERE id = ?1 AND generation = ?2",
                )?
                .execute(params![job.id.as_slice(), job.from, job.from])?;
            done.push((job.reply, changed == 1));
        }
        tx.commit()?;
        for (reply, fitted) in done.drain(..) {
            let _ = reply.send(fitted);
        }
    }
    Ok(())
}

/// As random as ids are, so that rows lie as theirs do.
fn id(number: usize) -> [u8; 18] {
    let mut id = [0; 18];
    let mixed = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for (byte, mixed) in id.iter_mut().zip(mixed.to_be_bytes()) {
        *byte = mixed;
    }
    id
}

/// A caller and its sessions, with the generation that each has.
pub(super) struct Session {
    jobs: Sender<Job>,
    sessions: Vec<([u8; 18], i64)>,
    turn: usize,
}

impl Caller for Session {
    async fn refresh(&mut self) -> anyhow::Result<()> {
        let session = self.sessions.get_mut(self.turn);
        let (id, generation) = session.context("no session")?;
        self.turn = after(self.turn);
        let (reply, answer) = oneshot::channel();
        let job = Job {
            id: *id,
            from: *generation,
            reply,
        };
        self.jobs.send(job)?;
        anyhow::ensure!(answer.await?, "an advance that did not fit");
        *generation += 1;
        Ok(())
    }
}
