//! The smallest store in SQLite: one table of ids and numbers, and one thread that writes it in
//! groups, with the pragmas of `gatepass-sqlite`.

use std::{path::Path, thread};

use crossbeam_channel::{Receiver, Sender};
use gatepass_sqlite::SqliteStore;
use rusqlite::{Connection, params};
use tokio::{runtime::Runtime, sync::oneshot};

use super::{Bare, compare, id, sessions};
use crate::{servers::directory, table::Table};

const GROUP: usize = 256;
const QUEUE: usize = 4096;

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let directory = directory()?;
    let store = SqliteStore::open(directory.path().join("sessions.db"))?;
    let (raw, rows) = Raw::open(&directory.path().join("raw.db"), sessions(table))?;
    let goals = ("SQLite", [0.75, 0.75]);
    compare(table, &Runtime::new()?, goals, store, &raw, rows)
}

/// A compare-and-advance, and the caller that waits for its result.
struct Job {
    row: Row,
    reply: oneshot::Sender<bool>,
}

#[derive(Clone, Copy)]
struct Row {
    id: [u8; 18],
    generation: i64,
}

#[derive(Clone)]
struct Raw(Sender<Job>);

impl Raw {
    /// Makes a file with rows, and the thread that writes to it.
    fn open(path: &Path, sessions: usize) -> anyhow::Result<(Self, Vec<Row>)> {
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
        let rows = (0..sessions).map(|number| Row {
            id: id(number),
            generation: 0,
        });
        Ok((Self(jobs), rows.collect()))
    }
}

fn write(mut conn: Connection, queue: &Receiver<Job>) -> rusqlite::Result<()> {
    let mut done = Vec::with_capacity(GROUP);
    while let Ok(first) = queue.recv() {
        let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for job in std::iter::once(first).chain(queue.try_iter().take(GROUP - 1)) {
            let Row { id, generation } = job.row;
            let changed = tx
                .prepare_cached(
                    "UPDATE sessions SET generation = ?2 + 1, seen_at = ?3
                     WHERE id = ?1 AND generation = ?2",
                )?
                .execute(params![id.as_slice(), generation, generation])?;
            done.push((job.reply, changed == 1));
        }
        tx.commit()?;
        for (reply, fitted) in done.drain(..) {
            let _ = reply.send(fitted);
        }
    }
    Ok(())
}

impl Bare for Raw {
    type Row = Row;

    async fn advance(&self, row: &mut Row) -> anyhow::Result<()> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Job { row: *row, reply })?;
        anyhow::ensure!(answer.await?, "an advance that did not fit");
        row.generation += 1;
        Ok(())
    }
}
