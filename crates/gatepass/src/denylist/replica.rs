//! The copy of the log, and the lease on it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{
    denylist::{
        entries::Entries,
        horizon::Horizon,
        lease::Reading,
        staleness::Staleness,
        watchers::{Watch, Watchers},
    },
    env::clock::{Clock, Timestamp},
    model::{
        health::Health,
        ids::{AccountId, Issuer},
        revocation::{Cutoff, Revocation},
    },
    observe,
    store::{
        Cursor, PullResult, RevocationLog, TokenStatus, answer,
        error::{StoreError, StoreErrorKind},
    },
    token::pass::{Origin, Pass},
};

pub(crate) struct ReplicaSettings {
    /// The issuer of the access tokens that are looked up. The accounts of another issuer have
    /// other ids in the log.
    pub(crate) issuer: Issuer,
    pub(crate) max_staleness: Duration,
    pub(crate) poll_interval: Duration,
    pub(crate) timeout: Duration,
    /// If no pull succeeds, judge requests by the last successful pull while it is younger than
    /// this. `None` refuses them instead.
    pub(crate) danger_stale: Option<Duration>,
}

/// A copy of a [`RevocationLog`], and the lease on it.
pub(crate) struct Replica {
    log: Arc<dyn RevocationLog>,
    clock: Arc<dyn Clock>,
    settings: ReplicaSettings,
    /// The revocations that requests are judged by. The replica never drops one before its time,
    /// not even when it reads the log again. An extra entry refuses only a token that was revoked
    /// once. A missing entry would let a revoked token in.
    entries: Entries,
    /// When the last part of the last complete pull began.
    pulled_at: ArcSwap<Reading>,
    /// How far the log has been read. Only the task that holds the lock pulls.
    place: tokio::sync::Mutex<Place>,
    /// The time by which the replica computes how long to keep entries.
    horizon: Mutex<Horizon>,
    /// The number of pulls that have begun, and the number of the last one that succeeded. So
    /// waiting requests share a pull that began after they came.
    begun: AtomicU64,
    succeeded: AtomicU64,
    /// How many pulls have failed, so that the requests that waited for a pull share its failure.
    failures: AtomicU64,
    /// The failures since the last pull that succeeded.
    failing: watch::Sender<Option<Failing>>,
    /// Whether the node has judged requests without the lease since then.
    judging_stale: AtomicBool,
    /// The open connections that wait for a revocation.
    watchers: Arc<Watchers>,
    /// Since when there is no lease that lets connections stay open.
    unleased_since: watch::Sender<Option<Instant>>,
    /// Notified of each pull that has brought entries.
    news: Notify,
}

/// Pulls that fail, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failing {
    pub(super) since: Timestamp,
    pub(super) pulls: u64,
}

/// How far the log has been read.
struct Place {
    /// The cursor of the next pull; `None` reads the log from its start.
    cursor: Option<Cursor>,
    /// The wall-clock time of the last pull, by which the replica computed how long to keep
    /// entries.
    reckoned: Timestamp,
}

/// The reaction of a pull to a log that doesn't know the cursor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OnReset {
    /// It reads the log from its start.
    Reload,
    /// It leaves that to the next pull.
    Return,
}

/// The result of a pull that did not fail.
enum Pulled {
    /// It reached the end of the log.
    All,
    /// The log was reset.
    Reset,
}

/// How many entries a pull applies before it lets other tasks of the thread run: less than a
/// millisecond's work.
const AT_ONCE: usize = 2048;
/// How far a wall clock may go back while a time service keeps it right.
const CLOCK_SLEWED: Duration = Duration::from_secs(1);
/// After how long the replica believes a wall clock that is ahead. Access tokens that live longer
/// than this are rare.
const DOUBT: Duration = Duration::from_secs(86_400);
/// Connections lose the lease this part of `max_staleness` sooner than requests. A request looks at
/// the clock; a timer ends a connection, and timers are late.
const TIMERS_LATE_PART: u32 = 20;
/// The step of tokio's timers.
const TICK: Duration = Duration::from_millis(1);

