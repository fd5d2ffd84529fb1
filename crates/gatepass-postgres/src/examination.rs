//! The examination: finds faults of a database and its server without changing anything.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use gatepass::{
    Clock,
    store::{Examination, Finding, Heartbeats, Revocation},
};
use sqlx::{ConnectOptions, Connection, postgres::PgRow};
use tokio::time::timeout;

use crate::{
    connecting::Connecting,
    error::{Failure, OpenError, Place},
    heartbeats,
    link::{Dialect, Link, now},
    protocol::Protocol,
    row::cell,
    schema,
    sql::Statement,
};

/// How long a row may be due before the examination reports that the purge doesn't keep up. A purge
/// runs once a minute unless configured otherwise.
const OVERDUE: Duration = Duration::from_secs(3600);

/// Examines the database that `connecting` leads to.
pub(crate) async fn examine(
    connecting: Connecting,
    clock: Option<Arc<dyn Clock>>,
) -> Result<Examination, OpenError> {
    if !schema::is_name(&connecting.schema) {
        return Err(OpenError::SchemaName(connecting.schema));
    }
    let options = connecting.options()?;
    let patience = connecting.open_timeout;
    let place = Place::new(&options, &connecting.schema, patience);
    let looking = async {
        let mut conn = options.connect().await?;
        let dialect = Dialect::new(connecting.schema, clock, Protocol::Simple, patience);
        let examined = look(Link::new(&mut conn, &mut false, &dialect)).await?;
        let _ = conn.close().await;
        Ok(examined)
    };
    let looked = timeout(patience, looking).await;
    let looked = looked.map_err(|_| place.clone().timed_out())?;
    looked.or_else(|failure: Failure| match failure.code().as_deref() {
        Some("42501") => {
            let text = format!(
                "the role {:?} may not read all tables of the schema: run this as the role of the nodes",
                place.role
            );
            let finding = Finding::error("may_not_read", text);
            Ok(Examination::new(vec![finding], None))
        }
        _ => Err(place.error(&failure)),
    })
}

async fn look(mut link: Link<'_>) -> Result<Examination, Failure> {
    let about = link
        .one(Statement::new(
            "SELECT pg_catalog.pg_is_in_recovery() AS standby,
                 pg_catalog.current_setting('transaction_read_only') AS read_only,
                 pg_catalog.current_setting('server_encoding') AS encoding,
                 pg_catalog.current_setting('server_version_num')::bigint AS version,
                 pg_catalog.current_setting('fsync') AS fsync,
                 pg_catalog.current_setting('full_page_writes') AS full_page_writes,
                 pg_catalog.current_setting('synchronous_commit') AS synchronous_commit,
                 pg_catalog.current_setting('autovacuum') AS autovacuum",
        ))
        .await?;
    if cell(&about, "standby")? {
        let text = "this server is a replica, and may not know all revocations yet: give the \
                    nodes the address of the primary";
        return Ok(Examination::new(
            vec![Finding::error("replica", text)],
            None,
        ));
    }
    let mut findings = settings(&about)?;
    let (version, known) = (schema::version(&mut link).await?, schema::known());
    match version {
        None => findings.push(Finding::error(
            "no_store",
            format!(
                "there is no schema {} with sessions in this database: give the one that the nodes \
                 have, or start a node",
                link.dialect().schema
            ),
        )),
        Some(found) if found > known => findings.push(Finding::error(
            "newer_schema",
            format!(
                "the tables have version {found}, and this release knows versions up to {known}: \
                 use the release of the nodes"
            ),
        )),
        Some(found) if found < known => findings.push(Finding::warning(
            "older_schema",
            format!(
                "the tables have version {found}, and this release knows version {known}: the next \
                 node of this release that starts migrates them"
            ),
        )),
        Some(_) => {
            findings.extend(missing(&mut link).await?);
            findings.extend(overdue(&mut link).await?);
            let heartbeats = heartbeats(link, &mut findings).await?;
            return Ok(Examination::new(findings, heartbeats));
        }
    }
    Ok(Examination::new(findings, None))
}

