//! The users in PostgreSQL, where all nodes share them.

use std::{str::FromStr, time::Duration};

use anyhow::Context;
use gatepass::{
    Scopes, StoreError, async_trait,
    store::{EndReason, EndSessions},
};
use gatepass_postgres::{PostgresStore, TransactionError};
use sqlx::{
    ConnectOptions, Connection, PgConnection, PgPool, Postgres, Row as _,
    postgres::{PgArguments, PgConnectOptions, PgPoolOptions},
    query::Query,
};

use super::table::{Row, Table};
use crate::location::Url;

/// The application's own schema. gatepass's schema is called `gatepass`. If several nodes start
/// together, the lock makes one of them create the schema. Two at once would disturb each other.
const MAKE: &str = "
    BEGIN;
    SELECT pg_advisory_xact_lock(hashtext('app.users'));
    CREATE SCHEMA IF NOT EXISTS app;
    CREATE TABLE IF NOT EXISTS app.users (
        name  text PRIMARY KEY,
        hash  text NOT NULL,
        scope text NOT NULL,
        demo  boolean NOT NULL
    );
    COMMIT";
const IS_EMPTY: &str = "SELECT NOT EXISTS (SELECT FROM app.users)";
/// Logins and refreshes read users, and each read is short.
const CONNECTIONS: u32 = 5;
/// Limits for a transaction: a hanging one would keep one of the few connections, and block its
/// user's logins.
const LIMITS: &str = "
    SET LOCAL lock_timeout = '2s';
    SET LOCAL statement_timeout = '3s';
    SET LOCAL idle_in_transaction_session_timeout = '3s'";
/// How long a request waits for a connection.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) struct PostgresTable {
    pool: PgPool,
    /// The store of the sessions, if it is in the same database.
    sessions: Option<PostgresStore>,
}

impl PostgresTable {
    /// Opens the table in the database at `url`. `sessions` is the store in the same database, if
    /// any.
    pub(super) async fn open(url: &Url, sessions: Option<PostgresStore>) -> anyhow::Result<Self> {
        let options = url
            .is_well_formed()
            .then(|| PgConnectOptions::from_str(url.as_str()));
        let options = options
            .and_then(Result::ok)
            .context("the URL of the users' database must be like postgres://user:password@host/database")?
            // Proxies refuse settings that they don't know.
            .extra_float_digits(None)
            .application_name("gatepass-example");
        let place = format!("{}:{}", options.get_host(), options.get_port());
        // A pool would retry, and then not report why it failed.
        let connection = options.connect().await.with_context(|| {
            format!("cannot reach the users' database at {place}; check that it runs, and that the URL is right")
        })?;
        make(connection).await.with_context(|| {
            format!(
                "cannot make the table of users at {place}; as an administrator, run there once: \
                 CREATE SCHEMA app AUTHORIZATION {}",
                options.get_username()
            )
        })?;
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE);
        Ok(Self {
            pool: pool.connect_lazy_with(options),
            sessions,
        })
    }

    /// Changes a row with one statement, and ends sessions in the same transaction. Returns whether
    /// the row existed.
    async fn change(
        &self,
        statement: Query<'_, Postgres, PgArguments>,
        ends: EndSessions,
        reason: EndReason,
    ) -> Result<bool, StoreError> {
        let begun = self.pool.begin().await;
        let mut transaction = begun.map_err(StoreError::unavailable)?;
        let limited = sqlx::raw_sql(LIMITS).execute(&mut *transaction).await;
        limited.map_err(StoreError::unavailable)?;
        let changed = statement.execute(&mut *transaction).await;
        if changed.map_err(StoreError::unavailable)?.rows_affected() == 0 {
            return Ok(false);
        }
        // The last step before the commit.
        if let Some(sessions) = &self.sessions {
            let ended = sessions.end_in(&mut transaction, ends, reason).await;
            ended.map_err(|error| match error {
                TransactionError::Store(error) => error,
                other => StoreError::unavailable(other),
            })?;
        }
        transaction
            .commit()
            .await
            .map_err(StoreError::unavailable)?;
        Ok(true)
    }
}

async fn make(mut connection: PgConnection) -> sqlx::Result<()> {
    // If the table exists, this needs no right to create it.
    let made = sqlx::query_scalar("SELECT to_regclass('app.users') IS NOT NULL");
    let made: bool = made.fetch_one(&mut connection).await?;
    if !made {
        sqlx::raw_sql(MAKE).execute(&mut connection).await?;
    }
    connection.close().await
}

