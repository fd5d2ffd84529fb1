//! Verifying an access token for the first time with all checks and no cache, compared with
//! `jsonwebtoken::decode`.

use std::hint::black_box;

use gatepass::{Identity, Pass, Requirements, SystemClock};
use jsonwebtoken::decode;
use serde::Deserialize;
use tokio::runtime::Runtime;

use crate::{
    measure::{Quartiles, Size, at_once, each, rounds},
    table::{Goal, Table},
    token::{Claims, Key, Tenant, in_turn},
};

/// Enough tokens that a processor can't learn the branches of a parser.
const TOKENS: usize = 256;

/// The claims of the application, as a handler reads them.
#[derive(Deserialize)]
#[expect(dead_code, reason = "read to be measured")]
struct CustomClaims {
    tenant: Tenant,
}

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let _entered = runtime.enter();
    for (key, goal) in [
        (Key::hs256()?, 0.35),
        (Key::rs256()?, 0.75),
        (Key::eddsa()?, 0.94),
        (Key::es256()?, 0.94),
    ] {
        let tokens = runtime.block_on(key.tokens(TOKENS, SystemClock))?;
        let ratio = against_decode(&runtime, &key, &tokens, table.size, |_| Ok(()))?;
        let what = format!("verify {}, first time, of decode", key.algorithm);
        table.ratio(&what, ratio, Goal::AtMost(goal));
    }
    let key = Key::hs256()?;
    let tenant = Tenant {
        id: 7,
        name: "a customer".to_owned(),
    };
    let custom = move |identity: Identity| {
        Ok(identity.claims(&serde_json::json!({ "tenant": tenant.clone() }))?)
    };
    let tokens = runtime.block_on(key.tokens_of(TOKENS, SystemClock, custom))?;
    let ratio = against_decode(&runtime, &key, &tokens, table.size, |_| Ok(()))?;
    let what = "verify HS256, with custom claims, of decode";
    table.ratio(what, ratio, Goal::AtMost(0.42));
    let read = |pass: &Pass| {
        black_box(pass.claims::<CustomClaims>()?);
        Ok(())
    };
    let ratio = against_decode(&runtime, &key, &tokens, table.size, read)?;
    let what = "verify HS256 and read the custom claims, of decode";
    table.ratio(what, ratio, Goal::Known);
    Ok(())
}

fn against_decode(
    runtime: &Runtime,
    key: &Key,
    tokens: &[String],
    size: Size,
    read: impl Fn(&Pass) -> anyhow::Result<()>,
) -> anyhow::Result<Quartiles> {
    let verifier = runtime.block_on(key.plain_verifier())?;
    let (requirements, validation) = (Requirements::new(), key.validation()?);
    let (mut ours, mut theirs) = (in_turn(tokens), in_turn(tokens));
    let measured = rounds(
        size,
        [
            each(|| {
                let pass = at_once(verifier.verify(ours(), &requirements))??;
                read(&pass)?;
                Ok(pass)
            }),
            each(|| Ok(decode::<Claims>(theirs(), &key.decoding, &validation)?)),
        ],
    )?;
    Ok(Quartiles::of(&measured, |[ours, theirs]| ours / theirs))
}
