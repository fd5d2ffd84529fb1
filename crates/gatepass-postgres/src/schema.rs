//! The tables, and the migrations of older schemas.

use std::collections::BTreeSet;

use gatepass::{Timestamp, store::ServiceIdentity};

use crate::{
    error::{Failure, OpenError, Place, Unreadable},
    link::{Link, now},
    log,
    row::{cell, millis},
    sql::Statement,
};

/// The purpose for which the database is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To store sessions.
    Write,
    /// To follow the log.
    Read,
}

/// One step per schema version, in order. A step that was released never changes. `@` is the
/// schema.
///
/// `sessions` leaves room in its pages. A refresh changes no indexed column, so PostgreSQL puts the
/// new row next to the old one and writes no index. For the same reason, `purge_at` is
/// `Session::purge_at` or earlier, and the purge finds out in time.
///
/// A row of `revocations` has the number of the transaction that wrote it. A reader remembers a set
/// of transactions, and not a last number, because numbers don't follow the order of commits. Pulls
/// read the index of the primary key. Text is compared byte by byte, even if the database's locale
/// treats different bytes as equal.
///
/// The second step removes all sessions and revocations. Since then, refresh tokens are bound to
/// issuer and audience, and access tokens carry the number of their session. No older token is
/// valid any more, so users log in again. The step changes the tables instead of creating others,
/// so that roles keep their rights.
///
/// The third step adds the versions of rights. The fourth adds the functions for triggers. It
/// revokes the right to execute them in the same transaction, so that no role ever has it by
/// default. The fifth adds the heartbeats of nodes. The sixth adds the indexes for administrators
/// who look for sessions. It reads subjects from the text of identities, in which serde_json
/// escapes quotes and backslashes, because PostgreSQL's own functions refuse a JSON that contains
/// U+0000. The seventh adds the login attempts.
const STEPS: [&str; 7] = [
    r#"
    CREATE TABLE @sessions (
        id pg_catalog.bytea PRIMARY KEY,
        subject pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
        client pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
        identity_json pg_catalog.text NOT NULL,
        own_access_ttl bigint,
        device_json pg_catalog.text NOT NULL,
        generation bigint NOT NULL,
        spent bigint[] NOT NULL,
        recovered bigint,
        created_at bigint NOT NULL,
        authenticated_at bigint NOT NULL,
        last_seen_at bigint NOT NULL,
        idle_expires_at bigint NOT NULL,
        absolute_expires_at bigint NOT NULL,
        access_until bigint NOT NULL,
        ended_at bigint,
        ended_reason pg_catalog.text,
        purge_at bigint NOT NULL
    ) WITH (fillfactor = 80);
    CREATE INDEX sessions_subject ON @sessions (subject) WHERE ended_at IS NULL;
    CREATE INDEX sessions_purge ON @sessions (purge_at);

    CREATE TABLE @revocations (
        xid pg_catalog.xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
        seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
        session pg_catalog.bytea NOT NULL,
        token pg_catalog.bytea,
        until bigint NOT NULL,
        PRIMARY KEY (xid, seq)
    );
    CREATE UNIQUE INDEX revocations_token ON @revocations (token) WHERE token IS NOT NULL;
    CREATE INDEX revocations_session ON @revocations (session, until);
    CREATE INDEX revocations_purge ON @revocations (until);

    INSERT INTO @meta (key, value)
        VALUES ('incarnation', pg_catalog.replace(pg_catalog.gen_random_uuid()::pg_catalog.text, '-', ''));
"#,
    r#"
    TRUNCATE @sessions, @revocations;

    DROP INDEX @sessions_subject;
    ALTER TABLE @sessions
        DROP COLUMN subject,
        DROP COLUMN spent,
        ADD COLUMN account pg_catalog.bytea NOT NULL,
        ADD COLUMN number bigint NOT NULL,
        ADD COLUMN issuer pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
        ADD COLUMN audience pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
        ADD COLUMN rotated_from bigint,
        ADD COLUMN rotated_at bigint,
        ADD COLUMN seen_from bigint NOT NULL;
    CREATE UNIQUE INDEX sessions_account ON @sessions (account, number);
    CREATE INDEX sessions_live ON @sessions (account, number) WHERE ended_at IS NULL;

    CREATE TABLE @accounts (
        id pg_catalog.bytea PRIMARY KEY,
        last bigint NOT NULL,
        until bigint NOT NULL,
        up_to bigint,
        except_number bigint,
        ended_at bigint,
        ended_reason pg_catalog.text,
        purge_at bigint NOT NULL
    ) WITH (fillfactor = 80);
    CREATE INDEX accounts_purge ON @accounts (purge_at);

    DROP INDEX @revocations_session;
    ALTER TABLE @revocations
        ALTER COLUMN session DROP NOT NULL,
        ADD COLUMN account pg_catalog.bytea,
        ADD COLUMN up_to bigint,
        ADD COLUMN except_number bigint;
    CREATE UNIQUE INDEX revocations_cutoff ON @revocations (account) WHERE up_to IS NOT NULL;
    CREATE INDEX revocations_session ON @revocations (session, until) WHERE token IS NOT NULL;
    CREATE INDEX revocations_account ON @revocations (account, until) WHERE token IS NOT NULL;

    UPDATE @meta
        SET value = pg_catalog.replace(pg_catalog.gen_random_uuid()::pg_catalog.text, '-', '')
        WHERE key {=} 'incarnation'::pg_catalog.text;
"#,
    r#"
    ALTER TABLE @sessions
        ADD COLUMN grant_newest bigint NOT NULL DEFAULT 0,
        ADD COLUMN grant_valid_from bigint NOT NULL DEFAULT 0;
    ALTER TABLE @revocations
        ADD COLUMN grant_newest bigint,
        ADD COLUMN grant_valid_from bigint;
    CREATE UNIQUE INDEX revocations_grant ON @revocations (session) WHERE grant_newest IS NOT NULL;
"#,
    include_str!("end_sessions_of.sql"),
    "
    CREATE TABLE @nodes (
        id pg_catalog.bytea PRIMARY KEY,
        at bigint NOT NULL,
        heartbeat pg_catalog.text NOT NULL
    );
",
    r#"
    ALTER TABLE @sessions
        ADD COLUMN subject pg_catalog.text COLLATE pg_catalog."C" NOT NULL DEFAULT ''::pg_catalog.text;
    UPDATE @sessions SET subject = pg_catalog.replace(pg_catalog.replace(
        coalesce(pg_catalog.substring(identity_json, E'^."subject":"((?:[^"\\\\]|\\\\.)*)"'), ''),
        E'\\"', '"'), E'\\\\', E'\\');
    CREATE INDEX sessions_begun ON @sessions (created_at, id);
    CREATE INDEX sessions_subject ON @sessions (subject, created_at, id);
"#,
    "
    CREATE TABLE @attempts (
        key pg_catalog.bytea PRIMARY KEY,
        forgotten_at bigint NOT NULL,
        counted_at bigint NOT NULL,
        next_at bigint NOT NULL,
        known_until bigint NOT NULL,
        purge_at bigint NOT NULL
    );
    CREATE INDEX attempts_purge ON @attempts (purge_at);
",
];