impl Replica {
    /// Loads the whole live log.
    pub(crate) async fn load(
        log: Arc<dyn RevocationLog>,
        clock: Arc<dyn Clock>,
        settings: ReplicaSettings,
    ) -> Result<Arc<Self>, StoreError> {
        // The first pull replaces this reading before a request sees it.
        let pulled_at = Reading::of(&*clock);
        let horizon = Horizon::new(&*clock, DOUBT);
        let replica = Self {
            log,
            clock,
            settings,
            entries: Entries::new(),
            pulled_at: ArcSwap::from_pointee(pulled_at),
            place: tokio::sync::Mutex::new(Place {
                cursor: None,
                reckoned: pulled_at.wall,
            }),
            horizon: Mutex::new(horizon),
            begun: AtomicU64::default(),
            succeeded: AtomicU64::default(),
            failures: AtomicU64::default(),
            failing: watch::Sender::default(),
            judging_stale: AtomicBool::default(),
            watchers: Arc::default(),
            unleased_since: watch::Sender::default(),
            news: Notify::new(),
        };
        let mut place = replica.place.lock().await;
        replica.pull(&mut place, OnReset::Reload).await?;
        drop(place);
        Ok(Arc::new(replica))
    }

    /// Whether a [look-up](Self::look_up) is enough at `now`: the replica is fresh enough, and the
    /// log doesn't forget.
    pub(crate) fn answers_at(&self, now: Reading, staleness: Staleness) -> bool {
        let bound = self.bound(staleness);
        bound.is_some_and(|bound| self.lag_at(now).is_some_and(|lag| lag <= bound))
    }

    /// Looks a token up in the replica once it is fresh enough, or asks the store itself.
    pub(crate) async fn check(
        &self,
        pass: &Pass,
        staleness: Staleness,
    ) -> Result<TokenStatus, StoreError> {
        let Some(bound) = self.bound_of(pass, staleness) else {
            return self.ask(pass).await;
        };
        if self.lease_holds(bound) {
            return Ok(self.look_up(pass));
        }
        // A route that asks for its own bound can't use older data, even if other routes can.
        let may_be_stale = || staleness == Staleness::Bounded && self.may_be_stale();
        // The follower retries the store. A request need not wait for another failure.
        if !(self.is_failing() && may_be_stale()) {
            match self.wait_for_pull(Some(bound)).await {
                Ok(()) => return Ok(self.look_up(pass)),
                Err(_) if may_be_stale() => {}
                Err(error) => {
                    observe::denylist_stale(&error);
                    return Err(error);
                }
            }
        }
        if !self.judging_stale.swap(true, Ordering::Relaxed) {
            observe::denylist_judging_stale(self.lag().unwrap_or_default());
        }
        Ok(self.look_up(pass))
    }

    /// How old the replica may be. `None` if the node must ask the store instead.
    fn bound(&self, staleness: Staleness) -> Option<Duration> {
        let bound = match staleness {
            Staleness::Bounded => self.settings.max_staleness,
            Staleness::Within(bound) => bound.min(self.settings.max_staleness),
            Staleness::Strict => return None,
        };
        (!self.log.is_volatile()).then_some(bound)
    }

    /// How old the replica may be for this token. Even a log that forgets is enough for a token of
    /// another issuer, which has no session that could say more.
    fn bound_of(&self, pass: &Pass, staleness: Staleness) -> Option<Duration> {
        match (pass.origin(), staleness) {
            (Origin::Own(_), _) => self.bound(staleness),
            (Origin::Foreign(_), Staleness::Strict) => None,
            (Origin::Foreign(_), Staleness::Within(bound)) => {
                Some(bound.min(self.settings.max_staleness))
            }
            (Origin::Foreign(_), Staleness::Bounded) => Some(self.settings.max_staleness),
        }
    }

