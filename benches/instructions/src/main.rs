//! The hot operations of gatepass, for a program that counts their instructions.
//!
//! `cargo xtask bench --check` runs this program under callgrind, and compares the counts with
//! `counts.toml`. Run it by hand to see where an operation spends its instructions:
//!
//! ```text
//! cargo build --profile bench --package gatepass-instructions
//! valgrind --tool=callgrind --toggle-collect='*counted_operations*' \
//!     target/release/gatepass-instructions verify-hs256
//! callgrind_annotate callgrind.out.*
//! ```
//!
//! Without an argument, it prints the names of all operations and how often it runs each one.
//!
//! # Why two runs count the same
//!
//! * Callgrind counts only within [`counted_operations`]. The counts exclude making keys, tokens
//!   and revocations.
//! * One thread does everything. The program enters the runtime and never drives it, so no task of
//!   the core runs between two operations.
//! * The clock stands still, and the random source counts up from zero (`given.rs`).
//! * The seeds of hash maps differ from run to run. They change the place of an entry, and so the
//!   length of some probes, but never the cost of a hash. ECDSA signatures are also random. Each
//!   figure is the mean of a hundred operations or more, so neither matters.
//!
//! All counts of three runs on a busy machine were within one in ten thousand.
//!
//! # What the counts don't show
//!
//! An instruction isn't a nanosecond: the counts include neither cache misses nor system calls.
//! Valgrind's processor has no SHA extensions, so SHA-256 weighs more here than on a server.

#![expect(
    clippy::print_stdout,
    reason = "a command line tool prints what it is asked for"
)]

mod given;
mod operations;

use anyhow::Context;

use crate::operations::{OPERATIONS, Operation};

fn main() -> anyhow::Result<()> {
    let Some(name) = std::env::args().nth(1) else {
        for operation in OPERATIONS {
            println!("{} {}", operation.name, operation.times);
        }
        return Ok(());
    };
    if name == "processor" {
        println!("{}", processor());
        return Ok(());
    }
    let chosen = OPERATIONS.iter().find(|operation| operation.name == name);
    let chosen = chosen.with_context(|| format!("there is no operation {name:?}"))?;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let _entered = runtime.enter();
    let mut operation = (chosen.make)(&runtime, WARM_UP + chosen.times)?;
    // The first operation initialises shared state and fills caches.
    for _ in 0..WARM_UP {
        operation()?;
    }
    counted_operations(&mut operation, chosen.times)
}

/// Operations before the count begins.
const WARM_UP: usize = 8;

/// Callgrind finds this function by its name, and counts from its entry to its return.
#[inline(never)]
fn counted_operations(operation: &mut Operation, times: usize) -> anyhow::Result<()> {
    for _ in 0..times {
        operation()?;
    }
    Ok(())
}

/// The extensions of the processor that this program sees. Valgrind presents its own.
#[cfg(target_arch = "x86_64")]
fn processor() -> String {
    macro_rules! present {
        ($($name:tt)*) => {
            [$(($name, std::arch::is_x86_feature_detected!($name))),*]
        };
    }
    let asked = present!(
        "sse4.2" "aes" "pclmulqdq" "avx" "avx2" "bmi1" "bmi2" "adx" "fma" "sha" "avx512f"
    );
    let present = asked.iter().filter(|(_, there)| *there);
    Vec::from_iter(present.map(|(name, _)| *name)).join(" ")
}

/// gatepass chooses no code by processor here.
#[cfg(not(target_arch = "x86_64"))]
fn processor() -> String {
    std::env::consts::ARCH.to_owned()
}
