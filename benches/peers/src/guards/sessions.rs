//! axum-login over tower-sessions, in SQLite and in PostgreSQL. A logout ends a session at once,
//! since each request asks the store.
//!
//! The setup follows axum-login's own example: a table of users next to the table of sessions. A
//! request reads one row of each.

use std::{
    any::Any,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use axum::{Router, extract::Query, http::StatusCode, routing::get};
use axum_login::{
    AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, UserId, predicate_required,
};
use gatepass::{Authority, KeySet, MasterSecret, MemoryStore, Transport};
use gatepass_axum::{Auth, GateLayer};
use gatepass_postgres::PostgresStore;
use gatepass_servers::{Directory, Durability, Postgres};
use serde::Deserialize;
use sqlx::{
    PgPool, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};
use tokio::net::TcpListener;
use tower_sessions::{SessionManagerLayer, SessionStore};
use tower_sessions_sqlx_store::{PostgresStore as PostgresSessions, SqliteStore};

use crate::{
    client::{BODY, log_in},
    group::{Group, Guard, Ready, serve},
    tokens::{AUDIENCE, CONNECTIONS, ISSUER, SECRET, log_in as issue},
};

const TWO_READS: &str = "no bound on the store's load: two statements for each request";

/// gatepass keeps its sessions in memory here, since its SQLite and sqlx 0.8's don't link into one
/// program. Its guard asks no store per request, so the store isn't in its figure.
pub(crate) fn sqlite() -> anyhow::Result<Group> {
    let directory = tempfile::tempdir_in(build()?)?;
    let path = directory.path().join("sessions.db");
    let started = serve(move |ready| async move {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let pool = SqlitePoolOptions::new().connect_with(options).await?;
        let sessions = SqliteStore::new(pool.clone());
        sessions.migrate().await?;
        sqlx::raw_sql(USERS).execute(&pool).await?;
        let authority = authority(MemoryStore::new()).await?;
        run(Sqlite(pool), sessions, authority, ready).await
    });
    group("axum 0.8, SQLite", started?, vec![Box::new(directory)])
}

pub(crate) fn postgres() -> anyhow::Result<Group> {
    let directory = Directory::make(build()?.join("servers"))?;
    let server = Postgres::start(&directory, Durability::Crash)?;
    let url = server.url();
    let started = serve(move |ready| async move {
        let pool = PgPool::connect(&url).await?;
        let sessions = PostgresSessions::new(pool.clone());
        sessions.migrate().await?;
        sqlx::raw_sql(USERS).execute(&pool).await?;
        let store = PostgresStore::connect(url.as_str()).await?;
        let authority = authority(store).await?;
        run(Pg(pool), sessions, authority, ready).await
    });
    // They are dropped in this order.
    let held: Vec<Box<dyn Any>> = vec![Box::new(server), Box::new(directory)];
    group("axum 0.8, PostgreSQL", started?, held)
}

/// The directory of this program, which is on a real disk.
fn build() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let directory = program.parent().map(Path::to_owned);
    directory.context("a program without a directory")
}

const USERS: &str = "create table users (id bigint primary key, name text not null);";

fn group(
    name: &str,
    (address, tokens): (SocketAddr, Vec<String>),
    held: Vec<Box<dyn Any>>,
) -> anyhow::Result<Group> {
    let client = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut theirs = Vec::new();
    for number in 0..CONNECTIONS {
        theirs.push(client.block_on(log_in(address, &format!("/login?id={number}")))?);
    }
    let ours = |token: &String| format!("cookie: __Host-gatepass={token}");
    let ours: Vec<String> = tokens.iter().map(ours).collect();
    Ok(Group {
        name: name.to_owned(),
        address,
        headers: ours.clone(),
        held,
        guards: vec![
            Guard {
                name: "gatepass-axum, cookies, HS256",
                path: "/gatepass",
                headers: ours,
                less: "",
            },
            Guard {
                name: "axum-login, tower-sessions",
                path: "/axum-login",
                headers: theirs,
                less: TWO_READS,
            },
        ],
    })
}

