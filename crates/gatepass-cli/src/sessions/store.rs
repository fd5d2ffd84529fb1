//! The store: all commands read it, and one writes to it.

use anyhow::Context;
use gatepass::{
    Session, SessionCursor, SessionFilter, SessionId, Timestamp,
    store::{EndReason, EndSessions, ScannedPart, SessionStore},
};
use gatepass_postgres::{PostgresLog, PostgresStore};
use gatepass_redis::{RedisLog, RedisStore};
use gatepass_sqlite::{SqliteReader, SqliteStore};

use crate::place::Place;

/// The half of a store that reads. Opening it changes nothing, and migrates no older schema.
pub(super) enum Reader {
    Sqlite(SqliteReader),
    Postgres(PostgresLog),
    Redis(RedisLog),
}

const CANNOT_READ: &str = "cannot read the sessions: this needs the right to read them, which a \
    user that only follows the revocations doesn't have";

impl Reader {
    pub(super) async fn open(place: &Place, name: Option<&str>) -> anyhow::Result<Self> {
        Ok(match place {
            Place::Sqlite(path) => Self::Sqlite(SqliteReader::open(path)?),
            Place::Postgres(url) => {
                let mut store = PostgresLog::at(url);
                if let Some(name) = name {
                    store = store.schema(name);
                }
                Self::Postgres(store.open().await?)
            }
            Place::Redis(urls) => {
                let mut store = RedisLog::at(urls);
                if let Some(name) = name {
                    store = store.namespace(name);
                }
                Self::Redis(store.open().await?)
            }
        })
    }

    pub(super) async fn scan(
        &self,
        filter: &SessionFilter,
        after: Option<&SessionCursor>,
        limit: usize,
    ) -> anyhow::Result<ScannedPart> {
        let part = match self {
            Self::Sqlite(reader) => reader.scan(filter, after, limit).await,
            Self::Postgres(reader) => reader.scan(filter, after, limit).await,
            Self::Redis(reader) => reader.scan(filter, after, limit).await,
        };
        part.context(CANNOT_READ)
    }

    /// The session, and the store's time.
    pub(super) async fn load(&self, id: SessionId) -> anyhow::Result<(Option<Session>, Timestamp)> {
        let loaded = match self {
            Self::Sqlite(reader) => reader.load(id).await,
            Self::Postgres(reader) => reader.load(id).await,
            Self::Redis(reader) => reader.load(id).await,
        };
        loaded.context(CANNOT_READ)
    }

    /// The store's time.
    pub(super) async fn now(&self) -> anyhow::Result<Timestamp> {
        // No session has this id. The store tells its time with each answer.
        let nobody = SessionId::from_bytes([0; 18]);
        Ok(self.load(nobody).await?.1)
    }
}

/// Opens the whole store. Open a [`Reader`] first: it fails unless the store exists and has this
/// release's schema. Then this call neither creates nor migrates anything.
pub(super) async fn writer(
    place: &Place,
    name: Option<&str>,
) -> anyhow::Result<Box<dyn SessionStore>> {
    const CANNOT_WRITE: &str = "cannot end sessions: this needs the rights of a node, which may \
        write to the store";
    Ok(match place {
        Place::Sqlite(path) => Box::new(SqliteStore::open(path).context(CANNOT_WRITE)?),
        Place::Postgres(url) => {
            let mut store = PostgresStore::at(url);
            if let Some(name) = name {
                store = store.schema(name);
            }
            Box::new(store.open().await.context(CANNOT_WRITE)?)
        }
        Place::Redis(urls) => {
            let mut store = RedisStore::at(urls);
            if let Some(name) = name {
                store = store.namespace(name);
            }
            Box::new(store.open().await.context(CANNOT_WRITE)?)
        }
    })
}

/// Ends the session. Returns whether this call ended it.
pub(super) async fn end(store: &dyn SessionStore, id: SessionId) -> anyhow::Result<bool> {
    let ended = store.end(EndSessions::Session(id), EndReason::EndedByApplication);
    Ok(ended.await?.is_some())
}
