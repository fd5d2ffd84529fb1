//! Logs that take long to load, or that no reader can finish.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use gatepass::{
    KeySet, SessionId, StoreError, Verifier, async_trait,
    keys::SigningKey,
    store::{Cursor, GrantVersion, PullResult, RevocationLog, TokenId, TokenStatus},
};
use test_support::world::{MINUTE, SECOND};

/// A log that sends a reader without a cursor back to the start.
struct Lost;

#[async_trait]
impl RevocationLog for Lost {
    async fn pull(&self, _: Option<&Cursor>) -> Result<PullResult, StoreError> {
        Ok(PullResult::Reset)
    }

    async fn changed(&self, _: &Cursor) {
        std::future::pending().await
    }

    async fn status(
        &self,
        _: SessionId,
        _: TokenId,
        _: GrantVersion,
    ) -> Result<TokenStatus, StoreError> {
        Ok(TokenStatus::Live)
    }
}

#[test]
fn a_log_that_resets_for_ever_fails_the_build_and_stops_no_thread() {
    let (done, finished) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let key = SigningKey::hs256(&[b'k'; 32]).unwrap();
        let keys = KeySet::verifying([key.verifying_key().clone()]);
        let built = runtime.block_on(Verifier::builder("i", "a", keys, Lost).build());
        done.send(built.is_err()).unwrap();
    });
    assert!(finished.recv_timeout(5 * SECOND).unwrap());
}

/// A long log, in parts of which each takes a while.
struct Long {
    parts: Arc<AtomicU32>,
    takes: Duration,
    /// The farthest part that a reader has asked for.
    asked: Arc<AtomicU32>,
}

#[async_trait]
impl RevocationLog for Long {
    async fn pull(&self, after: Option<&Cursor>) -> Result<PullResult, StoreError> {
        tokio::time::sleep(self.takes).await;
        let parts = self.parts.load(Ordering::SeqCst);
        let at: u32 = after.map_or(0, |cursor| cursor.as_str().parse().unwrap());
        let next = (at + 1).min(parts);
        self.asked.fetch_max(next, Ordering::SeqCst);
        let cursor = Cursor::new(next.to_string());
        Ok(PullResult::entries(Vec::new(), cursor, next < parts))
    }

    async fn changed(&self, _: &Cursor) {
        std::future::pending().await
    }

    async fn status(
        &self,
        _: SessionId,
        _: TokenId,
        _: GrantVersion,
    ) -> Result<TokenStatus, StoreError> {
        Ok(TokenStatus::Live)
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_of_many_parts_is_loaded_however_many_they_are() {
    let key = SigningKey::hs256(&[b'k'; 32]).unwrap();
    let keys = KeySet::verifying([key.verifying_key().clone()]);
    let log = Long {
        parts: Arc::new(AtomicU32::new(200)),
        takes: SECOND / 50,
        asked: Arc::default(),
    };
    Verifier::builder("i", "a", keys, log)
        .build()
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_far_behind_catches_up_however_long_it_takes() {
    let key = SigningKey::hs256(&[b'k'; 32]).unwrap();
    let keys = KeySet::verifying([key.verifying_key().clone()]);
    let parts = Arc::new(AtomicU32::new(1));
    let log = Long {
        parts: Arc::clone(&parts),
        takes: SECOND / 50,
        asked: Arc::default(),
    };
    let asked = Arc::clone(&log.asked);
    let _verifier = Verifier::builder("i", "a", keys, log)
        .build()
        .await
        .unwrap();
    parts.store(500, Ordering::SeqCst);
    tokio::time::sleep(MINUTE).await;
    assert_eq!(asked.load(Ordering::SeqCst), 500);
}
