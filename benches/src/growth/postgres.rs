//! Growth in PostgreSQL.

use std::sync::Arc;

use gatepass::{SessionId, async_trait, store::SessionStore};
use gatepass_postgres::PostgresStore;
use sqlx::PgPool;
use tokio::runtime::Runtime;

use super::{Contents, Filling, Inside, LongAgo, PATIENCE, new_session};
use crate::{
    servers::{self, Server},
    table::Table,
};

/// Sessions to begin. All others are copies of them under other ids.
const BEGUN: usize = 1000;

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let server = servers::own_postgres()?;
    let pool = runtime.block_on(PgPool::connect(server.url()))?;
    super::run(table, &runtime, &Postgres { pool, server })
}

struct Postgres {
    pool: PgPool,
    server: Server,
}

impl Postgres {
    async fn count(&self, count: &'static str) -> anyhow::Result<u64> {
        let count: i64 = sqlx::query_scalar(count).fetch_one(&self.pool).await?;
        Ok(u64::try_from(count)?)
    }
}

#[async_trait]
impl Inside for Postgres {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    async fn open(&self, clock: Option<LongAgo>) -> anyhow::Result<Arc<dyn SessionStore>> {
        let mut store = PostgresStore::at(self.server.url()).timeout(PATIENCE);
        if let Some(clock) = clock {
            store = store.clock(clock);
        }
        Ok(Arc::new(store.open().await?))
    }

    async fn fill(
        &self,
        store: Arc<dyn SessionStore>,
        filling: Filling,
    ) -> anyhow::Result<Vec<SessionId>> {
        for number in 0..BEGUN {
            store.begin(new_session(number)?).await?;
        }
        let columns = "account, issuer, audience, client, identity_json, own_access_ttl, device_json, generation, \
            rotated_from, rotated_at, recovered, created_at, authenticated_at, last_seen_at, seen_from, \
            idle_expires_at, absolute_expires_at, access_until, ended_at, ended_reason, purge_at";
        // Eighteen random bytes: one UUID, and two bytes of another.
        let copy = format!(
            "INSERT INTO gatepass.sessions (id, number, {columns})
             SELECT uuid_send(gen_random_uuid()) || substr(uuid_send(gen_random_uuid()), 1, 2), number - n,
                 {columns}
             FROM gatepass.sessions, generate_series(2, {}) n",
            filling.expired / BEGUN
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(copy))
            .execute(&self.pool)
            .await?;
        sqlx::raw_sql("ANALYZE gatepass.sessions")
            .execute(&self.pool)
            .await?;
        let ids = sqlx::query_scalar("SELECT id FROM gatepass.sessions LIMIT $1");
        let ids: Vec<Vec<u8>> = ids
            .bind(i64::try_from(filling.ended)?)
            .fetch_all(&self.pool)
            .await?;
        let id = |id: Vec<u8>| Ok(SessionId::from_bytes(id.as_slice().try_into()?));
        ids.into_iter().map(id).collect()
    }

    async fn is_clean(&self, _: &Contents) -> anyhow::Result<bool> {
        let clean = sqlx::query_scalar(
            "WITH now AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS millis)
             SELECT NOT EXISTS (SELECT FROM gatepass.sessions WHERE purge_at <= (SELECT millis FROM now))
                AND NOT EXISTS (SELECT FROM gatepass.revocations WHERE until <= (SELECT millis FROM now) - 600000)",
        );
        Ok(clean.fetch_one(&self.pool).await?)
    }

    async fn contents(&self) -> anyhow::Result<Contents> {
        Ok(Contents {
            sessions: self.count("SELECT count(*) FROM gatepass.sessions").await?,
            entries: self
                .count("SELECT count(*) FROM gatepass.revocations")
                .await?,
            bytes: self
                .count(
                    "SELECT pg_total_relation_size('gatepass.sessions')
                          + pg_total_relation_size('gatepass.revocations')",
                )
                .await?,
        })
    }
}