/// Checks the settings of the server, and of this role in this database.
fn settings(about: &PgRow) -> Result<Vec<Finding>, Failure> {
    let is = |name, value: &str| -> Result<bool, Failure> {
        let found: String = cell(about, name)?;
        Ok(found == value)
    };
    let mut findings = Vec::new();
    let mut find = |is_so: bool, finding: fn() -> Finding| {
        if is_so {
            findings.push(finding());
        }
    };
    find(cell::<i64>(about, "version")? < 130_000, || {
        Finding::error(
            "server_version",
            "the server is older than PostgreSQL 13: upgrade it",
        )
    });
    find(!is("encoding", "UTF8")?, || {
        Finding::error(
            "encoding",
            "the database can't hold every character: create one with `createdb --encoding UTF8`",
        )
    });
    find(is("read_only", "on")?, || {
        Finding::error(
            "read_only",
            "transactions of this role only read (default_transaction_read_only), so that no user can \
             log in: set it to off",
        )
    });
    find(is("fsync", "off")?, || {
        Finding::error(
            "fsync_off",
            "fsync is off: a crash of the machine can destroy the database, and revoked tokens are \
             valid again. Set it to on",
        )
    });
    find(is("full_page_writes", "off")?, || {
        Finding::warning(
            "full_page_writes_off",
            "full_page_writes is off: a crash of the machine can leave half-written pages. Set it \
             to on, unless the file system writes pages as a whole",
        )
    });
    find(is("synchronous_commit", "off")?, || {
        Finding::warning(
            "synchronous_commit_off",
            "synchronous_commit is off: a crash of the server can undo logins and refreshes that were \
             acknowledged. Set it to on for the role of the nodes",
        )
    });
    find(is("autovacuum", "off")?, || {
        Finding::warning(
            "autovacuum_off",
            "autovacuum is off: the tables grow with each refresh and purge. Set it to on",
        )
    });
    Ok(findings)
}

/// Finds indexes of the schema that are missing or not usable.
async fn missing(link: &mut Link<'_>) -> Result<Vec<Finding>, Failure> {
    let asked = Statement::new(
        "SELECT relname::pg_catalog.text AS name
         FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace n ON n.oid {=} relnamespace
             JOIN pg_catalog.pg_index ON indexrelid {=} pg_class.oid
         WHERE nspname {=} $1::pg_catalog.name AND indisvalid",
    );
    let asked = asked.text(&link.dialect().schema);
    let rows = link.rows(asked).await?;
    let found = rows.iter().map(|row| cell(row, "name"));
    let found: BTreeSet<String> = found.collect::<Result<_, _>>()?;
    let expected = schema::indexes();
    let missing = expected.iter().filter(|name| !found.contains(*name));
    let findings = missing.map(|name| {
        let text = format!(
            "the index {name} is missing or not valid: create it again as gatepass-postgres has it \
             in its schema (`REINDEX INDEX` for one that is not valid), or restore a backup"
        );
        Finding::error("missing_index", text)
    });
    Ok(findings.collect())
}

/// Finds rows that a purge should have removed long ago.
async fn overdue(link: &mut Link<'_>) -> Result<Option<Finding>, Failure> {
    let asked = Statement::new(concat!(
        "WITH due AS (SELECT ",
        now!("1"),
        " {-} $2 AS at)
         SELECT (SELECT pg_catalog.count(*) FROM @sessions, due WHERE purge_at {<=} at)
             {+} (SELECT pg_catalog.count(*) FROM @accounts, due
                  WHERE coalesce(nullif(purge_at, 0), ended_at) {<=} at)
             {+} (SELECT pg_catalog.count(*) FROM @revocations, due WHERE until {<=} (at {-} $3)) AS rows"
    ));
    let millis = |length: Duration| i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    let asked = asked
        .int(link.dialect().time())
        .int(millis(OVERDUE))
        .int(millis(Revocation::RETENTION_MARGIN));
    let rows: i64 = cell(&link.one(asked).await?, "rows")?;
    let last = schema::last_horizon(link.again()).await?;
    Ok(Finding::overdue(rows.unsigned_abs(), last))
}

async fn heartbeats(
    link: Link<'_>,
    findings: &mut Vec<Finding>,
) -> Result<Option<Heartbeats>, Failure> {
    match heartbeats::read(link).await {
        Ok(heartbeats) => Ok(Some(heartbeats)),
        Err(Failure::Unreadable(_)) => {
            findings.push(Finding::unreadable_heartbeats());
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}
