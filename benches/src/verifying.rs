//! Verifying an access token, with all checks and no cache, against `jsonwebtoken::decode`.

use gatepass::{Requirements, SystemClock};
use jsonwebtoken::decode;

use crate::{
    measure::{Quartiles, at_once, each, rounds},
    table::{Goal, Table},
    token::{Claims, Key, Tenant, in_turn},
};

/// Enough that the branches of a parser are not learnt by heart.
const TOKENS: usize = 256;

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let _entered = runtime.enter();
    for (key, goal) in [
        (Key::hs256()?, 0.42),
        (Key::rs256()?, 0.80),
        (Key::eddsa()?, 0.95),
        (Key::es256()?, 0.95),
    ] {
        let tokens = runtime.block_on(key.tokens(TOKENS, SystemClock))?;
        let what = format!("verify {}, first time", key.algorithm);
        table.ratio(
            &what,
            against_decode(&runtime, &key, &tokens)?,
            Goal::AtMost(goal),
        );
    }
    let key = Key::hs256()?;
    let tenant = Tenant {
        id: 7,
        name: "a customer".to_owned(),
    };
    let custom = |identity: gatepass::Identity| {
        Ok(identity.claims(&serde_json::json!({ "tenant": tenant.clone() }))?)
    };
    let tokens = runtime.block_on(key.tokens_of(TOKENS, SystemClock, custom))?;
    let ratio = against_decode(&runtime, &key, &tokens)?;
    table.ratio("verify HS256, with custom claims", ratio, Goal::Known);
    Ok(())
}

fn against_decode(
    runtime: &tokio::runtime::Runtime,
    key: &Key,
    tokens: &[String],
) -> anyhow::Result<Quartiles> {
    let verifier = runtime.block_on(key.verifier(Vec::new()))?;
    let (requirements, validation) = (Requirements::new(), key.validation()?);
    let (mut ours, mut theirs) = (in_turn(tokens), in_turn(tokens));
    let measured = rounds([
        each(|| Ok(at_once(verifier.verify(ours(), &requirements))??)),
        each(|| Ok(decode::<Claims>(theirs(), &key.decoding, &validation)?)),
    ])?;
    Ok(Quartiles::of(&measured, |[ours, theirs]| ours / theirs))
}
