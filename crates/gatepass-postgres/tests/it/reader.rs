//! The log for resource servers, with a role that can only read.

use std::{str::FromStr, time::Duration};

use gatepass::{
    Authority, Device, Error, Identity, KeySet, MasterSecret, Refusal, Requirements, Staleness,
    Verifier,
    keys::{Algorithm, SigningKey},
    store::{GrantVersion, PullResult, RevocationLog, RevocationTarget, TokenId, TokenStatus},
};
use gatepass_postgres::{OpenError, PostgresLog, PostgresStore};
use gatepass_testkit::sessions::{begin, end, subject};
use sqlx::{
    AssertSqlSafe, Connection, PgConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;

use crate::support::{self, PATIENCE, ask, execute, postgres, proxy_before, sent_through, unique};

/// Made by `openssl genpkey -algorithm ed25519`. It protects nothing.
const KEY: &[u8] = b"-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIBj5s1kMn07Acr/UHwOCMILZLhpR9te/YiKPz6fwa2y/
-----END PRIVATE KEY-----
";

/// A store in its own schema, and a role with the rights of a resource server.
struct Given {
    schema: String,
    store: PostgresStore,
    role: String,
}

fn options() -> PgConnectOptions {
    PgConnectOptions::from_str(&postgres()).unwrap()
}

/// The grants in the docs.
fn grants(schema: &str, role: &str) -> String {
    format!(
        "GRANT USAGE ON SCHEMA {schema} TO {role};
         GRANT SELECT ON {schema}.meta, {schema}.revocations TO {role};
         GRANT SELECT (id, account, number, ended_at, access_until, idle_expires_at, grant_valid_from)
             ON {schema}.sessions TO {role};
         GRANT SELECT (id, up_to, except_number) ON {schema}.accounts TO {role}"
    )
}

async fn role() -> String {
    let role = unique("reader");
    execute(format!("CREATE ROLE {role} LOGIN PASSWORD 'pw'")).await;
    role
}

impl Given {
    async fn new() -> Self {
        let schema = unique("read");
        let store = support::at(postgres()).schema(&schema);
        let store = store.open().await.unwrap();
        let role = role().await;
        execute(grants(&schema, &role)).await;
        Self {
            schema,
            store,
            role,
        }
    }

    fn options(&self) -> PgConnectOptions {
        options().username(&self.role).password("pw")
    }

    /// The log over a pool of that role.
    async fn log(&self) -> Result<PostgresLog, OpenError> {
        self.log_over(self.options()).await
    }

    async fn log_over(&self, options: PgConnectOptions) -> Result<PostgresLog, OpenError> {
        let pool = PgPoolOptions::new()
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(options);
        let log = PostgresLog::builder(pool).schema(&self.schema);
        log.timeout(PATIENCE).open_timeout(PATIENCE).open().await
    }
}

#[tokio::test]
async fn a_role_that_can_only_read_pulls_is_told_and_asks() {
    let given = Given::new().await;
    let log = given.log().await.unwrap();
    let session = begin(&given.store, "alice").await;
    let token = TokenId::from_bytes([1; 16]);
    assert_eq!(
        log.status(session.id, token, GrantVersion::FIRST)
            .await
            .unwrap(),
        TokenStatus::Live
    );
    let PullResult::Entries { entries, next, .. } = log.pull(None).await.unwrap() else {
        panic!("the log is new")
    };
    assert_eq!(entries, []);
    // Resolves although nothing has happened. From now on, it listens.
    timeout(PATIENCE, log.changed(&next)).await.unwrap();
    let told = tokio::spawn({
        let (log, next) = (log.clone(), next.clone());
        async move { log.changed(&next).await }
    });
    let ended = end(&given.store, &session).await;
    timeout(PATIENCE, told).await.unwrap().unwrap();
    let PullResult::Entries { entries, .. } = log.pull(Some(&next)).await.unwrap() else {
        panic!("it is the same log")
    };
    assert_eq!(entries, ended);
    assert_eq!(
        entries.first().unwrap().target,
        RevocationTarget::Session(session.id)
    );
    assert_eq!(
        log.status(session.id, token, GrantVersion::FIRST)
            .await
            .unwrap(),
        TokenStatus::Revoked
    );
}

#[tokio::test]
async fn whatever_it_would_write_and_whatever_is_personal_is_denied() {
    let Given {
        schema,
        store,
        role,
    } = Given::new().await;
    begin(&store, "alice").await;
    let options = options().username(&role).password("pw");
    let mut conn = PgConnection::connect_with(&options).await.unwrap();
    for statement in [
        "INSERT INTO @.revocations (session, until) VALUES ('', 1)",
        "UPDATE @.revocations SET until = 0",
        "DELETE FROM @.revocations",
        "TRUNCATE @.revocations",
        "UPDATE @.sessions SET ended_at = NULL",
        "DELETE FROM @.sessions",
        "UPDATE @.meta SET value = 'other'",
        "SELECT id FROM @.sessions FOR UPDATE",
        "CREATE TABLE @.more (mine int)",
        "DROP TABLE @.revocations",
        "SELECT issuer FROM @.sessions",
        "SELECT last, until FROM @.accounts",
        "UPDATE @.accounts SET up_to = NULL",
        "SELECT identity_json, device_json FROM @.sessions",
    ] {
        let refused = sqlx::raw_sql(AssertSqlSafe(statement.replace('@', &schema)));
        let error = refused.execute(&mut conn).await.unwrap_err();
        let code = error.as_database_error().unwrap().code();
        assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error}");
    }
    let opened = PostgresStore::at(url_of(&options)).schema(&schema).open();
    let error = opened.await.unwrap_err();
    assert!(matches!(error, OpenError::MayNotWrite { .. }), "{error:?}");
    let said = error.to_string();
    assert!(
        said.contains("PostgresLog") && said.contains("GRANT"),
        "{said}"
    );
}

