//! The smallest store in PostgreSQL: one statement on a table of ids and numbers, through a pool
//! like the store's.

use gatepass_postgres::PostgresStore;
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use tokio::runtime::Runtime;

use super::{Bare, compare, id, sessions};
use crate::{servers, table::Table};

/// The default number of connections of the store.
const CONNECTIONS: u32 = 10;

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let server = servers::postgres()?;
    // Its own schema, since others use the server.
    let schema = servers::unique("bench")?;
    let store = PostgresStore::at(server.url()).schema(&schema).open();
    let store = runtime.block_on(store)?;
    let beside = format!("{schema}_raw");
    let raw = Raw::open(server.url(), &beside, sessions(table));
    let (raw, rows) = runtime.block_on(raw)?;
    if server.is_own() {
        runtime.block_on(raw.steady())?;
    }
    let durable = runtime.block_on(raw.durability())?;
    let name = format!("PostgreSQL ({durable})");
    let measured = compare(table, &runtime, (&name, [0.85, 0.8]), store, &raw, rows);
    runtime.block_on(raw.drop_schemas(&[&schema, &beside]))?;
    measured
}

struct Row {
    id: Vec<u8>,
    generation: i64,
}

#[derive(Clone)]
struct Raw {
    pool: PgPool,
    update: &'static str,
}

impl Raw {
    async fn open(url: &str, schema: &str, sessions: usize) -> anyhow::Result<(Self, Vec<Row>)> {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            // The store doesn't test each connection before use either.
            .test_before_acquire(false)
            .connect(url)
            .await?;
        let make = format!(
            "CREATE SCHEMA {schema};
             CREATE TABLE {schema}.rows (id bytea PRIMARY KEY, generation bigint, seen_at bigint)
                 WITH (fillfactor = 80)"
        );
        sqlx::raw_sql(AssertSqlSafe(make)).execute(&pool).await?;
        let rows: Vec<_> = (0..sessions)
            .map(|number| Row {
                id: id(number).to_vec(),
                generation: 0,
            })
            .collect();
        let ids: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
        let insert = format!("INSERT INTO {schema}.rows SELECT unnest($1::bytea[]), 0, 0");
        let insert = sqlx::query(AssertSqlSafe(insert)).bind(ids);
        insert.execute(&pool).await?;
        let update = format!(
            "UPDATE {schema}.rows SET generation = $2 + 1, seen_at = $3
             WHERE id = $1 AND generation = $2 RETURNING generation"
        );
        // This happens once in a run.
        let update = update.leak();
        Ok((Self { pool, update }, rows))
    }

    /// Keeps the server from background work, which would affect one side only.
    async fn steady(&self) -> anyhow::Result<()> {
        for setting in [
            "autovacuum = off",
            "checkpoint_timeout = '1h'",
            "max_wal_size = '16GB'",
        ] {
            let set = format!("ALTER SYSTEM SET {setting}");
            sqlx::query(AssertSqlSafe(set)).execute(&self.pool).await?;
        }
        for act in ["SELECT pg_reload_conf()", "CHECKPOINT"] {
            sqlx::query(act).execute(&self.pool).await?;
        }
        Ok(())
    }

    /// The server's settings for the durability of a commit.
    async fn durability(&self) -> anyhow::Result<String> {
        let mut said = Vec::new();
        for name in ["fsync", "synchronous_commit"] {
            let value = sqlx::query_scalar("SELECT current_setting($1)").bind(name);
            let value: String = value.fetch_one(&self.pool).await?;
            said.push(format!("{name} {value}"));
        }
        Ok(said.join(", "))
    }

    async fn drop_schemas(&self, schemas: &[&str]) -> anyhow::Result<()> {
        for schema in schemas {
            let drop = format!("DROP SCHEMA {schema} CASCADE");
            sqlx::raw_sql(AssertSqlSafe(drop))
                .execute(&self.pool)
                .await?;
        }
        Ok(())
    }
}

impl Bare for Raw {
    type Row = Row;

    async fn advance(&self, row: &mut Row) -> anyhow::Result<()> {
        let update = sqlx::query_scalar(self.update);
        let update = update
            .bind(&row.id)
            .bind(row.generation)
            .bind(row.generation);
        let advanced: Option<i64> = update.fetch_optional(&self.pool).await?;
        row.generation += 1;
        anyhow::ensure!(
            advanced == Some(row.generation),
            "an advance that did not fit"
        );
        Ok(())
    }
}
