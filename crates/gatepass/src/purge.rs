//! Removing from the store what nothing needs any more.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;
use tracing::debug;

use crate::{Clock, SessionStore, denylist, horizon::Horizon};

/// How many rows one step removes at most, and how long the store then has for others.
const STEP: usize = 500;
const PAUSE: Duration = Duration::from_millis(50);

/// The task that purges. Ends when dropped.
pub(crate) struct Purger(JoinHandle<()>);

impl Purger {
    pub(crate) fn start(
        store: Arc<dyn SessionStore>,
        clock: Arc<dyn Clock>,
        interval: Duration,
    ) -> Self {
        let mut horizon = Horizon::new(&*clock);
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                let until = horizon.now(&*clock);
                loop {
                    match store.purge(until, STEP).await {
                        Ok(removed) => {
                            debug!(target: "gatepass", removed, "store.purged");
                            if removed < STEP {
                                break;
                            }
                        }
                        Err(error) => {
                            denylist::unavailable("purge", &error);
                            break;
                        }
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }))
    }
}

impl Drop for Purger {
    fn drop(&mut self) {
        self.0.abort();
    }
}
