//! Prints one line for each step, and how long each took.

use std::time::{Duration, Instant};

/// Prints that `command` begins the step `what`.
pub(crate) fn step(command: &str, what: &str) {
    println!("== {command}: {what}");
}

/// The steps of a long command. Prints the number of each step, the total, and how long each took.
pub(crate) struct Steps {
    command: &'static str,
    count: usize,
    of: usize,
    begun: Instant,
    step_begun: Instant,
}

impl Steps {
    /// Counts the steps of `command`, which has `of` in all.
    pub(crate) fn new(command: &'static str, of: usize) -> Self {
        let begun = Instant::now();
        Self {
            command,
            count: 0,
            of,
            begun,
            step_begun: begun,
        }
    }

    /// Prints that the previous step is done, and that this one begins.
    pub(crate) fn next(&mut self, what: &str) {
        self.end_step();
        self.count += 1;
        self.step_begun = Instant::now();
        step(&self.label(), what);
    }

    /// Prints that the last step is done, and the total time.
    pub(crate) fn done(self) {
        self.end_step();
        step(
            self.command,
            &format!("done in {}", shown(self.begun.elapsed())),
        );
    }

    fn end_step(&self) {
        if self.count > 0 {
            let took = shown(self.step_begun.elapsed());
            step(&self.label(), &format!("done in {took}"));
        }
    }

    fn label(&self) -> String {
        format!("{} {}/{}", self.command, self.count, self.of)
    }
}

/// A duration in words, such as `4 min 10 s`.
pub(crate) fn shown(duration: Duration) -> String {
    let (minutes, seconds) = (duration.as_secs() / 60, duration.as_secs() % 60);
    match (minutes, seconds) {
        (0, 0..10) => format!("{:.1} s", duration.as_secs_f64()),
        (0, _) => format!("{seconds} s"),
        _ => format!("{minutes} min {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_shown_as_people_say_it() {
        for (millis, expected) in [
            (0, "0.0 s"),
            (340, "0.3 s"),
            (9_900, "9.9 s"),
            (10_200, "10 s"),
            (59_900, "59 s"),
            (60_000, "1 min 0 s"),
            (250_000, "4 min 10 s"),
            (3_700_000, "61 min 40 s"),
        ] {
            assert_eq!(shown(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn steps_are_numbered() {
        let mut steps = Steps::new("test", 2);
        steps.next("one");
        assert_eq!(steps.label(), "test 1/2");
        steps.next("two");
        assert_eq!(steps.label(), "test 2/2");
    }
}
