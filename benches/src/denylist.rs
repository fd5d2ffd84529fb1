//! The denylist: the cost of a check among a million live revocations, their memory, and the time
//! to load them.

use std::time::{Duration, Instant};

use gatepass::{
    Clock, Error, Refusal, Requirements, SystemClock, Verifier,
    store::{Revocation, RevocationTarget},
};
use jsonwebtoken::decode;
use tokio::runtime::Runtime;

use crate::{
    child,
    log::Log,
    measure::{Quartiles, at_once, each, quantile, rounds},
    table::{Goal, Table},
    token::{Claims, Key, Yesterday, in_turn},
};

const REVOCATIONS: u32 = 1_000_000;
/// Tokens to check: more than there are entries in the processor's caches.
const TOKENS: usize = 50_000;
/// Entries in a pull.
const PART: u32 = 100_000;

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let _entered = runtime.enter();
    checks(table, &runtime)?;
    during_pulls(table, &runtime)?;

    let loaded = child::load(REVOCATIONS, false, table.size)?;
    let what = "bytes of a live revocation, of 1,000,000";
    table.figure(what, loaded.bytes, " bytes", Goal::AtMost(50.0));
    let what = "the same at the peak of the load";
    table.figure(what, loaded.peak, " bytes", Goal::Known);
    let what = "CPU time to load 1,000,000 revocations";
    table.spread(what, loaded.seconds, " s", Goal::AtMost(0.6));
    if table.size.pick(false, true) {
        let loaded = child::load(10 * REVOCATIONS, false, table.size)?;
        let what = "CPU time to load 10,000,000 revocations";
        table.spread(what, loaded.seconds, " s", Goal::AtMost(6.0));
    }
    Ok(())
}

/// The check for revocations costs as much as a good token minus an expired one, which the verifier
/// refuses just before it asks the denylist. This difference is the whole check, with the lease and
/// the second reading of the clock.
fn checks(table: &mut Table, runtime: &Runtime) -> anyhow::Result<()> {
    let key = Key::hs256()?;
    let good = runtime.block_on(key.tokens(TOKENS, SystemClock))?;
    let expired = runtime.block_on(key.tokens(TOKENS, Yesterday))?;
    let logins = runtime.block_on(key.logins(TOKENS, SystemClock, Ok))?;
    let until = SystemClock.now() + Duration::from_secs(900);
    let revoke = |login: &gatepass::Issued| Revocation {
        target: RevocationTarget::Session(login.session_id),
        until,
    };
    let first = logins.iter().map(revoke).collect();
    let token = |login: gatepass::Issued| login.access_token.as_str().to_owned();
    let revoked: Vec<String> = logins.into_iter().map(token).collect();

    let log = Log::after(first, REVOCATIONS, PART);
    let verifier = runtime.block_on(key.verifier(log, 0))?;
    let empty = runtime.block_on(key.plain_verifier())?;
    let (requirements, validation) = (Requirements::new(), key.validation()?);
    let refused = |token: &str, reason| match at_once(verifier.verify(token, &requirements))? {
        Err(Error::Refused(refusal)) if refusal == reason => Ok(()),
        _ => anyhow::bail!("a token was not refused as {reason:?}"),
    };
    let (mut ours, mut theirs, mut none) = (in_turn(&good), in_turn(&good), in_turn(&good));
    let (mut late, mut over) = (in_turn(&expired), in_turn(&revoked));
    let measured = rounds(
        table.size,
        [
            each(|| Ok(at_once(verifier.verify(ours(), &requirements))??)),
            each(|| refused(late(), Refusal::Expired)),
            each(|| Ok(decode::<Claims>(theirs(), &key.decoding, &validation)?)),
            each(|| refused(over(), Refusal::Revoked)),
            each(|| Ok(at_once(empty.verify(none(), &requirements))??)),
        ],
    )?;
    let what = "verify HS256, a revoked token among 1,000,000, of a good one";
    let ratio = Quartiles::of(&measured, |[good, _, _, revoked, _]| revoked / good);
    table.ratio(what, ratio, Goal::AtMost(1.2));
    let what = "verify HS256, a good token among 1,000,000 revocations, of one among none";
    let ratio = Quartiles::of(&measured, |[good, _, _, _, none]| good / none);
    table.ratio(what, ratio, Goal::Known);
    let what = "check among 1,000,000 revocations, of a decode of HS256";
    let ratio = Quartiles::of(&measured, |[good, late, decode, ..]| (good - late) / decode);
    table.ratio(what, ratio, Goal::AtMost(0.10));
    Ok(())
}

/// The slowest checks while another thread applies pulls.
fn during_pulls(table: &mut Table, runtime: &Runtime) -> anyhow::Result<()> {
    let key = Key::hs256()?;
    let good = runtime.block_on(key.tokens(TOKENS, SystemClock))?;
    let expired = runtime.block_on(key.tokens(TOKENS, Yesterday))?;
    let log = Log::new(REVOCATIONS, PART);
    let verifier = runtime.block_on(key.verifier(log.clone(), 0))?;
    let many = table.size.pick(50_000, 200_000);
    let before_the_check = quantile(&timed(&verifier, &expired, many)?, 0.5);
    let quiet = timed(&verifier, &good, many)?;
    log.append(table.size.pick(5, 20) * PART);
    let mut during = Vec::new();
    while !log.is_read() {
        if log.is_applied() {
            during.extend(timed(&verifier, &good, 1000)?);
        }
    }
    during.sort_by(f64::total_cmp);
    for (what, waits, goal) in [
        ("while nothing is pulled", &quiet, Goal::Known),
        (
            "while pulls of 100,000 entries are applied",
            &during,
            Goal::AtMost(2.0),
        ),
    ] {
        let check = (quantile(waits, 0.99) - before_the_check) * 1e6;
        let what = format!("check, {what}, p99");
        table.figure(&what, check, " µs", goal);
    }
    Ok(())
}

/// The wall seconds of each of this many verifications, sorted.
fn timed(verifier: &Verifier, tokens: &[String], many: usize) -> anyhow::Result<Vec<f64>> {
    let requirements = Requirements::new();
    let mut token = in_turn(tokens);
    let mut waits = Vec::with_capacity(many);
    for _ in 0..many {
        let token = token();
        let start = Instant::now();
        // It refuses yesterday's tokens.
        let _ = at_once(verifier.verify(token, &requirements))?;
        waits.push(start.elapsed().as_secs_f64());
    }
    waits.sort_by(f64::total_cmp);
    Ok(waits)
}