    /// Looks a token up in the replica, without waiting and however old the replica is.
    pub(crate) fn look_up(&self, pass: &Pass) -> TokenStatus {
        let version = self.entries.version();
        if pass.is_known_live(version) {
            return TokenStatus::Live;
        }
        let status = self.entries.status(pass, &self.settings.issuer);
        if status == TokenStatus::Live {
            pass.found_live(version);
        }
        status
    }

    /// Whether a token that another issuer issued to this account at this time is revoked. This
    /// doesn't wait, even if the replica is old.
    pub(crate) fn has_cut_off(&self, account: AccountId, issued_at: Timestamp) -> bool {
        self.entries.has_cut_off(account, issued_at)
    }

    /// The cutoff of an account, as far as the replica knows.
    pub(crate) fn cutoff(&self, account: AccountId) -> Option<Cutoff> {
        self.entries.cutoff(account)
    }

    /// Takes over a revocation that this node has just committed, without waiting for the follower.
    pub(crate) fn apply(&self, revocations: &[Revocation]) {
        let mut horizon = self.horizon.lock().unwrap_or_else(PoisonError::into_inner);
        let now = horizon.now(&*self.clock);
        drop(horizon);
        self.entries.insert(revocations.iter().map(|revocation| {
            let kept = (revocation.until + Revocation::RETENTION_MARGIN).since(now);
            (revocation.target, kept)
        }));
        // Wake connections after the insert, so that they find the revocations.
        self.watchers.wake(revocations);
    }

    /// Watches the revocations that may concern `pass`. Look the pass up after this, not before.
    pub(crate) fn watch(&self, pass: &Pass) -> Watch {
        self.watchers.watch(pass, &self.settings.issuer)
    }

    /// Since when connections lack a lease. The value changes when the lease is lost and when it
    /// comes back.
    pub(crate) fn unleased_since(&self) -> watch::Receiver<Option<Instant>> {
        self.unleased_since.subscribe()
    }

    /// Looks whether the lease of connections holds, and tells them if that has changed.
    pub(crate) fn notice_lease(&self) {
        self.unleased_since.send_if_modified(|since| {
            // The check holds the lock, so that the last check has the last word.
            let is_leased = self.log.is_volatile()
                || self.lease_holds(self.bound_of_connections())
                || self.may_be_stale();
            let was_leased = since.is_none();
            *since = (!is_leased).then(|| since.unwrap_or_else(Instant::now));
            is_leased != was_leased
        });
    }

    /// How long to wait before the next look at the lease of connections.
    pub(super) fn until_notice(&self) -> Duration {
        let lag = self.lag().unwrap_or(Duration::MAX);
        let left = self.bound_of_connections().saturating_sub(lag);
        // After a suspension of the machine, its clocks are right, but its timers are late.
        let at_most = self.settings.poll_interval;
        if left.is_zero() {
            at_most
        } else {
            left.min(at_most) + TICK
        }
    }

    fn bound_of_connections(&self) -> Duration {
        self.settings.max_staleness - self.settings.max_staleness / TIMERS_LATE_PART
    }

    /// Whether the log forgets, so that the node asks the store about each token.
    pub(crate) fn is_volatile(&self) -> bool {
        self.log.is_volatile()
    }

    /// Asks the store itself.
    pub(crate) async fn ask(&self, pass: &Pass) -> Result<TokenStatus, StoreError> {
        let Origin::Own(session) = pass.origin() else {
            // The store knows nothing about this token except the log.
            self.catch_up().await?;
            return Ok(self.look_up(pass));
        };
        self.entries.note_offer(pass);
        let token = pass.token_id();
        let status = self.log.status(session.id, token, session.grant);
        answer::in_time(self.settings.timeout, status)
            .await
            .inspect_err(|error| observe::store_unavailable("status", error))
    }

