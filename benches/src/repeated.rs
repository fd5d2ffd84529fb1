//! Verifying access tokens for the second time and later, compared with `jsonwebtoken::decode`.
//!
//! A client sends one token until it expires, so a server sees most tokens repeatedly. The cache
//! keeps only tokens of asymmetric algorithms: computing an HMAC again is cheaper than remembering
//! it.

use std::time::Duration;

use gatepass::{Requirements, SystemClock, Verifier};
use jsonwebtoken::decode;
use tokio::runtime::Runtime;

use crate::{
    log::Log,
    measure::{Contender, Quartiles, at_once, each, rounds, rounds_of, together},
    table::{Goal, Table},
    token::{Claims, Key, in_turn},
};

/// Bytes for verified tokens: enough for all tokens here.
const CACHE: u64 = 512 << 20;
/// Tokens that fit into the processor's caches.
const HOT: usize = 8;
/// The time of a batch of two threads: long compared with their start.
const TOGETHER: Duration = Duration::from_millis(4);

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let _entered = runtime.enter();
    for (key, hot, spread) in [
        (Key::eddsa()?, 150.0, 25.0),
        (Key::es256()?, 250.0, 35.0),
        (Key::rs256()?, 90.0, 12.0),
    ] {
        let many = table.size.pick(10_000, 100_000);
        let tokens = runtime.block_on(key.tokens(many, SystemClock))?;
        let verifier = runtime.block_on(key.verifier(Log::new(0, 1), CACHE))?;
        let few = tokens.get(..HOT).unwrap_or(&tokens);
        for (tokens, name, goal) in [
            (few, "8 hot ones".to_owned(), hot),
            (&tokens, format!("among {many}"), spread),
        ] {
            let ratio = against_decode(table, &key, &verifier, tokens)?;
            let what = format!("verify {}, repeated, {name}, of decode", key.algorithm);
            table.ratio(&what, ratio, Goal::AtMost(1.0 / goal));
        }
        let measured = rounds_of(
            TOGETHER,
            table.size.pick(60, 300),
            [
                threads(1, &runtime, &verifier, few),
                threads(2, &runtime, &verifier, few),
            ],
        )?;
        let ratio = Quartiles::of(&measured, |[one, two]| two / one);
        let what = format!(
            "verify {}, repeated, 8 hot ones, time on two threads of one",
            key.algorithm
        );
        table.ratio(&what, ratio, Goal::AtMost(1.6));
    }
    Ok(())
}

fn against_decode(
    table: &Table,
    key: &Key,
    verifier: &Verifier,
    tokens: &[String],
) -> anyhow::Result<Quartiles> {
    let (requirements, validation) = (Requirements::new(), key.validation()?);
    // Twice, for a cache that admits a token only when it comes again.
    for token in tokens.iter().chain(tokens) {
        at_once(verifier.verify(token, &requirements))??;
    }
    let (mut ours, mut theirs) = (in_turn(tokens), in_turn(tokens));
    let measured = rounds(
        table.size,
        [
            each(|| Ok(at_once(verifier.verify(ours(), &requirements))??)),
            each(|| Ok(decode::<Claims>(theirs(), &key.decoding, &validation)?)),
        ],
    )?;
    Ok(Quartiles::of(&measured, |[ours, theirs]| ours / theirs))
}

/// Several threads that all verify the same tokens.
pub(crate) fn threads<'a>(
    threads: usize,
    runtime: &'a Runtime,
    verifier: &'a Verifier,
    tokens: &'a [String],
) -> Contender<'a> {
    together(threads, move |thread, times| {
        let _entered = runtime.enter();
        let requirements = Requirements::new();
        let mut token = in_turn(tokens);
        // The threads must not run in step.
        for _ in 0..thread * tokens.len() / 2 {
            token();
        }
        for _ in 0..times {
            at_once(verifier.verify(token(), &requirements))??;
        }
        Ok(())
    })
}
