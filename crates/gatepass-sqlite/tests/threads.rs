//! Threads that a store leaves behind. This is a test binary of its own, because it looks at the
//! threads of the process.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what a test does not expect is a panic"
)]

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use gatepass_sqlite::SqliteStore;

fn threads_of_stores() -> usize {
    let names = fs::read_dir("/proc/self/task").unwrap().filter_map(|task| {
        // A thread may end while the test looks at it.
        fs::read_to_string(task.unwrap().path().join("comm")).ok()
    });
    names.filter(|name| name.starts_with("gatepass-")).count()
}

#[test]
fn the_threads_end_with_the_last_handle() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("sessions.db")).unwrap();
    let clone = store.clone();
    drop(store);
    let deadline = Instant::now() + Duration::from_secs(30);
    while threads_of_stores() != 4 {
        assert!(Instant::now() < deadline, "one writes and three read");
        thread::yield_now();
    }
    drop(clone);
    assert_eq!(threads_of_stores(), 0);
    let files = fs::read_dir(directory.path()).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["sessions.db"], "the log is in the file");
}
