//! A reader of the sessions that other processes write.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use gatepass::{
    Clock, Session, SessionCursor, SessionFilter, SessionId, StoreError, SystemClock, Timestamp,
    store::ScannedPart,
};

use crate::{
    error::OpenError, examination, opened::Opened, reader::Readers, scan, schema, sessions,
};

/// How long a reader waits for a lock: as long as a store by default.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// A reader of the sessions in an existing file, for tools such as `gatepass sessions`.
///
/// It neither creates nor migrates the file, and changes no session. Its process still needs write
/// access to the file, like every reader of SQLite in WAL mode. A reader is cheap to clone.
///
/// ```no_run
/// use gatepass_sqlite::SqliteReader;
///
/// let reader = SqliteReader::open("sessions.db")?;
/// # Ok::<(), gatepass_sqlite::OpenError>(())
/// ```
#[derive(Clone)]
pub struct SqliteReader {
    inner: Arc<Inner>,
}

struct Inner {
    readers: Readers,
    opened: Opened,
    clock: Arc<dyn Clock>,
}

impl SqliteReader {
    /// Opens the file at `path`. Blocks while it does.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if the file doesn't exist, or doesn't have the tables of this release.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let wrong = |error| OpenError::new(path.to_owned(), error);
        let conn = schema::open_reader(path, BUSY_TIMEOUT)?;
        let (found, known) = (examination::version(&conn).map_err(wrong)?, schema::known());
        let path = path.to_owned();
        match found {
            Some(found) if found == known => {}
            Some(found) if found > known => {
                return Err(OpenError::NewerSchema { path, found, known });
            }
            Some(found) => return Err(OpenError::OlderSchema { path, found, known }),
            None => return Err(OpenError::NoStore { path }),
        }
        let opened = Opened::new(&path).map_err(|source| OpenError::Gone { path, source })?;
        let inner = Inner {
            readers: Readers::start(vec![conn]).map_err(OpenError::Thread)?,
            opened,
            clock: Arc::new(SystemClock),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The session with this id, and the current time.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the file cannot be read.
    pub async fn load(&self, id: SessionId) -> Result<(Option<Session>, Timestamp), StoreError> {
        let Inner { opened, clock, .. } = &*self.inner;
        let (opened, clock) = (opened.clone(), Arc::clone(clock));
        let loaded = self.inner.readers.run(move |conn| {
            let session = sessions::find(conn, id)?.map(|stored| stored.session);
            opened.check()?;
            Ok((session, clock.now()))
        });
        loaded.await
    }

    /// One part of the sessions that match `filter`, as
    /// [`SessionStore::scan`](gatepass::store::SessionStore::scan) returns it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the file cannot be read.
    pub async fn scan(
        &self,
        filter: &SessionFilter,
        after: Option<&SessionCursor>,
        limit: usize,
    ) -> Result<ScannedPart, StoreError> {
        let Inner { opened, clock, .. } = &*self.inner;
        let (opened, clock) = (opened.clone(), Arc::clone(clock));
        let (filter, after) = (filter.clone(), after.cloned());
        let scanned = self.inner.readers.run(move |conn| {
            let part = scan::scan(conn, &filter, after.as_ref(), limit, clock.now())?;
            opened.check()?;
            Ok(part)
        });
        scanned.await
    }
}

impl fmt::Debug for SqliteReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteReader").finish_non_exhaustive()
    }
}