async fn authority(store: impl gatepass::store::SessionStore) -> anyhow::Result<Authority> {
    let secret = MasterSecret::from_bytes(SECRET.as_bytes())?;
    let key = gatepass::keys::SigningKey::hs256(SECRET.as_bytes())?;
    let builder = Authority::builder(ISSUER, AUDIENCE, secret, store)
        .keys(KeySet::signing(key))
        .transport(Transport::Cookie);
    Ok(builder.build().await?)
}

async fn run<B: Users, S: SessionStore + Clone>(
    backend: B,
    sessions: S,
    authority: Authority,
    ready: Ready<Vec<String>>,
) -> anyhow::Result<()> {
    for number in 0..CONNECTIONS {
        backend.add(i64::try_from(number)?).await?;
    }
    let layer = SessionManagerLayer::new(sessions).with_secure(false);
    let auth = AuthManagerLayerBuilder::new(backend, layer).build();
    let theirs = Router::new()
        .route("/axum-login", get(axum_login::<B>))
        .route_layer(predicate_required!(
            is_logged_in::<B>,
            StatusCode::UNAUTHORIZED
        ))
        .route("/login", get(login::<B>))
        .layer(auth);
    let ours = Router::new().route("/gatepass", get(gatepass));
    let app = Router::new()
        .merge(theirs)
        .merge(ours.route_layer(GateLayer::new(&authority)))
        .route("/bare", get(bare));
    let tokens = issue(&authority).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    ready.send((listener.local_addr()?, tokens))?;
    Ok(axum::serve(listener, app).await?)
}

async fn bare() -> &'static str {
    BODY
}

async fn gatepass(_: Auth) -> &'static str {
    BODY
}

/// The question of `login_required!`, which takes no type parameter.
async fn is_logged_in<B: Users>(session: AuthSession<B>) -> bool {
    session.user.is_some()
}

async fn axum_login<B: Users>(_: AuthSession<B>) -> &'static str {
    BODY
}

#[derive(Deserialize)]
struct Login {
    id: i64,
}

async fn login<B: Users>(mut session: AuthSession<B>, Query(login): Query<Login>) -> String {
    let outcome = match session.backend.get_user(&login.id).await {
        Ok(Some(user)) => session
            .login(&user)
            .await
            .map_err(|error| format!("{error:?}")),
        other => Err(format!("{other:?}")),
    };
    format!("{outcome:?}")
}

#[derive(Clone, Debug)]
struct User {
    id: i64,
    name: String,
}

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.name.as_bytes()
    }
}

/// A table of users in either database.
trait Users: AuthnBackend<User = User, Credentials = (), Error = sqlx::Error> + 'static {
    fn add(&self, id: i64) -> impl Future<Output = sqlx::Result<()>> + Send;
}

/// A backend over one kind of pool.
macro_rules! users {
    ($name:ident, $pool:ty) => {
        #[derive(Clone, Debug)]
        struct $name($pool);

        impl AuthnBackend for $name {
            type User = User;
            type Credentials = ();
            type Error = sqlx::Error;

            async fn authenticate(&self, (): ()) -> sqlx::Result<Option<User>> {
                Ok(None)
            }

            async fn get_user(&self, id: &UserId<Self>) -> sqlx::Result<Option<User>> {
                let found = sqlx::query_as("select id, name from users where id = $1");
                let found: Option<(i64, String)> = found.bind(id).fetch_optional(&self.0).await?;
                Ok(found.map(|(id, name)| User { id, name }))
            }
        }

        impl Users for $name {
            async fn add(&self, id: i64) -> sqlx::Result<()> {
                let insert = sqlx::query("insert into users values ($1, $2)");
                let insert = insert.bind(id).bind(format!("user-{id:012}"));
                insert.execute(&self.0).await.map(drop)
            }
        }
    };
}

users!(Sqlite, SqlitePool);
users!(Pg, PgPool);
