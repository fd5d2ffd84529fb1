//! The heartbeats of nodes, in one hash of the first partition.

use std::{sync::Arc, time::Duration};

use gatepass::{
    StoreError, Timestamp,
    store::{Heartbeat, Heartbeats, RecordedHeartbeat},
};
use redis::Value;

use crate::{
    error::{Failure, Unreadable},
    partition::{Partition, hex},
    route::Servers,
    row::{array, instant, millis, text},
    script::{BEAT, BEATING},
    sessions::timed,
};

pub(crate) async fn beat(
    servers: &Arc<Servers>,
    heartbeat: &Heartbeat,
    kept: Duration,
) -> Result<Heartbeats, StoreError> {
    let partition = Partition::first();
    let call = timed(servers, &BEAT, partition, None)
        .int(millis(kept))
        .text(hex(heartbeat.node.as_bytes()))
        .text(heartbeat.to_text());
    let answer = servers.call(partition, call).await?;
    Ok(read(&answer).map_err(Failure::from)?)
}

pub(crate) async fn all(servers: &Arc<Servers>) -> Result<Heartbeats, StoreError> {
    let partition = Partition::first();
    let call = timed(servers, &BEATING, partition, None);
    let answer = servers.call(partition, call).await?;
    Ok(read(&answer).map_err(Failure::from)?)
}

fn read(answer: &Value) -> Result<Heartbeats, Unreadable> {
    let [now, nodes] = array(answer, "answer")? else {
        return Err(Unreadable("answer"));
    };
    let nodes = array(nodes, "heartbeats")?.iter().map(|node| {
        let recorded = || {
            let (at, heartbeat) = text(node, "heartbeat").ok()?.split_once(' ')?;
            let at = Timestamp::from_unix_millis(at.parse().ok()?);
            Some(RecordedHeartbeat::new(Heartbeat::from_text(heartbeat)?, at))
        };
        recorded().ok_or(Unreadable("heartbeat"))
    });
    let nodes = nodes.collect::<Result<_, _>>()?;
    Ok(Heartbeats::new(instant(now, "time")?, nodes))
}
