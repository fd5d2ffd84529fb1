//! The example that changes passwords and deletes users in PostgreSQL. The user's row and the end
//! of the sessions always change together, even if the process is killed.

use std::{
    fs::{self, Permissions},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use gatepass_testkit::proxy::{Action, Direction, Proxy};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row, postgres::PgConnectOptions,
};
use test_support::servers::{PATIENCE, address_of, server, unique};
use tokio::{net::TcpStream, task::yield_now, time::sleep};

#[test]
fn the_page_shows_the_program_that_is_run() {
    let page = include_str!("../../../crates/gatepass/docs/transactions.md");
    let source = include_str!("../../../examples/full/axum/examples/transaction.rs");
    // Without the documentation at its head.
    let (_, program) = source.split_once("\n\n").unwrap();
    assert!(
        page.contains(&format!("```rust,ignore\n{program}```\n")),
        "{program}"
    );
}

/// The program over its own database, which it reaches through a proxy.
struct Shop {
    database: PgConnectOptions,
    proxy: Proxy,
    process: Arc<Mutex<Child>>,
    address: SocketAddr,
    client: Client,
}

impl Shop {
    async fn start(port: u16) -> Self {
        let url = server("GATEPASS_TEST_POSTGRES");
        let database = unique("shop");
        let options: PgConnectOptions = url.parse().unwrap();
        ask(&options, &format!("CREATE DATABASE {database}")).await;
        let database = options.database(&database);
        let proxy = Proxy::before(address_of(&url)).await.unwrap();
        let (address, process) = start(&through(&database, &proxy), port).await;
        Self {
            database,
            proxy,
            process: Arc::new(Mutex::new(process)),
            address,
            client: Client::builder().timeout(PATIENCE).build().unwrap(),
        }
    }

    /// Starts the program again after it was killed.
    async fn restart(&mut self, port: u16) {
        let (address, process) = start(&through(&self.database, &self.proxy), port).await;
        (self.address, *self.process.lock().unwrap()) = (address, process);
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        bearer: &str,
        body: &'static str,
    ) -> reqwest::Result<Response> {
        let request = self
            .client
            .request(method, format!("http://{}{path}", self.address));
        request.bearer_auth(bearer).body(body).send().await
    }

    async fn sign_up(&self, name: &str) {
        let new = json!({ "username": name, "password": "wonderland" });
        let url = format!("http://{}/users", self.address);
        let added = self.client.post(url).json(&new).send().await.unwrap();
        assert_eq!(added.status(), 201);
    }

    /// The answer of one of gatepass's endpoints.
    async fn post(&self, path: &str, bearer: &str, body: &Value) -> Value {
        let url = format!("http://{}{path}", self.address);
        let request = self.client.post(url).json(body);
        let request = match bearer {
            "" => request,
            bearer => request.bearer_auth(bearer),
        };
        request.send().await.unwrap().json().await.unwrap()
    }

    /// The access token of a login, if the password is right.
    async fn log_in(&self, name: &str, password: &str) -> Option<String> {
        let credentials = json!({ "username": name, "password": password });
        let answer = self.post("/auth/login", "", &credentials).await;
        Some(answer["access_token"].as_str()?.to_owned())
    }

    async fn me(&self, bearer: &str) -> u16 {
        let answer = self.send(Method::GET, "/me", bearer, "").await;
        answer.unwrap().status().as_u16()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        kill(&self.process);
    }
}

fn kill(process: &Mutex<Child>) {
    let mut process = process.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = process.kill();
    let _ = process.wait();
}

fn through(database: &PgConnectOptions, proxy: &Proxy) -> String {
    let address = proxy.address();
    let database = database.clone().host(&address.ip().to_string());
    database.port(address.port()).to_url_lossy().to_string()
}

async fn start(database: &str, port: u16) -> (SocketAddr, Child) {
    // An address of this process alone, because a free port may be taken a moment later.
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let address = SocketAddr::from(([127, high | 128, middle, low], port));
    let process = Command::new(env!("CARGO_BIN_EXE_transaction-axum-under-test"))
        .env("DATABASE", database)
        .env("LISTEN", address.to_string())
        .env("SECRET", secret())
        .spawn();
    let mut process = process.unwrap();
    while TcpStream::connect(address).await.is_err() {
        sleep(Duration::from_millis(20)).await;
        assert_eq!(process.try_wait().unwrap(), None, "it does not start");
    }
    (address, process)
}

/// The file with the secret of this test's servers.
fn secret() -> PathBuf {
    static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
        let name = format!("transaction-{}.secret", std::process::id());
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&file, "7".repeat(128)).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        file
    });
    FILE.clone()
}