    /// How long ago the last complete pull began. `None` if that is unknown.
    fn lag(&self) -> Option<Duration> {
        self.lag_at(Reading::of(&*self.clock))
    }

    fn lag_at(&self, now: Reading) -> Option<Duration> {
        self.pulled_at.load().age(now)
    }

    /// Whether the node may judge by data this old if there is none newer.
    fn may_be_stale(&self) -> bool {
        (self.settings.danger_stale).is_some_and(|at_most| self.lease_holds(at_most))
    }

    fn lease_holds(&self, bound: Duration) -> bool {
        self.lag().is_some_and(|lag| lag <= bound)
    }

    pub(crate) fn health(&self) -> Health {
        let failing = *self.failing.borrow();
        let lag = self.lag();
        let lease_holds = lag.is_some_and(|lag| lag <= self.settings.max_staleness);
        Health {
            lease_holds,
            // The node asks a store that forgets about each token.
            judges_requests: lease_holds || self.log.is_volatile() || self.may_be_stale(),
            lag,
            entries: self.entries.len(),
            failing_since: failing.map(|failing| failing.since),
            failed_pulls: failing.map_or(0, |failing| failing.pulls),
            clock_ahead_millis: None,
            differs: None,
            issuers: Vec::new(),
            adoption: None,
        }
    }

    /// Catches up with every revocation that was committed before the call.
    pub(crate) async fn catch_up(&self) -> Result<(), StoreError> {
        self.wait_for_pull(None).await
    }

    /// Waits for a pull that satisfies `bound`, its own or another task's. Without a bound, the
    /// pull must begin after the call. The wait lasts at most as long as two pulls may take: one
    /// that is under way, and one that is shared. If a reload of many parts is under way, it lasts
    /// up to one pull longer.
    async fn wait_for_pull(&self, bound: Option<Duration>) -> Result<(), StoreError> {
        let begun = self.begun.load(Ordering::Acquire);
        let failures = self.failures.load(Ordering::Acquire);
        let late = || StoreError::new(StoreErrorKind::TimedOut);
        let turn = tokio::time::timeout(2 * self.settings.timeout, self.place.lock()).await;
        let mut place = turn.map_err(|_| late())?;
        // A pull that began since then satisfies every bound, however long it took. Otherwise, if
        // pulls take longer than the bound, the waiting requests would pull one after the other.
        let pulled_since = self.succeeded.load(Ordering::Acquire) > begun;
        if pulled_since || bound.is_some_and(|bound| self.lease_holds(bound)) {
            return Ok(());
        }
        if self.failures.load(Ordering::Acquire) != failures {
            // A pull that began before or during the wait has failed, so there is no use in asking
            // again.
            return Err(StoreError::new(StoreErrorKind::Unavailable));
        }
        let pull = self.pull(&mut place, OnReset::Reload);
        match tokio::time::timeout(self.settings.timeout, pull).await {
            Ok(pulled) => pulled.map(|_| ()),
            Err(_) => {
                // The follower finishes a reload that takes longer than this.
                self.failures.fetch_add(1, Ordering::AcqRel);
                Err(late())
            }
        }
    }

    /// Pulls and applies all parts. The lease runs from the time at which the last part began.
    async fn pull(&self, place: &mut Place, on_reset: OnReset) -> Result<Pulled, StoreError> {
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let pulled = self.pull_all(place, on_reset).await;
        match &pulled {
            Ok(Pulled::All) => {
                self.succeeded.store(number, Ordering::Release);
                self.judging_stale.store(false, Ordering::Relaxed);
                if self.failing.send_replace(None).is_some() {
                    observe::store_available();
                }
            }
            Ok(Pulled::Reset) => {}
            Err(error) => {
                self.failures.fetch_add(1, Ordering::AcqRel);
                self.fails(error);
            }
        }
        #[cfg(feature = "metrics")]
        observe::replica(&self.health());
        pulled
    }

