//! Being told that there is more in the log.
//!
//! It is a hint and nothing else: whoever follows the log polls besides. A connection that died without a word costs
//! time, and no entry.

use std::{sync::Arc, time::Duration};

use gatepass::{Random, SystemRandom};
use redis::{Cmd, Value};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    cursor::{Mark, Place},
    error::{Failure, Unreadable},
    log,
    partition::Partition,
    route::Servers,
    row::{array, text},
};

/// How long a server lets a connection wait. What it has not told by then and some time, it never will.
const SILENCE: Duration = Duration::from_secs(5);
/// Entries that one answer brings of each partition at most; only the last is looked at.
const BATCH: u32 = 100;
/// How long after a first failure it is tried again, and after many in a row.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Connections that wait, and the tasks that keep them. End when dropped.
pub(crate) struct Listener {
    heads: watch::Receiver<Heads>,
    _tasks: JoinSet<()>,
}

/// How far each partition's log is known to go.
struct Heads {
    /// Counts what was learned.
    learned: u64,
    marks: Vec<Option<(u64, Mark)>>,
}

impl Listener {
    /// Starts to listen.
    ///
    /// A command reads several streams only if they are in one slot, and a connection that waits does nothing else. So a
    /// cluster takes a connection for each partition, and a single server one.
    pub(crate) fn start(servers: &Arc<Servers>) -> Self {
        let (tell, heads) = watch::channel(Heads {
            learned: 0,
            marks: Partition::all().map(|_| None).collect(),
        });
        let groups: Vec<Vec<Partition>> = match servers.is_cluster() {
            true => Partition::all().map(|partition| vec![partition]).collect(),
            false => vec![Partition::all().collect()],
        };
        let mut tasks = JoinSet::new();
        for group in groups {
            tasks.spawn(keep_listening(Arc::clone(servers), group, tell.clone()));
        }
        Self {
            heads,
            _tasks: tasks,
        }
    }

    /// Resolves when a log goes further than `place`, or is found to be another one from now on.
    pub(crate) async fn beyond(&self, place: &Place) {
        let mut heads = self.heads.clone();
        // What was learned before may be older than the place.
        let since = heads.borrow().learned;
        // The tasks live as long as this.
        let _ = heads.wait_for(|heads| heads.beyond(place, since)).await;
    }
}

impl Heads {
    fn beyond(&self, place: &Place, since: u64) -> bool {
        Partition::all().any(|partition| {
            let head = self.marks.get(partition.index());
            match (head, place.mark(partition)) {
                (Some(Some((learned, head))), Some(seen)) => match head.log == seen.log {
                    true => head.number > seen.number,
                    false => *learned > since,
                },
                _ => false,
            }
        })
    }

    fn learn(&mut self, partition: Partition, mark: Mark) {
        self.learned += 1;
        if let Some(head) = self.marks.get_mut(partition.index()) {
            *head = Some((self.learned, mark));
        }
    }
}

async fn keep_listening(
    servers: Arc<Servers>,
    partitions: Vec<Partition>,
    tell: watch::Sender<Heads>,
) {
    let mut failures = 0;
    loop {
        // What went wrong is not told: pulling finds out itself when a server is away.
        let _ = listen(&servers, &partitions, &tell, &mut failures).await;
        sleep(pause(failures)).await;
        failures += 1;
    }
}

/// Listens until the connection is lost, or the partitions have moved.
async fn listen(
    servers: &Arc<Servers>,
    partitions: &[Partition],
    tell: &watch::Sender<Heads>,
    failures: &mut u32,
) -> Result<(), Failure> {
    let first = *partitions.first().ok_or(Failure::NoSlots)?;
    let mut known = look(servers, partitions, tell).await?;
    let (version, owner) = servers.owner(first)?;
    let connection = owner.own_connection().await;
    let mut connection = connection.map_err(Failure::Unconnected)?;
    while servers
        .owner(first)
        .is_ok_and(|(_, now)| Arc::ptr_eq(&now, &owner))
    {
        let command = wait_for_more(servers, partitions, &known);
        let answer = command.query_async::<Value>(&mut connection);
        let answer = timeout(SILENCE + servers.timeout, answer).await;
        let answer = answer
            .map_err(|_| Failure::TimedOut)
            .and_then(|answer| answer.map_err(Failure::Redis));
        *failures = 0;
        match answer.inspect_err(|_| servers.look_around(version))? {
            // Somebody may have emptied the server, so that numbers begin anew.
            Value::Nil => known = look(servers, partitions, tell).await?,
            streams => heard(servers, partitions, &streams, &mut known, tell)?,
        }
    }
    Ok(())
}

/// Looks how far the logs go.
async fn look(
    servers: &Arc<Servers>,
    partitions: &[Partition],
    tell: &watch::Sender<Heads>,
) -> Result<Vec<Mark>, Failure> {
    let mut known = Vec::new();
    for partition in partitions {
        let deadline = Instant::now() + servers.timeout;
        let read = log::read(servers, *partition, None, 0, deadline).await?;
        tell.send_modify(|heads| heads.learn(*partition, read.mark.clone()));
        known.push(read.mark);
    }
    Ok(known)
}

fn wait_for_more(servers: &Servers, partitions: &[Partition], known: &[Mark]) -> Cmd {
    let mut command = Cmd::new();
    command.arg("XREAD").arg("COUNT").arg(BATCH);
    let millis = u64::try_from(SILENCE.as_millis()).unwrap_or(0);
    command.arg("BLOCK").arg(millis).arg("STREAMS");
    for partition in partitions {
        command.arg(servers.keys.log(*partition));
    }
    for mark in known {
        command.arg(format!("{}-0", mark.number));
    }
    command
}

fn heard(
    servers: &Servers,
    partitions: &[Partition],
    streams: &Value,
    known: &mut [Mark],
    tell: &watch::Sender<Heads>,
) -> Result<(), Failure> {
    let unreadable = Unreadable("entry");
    for stream in array(streams, "streams")? {
        let [key, entries] = array(stream, "stream")? else {
            return Err(unreadable.into());
        };
        let key = text(key, "stream")?;
        let Some(Value::Array(last)) = array(entries, "entries")?.last() else {
            return Err(unreadable.into());
        };
        let number = last.first().and_then(log::number).ok_or(unreadable)?;
        for (partition, mark) in partitions.iter().zip(known.iter_mut()) {
            if servers.keys.log(*partition) == key {
                mark.number = number;
                tell.send_modify(|heads| heads.learn(*partition, mark.clone()));
            }
        }
    }
    Ok(())
}

/// Twice as long after each failure, and none of those who failed together tries again together.
fn pause(failures: u32) -> Duration {
    let longest = PAUSE
        .saturating_mul(2_u32.saturating_pow(failures))
        .min(LONGEST_PAUSE);
    let mut random = [0; 2];
    // Without randomness they meet, which does no harm.
    let _ = SystemRandom.fill(&mut random);
    longest / 2 + longest.mul_f64(f64::from(u16::from_be_bytes(random)) / 65_536.0 / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit_and_are_not_alike() {
        for (failures, longest) in [(0, 50), (1, 100), (4, 800), (10, 5000), (u32::MAX, 5000)] {
            let longest = Duration::from_millis(longest);
            let pauses: Vec<_> = (0..64).map(|_| pause(failures)).collect();
            assert!(
                pauses
                    .iter()
                    .all(|pause| (longest / 2..=longest).contains(pause))
            );
            assert!(pauses.iter().any(|pause| Some(pause) != pauses.first()));
        }
    }
}
