//! The purge, which removes rows from the store that nothing needs any more.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;

use crate::{
    authority::introduction::Identities,
    denylist::horizon::Horizon,
    env::clock::Clock,
    observe,
    store::{Purged, SessionStore, answer, error::StoreError},
};

/// The most rows that one step removes. Expired sessions lie all over a file, and each of them
/// costs some pages. A step of this size is over before a person notices. In the pause after it,
/// the store serves others.
const STEP: usize = 100;
const PAUSE: Duration = Duration::from_millis(10);
/// The shortest time after which the purge believes a wall clock that is ahead. Most wrong clocks
/// are set right within minutes.
const MIN_DOUBT: Duration = Duration::from_secs(3600);

/// The task that purges. Ends when dropped.
pub(crate) struct Purger(JoinHandle<()>);

/// The store to purge, and the times that the purge keeps.
pub(crate) struct Purge {
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    /// The lifetime of access tokens whose identity doesn't set its own.
    pub(crate) access_ttl: Duration,
    /// The identities to tell the store, when `replace_secrets` has changed them.
    pub(crate) identities: Arc<Identities>,
}

impl Purger {
    pub(crate) fn start(purge: Purge) -> Self {
        Self(tokio::spawn(async move { purge.run().await }))
    }
}

impl Purge {
    async fn run(&self) {
        let mut horizon = Horizon::new(&*self.clock, MIN_DOUBT.max(self.access_ttl));
        let last = loop {
            tokio::time::sleep(self.interval).await;
            // Without this time, the purge can't tell a clock that is ahead from one that is right.
            if let Some(last) = self.ask(self.store.purged_until()).await {
                break last;
            }
        };
        if let Some(last) = last {
            horizon.resume(last);
        }
        loop {
            self.introduce().await;
            let until = horizon.now(&*self.clock);
            round(|| self.ask(self.store.purge(until, STEP))).await;
            tokio::time::sleep(self.interval).await;
        }
    }

    /// Tells the store the new identities after a replacement of secrets.
    async fn introduce(&self) {
        if let Some(identities) = self.identities.unknown()
            && let Some(_) = self.ask(self.store.introduce(&identities, true)).await
        {
            self.identities.introduced(&identities);
        }
    }

    /// The store's answer, if it has one in time.
    async fn ask<T>(&self, answer: impl Future<Output = Result<T, StoreError>>) -> Option<T> {
        answer::in_time(self.timeout, answer)
            .await
            .inspect_err(|error| observe::store_unavailable("purge", error))
            .ok()
    }
}

/// Takes one step after the other until one fails or says that there is no more. The number of
/// removed rows doesn't matter: for example, a step that found only sessions in use removes none.
async fn round<F: Future<Output = Option<Purged>>>(mut step: impl FnMut() -> F) {
    while let Some(done) = step().await {
        observe::store_purged(done.removed);
        if !done.more {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl Drop for Purger {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn steps_of(answers: &[Option<Purged>]) -> usize {
        let mut taken = 0;
        round(|| {
            taken += 1;
            std::future::ready(answers.get(taken - 1).copied().flatten())
        })
        .await;
        taken
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_goes_on_while_a_step_says_more_and_however_little_it_removed() {
        let step = |removed, more| Some(Purged { removed, more });
        let busy = [step(0, true), step(3, true), step(STEP, true)];
        let done = [&busy[..], &[step(7, false), step(1, true)]].concat();
        assert_eq!(steps_of(&done).await, 4);
        let fails = [&busy[..], &[None, step(1, true)]].concat();
        assert_eq!(steps_of(&fails).await, 4);
        assert_eq!(steps_of(&[step(STEP, false), step(1, true)]).await, 1);
    }
}
