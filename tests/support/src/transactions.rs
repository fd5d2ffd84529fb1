//! A store whose ends and changes are parts of an application's transactions.

use std::time::Duration;

use gatepass::{
    Session, SessionCursor, SessionFilter, SessionId, StoreError, Timestamp, async_trait,
    store::{
        AccountId, Advance, AttemptOutcome, BeginOutcome, ChangeIdentity, CountAttempt, Cursor,
        EndReason, EndSessions, GrantVersion, Heartbeat, Heartbeats, NewSession, PullResult,
        Purged, Recover, Renew, Revocation, RevocationLog, RevokeForeign, RevokeToken, ScannedPart,
        ServiceIdentity, SessionNumber, SessionStore, SettleAttempt, TokenId, TokenStatus,
    },
};

/// An application's transactions for its store.
#[async_trait]
pub trait Transactions: Send + Sync + 'static {
    type Store: SessionStore;

    fn store(&self) -> &Self::Store;

    async fn end(
        &self,
        target: EndSessions,
        reason: EndReason,
    ) -> Result<Option<Revocation>, StoreError>;

    async fn change(&self, change: ChangeIdentity) -> Result<Option<Session>, StoreError>;

    /// Resolves when the log has new entries, including those of the application's transactions.
    async fn changed(&self, after: &Cursor) {
        self.store().changed(after).await;
    }
}

/// A store that ends and changes sessions only in these transactions, for the store contract.
pub struct InTransactions<T>(pub T);

#[async_trait]
impl<T: Transactions> RevocationLog for InTransactions<T> {
    async fn pull(&self, after: Option<&Cursor>) -> Result<PullResult, StoreError> {
        self.0.store().pull(after).await
    }

    async fn changed(&self, after: &Cursor) {
        self.0.changed(after).await;
    }

    async fn status(
        &self,
        session: SessionId,
        token: TokenId,
        grant: GrantVersion,
    ) -> Result<TokenStatus, StoreError> {
        self.0.store().status(session, token, grant).await
    }
}

#[async_trait]
impl<T: Transactions> SessionStore for InTransactions<T> {
    async fn begin(&self, new: NewSession) -> Result<BeginOutcome, StoreError> {
        self.0.store().begin(new).await
    }

    async fn advance(&self, advance: Advance) -> Result<Option<Session>, StoreError> {
        self.0.store().advance(advance).await
    }

    async fn recover(&self, recover: Recover) -> Result<Option<Session>, StoreError> {
        self.0.store().recover(recover).await
    }

    async fn renew(&self, renew: Renew) -> Result<Option<Session>, StoreError> {
        self.0.store().renew(renew).await
    }

    async fn change(&self, change: ChangeIdentity) -> Result<Option<Session>, StoreError> {
        self.0.change(change).await
    }

    async fn load(&self, id: SessionId) -> Result<(Option<Session>, Timestamp), StoreError> {
        self.0.store().load(id).await
    }

    async fn end(
        &self,
        target: EndSessions,
        reason: EndReason,
    ) -> Result<Option<Revocation>, StoreError> {
        self.0.end(target, reason).await
    }

    async fn revoke_token(&self, token: RevokeToken) -> Result<Option<Revocation>, StoreError> {
        self.0.store().revoke_token(token).await
    }

    async fn revoke_foreign(
        &self,
        revoke: RevokeForeign,
    ) -> Result<Option<Revocation>, StoreError> {
        self.0.store().revoke_foreign(revoke).await
    }

    async fn sessions(
        &self,
        account: AccountId,
        before: Option<SessionNumber>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        self.0.store().sessions(account, before, limit).await
    }

    async fn scan(
        &self,
        filter: &SessionFilter,
        after: Option<&SessionCursor>,
        limit: usize,
    ) -> Result<ScannedPart, StoreError> {
        self.0.store().scan(filter, after, limit).await
    }

    async fn introduce(
        &self,
        identities: &[ServiceIdentity],
        join: bool,
    ) -> Result<Vec<ServiceIdentity>, StoreError> {
        self.0.store().introduce(identities, join).await
    }

    async fn purge(&self, horizon: Timestamp, limit: usize) -> Result<Purged, StoreError> {
        self.0.store().purge(horizon, limit).await
    }

    async fn purged_until(&self) -> Result<Option<Timestamp>, StoreError> {
        self.0.store().purged_until().await
    }

    async fn beat(&self, heartbeat: &Heartbeat, kept: Duration) -> Result<Heartbeats, StoreError> {
        self.0.store().beat(heartbeat, kept).await
    }

    async fn heartbeats(&self) -> Result<Heartbeats, StoreError> {
        self.0.store().heartbeats().await
    }

    async fn count_attempt(&self, attempt: CountAttempt) -> Result<AttemptOutcome, StoreError> {
        self.0.store().count_attempt(attempt).await
    }

    async fn settle_attempt(&self, settled: SettleAttempt) -> Result<(), StoreError> {
        self.0.store().settle_attempt(settled).await
    }
}
