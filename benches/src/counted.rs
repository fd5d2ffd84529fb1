//! A log that counts its pulls.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use gatepass::{
    SessionId, StoreError, async_trait,
    store::{Cursor, GrantVersion, PullResult, RevocationLog, TokenId, TokenStatus},
};

/// The log, and the number of its pulls.
pub(crate) struct Counted<L> {
    pub(crate) log: L,
    pub(crate) pulls: Arc<AtomicU64>,
}

#[async_trait]
impl<L: RevocationLog> RevocationLog for Counted<L> {
    async fn pull(&self, after: Option<&Cursor>) -> Result<PullResult, StoreError> {
        self.pulls.fetch_add(1, Ordering::Relaxed);
        self.log.pull(after).await
    }

    async fn changed(&self, after: &Cursor) {
        self.log.changed(after).await;
    }

    async fn status(
        &self,
        session: SessionId,
        token: TokenId,
        grant: GrantVersion,
    ) -> Result<TokenStatus, StoreError> {
        self.log.status(session, token, grant).await
    }
}
