//! Growth in a SQLite file.

use std::{fs, path::PathBuf, sync::Arc};

use gatepass::{Clock, SessionId, SystemClock, async_trait, store::SessionStore};
use gatepass_sqlite::SqliteStore;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{Contents, Filling, Inside, LongAgo, PATIENCE, new_session};
use crate::{servers::directory, table::Table};

/// Sessions to begin. All others are copies of them under other ids.
const BEGUN: usize = 1000;

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    super::run(table, &Runtime::new()?, &Sqlite(directory()?))
}

struct Sqlite(TempDir);

impl Sqlite {
    fn path(&self) -> PathBuf {
        self.0.path().join("sessions.db")
    }

    fn connect(&self) -> anyhow::Result<Connection> {
        let conn = Connection::open(self.path())?;
        conn.busy_timeout(PATIENCE)?;
        Ok(conn)
    }

    fn count(&self, count: &str) -> anyhow::Result<u64> {
        let count: i64 = self.connect()?.query_row(count, (), |row| row.get(0))?;
        Ok(u64::try_from(count)?)
    }
}

#[async_trait]
impl Inside for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    async fn open(&self, clock: Option<LongAgo>) -> anyhow::Result<Arc<dyn SessionStore>> {
        let mut store = SqliteStore::builder(self.path()).busy_timeout(PATIENCE);
        if let Some(clock) = clock {
            store = store.clock(clock);
        }
        Ok(Arc::new(store.open()?))
    }

    async fn fill(
        &self,
        store: Arc<dyn SessionStore>,
        filling: Filling,
    ) -> anyhow::Result<Vec<SessionId>> {
        for number in 0..BEGUN {
            store.begin(new_session(number)?).await?;
        }
        let conn = self.connect()?;
        conn.execute_batch(
            "BEGIN; CREATE TEMP TABLE copy AS SELECT * FROM main.gatepass_sessions",
        )?;
        for _ in 1..filling.expired / BEGUN {
            conn.execute_batch(
                "UPDATE copy SET id = randomblob(18), number = number - 1;
                 INSERT INTO gatepass_sessions SELECT * FROM copy",
            )?;
        }
        conn.execute_batch("COMMIT")?;
        let mut ids = conn.prepare("SELECT id FROM gatepass_sessions LIMIT ?1")?;
        let ids = ids.query_map([i64::try_from(filling.ended)?], |row| {
            row.get(0).map(SessionId::from_bytes)
        })?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    async fn is_clean(&self, _: &Contents) -> anyhow::Result<bool> {
        let clean = self.connect()?.query_row(
            "SELECT NOT EXISTS (SELECT 1 FROM gatepass_sessions WHERE purge_at <= ?1)
             AND NOT EXISTS (SELECT 1 FROM gatepass_revocations WHERE until <= ?1 - 600000)",
            [SystemClock.now().unix_millis()],
            |row| row.get(0),
        )?;
        Ok(clean)
    }

    async fn contents(&self) -> anyhow::Result<Contents> {
        Ok(Contents {
            sessions: self.count("SELECT count(*) FROM gatepass_sessions")?,
            entries: self.count("SELECT count(*) FROM gatepass_revocations")?,
            bytes: fs::metadata(self.path())?.len(),
        })
    }
}
