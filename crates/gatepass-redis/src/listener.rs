//! Notifications of new entries in the log.
//!
//! A notification is only a hint, because followers of the log also poll. If a connection dies
//! silently, entries arrive later, but none is lost.

use std::{sync::Arc, time::Duration};

use gatepass::store::{Random, SystemRandom};
use redis::{Cmd, Value};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    cursor::{Mark, Place},
    error::{Failure, Unreadable},
    log,
    partition::Partition,
    route::Servers,
    row::{array, text},
};

/// How long a server lets a connection wait. If the server hasn't answered some time after that,
/// the connection is dead.
const SILENCE: Duration = Duration::from_secs(5);
/// How long to collect further entries before waiting again, so that many revocations wake the
/// reader only a few times.
const GATHERING: Duration = Duration::from_millis(50);
/// How long to wait after the first failure. [`LONGEST_PAUSE`] is the wait after many in a row.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Connections that wait for entries, and their tasks. They end when this is dropped.
pub(crate) struct Listener {
    heads: watch::Sender<Heads>,
    _tasks: JoinSet<()>,
}

/// The last known entry of each partition's log.
struct Heads {
    /// Counts the changes.
    learned: u64,
    marks: Vec<(u64, Mark)>,
}

impl Listener {
    /// Starts to listen for entries after `place`.
    ///
    /// A command can read several streams only if they are in one slot, and a connection that waits
    /// can't do anything else. So a cluster needs a connection for each partition, and a single
    /// server needs one.
    pub(crate) fn start(servers: &Arc<Servers>, place: &Place) -> Self {
        let heads = watch::Sender::new(Heads {
            learned: 0,
            marks: place.marks().map(|mark| (0, mark.clone())).collect(),
        });
        let groups: Vec<Vec<Partition>> = match servers.is_cluster() {
            true => Partition::all().map(|partition| vec![partition]).collect(),
            false => vec![Partition::all().collect()],
        };
        let mut tasks = JoinSet::new();
        for group in groups {
            tasks.spawn(keep_listening(Arc::clone(servers), group, heads.clone()));
        }
        Self {
            heads,
            _tasks: tasks,
        }
    }

    /// Resolves when a log has entries after `place`, or turns out to be another log from now on.
    pub(crate) async fn beyond(&self, place: &Place) {
        let mut heads = self.heads.subscribe();
        // Known heads may be older than the place.
        let since = heads.borrow().learned;
        // The sender lives as long as `self`.
        let _ = heads.wait_for(|heads| heads.beyond(place, since)).await;
    }

    /// Whether the partition's log is known to have entries after `seen`.
    pub(crate) fn knows_more(&self, partition: Partition, seen: &Mark) -> bool {
        let heads = self.heads.borrow();
        let head = heads.marks.get(partition.index());
        head.is_some_and(|(_, head)| head.log == seen.log && head.number > seen.number)
    }

    /// Records the heads that a pull has found, so that no notification is needed for them.
    pub(crate) fn learn(&self, place: &Place) {
        for (partition, mark) in Partition::all().zip(place.marks()) {
            learn(&self.heads, partition, mark);
        }
    }
}

fn learn(heads: &watch::Sender<Heads>, partition: Partition, mark: &Mark) {
    heads.send_if_modified(|heads| heads.learn(partition, mark));
}

impl Heads {
    fn beyond(&self, place: &Place, since: u64) -> bool {
        let heads = self.marks.iter().zip(place.marks());
        heads
            .into_iter()
            .any(|((learned, head), seen)| match head.log == seen.log {
                true => head.number > seen.number,
                false => *learned > since,
            })
    }

    /// Returns whether the mark is new.
    fn learn(&mut self, partition: Partition, mark: &Mark) -> bool {
        let Some((learned, head)) = self.marks.get_mut(partition.index()) else {
            return false;
        };
        // A slower reader may know less.
        if head.log == mark.log && head.number >= mark.number {
            return false;
        }
        self.learned += 1;
        (*learned, *head) = (self.learned, mark.clone());
        true
    }
}

async fn keep_listening(
    servers: Arc<Servers>,
    partitions: Vec<Partition>,
    heads: watch::Sender<Heads>,
) {
    let mut failures = 0;
    loop {
        // The error is not reported, because a pull reports a server that is away.
        let _ = listen(&servers, &partitions, &heads, &mut failures).await;
        sleep(pause(failures)).await;
        failures += 1;
    }
}

/// Listens until the connection is lost, or the partitions have moved.
async fn listen(
    servers: &Arc<Servers>,
    partitions: &[Partition],
    heads: &watch::Sender<Heads>,
    failures: &mut u32,
) -> Result<(), Failure> {
    let first = *partitions.first().ok_or(Failure::NoSlots)?;
    let (version, owner) = servers.owner(first)?;
    let connection = owner.own_connection().await;
    let mut connection = connection.map_err(Failure::Unconnected)?;
    while servers
        .owner(first)
        .is_ok_and(|(_, now)| Arc::ptr_eq(&now, &owner))
    {
        let known = known(partitions, heads);
        let command = wait_for_more(servers, partitions, &known);
        let answer = command.query_async::<Value>(&mut connection);
        let answer = timeout(SILENCE + servers.timeout, answer).await;
        let answer = answer
            .map_err(|_| Failure::TimedOut)
            .and_then(|answer| answer.map_err(Failure::Redis));
        *failures = 0;
        match answer.inspect_err(|_| servers.look_around(version))? {
            Value::Nil => {}
            streams => {
                heard(servers, partitions, &streams, &known, heads)?;
                sleep(GATHERING).await;
            }
        }
    }
    Ok(())
}

/// The last known entries of these partitions' logs.
fn known(partitions: &[Partition], heads: &watch::Sender<Heads>) -> Vec<Mark> {
    let heads = heads.borrow();
    let mark = |partition: &Partition| heads.marks.get(partition.index());
    let marks = partitions.iter().filter_map(mark);
    marks.map(|(_, mark)| mark.clone()).collect()
}

fn wait_for_more(servers: &Servers, partitions: &[Partition], known: &[Mark]) -> Cmd {
    let mut command = Cmd::new();
    // One entry is enough to notify. The next pull reads all of them.
    command.arg("XREAD").arg("COUNT").arg(1);
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
    known: &[Mark],
    heads: &watch::Sender<Heads>,
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
        for (partition, mark) in partitions.iter().zip(known) {
            if servers.keys.log(*partition) == key {
                let log = mark.log.clone();
                learn(heads, *partition, &Mark { log, number });
            }
        }
    }
    Ok(())
}

/// Twice as long after each failure, with a random part. So nodes that failed together don't retry
/// together.
fn pause(failures: u32) -> Duration {
    let longest = PAUSE
        .saturating_mul(2_u32.saturating_pow(failures))
        .min(LONGEST_PAUSE);
    let mut random = [0; 2];
    // If randomness fails, nodes retry together, which does no harm.
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
