//! Signing an access token, compared with `jsonwebtoken::encode`.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use gatepass::{
    Authority, Device, Error, InternalError, KeySet, MasterSecret, MemoryStore, store::Random,
};
use jsonwebtoken::{decode, encode};

use crate::{
    measure::{Quartiles, Size, at_once, each, rounds},
    table::{Goal, Table},
    token::{AUDIENCE, Claims, ISSUER, Key, identity},
};

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let _entered = runtime.enter();
    for (key, goal) in [
        (Key::hs256()?, 0.65),
        (Key::eddsa()?, 0.60),
        (Key::rs256()?, 0.45),
    ] {
        let ratio = against_encode(&runtime, &key, table.size)?;
        table.ratio(
            &format!("sign {}", key.algorithm),
            ratio,
            Goal::AtMost(goal),
        );
    }
    Ok(())
}

/// The API has no call that only signs. So this measures an answer to a refresh between its two
/// draws of randomness: the id of the access token before it, and the client's share of jitter
/// after it.
/// jitter after it.
/// Two other things happen in between, and this subtracts them. First, the refresh token is made;
/// refusing a forged one takes the same MAC. Second, both tokens are dropped, which overwrites
/// them. The benchmark drops copies of them and copies of their texts, and subtracts the
/// difference.
fn against_encode(
    runtime: &tokio::runtime::Runtime,
    key: &Key,
    size: Size,
) -> anyhow::Result<Quartiles> {
    const TOKEN_ID: usize = 16;
    const JITTER: usize = 1;

    let random = EndsAt::default();
    let builder = Authority::builder(
        ISSUER,
        AUDIENCE,
        MasterSecret::generate()?,
        MemoryStore::new(),
    )
    .keys(KeySet::signing(key.ours.clone()))
    .random(random.clone());
    let authority = runtime.block_on(builder.build())?;
    let issued = runtime.block_on(authority.issue(identity(0)?, Device::default()))?;
    let refresh_token = issued.refresh_token.as_str();
    let forged = forged(refresh_token);

    let answer = |until| {
        random.0.store(until, Ordering::Relaxed);
        // Another thread makes an RSA signature.
        match runtime.block_on(authority.refresh(refresh_token)) {
            Err(Error::Internal(_)) => Ok(()),
            _ => anyhow::bail!("an answer without randomness"),
        }
    };
    let refuse = || match at_once(authority.refresh(&forged))? {
        Err(Error::Refused(_)) => Ok(()),
        _ => anyhow::bail!("a forged refresh token was not refused"),
    };
    let access_token = issued.access_token.as_str();
    let claims = decode::<Claims>(access_token, &key.decoding, &key.validation()?)?.claims;
    let header = key.header()?;
    let measured = rounds(
        size,
        [
            each(|| answer(JITTER)),
            each(|| answer(TOKEN_ID)),
            each(refuse),
            each(|| Ok((issued.access_token.clone(), issued.refresh_token.clone()))),
            each(|| Ok((access_token.to_owned(), refresh_token.to_owned()))),
            each(|| Ok(encode(&header, &claims, &key.encoding)?)),
        ],
    )?;
    let ratio = |[after, before, forged, overwritten, dropped, encode]: &[f64; 6]| {
        (after - before - forged - (overwritten - dropped)) / encode
    };
    Ok(Quartiles::of(&measured, ratio))
}

/// The same token with another MAC.
fn forged(refresh_token: &str) -> String {
    let mut forged = refresh_token.to_owned();
    let last = forged.pop();
    forged.push(if last == Some('A') { 'Q' } else { 'A' });
    forged
}

/// A random source that runs dry at a request for this many bytes.
#[derive(Clone, Default)]
struct EndsAt(Arc<AtomicUsize>);

impl Random for EndsAt {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), InternalError> {
        if buffer.len() == self.0.load(Ordering::Relaxed) {
            return Err(InternalError::new("as asked"));
        }
        // The signing would include the cost of the system's source.
        buffer.fill(7);
        Ok(())
    }
}
