//! The task that keeps a replica current.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use tokio::task::JoinHandle;

use crate::denylist::replica::{OnReset, Replica, ReplicaSettings};
#[cfg(feature = "metrics")]
use crate::observe;

/// The task that follows a log. Ends when dropped.
pub(crate) struct Follower(JoinHandle<()>);

impl Follower {
    /// Keeps `replica` current until this is dropped.
    pub(crate) fn start(replica: Arc<Replica>) -> Self {
        #[cfg(feature = "metrics")]
        observe::describe();
        Self(tokio::spawn(async move {
            tokio::join!(follow(&replica), watch_lease(&replica), report(&replica));
        }))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn follow(replica: &Replica) {
    let mut pace = Pace::new(replica.settings(), seed());
    loop {
        if replica.is_failing() {
            // The follower doesn't ask for news here: a failing store may report news at once, and
            // for ever.
            let pause = pace.after_failure(replica.is_leased());
            if replica.wait_for_success(pause).await {
                continue;
            }
        } else {
            let gather = pace.before_news();
            replica.wait_for_more(gather, pace.after_success()).await;
        }
        if replica.pull_in_turn(OnReset::Return).await {
            // A request that can't wait for the reload does it meanwhile.
            tokio::time::sleep(pace.before_reload(replica.lease_left())).await;
            replica.pull_in_turn(OnReset::Reload).await;
        }
    }
}

/// Tells open connections when the lease is over. All of them share one timer: the lease is renewed
/// every half second, and a node can have ten thousand connections.
async fn watch_lease(replica: &Replica) {
    loop {
        replica.notice_lease();
        tokio::time::sleep(replica.until_notice()).await;
    }
}

/// Reports how old the replica is, also during a slow pull.
async fn report(replica: &Replica) {
    #[cfg(feature = "metrics")]
    loop {
        observe::replica(&replica.health());
        tokio::time::sleep(REPORTED_EVERY).await;
    }
    #[cfg(not(feature = "metrics"))]
    let _ = replica;
}

/// The pause between two reports. Collectors of metrics read them less often.
#[cfg(feature = "metrics")]
const REPORTED_EVERY: Duration = Duration::from_secs(1);

/// How long the follower waits before a pull that no request asked for.
///
/// Each pause is shortened a little at random. So nodes that started together, or lost their store
/// together, don't ask it at the same time.
struct Pace {
    poll: Duration,
    gather: Duration,
    /// The longest that the next pause after a failure may be.
    next: Duration,
    chance: u64,
}

/// The longest pause. A node without requests is back this long after its store. A node with
/// requests is back with the first of them.
const LONGEST: Duration = Duration::from_secs(5);
/// The longest pause after the store has announced news. Without a pause, a hundred revocations a
/// second would cause a hundred pulls a second on each node.
const GATHER: Duration = Duration::from_millis(100);
/// That pause is at most this part of `max_staleness`, so that a node can also keep a bound of 10
/// ms.
const GATHER_PART: u32 = 20;

impl Pace {
    fn new(settings: &ReplicaSettings, seed: u64) -> Self {
        Self {
            poll: settings.poll_interval,
            gather: GATHER.min(settings.max_staleness / GATHER_PART),
            next: settings.poll_interval,
            chance: seed,
        }
    }

    /// The pause between the store's news and the pull. The store announces the first revocation of
    /// a burst, and one pull brings the whole burst.
    fn before_news(&mut self) -> Duration {
        self.between(self.gather / 2, self.gather)
    }

    /// All nodes hear of a reset at about the same time, and should not all read the whole log at
    /// once. Most of the rest of the lease is for the reload itself.
    fn before_reload(&mut self, lease_left: Duration) -> Duration {
        self.between(Duration::ZERO, (lease_left / 4).min(LONGEST))
    }

    fn after_success(&mut self) -> Duration {
        self.next = self.poll;
        self.between(self.poll / 4 * 3, self.poll)
    }

    /// The poll interval while the lease holds, since a pull may still renew it in time. After
    /// that, the pause doubles each time.
    fn after_failure(&mut self, leased: bool) -> Duration {
        if leased {
            self.next = self.poll;
        }
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST.max(self.poll));
        self.between(pause / 2, pause)
    }

    fn between(&mut self, least: Duration, most: Duration) -> Duration {
        // SplitMix64.
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.chance;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let share = u32::try_from(bits >> 48).unwrap_or(0);
        least + (most - least) * share / (1 << 16)
    }
}

/// The seed of a pace. It does not come from [`Random`](crate::store::Random), which is for bytes
/// that an attacker must not guess. An application that injects its own `Random` wants the same
/// bytes for the same calls, however often a task has polled meanwhile.
fn seed() -> u64 {
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLL: Duration = Duration::from_millis(500);

    fn pace(poll: Duration, seed: u64) -> Pace {
        let settings = ReplicaSettings {
            issuer: crate::model::ids::Issuer::new("https://shop.example").unwrap(),
            max_staleness: 4 * poll,
            poll_interval: poll,
            timeout: poll,
            danger_stale: None,
        };
        Pace::new(&settings, seed)
    }

    #[test]
    fn pauses_double_up_to_the_longest_once_the_lease_is_over() {
        for seed in 0..1000 {
            let mut pace = pace(POLL, seed);
            let mut check = |leased, longest: Duration| {
                let pause = pace.after_failure(leased);
                assert!((longest / 2..=longest).contains(&pause), "{pause:?}");
            };
            for _ in 0..4 {
                check(true, POLL);
            }
            for longest in [2, 4, 8].map(|times| POLL * times) {
                check(false, longest);
            }
            for _ in 0..100 {
                check(false, LONGEST);
            }
            pace.after_success();
            assert!(pace.after_failure(false) <= POLL);
        }
    }

    #[test]
    fn a_poll_that_is_rarer_than_the_longest_pause_stays_as_rare() {
        let mut pace = pace(10 * LONGEST, 1);
        for _ in 0..10 {
            assert!(pace.after_failure(false) >= 5 * LONGEST);
        }
    }

    #[test]
    fn nodes_do_not_ask_in_step() {
        let pauses = |seed| {
            let mut pace = pace(POLL, seed);
            let healthy = [pace.after_success(), pace.after_success()];
            let failing = [pace.after_failure(false), pace.after_failure(false)];
            [healthy, failing].concat()
        };
        let (one, other) = (pauses(seed()), pauses(seed()));
        assert_ne!(one, other);
        for polled in one.iter().chain(&other).take(2) {
            assert!((POLL / 4 * 3..=POLL).contains(polled), "{polled:?}");
        }
    }
}
