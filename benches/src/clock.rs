//! The clocks of the benchmarks.
//!
//! For work on one thread, the CPU time of that thread counts, so another process on the same core
//! doesn't. Wall time is for claims about waiting.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// The seconds that the calling thread has computed since it began.
pub(crate) fn thread_seconds() -> f64 {
    seconds(ClockId::ThreadCPUTime)
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The CPU seconds of all threads of this process that `work` takes.
pub(crate) fn processing(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let start = seconds(ClockId::ProcessCPUTime);
    work()?;
    Ok(seconds(ClockId::ProcessCPUTime) - start)
}

/// The wall seconds that `work` takes.
pub(crate) fn wall(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

/// The CPU seconds of this thread that `work` takes.
pub(crate) fn computing(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let start = thread_seconds();
    work()?;
    Ok(thread_seconds() - start)
}
