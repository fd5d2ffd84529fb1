//! Growth in Redis.

use std::sync::Arc;

use anyhow::Context;
use gatepass::{SessionId, async_trait, store::SessionStore};
use gatepass_redis::RedisStore;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, aio::MultiplexedConnection};
use tokio::runtime::Runtime;

use super::{Contents, Filling, Inside, LongAgo, PATIENCE, at_once, new_session};
use crate::{
    servers::{self, Server},
    table::Table,
};

/// The number of keys that it can look through while it measures requests.
const FEW: u64 = 20_000;

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let server = servers::own_redis()?;
    let client = Client::open(server.url())?;
    // A look through a million keys takes longer than a client waits by default.
    let patient = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    let connection = client.get_multiplexed_async_connection_with_config(&patient);
    let connection = runtime.block_on(connection)?;
    super::run(table, &runtime, &Redis { connection, server })
}

struct Redis {
    connection: MultiplexedConnection,
    server: Server,
}

impl Redis {
    async fn ask<T: FromRedisValue>(&self, command: &[&str]) -> anyhow::Result<T> {
        let mut asked = redis::Cmd::new();
        command.iter().for_each(|word| {
            asked.arg(word);
        });
        Ok(asked.query_async(&mut self.connection.clone()).await?)
    }

    async fn sessions(&self) -> anyhow::Result<u64> {
        let keys: Vec<String> = self.ask(&["KEYS", "*session:*"]).await?;
        Ok(u64::try_from(keys.len())?)
    }

    async fn entries(&self) -> anyhow::Result<u64> {
        let logs: Vec<String> = self.ask(&["KEYS", "*}log"]).await?;
        let mut entries = 0;
        for log in logs {
            entries += self.ask::<u64>(&["XLEN", &log]).await?;
        }
        Ok(entries)
    }
}

#[async_trait]
impl Inside for Redis {
    fn name(&self) -> &'static str {
        "Redis"
    }

    async fn open(&self, clock: Option<LongAgo>) -> anyhow::Result<Arc<dyn SessionStore>> {
        let mut store = RedisStore::at(self.server.url()).timeout(PATIENCE);
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
        let ended: Vec<_> = (0..filling.ended)
            .map(new_session)
            .collect::<Result<_, _>>()?;
        let ids = ended.iter().map(|session| session.id).collect();
        let begin = |store: Arc<dyn SessionStore>, session| async move {
            store.begin(session).await?;
            anyhow::Ok(())
        };
        let first = Arc::clone(&store);
        at_once(ended, move |session| begin(Arc::clone(&first), session)).await?;
        // The store makes all of them, since it alone knows how it keeps a session in Redis.
        let numbers = (filling.ended..filling.expired).collect();
        at_once(numbers, move |number| {
            let store = Arc::clone(&store);
            async move {
                store.begin(new_session(number)?).await?;
                Ok(())
            }
        })
        .await?;
        Ok(ids)
    }

    async fn is_clean(&self, live: &Contents) -> anyhow::Result<bool> {
        let keys: u64 = self.ask(&["DBSIZE"]).await?;
        // Each live session has a key for itself and one for its account.
        Ok(keys < 2 * live.sessions + FEW
            && self.sessions().await? <= live.sessions
            && self.entries().await? <= live.entries)
    }

    async fn contents(&self) -> anyhow::Result<Contents> {
        let memory: String = self.ask(&["INFO", "memory"]).await?;
        let used = memory
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"));
        Ok(Contents {
            sessions: self.sessions().await?,
            entries: self.entries().await?,
            bytes: used
                .context("a server that does not say what it uses")?
                .trim()
                .parse()?,
        })
    }
}
