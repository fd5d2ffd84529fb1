//! The records of login attempts. Each is a key of the first partition that expires by itself. All
//! are in one partition, because one script changes three of them for an attempt.

use std::{sync::Arc, time::Duration};

use gatepass::{
    LoginThrottle, StoreError, ThrottledBy,
    store::{AttemptKey, AttemptOutcome, CountAttempt, SettleAttempt},
};
use redis::Value;

use crate::{
    error::{Failure, Unreadable},
    partition::{Partition, hex},
    route::Servers,
    row::{array, millis, packed, text},
    script::{COUNT, Call, SETTLE, Script},
    sessions::timed,
};

pub(crate) async fn count(
    servers: &Arc<Servers>,
    attempt: CountAttempt,
) -> Result<AttemptOutcome, StoreError> {
    let partition = Partition::first();
    let answer = servers
        .call(partition, of(servers, &COUNT, &attempt))
        .await?;
    Ok(outcome(&answer).map_err(Failure::from)?)
}

pub(crate) async fn settle(
    servers: &Arc<Servers>,
    settled: SettleAttempt,
) -> Result<(), StoreError> {
    let partition = Partition::first();
    let call = of(servers, &SETTLE, &settled.attempt)
        .int(settled.known.into())
        .int(settled.succeeded.into());
    servers.call(partition, call).await?;
    Ok(())
}

fn of(servers: &Servers, script: &'static Script, attempt: &CountAttempt) -> Call {
    let LoginThrottle {
        per_pair,
        per_name,
        per_address,
        first_delay,
        max_delay,
        known_for,
    } = attempt.throttle;
    let numbers = packed([
        per_pair.into(),
        per_name.into(),
        per_address.into(),
        millis(first_delay),
        millis(max_delay),
        millis(known_for),
        LoginThrottle::MOST_BEYOND.into(),
    ]);
    let (address, pair) = attempt.address_and_pair.unzip();
    let key = |key: Option<AttemptKey>| key.map(|key| hex(key.as_bytes())).unwrap_or_default();
    timed(servers, script, Partition::first(), None)
        .text(numbers)
        .text(key(pair))
        .text(key(Some(attempt.name)))
        .text(key(address))
}

fn outcome(answer: &Value) -> Result<AttemptOutcome, Unreadable> {
    let [said, wait] = array(answer, "answer")? else {
        return Err(Unreadable("answer"));
    };
    let by = match text(said, "answer")? {
        "counted" => return Ok(AttemptOutcome::Counted { known: false }),
        "known" => return Ok(AttemptOutcome::Counted { known: true }),
        "pair" => ThrottledBy::Pair,
        "name" => ThrottledBy::Name,
        "address" => ThrottledBy::Address,
        _ => return Err(Unreadable("answer")),
    };
    let wait = text(wait, "wait")?
        .parse()
        .map_err(|_| Unreadable("wait"))?;
    let retry_after = Duration::from_millis(wait);
    Ok(AttemptOutcome::Refused { by, retry_after })
}
