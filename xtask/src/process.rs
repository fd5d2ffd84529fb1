//! A process that never outlives this program.

use std::{
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;

const POLL: Duration = Duration::from_millis(50);

/// A process that is killed when this is dropped.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let started = command.spawn();
        let child =
            started.with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self(child))
    }

    /// Waits until the process ends, and returns its status. Returns `None` if `so_far` is true
    /// before that.
    ///
    /// # Errors
    ///
    /// An error if neither happens within `patience`.
    pub(crate) fn wait(
        &mut self,
        patience: Duration,
        so_far: impl Fn() -> bool,
    ) -> anyhow::Result<Option<ExitStatus>> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            if so_far() {
                return Ok(None);
            }
            thread::sleep(POLL);
        }
        anyhow::bail!("nothing happened for {patience:?}")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both calls fail only if the process has already ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        Process::start(Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn a_process_is_waited_for_as_long_as_is_said() {
        let long = Duration::from_secs(60);
        let ended = shell("exit 3").wait(long, || false).unwrap().unwrap();
        assert_eq!(ended.code(), Some(3));
        let mut endless = shell("exec sleep 60");
        assert!(endless.wait(long, || true).unwrap().is_none());
        assert!(endless.wait(POLL, || false).is_err());
    }

    #[test]
    fn a_process_that_is_dropped_is_no_more() {
        let endless = shell("exec sleep 60");
        let (id, begun) = (endless.0.id(), Instant::now());
        drop(endless);
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "it was waited for"
        );
        let asked = Command::new("sh")
            .args(["-c", "kill -0 \"$0\" 2>&-", &id.to_string()])
            .status();
        assert!(!asked.unwrap().success());
    }
}