/// The newest version of the schema.
pub(crate) fn known() -> u32 {
    u32::try_from(STEPS.len()).unwrap_or(u32::MAX)
}

/// The names of the indexes of the newest version, read from the steps that create and drop them.
pub(crate) fn indexes() -> BTreeSet<String> {
    let mut indexes = BTreeSet::from(["meta_pkey".to_owned()]);
    for step in STEPS {
        let words = Vec::from_iter(step.split_whitespace());
        for window in words.windows(3) {
            match *window {
                ["CREATE", "INDEX", name, ..] | ["UNIQUE", "INDEX", name, ..] => {
                    indexes.insert(name.to_owned());
                }
                ["DROP", "INDEX", name, ..] => {
                    indexes.remove(name.trim_matches(['@', ';']));
                }
                ["CREATE", "TABLE", name, ..] => {
                    indexes.insert(format!("{}_pkey", name.trim_start_matches('@')));
                }
                _ => {}
            }
        }
    }
    indexes
}

/// The oldest release with `xid8` and the functions for snapshots.
const LEAST_SERVER: i32 = 13;

/// The longest name of a schema. The name of its channel is longer, and must still fit.
const MAX_NAME: usize = 40;

/// Whether `name` can be inserted into statements without quotes.
pub(crate) fn is_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    !name.is_empty()
        && name.len() <= MAX_NAME
        && name.chars().all(is_part)
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.starts_with("pg_")
        && name != "public"
}