fn url_of(options: &PgConnectOptions) -> String {
    let (host, port) = (options.get_host(), options.get_port());
    format!(
        "postgres://{}:pw@{host}:{port}/postgres",
        options.get_username()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_server_refuses_what_its_issuer_has_revoked() {
    const BOUND: Duration = Duration::from_secs(2);
    let given = Given::new().await;
    let key = SigningKey::from_pem(Algorithm::EdDsa, KEY).unwrap();
    let secret =
        MasterSecret::from_bytes(b"the master secret of this test, and of no other").unwrap();
    let issuer = Authority::builder(
        "https://shop.example",
        "shop-api",
        secret,
        given.store.clone(),
    );
    let issuer = issuer.keys(KeySet::signing(key)).build().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jwks.json");
    std::fs::write(&file, issuer.verifier().jwks()).unwrap();

    let (keys, skipped) = KeySet::from_jwks_file(&file).unwrap();
    assert_eq!(skipped, []);
    let log = PostgresLog::at(url_of(&given.options())).schema(&given.schema);
    let log = log.open().await.unwrap();
    let server = Verifier::builder("https://shop.example", "shop-api", keys, log);
    let server = server
        .max_staleness(BOUND)
        .store_timeout(PATIENCE)
        .build()
        .await
        .unwrap();
    let issue = async || {
        let issued = issuer.issue(Identity::of(subject("alice")), Device::default());
        issued.await.unwrap()
    };
    for staleness in [Staleness::Bounded, Staleness::Strict] {
        let issued = issue().await;
        let requirements = Requirements::new().staleness(staleness);
        let verify = async || {
            server
                .verify(issued.access_token.as_str(), &requirements)
                .await
        };
        assert_eq!(verify().await.unwrap().subject().as_str(), "alice");
        issuer.logout(issued.refresh_token.as_str()).await.unwrap();
        let committed = tokio::time::Instant::now();
        let refused = loop {
            let asked = tokio::time::Instant::now();
            match verify().await {
                Err(refused) => break refused,
                Ok(_) => assert!(asked - committed <= BOUND, "{staleness:?}"),
            }
        };
        assert!(
            matches!(refused, Error::Refused(Refusal::Revoked)),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_told_at_the_start() {
    let given = Given::new().await;
    let schema = given.schema.clone();
    // A schema that doesn't exist yet, and a schema of another release.
    let nowhere = PostgresLog::at(postgres()).schema(unique("nowhere"));
    let error = nowhere.open().await.unwrap_err();
    assert!(
        matches!(error, OpenError::OlderSchema { found: None, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("is not there"), "{error}");
    let own = format!("SELECT value FROM {schema}.meta WHERE key = 'schema_version'");
    let own = ask(own).await;
    for (version, is_newer) in [("1", false), ("77", true)] {
        let becomes = |version: &str| {
            execute(format!(
                "UPDATE {schema}.meta SET value = '{version}' WHERE key = 'schema_version'"
            ))
        };
        becomes(version).await;
        let error = given.log().await.unwrap_err();
        match is_newer {
            true => assert!(
                matches!(error, OpenError::NewerSchema { found: 77, .. }),
                "{error:?}"
            ),
            false => assert!(
                matches!(error, OpenError::OlderSchema { found: Some(1), .. }),
                "{error:?}"
            ),
        }
        becomes(&own).await;
    }
    // Grants the missing rights one after the other, until the statements in the error are enough.
    let poor = role().await;
    let open = || given.log_over(options().username(&poor).password("pw"));
    let told = open().await.unwrap_err();
    let said = told.to_string();
    let (_, help) = said.split_once('`').unwrap();
    let (help, _) = help.split_once('`').unwrap();
    for identity in help.split("; ") {
        let error = open().await.unwrap_err();
        assert!(matches!(error, OpenError::MayNotRead { .. }), "{error:?}");
        execute(identity.to_owned()).await;
    }
    open().await.unwrap();
    // Servers that refuse to answer: a replica, and one with another password.
    let error = PostgresLog::at(support::replica())
        .schema(&schema)
        .open()
        .await
        .unwrap_err();
    assert!(matches!(error, OpenError::ReadOnly { .. }), "{error:?}");
    let wrong = given.options().password("wrong");
    let error = given.log_over(wrong).await.unwrap_err();
    assert!(matches!(error, OpenError::Credentials { .. }), "{error:?}");
}

#[tokio::test]
async fn opening_a_log_changes_nothing() {
    let given = Given::new().await;
    let schema = &given.schema;
    let state = || {
        let asked = format!(
            "SELECT string_agg(key || '=' || value || ' ' || xmin, ',' ORDER BY key) FROM {schema}.meta"
        );
        ask(asked)
    };
    let before = state().await;
    // Transactions of these connections may not write. A store refuses to open with them, and a log
    // does not.
    let only_reads = given
        .options()
        .options([("default_transaction_read_only", "on")]);
    let log = given.log_over(only_reads).await.unwrap();
    log.pull(None).await.unwrap();
    assert_eq!(state().await, before);
}

#[tokio::test]
async fn behind_a_proxy_it_listens_where_the_server_is() {
    let given = Given::new().await;
    let direct = proxy_before(&postgres()).await;
    let take_sent = sent_through(&direct);
    let through = PgConnectOptions::from_str(&support::pgbouncer()).unwrap();
    let pool = PgPoolOptions::new()
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(through.extra_float_digits(None));
    let log = PostgresLog::builder(pool)
        .schema(&given.schema)
        .timeout(PATIENCE)
        .open_timeout(PATIENCE)
        .listen_over(support::through(given.options(), &direct));
    let log = log.open().await.unwrap();
    let PullResult::Entries { next, .. } = log.pull(None).await.unwrap() else {
        panic!("the log is new")
    };
    take_sent();
    timeout(PATIENCE, log.changed(&next)).await.unwrap();
    // Nothing has changed since, so this only began to listen. It listens over the direct
    // connection, and sent nothing else there.
    let sent = take_sent();
    assert!(!sent.is_empty() && sent.len() <= 4, "{sent}");
    let session = begin(&given.store, "alice").await;
    end(&given.store, &session).await;
    timeout(PATIENCE, log.changed(&next)).await.unwrap();
    let PullResult::Entries { entries, .. } = log.pull(Some(&next)).await.unwrap() else {
        panic!("it is the same log")
    };
    assert_eq!(entries.len(), 1);
    assert_eq!(take_sent(), "");
}

#[tokio::test]
async fn to_listen_to_another_database_is_refused() {
    let given = Given::new().await;
    let database = unique("other");
    execute(format!("CREATE DATABASE {database}")).await;
    let replica = PgConnectOptions::from_str(&support::replica()).unwrap();
    let nowhere = options().host("gatepass.invalid");
    for (listen, elsewhere) in [
        (options().database(&database), true),
        (replica, true),
        (nowhere, false),
    ] {
        let log = PostgresLog::at(postgres())
            .schema(&given.schema)
            .listen_over(listen);
        match log.open().await.unwrap_err() {
            OpenError::ListensElsewhere { .. } => assert!(elsewhere),
            OpenError::Unreachable { .. } => assert!(!elsewhere),
            error => panic!("{error:?}"),
        }
    }
}
