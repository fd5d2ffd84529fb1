//! An end and a change of rights in a transaction of the application's keep the same contract as
//! those by the store.

use std::time::Duration;

use async_trait::async_trait;
use gatepass::{
    Session, SessionId, StoreError, Timestamp,
    store::{
        AccountId, Advance, BeginOutcome, ChangeIdentity, Cursor, EndReason, EndSessions,
        GrantVersion, Heartbeat, Heartbeats, NewSession, PullResult, Purged, Recover, Renew,
        Revocation, RevocationLog, RevokeToken, ScannedPart, ServiceIdentity, SessionNumber,
        SessionStore, TokenId, TokenStatus,
    },
};
use gatepass_postgres::PostgresStore;
use gatepass_testkit::{ManualClock, store_contract};
use sqlx::PgPool;

use crate::support;

/// A store that ends sessions in transactions over another pool, as an application does.
struct InTransactions {
    store: PostgresStore,
    pool: PgPool,
}

async fn fresh(clock: ManualClock) -> InTransactions {
    let store = support::at(support::postgres());
    InTransactions {
        store: store.clock(clock).open().await.unwrap(),
        pool: support::pool(&support::postgres()),
    }
}

store_contract!(fresh);

#[async_trait]
impl RevocationLog for InTransactions {
    async fn pull(&self, after: Option<&Cursor>) -> Result<PullResult, StoreError> {
        self.store.pull(after).await
    }

    async fn changed(&self, after: &Cursor) {
        self.store.changed(after).await;
    }

    async fn status(
        &self,
        session: SessionId,
        token: TokenId,
        grant: GrantVersion,
    ) -> Result<TokenStatus, StoreError> {
        self.store.status(session, token, grant).await
    }
}

#[async_trait]
impl SessionStore for InTransactions {
    async fn begin(&self, new: NewSession) -> Result<BeginOutcome, StoreError> {
        self.store.begin(new).await
    }

    async fn advance(&self, advance: Advance) -> Result<Option<Session>, StoreError> {
        self.store.advance(advance).await
    }

    async fn recover(&self, recover: Recover) -> Result<Option<Session>, StoreError> {
        self.store.recover(recover).await
    }

    async fn renew(&self, renew: Renew) -> Result<Option<Session>, StoreError> {
        self.store.renew(renew).await
    }

    async fn change(&self, change: ChangeIdentity) -> Result<Option<Session>, StoreError> {
        loop {
            let mut transaction = self.pool.begin().await.map_err(StoreError::unavailable)?;
            let changed = self.store.change_in(&mut transaction, change.clone());
            match changed.await {
                Ok(changed) => {
                    let committed = transaction.commit().await;
                    return committed.map(|()| changed).map_err(StoreError::unavailable);
                }
                Err(error) if error.is_busy() => {}
                Err(error) => return Err(StoreError::unavailable(error)),
            }
        }
    }

    async fn scan(&self, after: Option<&Cursor>, limit: usize) -> Result<ScannedPart, StoreError> {
        self.store.scan(after, limit).await
    }

    async fn beat(
        &self,
        heartbeat: &Heartbeat,
        kept_for: Duration,
    ) -> Result<Heartbeats, StoreError> {
        self.store.beat(heartbeat, kept_for).await
    }

    async fn heartbeats(&self) -> Result<Heartbeats, StoreError> {
        self.store.heartbeats().await
    }

    async fn load(&self, id: SessionId) -> Result<(Option<Session>, Timestamp), StoreError> {
        self.store.load(id).await
    }

    async fn end(
        &self,
        target: EndSessions,
        reason: EndReason,
    ) -> Result<Option<Revocation>, StoreError> {
        loop {
            let mut transaction = self.pool.begin().await.map_err(StoreError::unavailable)?;
            let ended = self.store.end_in(&mut transaction, target.clone(), reason);
            match ended.await {
                Ok(ended) => {
                    let committed = transaction.commit().await;
                    return committed.map(|()| ended).map_err(StoreError::unavailable);
                }
                Err(error) if error.is_busy() => {}
                Err(error) => return Err(StoreError::unavailable(error)),
            }
        }
    }

    async fn revoke_token(&self, token: RevokeToken) -> Result<Option<Revocation>, StoreError> {
        self.store.revoke_token(token).await
    }

    async fn sessions(
        &self,
        account: AccountId,
        before: Option<SessionNumber>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        self.store.sessions(account, before, limit).await
    }

    async fn introduce(
        &self,
        identities: &[ServiceIdentity],
        join: bool,
    ) -> Result<Vec<ServiceIdentity>, StoreError> {
        self.store.introduce(identities, join).await
    }

    async fn purge(&self, horizon: Timestamp, limit: usize) -> Result<Purged, StoreError> {
        self.store.purge(horizon, limit).await
    }

    async fn purged_until(&self) -> Result<Option<Timestamp>, StoreError> {
        self.store.purged_until().await
    }
}