/// Checks that the store can use the server.
pub(crate) async fn check_server(
    link: &mut Link<'_>,
    place: &Place,
    purpose: Purpose,
) -> Result<(), OpenError> {
    let asked = link
        .one(Statement::new(
            "SELECT pg_catalog.current_setting('server_version_num')::bigint AS version,
                 pg_catalog.current_setting('server_encoding') AS encoding,
                 pg_catalog.current_setting('transaction_read_only') {=} 'on'::pg_catalog.text AS only_reads,
                 pg_catalog.pg_is_in_recovery() AS standby,
                 pg_catalog.current_setting('synchronous_commit') {=} 'off'::pg_catalog.text AS forgets",
        ))
        .await;
    let read = asked.and_then(|row| {
        let version: i64 = cell(&row, "version")?;
        let encoding: String = cell(&row, "encoding")?;
        let only_reads: bool = cell(&row, "only_reads")?;
        let standby: bool = cell(&row, "standby")?;
        let forgets: bool = cell(&row, "forgets")?;
        let writes = purpose == Purpose::Write;
        // A replica may not know the newest revocations, and a reader can't notice that.
        let unfit = standby || (writes && only_reads);
        Ok((version, encoding, unfit, writes && forgets))
    });
    let (version, encoding, unfit, forgets) =
        read.map_err(|failure| place.clone().error(&failure))?;
    let server = place.server.clone();
    let found = i32::try_from(version / 10_000).unwrap_or(i32::MAX);
    if found < LEAST_SERVER {
        let least = LEAST_SERVER;
        return Err(OpenError::ServerVersion {
            server,
            found,
            least,
        });
    }
    if encoding != "UTF8" {
        let found = encoding;
        return Err(OpenError::Encoding { server, found });
    }
    if unfit {
        return Err(OpenError::ReadOnly { server });
    }
    if forgets {
        tracing::warn!(
            target: "gatepass",
            "store.not_durable: synchronous_commit is off: a crash of the server can undo logins and refreshes that were acknowledged"
        );
    }
    Ok(())
}

/// Migrates the schema to the newest version. If it is already there, the role needs no right to
/// create anything.
pub(crate) async fn migrate(link: Link<'_>, place: &Place) -> Result<(), OpenError> {
    migrate_by(link, place, &STEPS).await
}

