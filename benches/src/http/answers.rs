//! The answers of the applications.

use crate::clock::thread_seconds;

/// The body of the answer to `/`.
pub(super) const HELLO: &str = "hello";

/// The body of the answer to `/cpu`: the CPU seconds of the thread that serves.
pub(super) fn cpu() -> String {
    thread_seconds().to_string()
}