/// The only value in the answer to `sql`, if there is one.
async fn ask(database: &PgConnectOptions, sql: &str) -> Option<String> {
    let mut conn = database.connect().await.unwrap();
    let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    let rows = rows.fetch_all(&mut conn).await.unwrap();
    PgConnection::close(conn).await.unwrap();
    rows.first().map(|row| row.get(0))
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions_and_a_deleted_user_all() {
    let shop = Shop::start(11_273).await;
    for name in ["alice", "bob"] {
        shop.sign_up(name).await;
    }
    let one = shop.log_in("alice", "wonderland").await.unwrap();
    let other = shop.log_in("alice", "wonderland").await.unwrap();
    let bob = shop.log_in("bob", "wonderland").await.unwrap();
    let changed = shop.send(Method::PUT, "/me/password", &one, "looking-glass");
    assert_eq!(changed.await.unwrap().status(), 204);
    let seen = [
        shop.me(&one).await,
        shop.me(&other).await,
        shop.me(&bob).await,
    ];
    assert_eq!(seen, [200, 401, 200]);
    assert_eq!(shop.log_in("alice", "wonderland").await, None);
    let other = shop.log_in("alice", "looking-glass").await.unwrap();
    let deleted = shop.send(Method::DELETE, "/me", &one, "");
    assert_eq!(deleted.await.unwrap().status(), 204);
    let seen = [
        shop.me(&one).await,
        shop.me(&other).await,
        shop.me(&bob).await,
    ];
    assert_eq!(seen, [401, 401, 200]);
    assert_eq!(shop.log_in("alice", "looking-glass").await, None);
}

#[tokio::test]
async fn an_old_login_changes_no_password_and_deletes_no_user() {
    let shop = Shop::start(11_276).await;
    shop.sign_up("alice").await;
    let credentials = json!({ "username": "alice", "password": "wonderland" });
    let login = shop.post("/auth/login", "", &credentials).await;
    let old = "UPDATE gatepass.sessions SET authenticated_at = authenticated_at - 301000";
    ask(&shop.database, old).await;
    let refresh = json!({ "refresh_token": login["refresh_token"] });
    let refreshed = shop.post("/auth/refresh", "", &refresh).await;
    let token = refreshed["access_token"].as_str().unwrap();
    assert_eq!(shop.me(token).await, 200);
    for (method, path) in [(Method::PUT, "/me/password"), (Method::DELETE, "/me")] {
        let refused = shop.send(method, path, token, "looking-glass").await;
        let refused: Value = refused.unwrap().json().await.unwrap();
        assert_eq!(refused["reason"], "authentication_too_old");
    }

    let password = json!({ "password": "wonderland" });
    let proved = shop.post("/auth/reauthenticate", token, &password).await;
    let token = proved["access_token"].as_str().unwrap();
    let changed = shop.send(Method::PUT, "/me/password", token, "looking-glass");
    assert_eq!(changed.await.unwrap().status(), 204);
}

#[tokio::test]
async fn a_password_that_is_too_long_to_be_one_is_not_hashed() {
    let shop = Shop::start(11_277).await;
    let new = json!({ "username": "alice", "password": "x".repeat(1024) });
    let url = format!("http://{}/users", shop.address);
    let refused = shop.client.post(url).json(&new).send().await.unwrap();
    assert_eq!(refused.status(), 413);
}

/// The numbers of users with a changed password, with ended sessions, and with an entry in the log.
const CHANGED: &str = "SELECT concat_ws(' ',
    (SELECT count(*) FROM users WHERE password_hash LIKE '$argon2%' AND id IN (SELECT id FROM first
        WHERE first.password_hash <> users.password_hash)),
    (SELECT count(*) FROM gatepass.accounts WHERE up_to IS NOT NULL),
    (SELECT count(*) FROM gatepass.revocations WHERE up_to IS NOT NULL))";

/// Kills the program after its first message of the transaction. Then does the same after the
/// second message of another transaction, and so on, until a transaction is committed before the
/// kill.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_in_its_transaction_has_done_both_or_neither() {
    let mut shop = Shop::start(11_274).await;
    let (mut steps, mut both) = (0, 0);
    loop {
        let name = format!("user {steps}");
        shop.sign_up(&name).await;
        ask(
            &shop.database,
            "DROP TABLE IF EXISTS first; CREATE TABLE first AS SELECT * FROM users;
             DELETE FROM gatepass.revocations; UPDATE gatepass.accounts SET up_to = NULL",
        )
        .await;
        let bearer = shop.log_in(&name, "wonderland").await.unwrap();
        let process = Arc::clone(&shop.process);
        let (mut within, mut sent) = (None, 0);
        shop.proxy.tap(move |chunk| {
            if chunk.direction == Direction::ToServer {
                let updates = chunk.bytes.windows(12).any(|part| part == b"UPDATE users");
                if updates {
                    within = Some(chunk.connection);
                }
                if within == Some(chunk.connection) {
                    if sent == steps {
                        kill(&process);
                    }
                    sent += 1;
                }
            }
            Action::Pass
        });
        let changed = shop.send(Method::PUT, "/me/password", &bearer, "looking-glass");
        let acknowledged = changed.await.is_ok_and(|answer| answer.status() == 204);
        shop.proxy.tap(|_| Action::Pass);
        kill(&shop.process);
        // The server ends the transactions of disconnected clients.
        let others = "SELECT count(*)::text FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        while ask(&shop.database, others).await.as_deref() != Some("0") {
            yield_now().await;
        }
        let seen = ask(&shop.database, CHANGED).await.unwrap();
        println!("{steps}: {seen}");
        assert!(
            ["0 0 0", "1 1 1"].contains(&seen.as_str()),
            "{steps}: {seen}"
        );
        assert!(seen == "1 1 1" || !acknowledged, "{steps}");
        both += usize::from(seen == "1 1 1");
        if acknowledged {
            break;
        }
        steps += 1;
        shop.restart(11_274).await;
    }
    assert!(
        steps > 6,
        "the update, six messages of gatepass, and the commit: {steps}"
    );
    assert!(
        both > 1,
        "the commit was sent before the process was killed"
    );
}