async fn migrate_by(
    mut link: Link<'_>,
    place: &Place,
    steps: &[&'static str],
) -> Result<(), OpenError> {
    let known = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    let wrong = |failure: Failure| place.clone().error(&failure);
    let newer = |found| OpenError::NewerSchema {
        server: place.server.clone(),
        schema: place.schema.clone(),
        found,
        known,
    };
    if version(&mut link).await.map_err(wrong)? == Some(known) {
        check_writable(link.again(), place).await?;
        return restamp(link).await.map_err(wrong);
    }
    let mut tx = link.again().begin().await.map_err(wrong)?;
    let mut locked = tx.link();
    lock(&mut locked).await.map_err(wrong)?;
    let found = version(&mut locked).await.map_err(wrong)?;
    if let Some(found) = found.filter(|found| *found > known) {
        return Err(newer(found));
    }
    if found.is_none() {
        create(&mut locked).await.map_err(wrong)?;
    }
    let done = usize::try_from(found.unwrap_or(0)).unwrap_or(usize::MAX);
    for step in steps.iter().skip(done) {
        locked.execute(step).await.map_err(wrong)?;
    }
    let remember = Statement::new(
        "INSERT INTO @meta (key, value) VALUES ('schema_version', $1)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    );
    let remember = remember.text(known.to_string());
    locked.rows(remember).await.map_err(wrong)?;
    tx.commit().await.map_err(wrong)?;
    restamp(link).await.map_err(wrong)
}

/// Remembers `identities` if the store knows none yet, or if `join`. Returns those that it knew
/// before.
pub(crate) async fn introduce(
    link: Link<'_>,
    identities: Vec<ServiceIdentity>,
    join: bool,
) -> Result<Vec<ServiceIdentity>, Failure> {
    let mut tx = link.begin().await?;
    let mut link = tx.link();
    // If two nodes find none, the lock makes one of them the first.
    lock(&mut link).await?;
    let asked = Statement::new(
        r#"SELECT value FROM @meta WHERE pg_catalog.starts_with(key, 'identity ')
           ORDER BY key COLLATE pg_catalog."C""#,
    );
    let rows = link.rows(asked).await?;
    let known = rows.iter().map(|row| {
        let text: String = cell(row, "value")?;
        ServiceIdentity::from_text(&text).ok_or(Unreadable("identity"))
    });
    let known = known.collect::<Result<Vec<_>, _>>()?;
    if known.is_empty() || join {
        let new = identities.iter().filter(|one| !known.contains(one));
        for (number, identity) in (known.len()..).zip(new) {
            let insert = Statement::new("INSERT INTO @meta (key, value) VALUES ($1, $2)");
            let insert = insert
                .text(format!("identity {number:04}"))
                .text(identity.to_text());
            link.rows(insert).await?;
        }
    }
    tx.commit().await?;
    Ok(known)
}

/// Waits until no other node migrates, and makes others wait until the transaction is over. So one
/// of several nodes migrates, and the others find it done. Every proxy keeps a transaction on one
/// connection.
async fn lock(link: &mut Link<'_>) -> Result<(), Failure> {
    let lock = Statement::new(
        "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))::pg_catalog.text",
    );
    let lock = lock.text(format!("gatepass migrates {}", link.dialect().schema));
    link.rows(lock).await?;
    Ok(())
}

/// The database and the schema in it, to compare with those of the application's transaction. This
/// doesn't name the server, because a database may move to another server while nodes run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) database: String,
    incarnation: String,
}

impl Home {
    /// Finds the home that `link` leads to.
    pub(crate) async fn find(link: &mut Link<'_>) -> Result<Self, Failure> {
        let asked = Statement::new(
            "SELECT pg_catalog.current_database()::pg_catalog.text AS database, value AS incarnation
             FROM @meta WHERE key {=} 'incarnation'::pg_catalog.text",
        );
        let row = link.one(asked).await?;
        Ok(Self {
            database: cell(&row, "database")?,
            incarnation: cell(&row, "incarnation")?,
        })
    }
}

/// Gives numbers of this cluster to entries that a dump or logical replication has brought from
/// another one. Each batch is its own transaction, so that its work stays even if opening is
/// interrupted.
async fn restamp(mut link: Link<'_>) -> Result<(), Failure> {
    while log::has_restored(link.again()).await? {
        let mut tx = link.again().begin().await?;
        lock(&mut tx.link()).await?;
        log::restamp(tx.link()).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Whether the role has all rights to a table that the store needs.
macro_rules! may_write {
    ($table:literal) => {
        concat!(
            "pg_catalog.has_table_privilege(",
            $table,
            ", 'SELECT')
                 AND pg_catalog.has_table_privilege(",
            $table,
            ", 'INSERT')
                 AND pg_catalog.has_table_privilege(",
            $table,
            ", 'UPDATE')
                 AND pg_catalog.has_table_privilege(",
            $table,
            ", 'DELETE')"
        )
    };
}
pub(crate) use may_write;

/// Checks that the role has all rights to the tables that the store needs.
async fn check_writable(mut link: Link<'_>, place: &Place) -> Result<(), OpenError> {
    let asked = Statement::new(concat!(
        "SELECT pg_catalog.bool_and(",
        may_write!("name"),
        ") AS may
         FROM pg_catalog.unnest(ARRAY['@sessions', '@accounts', '@revocations', '@meta', '@nodes', '@attempts']::pg_catalog.text[]) AS name",
    ));
    let may = link.one(asked).await.and_then(|row| Ok(cell(&row, "may")?));
    match may.map_err(|failure| place.clone().error(&failure))? {
        true => Ok(()),
        false => Err(OpenError::MayNotWrite {
            server: place.server.clone(),
            schema: place.schema.clone(),
            role: place.role.clone(),
        }),
    }
}

/// Checks that the schema is of this release, and that the role can read what a log needs. Changes
/// nothing.
pub(crate) async fn check_readable(mut link: Link<'_>, place: &Place) -> Result<(), OpenError> {
    let known = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    let wrong = |failure: Failure| place.clone().reading(&failure);
    let found = version(&mut link).await.map_err(wrong)?;
    let (server, schema) = (place.server.clone(), place.schema.clone());
    match found {
        Some(found) if found > known => {
            return Err(OpenError::NewerSchema {
                server,
                schema,
                found,
                known,
            });
        }
        Some(found) if found == known => {}
        _ => {
            return Err(OpenError::OlderSchema {
                server,
                schema,
                found,
                known,
            });
        }
    }
    let read = Statement::new(
        "SELECT EXISTS (SELECT xid, seq, account, session, token, up_to, except_number, grant_newest,
                            grant_valid_from, until
                        FROM @revocations LIMIT 0)
             OR EXISTS (SELECT id, account, number, ended_at, access_until, idle_expires_at,
                            grant_valid_from FROM @sessions LIMIT 0)
             OR EXISTS (SELECT id, up_to, except_number FROM @accounts LIMIT 0)",
    );
    link.rows(read).await.map_err(wrong)?;
    Ok(())
}

/// The schema's version, if the schema exists.
pub(crate) async fn version(link: &mut Link<'_>) -> Result<Option<u32>, Failure> {
    // Looks the table up as a row. After another node's migration, `to_regclass` may still give the
    // old answer.
    let there = Statement::new(
        "SELECT EXISTS (
             SELECT FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace n ON n.oid {=} relnamespace
             WHERE nspname {=} $1::pg_catalog.name AND relname {=} 'meta'::pg_catalog.name
         ) AS there",
    );
    let there = there.text(&link.dialect().schema);
    let there: bool = cell(&link.one(there).await?, "there")?;
    if !there {
        return Ok(None);
    }
    let version = Statement::new(
        "SELECT value::bigint AS version FROM @meta WHERE key {=} 'schema_version'::pg_catalog.text",
    );
    let Some(row) = link.row(version).await? else {
        return Ok(None);
    };
    let version: i64 = cell(&row, "version")?;
    Ok(Some(u32::try_from(version).unwrap_or(u32::MAX)))
}

/// Creates the schema, unless an administrator has done so, and the table that holds its version.
async fn create(link: &mut Link<'_>) -> Result<(), Failure> {
    let schema = &link.dialect().schema;
    let there = Statement::new(
        "SELECT EXISTS (
             SELECT FROM pg_catalog.pg_namespace WHERE nspname {=} $1::pg_catalog.name
         ) AS there",
    );
    let there = there.text(schema);
    let there: bool = cell(&link.one(there).await?, "there")?;
    if !there {
        link.raw(format!("CREATE SCHEMA {schema}")).await?;
    }
    link.execute(
        "CREATE TABLE @meta (key pg_catalog.text PRIMARY KEY, value pg_catalog.text NOT NULL)",
    )
    .await
}

/// Stores the horizon of a purge for later processes, at most the store's time. Returns the stored
/// horizon.
pub(crate) async fn remember_horizon(
    mut link: Link<'_>,
    horizon: Timestamp,
) -> Result<Timestamp, Failure> {
    let remember = Statement::new(concat!(
        "INSERT INTO @meta (key, value) VALUES ('purged_until', least($1, ",
        now!("2"),
        ")::pg_catalog.text)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value
         RETURNING value::bigint AS horizon"
    ));
    let remember = remember
        .int(horizon.unix_millis())
        .int(link.dialect().time());
    millis(&link.one(remember).await?, "horizon")
}

/// The horizon of the last purge.
pub(crate) async fn last_horizon(mut link: Link<'_>) -> Result<Option<Timestamp>, Failure> {
    let last = Statement::new(
        "SELECT value::bigint AS horizon FROM @meta WHERE key {=} 'purged_until'::pg_catalog.text",
    );
    let row = link.row(last).await?;
    row.map(|row| millis(&row, "horizon")).transpose()
}

#[cfg(test)]
mod tests {
    use std::{env, str::FromStr, time::Duration};

    use gatepass::{
        Identity,
        store::{Random, SystemRandom},
    };
    use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, postgres::PgConnectOptions};

    use super::*;
    use crate::{link::Dialect, protocol::Protocol};

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A database that was made by a release with only the first step.
    #[tokio::test]
    async fn a_schema_of_the_first_version_begins_anew_and_roles_keep_their_rights() {
        let url = env::var("GATEPASS_TEST_POSTGRES").expect("see `cargo xtask servers`");
        let options = PgConnectOptions::from_str(&url).unwrap();
        let mut random = [0; 8];
        SystemRandom.fill(&mut random).unwrap();
        let schema = format!("first_{:016x}", u64::from_be_bytes(random));
        let place = Place::new(&options, &schema, PATIENCE);
        let dialect = Dialect::new(schema.clone(), None, Protocol::Simple, PATIENCE);
        let mut conn = PgConnection::connect_with(&options).await.unwrap();
        migrate_by(
            Link::new(&mut conn, &mut false, &dialect),
            &place,
            &STEPS[..1],
        )
        .await
        .unwrap();
        let fill = format!(
            "INSERT INTO {schema}.sessions VALUES ('a', 'alice', 'web', '{{}}', NULL, '{{}}', 0, '{{}}',
                 NULL, 0, 0, 0, 0, 0, 0, NULL, NULL, 0);
             INSERT INTO {schema}.revocations (session, until) VALUES ('a', 0);
             CREATE ROLE {schema}; GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA {schema} TO {schema}"
        );
        sqlx::raw_sql(AssertSqlSafe(fill))
            .execute(&mut conn)
            .await
            .unwrap();
        let incarnation = format!("SELECT value FROM {schema}.meta WHERE key = 'incarnation'");
        let before = ask(&mut conn, incarnation.clone()).await;

        for _ in 0..2 {
            migrate(Link::new(&mut conn, &mut false, &dialect), &place)
                .await
                .unwrap();
        }
        assert_ne!(
            ask(&mut conn, incarnation).await,
            before,
            "no place in the old log is one in the new"
        );
        for table in ["sessions", "accounts", "revocations"] {
            let count = format!("SELECT count(*)::text FROM {schema}.{table}");
            assert_eq!(ask(&mut conn, count).await, "0", "{table}");
        }
        for table in ["sessions", "revocations", "meta"] {
            let may = format!(
                "SELECT has_table_privilege('{schema}', '{schema}.{table}', 'SELECT, UPDATE')::text"
            );
            assert_eq!(ask(&mut conn, may).await, "true", "{table}");
        }
    }

    #[tokio::test]
    async fn a_session_of_an_older_schema_is_found_by_its_subject() {
        let url = env::var("GATEPASS_TEST_POSTGRES").expect("see `cargo xtask servers`");
        let options = PgConnectOptions::from_str(&url).unwrap();
        let mut random = [0; 8];
        SystemRandom.fill(&mut random).unwrap();
        let schema = format!("fifth_{:016x}", u64::from_be_bytes(random));
        let place = Place::new(&options, &schema, PATIENCE);
        let dialect = Dialect::new(schema.clone(), None, Protocol::Simple, PATIENCE);
        let mut conn = PgConnection::connect_with(&options).await.unwrap();
        // A setting of the role must not change how the step is read.
        let set = AssertSqlSafe("SET standard_conforming_strings = off");
        sqlx::raw_sql(set).execute(&mut conn).await.unwrap();
        let mut in_transaction = false;
        let link = Link::new(&mut conn, &mut in_transaction, &dialect);
        migrate_by(link, &place, &STEPS[..5]).await.unwrap();
        let claims = serde_json::json!({ "subject": "bob", "null": "\u{0}" });
        let subjects = ["alice", r#"a"\l\\"#, "jürgen"];
        let mut rows = Vec::new();
        for (number, subject) in subjects.iter().enumerate() {
            let identity = Identity::new(*subject).unwrap().claims(&claims).unwrap();
            rows.push((number, serde_json::to_string(&identity).unwrap()));
        }
        // A row that can't be read must not stop the migration.
        rows.push((subjects.len(), "{".to_owned()));
        for (number, identity) in rows {
            let insert = format!(
                "INSERT INTO {schema}.sessions
                     (id, account, number, issuer, audience, client, identity_json, device_json,
                      generation, created_at, authenticated_at, last_seen_at, seen_from,
                      idle_expires_at, absolute_expires_at, access_until, purge_at)
                 VALUES ('{number}', '', {number}, 'i', 'a', 'c', $1, '{{}}', 0, 0, 0, 0, 0, 0, 0, 0, 0)"
            );
            let insert = sqlx::query(AssertSqlSafe(insert)).bind(identity);
            insert.execute(&mut conn).await.unwrap();
        }
        let link = Link::new(&mut conn, &mut in_transaction, &dialect);
        migrate(link, &place).await.unwrap();
        let found = format!(
            "SELECT array_to_json(array_agg(subject ORDER BY number))::text FROM {schema}.sessions"
        );
        let found: Vec<String> = serde_json::from_str(&ask(&mut conn, found).await).unwrap();
        let expected = subjects.iter().copied().chain([""]);
        assert!(found.iter().map(String::as_str).eq(expected), "{found:?}");
    }

    async fn ask(conn: &mut PgConnection, sql: String) -> String {
        let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(conn);
        row.await.unwrap().get(0)
    }
}
