//! The real servers that `cargo xtask test` starts, and names that no other test has.

use std::{env, time::Duration};

use gatepass::store::{Random, SystemRandom};

/// A test waits as long as this for a server of a machine that has other tests to run.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The URL in the environment variable `name`.
pub fn server(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run `cargo xtask test`, or run `cargo xtask servers` in another \
             terminal and set what it prints"
        )
    })
}

/// A name that no other test gives to anything. The numbers of processes would come again while the
/// servers stay.
pub fn unique(what: &str) -> String {
    let mut random = [0; 8];
    SystemRandom.fill(&mut random).unwrap();
    format!("{what}_{:016x}", u64::from_be_bytes(random))
}

/// Checks that `$error` is of a kind, and that its message contains a text.
#[macro_export]
macro_rules! assert_error {
    ($error:expr, $kind:pat, $says:expr) => {
        let error = $error;
        assert!(matches!(error, $kind), "{error:?}");
        let said = error.to_string();
        assert!(said.contains($says), "{said}");
    };
}
