//! One line for each thing that begins.

/// Says that `command` now does `what`.
pub(crate) fn step(command: &str, what: &str) {
    println!("== {command}: {what}");
}