    /// Counts a failure.
    fn fails(&self, error: &StoreError) {
        let since = self.clock.now();
        let mut first = false;
        self.failing.send_modify(|failing| {
            first = failing.is_none();
            failing.get_or_insert(Failing { since, pulls: 0 }).pulls += 1;
        });
        observe::pull_failed(error, first);
    }

    async fn pull_all(&self, place: &mut Place, on_reset: OnReset) -> Result<Pulled, StoreError> {
        let (mut was_reset, mut has_news) = (false, false);
        loop {
            let began = Reading::of(&*self.clock);
            // If the wall clock has gone back, it was wrong when the replica computed how long to
            // keep entries.
            if began.wall + CLOCK_SLEWED < place.reckoned {
                place.cursor = None;
            }
            place.reckoned = began.wall;
            // Each part has the whole timeout, so that a log loads however long it is.
            let part = self.log.pull(place.cursor.as_ref());
            match answer::in_time(self.settings.timeout, part).await? {
                PullResult::Entries {
                    entries,
                    next,
                    more,
                } => {
                    has_news |= !entries.is_empty();
                    for part in entries.chunks(AT_ONCE) {
                        self.apply(part);
                        tokio::task::yield_now().await;
                    }
                    // If a later part fails, the next pull need not fetch this one again. The lease
                    // still waits for the last part.
                    place.cursor = Some(next);
                    if !more {
                        self.entries.settle();
                        self.pulled_at.store(Arc::new(began));
                        if has_news {
                            self.news.notify_one();
                        }
                        return Ok(Pulled::All);
                    }
                }
                // The log rejects its own cursor, or a pull without one.
                PullResult::Reset if was_reset || place.cursor.is_none() => {
                    place.cursor = None;
                    return Err(StoreError::new(StoreErrorKind::Corrupt));
                }
                PullResult::Reset => {
                    observe::denylist_reset();
                    place.cursor = None;
                    was_reset = true;
                    if on_reset == OnReset::Return {
                        return Ok(Pulled::Reset);
                    }
                }
            }
        }
    }

    /// Waits until the store says that there may be more and then for `gather`, but in all for no
    /// longer than `at_most`.
    pub(super) async fn wait_for_more(&self, gather: Duration, at_most: Duration) {
        let cursor = self.place.lock().await.cursor.clone();
        let gathered = async {
            match &cursor {
                Some(cursor) => self.log.changed(cursor).await,
                None => std::future::pending().await,
            }
            tokio::time::sleep(gather).await;
        };
        let _ = tokio::time::timeout(at_most, gathered).await;
    }

    /// Waits until a pull of any task succeeds, for at most `at_most`. Returns whether one has.
    pub(super) async fn wait_for_success(&self, at_most: Duration) -> bool {
        let mut failing = self.failing.subscribe();
        let success = failing.wait_for(Option::is_none);
        tokio::time::timeout(at_most, success).await.is_ok()
    }

    /// Pulls when it is this task's turn, and returns whether the log was reset. The pull itself
    /// reports a failure.
    pub(super) async fn pull_in_turn(&self, on_reset: OnReset) -> bool {
        let mut place = self.place.lock().await;
        matches!(self.pull(&mut place, on_reset).await, Ok(Pulled::Reset))
    }

    /// Resolves after a pull has brought entries, for one waiter at a time.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// Whether the last pull failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.borrow().is_some()
    }

    /// Whether the node judges requests without a pull of their own.
    pub(super) fn is_leased(&self) -> bool {
        self.lease_holds(self.settings.max_staleness)
    }

    /// For how much longer the node judges requests without a pull of their own.
    pub(super) fn lease_left(&self) -> Duration {
        let lag = self.lag().unwrap_or(Duration::MAX);
        self.settings.max_staleness.saturating_sub(lag)
    }

    pub(super) fn settings(&self) -> &ReplicaSettings {
        &self.settings
    }
}
