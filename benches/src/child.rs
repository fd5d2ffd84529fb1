//! A new process that loads a denylist, so its memory is the memory of the denylist.

use std::{env, fs, process::Command};

use anyhow::Context;
use gatepass::{Error, Refusal, Requirements, SystemClock};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::{
    clock::processing,
    log::Log,
    measure::{Quartiles, Size, at_once, each, rounds, rounds_of},
    repeated::threads,
    token::{Key, Yesterday, in_turn},
};

/// The argument that makes this program such a process.
pub(crate) const FLAG: &str = "--child";

/// Entries in a pull. They are few, so their own memory is small next to the denylist.
const PART: u32 = 10_000;
/// The process loads more entries than this only once.
const MANY: u32 = 1_000_000;
/// Tokens to check.
const TOKENS: usize = 4096;

/// A loaded denylist.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Loaded {
    pub(crate) entries: u32,
    /// Resident bytes of an entry after the load, and at the peak of it.
    pub(crate) bytes: f64,
    pub(crate) peak: f64,
    /// CPU seconds of a load, without the time in which the log makes the entries.
    pub(crate) seconds: Quartiles,
    pub(crate) checks: Option<Checks>,
}

/// The checks of good HS256 tokens, by CPU time.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Checks {
    /// The verification of a token among the entries, as a share of one without entries.
    pub(crate) of_none: Quartiles,
    /// Nanoseconds of the check alone. This is the cost of a good token, minus the cost of a token
    /// that is refused just before the verifier looks up its revocation.
    pub(crate) nanoseconds: Quartiles,
    /// The same verification on two threads at once, as a share of one thread.
    pub(crate) two_of_one: Quartiles,
}

/// Loads this many entries in a new process, and checks tokens among them if `checks` is true.
pub(crate) fn load(entries: u32, checks: bool, size: Size) -> anyhow::Result<Loaded> {
    let checks = if checks { "checks" } else { "no checks" };
    let size = size.pick("quick", "full");
    let child = Command::new(env::current_exe()?)
        .args([FLAG, &entries.to_string(), checks, size])
        .output()?;
    let said = String::from_utf8_lossy(&child.stderr);
    anyhow::ensure!(child.status.success(), "a fresh process failed: {said}");
    Ok(serde_json::from_slice(&child.stdout)?)
}

/// The main function of the process.
pub(crate) fn main(arguments: &[&str]) -> anyhow::Result<()> {
    let [entries, checks, size] = arguments else {
        anyhow::bail!("{FLAG} is for this program itself");
    };
    let size = match *size {
        "quick" => Size::Quick,
        _ => Size::Full,
    };
    let runtime = Runtime::new()?;
    let _entered = runtime.enter();
    let key = Key::hs256()?;
    let entries: u32 = entries.parse()?;
    let log = || Log::new(entries, PART);
    let load = || runtime.block_on(key.verifier(log(), 0));

    // The allocator keeps the memory of a pull, and uses it again in the load.
    let drained = processing(|| log().drain())?;
    // Resets the peak (Linux).
    fs::write("/proc/self/clear_refs", "5")?;
    let before = memory("VmRSS:")?;
    let mut loaded = None;
    let took = processing(|| {
        loaded = Some(load()?);
        Ok(())
    })?;
    let each_of = |bytes: f64| (bytes - before).max(0.0) / f64::from(entries);
    let (bytes, peak) = (each_of(memory("VmRSS:")?), each_of(memory("VmHWM:")?));

    let mut seconds = vec![took - drained];
    let again = if entries > MANY { 0 } else { size.pick(1, 6) };
    for _ in 0..again {
        let drained = processing(|| log().drain())?;
        seconds.push(processing(|| load().map(drop))? - drained);
    }
    let verifier = loaded.context("no denylist")?;
    let checks = match *checks {
        "checks" => Some(check(&runtime, &key, &verifier, size)?),
        _ => None,
    };
    let loaded = Loaded {
        entries,
        bytes,
        peak,
        seconds: Quartiles::among(seconds),
        checks,
    };
    println!("{}", serde_json::to_string(&loaded)?);
    Ok(())
}

fn check(
    runtime: &Runtime,
    key: &Key,
    verifier: &gatepass::Verifier,
    size: Size,
) -> anyhow::Result<Checks> {
    let empty = runtime.block_on(key.plain_verifier())?;
    let good = runtime.block_on(key.tokens(TOKENS, SystemClock))?;
    let expired = runtime.block_on(key.tokens(TOKENS, Yesterday))?;
    let requirements = Requirements::new();
    let (mut among, mut none, mut refused) = (in_turn(&good), in_turn(&good), in_turn(&expired));
    let measured = rounds(
        size,
        [
            each(|| Ok(at_once(verifier.verify(among(), &requirements))??)),
            each(|| Ok(at_once(empty.verify(none(), &requirements))??)),
            each(
                || match at_once(verifier.verify(refused(), &requirements))? {
                    Err(Error::Refused(Refusal::Expired)) => Ok(()),
                    _ => anyhow::bail!("yesterday's token was not refused as expired"),
                },
            ),
        ],
    )?;
    let batch = std::time::Duration::from_millis(4);
    let both = rounds_of(
        batch,
        size.pick(60, 300),
        [
            threads(1, runtime, verifier, &good),
            threads(2, runtime, verifier, &good),
        ],
    )?;
    Ok(Checks {
        of_none: Quartiles::of(&measured, |[among, none, _]| among / none),
        nanoseconds: Quartiles::of(&measured, |[among, _, refused]| (among - refused) * 1e9),
        two_of_one: Quartiles::of(&both, |[one, two]| two / one),
    })
}

/// The current or peak memory of this process in bytes, by the name of the line in its status.
fn memory(name: &str) -> anyhow::Result<f64> {
    resident("self", name)
}

/// The current or peak memory of a process in bytes, by the name of the line in its status.
pub(crate) fn resident(process: &str, name: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let kib: f64 = kib.context("a system that does not say")?.parse()?;
    Ok(kib * 1024.0)
}
