//! An application in a test. Its time comes from a file, and its passwords cost little.

use std::{
    fs, io,
    path::PathBuf,
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use argon2::Params;
use gatepass::{Clock, Timestamp};

static LITTLE_COST: AtomicBool = AtomicBool::new(false);

/// Makes this process hash passwords with the smallest parameters of argon2id. Each scenario begins
/// with the example's users in eight applications, so their hashes would take most of its time.
pub fn hash_passwords_at_little_cost() {
    LITTLE_COST.store(true, Ordering::Relaxed);
}

/// Whether this process belongs to a test.
fn is_under_test() -> bool {
    LITTLE_COST.load(Ordering::Relaxed)
}

/// The parameters of new hashes.
pub(crate) fn argon2_params() -> Params {
    let default = Params::default();
    if is_under_test() {
        Params::new(
            Params::MIN_M_COST,
            Params::MIN_T_COST,
            Params::MIN_P_COST,
            None,
        )
        .unwrap_or(default)
    } else {
        default
    }
}

/// The time between two ticks: `default` outside of a test.
pub(crate) fn pause(default: Duration) -> Duration {
    if is_under_test() {
        Duration::from_hours(1)
    } else {
        default
    }
}

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
    /// The clock in the file that `EXAMPLE_CLOCK_FILE` names, if that variable is set. Only a test
    /// sets it, so passwords cost little from now on.
    pub(crate) fn from_env() -> anyhow::Result<Option<Self>> {
        let Some(path) = std::env::var_os("EXAMPLE_CLOCK_FILE") else {
            return Ok(None);
        };
        let first = fs::read_to_string(&path)?.parse()?;
        std::thread::spawn(end_with_stdin);
        hash_passwords_at_little_cost();
        Ok(Some(Self(Arc::new(File {
            path: path.into(),
            first,
            latest: AtomicI64::new(first),
        }))))
    }
}

/// Ends this process when stdin ends. The test holds the other end of stdin, and may be killed
/// before it can end this process.
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
        // Never zero, so that a caller can subtract durations from it.
        Duration::from_hours(1) + Duration::from_millis(passed)
    }
}
