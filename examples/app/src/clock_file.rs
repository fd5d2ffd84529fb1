//! Time out of a file, for tests that let it pass in a process of its own.

use std::{
    fs, io,
    path::PathBuf,
    process,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use gatepass::{Clock, Timestamp};

/// The time in a file, in milliseconds since 1970.
#[derive(Clone, Debug)]
pub(crate) struct ClockFile(Arc<File>);

#[derive(Debug)]
struct File {
    path: PathBuf,
    first: i64,
    latest: AtomicI64,
}

impl ClockFile {
    /// That in the file that `EXAMPLE_CLOCK_FILE` names, if it names one.
    pub(crate) fn from_env() -> anyhow::Result<Option<Self>> {
        let Some(path) = std::env::var_os("EXAMPLE_CLOCK_FILE") else {
            return Ok(None);
        };
        let first = fs::read_to_string(&path)?.parse()?;
        std::thread::spawn(end_with_stdin);
        Ok(Some(Self(Arc::new(File {
            path: path.into(),
            first,
            latest: AtomicI64::new(first),
        }))))
    }
}

/// Ends this process when stdin ends. The test that named the file holds the other end of stdin,
/// and may be killed before it can end this process.
fn end_with_stdin() {
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    process::exit(1);
}

impl File {
    fn now(&self) -> i64 {
        let read = fs::read_to_string(&self.path).ok();
        match read.and_then(|text| text.parse().ok()) {
            Some(now) => self.latest.fetch_max(now, Ordering::SeqCst).max(now),
            None => self.latest.load(Ordering::SeqCst),
        }
    }
}

impl Clock for ClockFile {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.0.now())
    }

    fn monotonic(&self) -> Duration {
        let passed = u64::try_from(self.0.now() - self.0.first).unwrap_or(0);
        // Never at its beginning, so that durations can be taken off it.
        Duration::from_hours(1) + Duration::from_millis(passed)
    }
}
