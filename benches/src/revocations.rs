//! The denylist, with a million live revocations.

use std::time::Duration;

use gatepass::{
    Clock, Error, Refusal, Requirements, SessionId, SystemClock,
    store::{Random, Revocation, RevocationTarget, SystemRandom, TokenId},
};
use jsonwebtoken::decode;

use crate::{
    measure::{Quartiles, at_once, each, rounds},
    table::{Goal, Table},
    token::{Claims, Key, Yesterday, in_turn},
};

const REVOCATIONS: u32 = 1_000_000;
const TOKENS: usize = 4096;

/// Measures the check for revocations: the cost of a good token minus that of a token that is
/// refused just before the denylist is asked, because it has expired. This difference is the whole
/// check, with the lease and the second look at the clock.
pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let _entered = runtime.enter();
    let key = Key::hs256()?;
    let good = runtime.block_on(key.tokens(TOKENS, SystemClock))?;
    let expired = runtime.block_on(key.tokens(TOKENS, Yesterday))?;

    let revocations = revocations()?;
    let before = resident()?;
    let verifier = runtime.block_on(key.verifier(revocations))?;
    let bytes = resident()?.saturating_sub(before);

    let (requirements, validation) = (Requirements::new(), key.validation()?);
    let (mut ours, mut refused, mut theirs) = (in_turn(&good), in_turn(&expired), in_turn(&good));
    let measured = rounds([
        each(|| Ok(at_once(verifier.verify(ours(), &requirements))??)),
        each(
            || match at_once(verifier.verify(refused(), &requirements))? {
                Err(Error::Refused(Refusal::Expired)) => Ok(()),
                _ => anyhow::bail!("yesterday's token was not refused as expired"),
            },
        ),
        each(|| Ok(decode::<Claims>(theirs(), &key.decoding, &validation)?)),
    ])?;
    let ratio = Quartiles::of(&measured, |[good, expired, decode]| {
        (good - expired) / decode
    });
    let what = "denylist check, 1,000,000 revocations, of a decode of HS256";
    table.ratio(what, ratio, Goal::AtMost(0.10));
    let each = f64::from(u32::try_from(bytes / u64::from(REVOCATIONS))?);
    table.figure("memory of a revocation", each, " bytes", Goal::Known);
    Ok(())
}

/// Half of them of sessions, half of single tokens.
fn revocations() -> anyhow::Result<Vec<Revocation>> {
    let until = SystemClock.now() + Duration::from_secs(900);
    let revocation = |number: u32| {
        let (mut session, mut token) = ([0; 18], [0; 16]);
        let target = if number.is_multiple_of(2) {
            SystemRandom.fill(&mut session)?;
            RevocationTarget::Session(SessionId::from_bytes(session))
        } else {
            SystemRandom.fill(&mut token)?;
            RevocationTarget::Token(TokenId::from_bytes(token))
        };
        Ok(Revocation { target, until })
    };
    (0..REVOCATIONS).map(revocation).collect()
}

/// The memory that this process has, in bytes.
fn resident() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let kib: u64 = kib.unwrap_or_default().parse()?;
    Ok(kib * 1024)
}