#[async_trait]
impl Table for PostgresTable {
    async fn find(&self, name: &str) -> Result<Option<Row>, StoreError> {
        // No text in PostgreSQL contains this character, so there is no such user.
        if name.contains('\0') {
            return Ok(None);
        }
        let find = "SELECT name, hash, scope, demo FROM app.users WHERE name = $1";
        let found = sqlx::query(find)
            .bind(name)
            .fetch_optional(&self.pool)
            .await;
        let row = |row: sqlx::postgres::PgRow| {
            Ok(Row {
                name: row.try_get("name")?,
                hash: row.try_get("hash")?,
                scope: row.try_get("scope")?,
                demo: row.try_get("demo")?,
            })
        };
        found
            .and_then(|found| found.map(row).transpose())
            .map_err(StoreError::unavailable)
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        let empty = sqlx::query_scalar(IS_EMPTY).fetch_one(&self.pool).await;
        empty.map_err(StoreError::unavailable)
    }

    async fn fill(&self, rows: Vec<Row>, if_empty: bool) -> Result<(), StoreError> {
        let fill = async || {
            let mut transaction = self.pool.begin().await?;
            // From here on, no other transaction writes, and all may read.
            let lock = sqlx::query("LOCK TABLE app.users IN EXCLUSIVE MODE");
            lock.execute(&mut *transaction).await?;
            if if_empty {
                let empty = sqlx::query_scalar(IS_EMPTY).fetch_one(&mut *transaction);
                if !empty.await? {
                    return Ok(());
                }
            }
            let delete = sqlx::query("DELETE FROM app.users");
            delete.execute(&mut *transaction).await?;
            for Row {
                name,
                hash,
                scope,
                demo,
            } in &rows
            {
                let insert =
                    "INSERT INTO app.users (name, hash, scope, demo) VALUES ($1, $2, $3, $4)";
                let insert = sqlx::query(insert)
                    .bind(name)
                    .bind(hash)
                    .bind(scope)
                    .bind(demo);
                insert.execute(&mut *transaction).await?;
            }
            transaction.commit().await
        };
        fill().await.map_err(StoreError::unavailable)
    }

    async fn demo_names(&self) -> Result<Vec<String>, StoreError> {
        // Sorted as in SQLite, even if the database's language has another order.
        let names = r#"SELECT name FROM app.users WHERE demo ORDER BY name COLLATE "C""#;
        let names = sqlx::query_scalar(names).fetch_all(&self.pool).await;
        names.map_err(StoreError::unavailable)
    }

    async fn set_scope(&self, name: &str, scope: &Scopes) -> Result<bool, StoreError> {
        let update = sqlx::query("UPDATE app.users SET scope = $2 WHERE name = $1");
        let update = update.bind(name).bind(scope.as_str());
        let updated = update.execute(&self.pool).await;
        Ok(updated.map_err(StoreError::unavailable)?.rows_affected() > 0)
    }

    fn ends_sessions(&self) -> bool {
        self.sessions.is_some()
    }

    async fn set_hash(
        &self,
        name: &str,
        old: &str,
        new: &str,
        others: EndSessions,
    ) -> Result<bool, StoreError> {
        let update = "UPDATE app.users SET hash = $3, demo = false WHERE name = $1 AND hash = $2";
        let update = sqlx::query(update).bind(name).bind(old).bind(new);
        self.change(update, others, EndReason::LogoutAll).await
    }

    async fn delete(&self, name: &str, all: EndSessions) -> Result<bool, StoreError> {
        let delete = sqlx::query("DELETE FROM app.users WHERE name = $1").bind(name);
        self.change(delete, all, EndReason::UserDeleted).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::task;

    use super::*;
    use crate::{location::Database, testing};

    #[tokio::test]
    async fn a_table_that_another_node_is_making_is_waited_for() {
        let url = testing::postgres().await;
        let mut other = PgConnection::connect(&url).await.unwrap();
        let unfinished = MAKE.strip_suffix("COMMIT").unwrap();
        sqlx::raw_sql(unfinished).execute(&mut other).await.unwrap();

        let Database::Postgres(database) = url.parse().unwrap() else {
            panic!("{url}");
        };
        let opening = tokio::spawn(async move { PostgresTable::open(&database, None).await });
        let waiting = "SELECT EXISTS (SELECT FROM pg_locks
            WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))";
        while !sqlx::query_scalar::<_, bool>(waiting)
            .fetch_one(&mut other)
            .await
            .unwrap()
        {
            task::yield_now().await;
        }
        sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
        assert!(opening.await.unwrap().unwrap().is_empty().await.unwrap());
    }
}
