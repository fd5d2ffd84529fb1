//! Logins without a password hash, on a SQLite file that keeps what it acknowledged.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use gatepass::{
    AuthenticationError, Authority, Credentials, Identity, MasterSecret, wire::Endpoints,
};
use gatepass_sqlite::SqliteStore;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    task::JoinSet,
};

use super::client::Connection;
use crate::{
    measure::quantile,
    servers::directory,
    table::{Goal, Table},
    token::{AUDIENCE, ISSUER},
};

const CONNECTIONS: usize = 64;
/// The first logins, which fill caches and files.
const WARM: usize = 10;

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let directory = directory()?;
    let runtime = Runtime::new()?;
    let store = SqliteStore::open(directory.path().join("sessions.db"))?;
    let authority = Authority::builder(ISSUER, AUDIENCE, MasterSecret::generate()?, store)
        .authenticator(answer)
        .build();
    let app = gatepass_axum::routes(Endpoints::new(runtime.block_on(authority)?));
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    runtime.spawn(async move { axum::serve(listener, app).await });

    let time = table
        .size
        .pick(Duration::from_secs(2), Duration::from_secs(10));
    let client = Builder::new_current_thread().enable_all().build()?;
    let clients = thread::spawn(move || client.block_on(all(address, time)));
    let waits = clients.join().map_err(|_| anyhow::anyhow!("a panic"))?;
    let mut waits = waits?;
    waits.sort_by(f64::total_cmp);
    let rate = waits.len() as f64 / time.as_secs_f64();
    let what = format!("logins/s without a hash, axum, SQLite, {CONNECTIONS} connections");
    table.figure(&what, rate, "", Goal::Known);
    for (name, part, goal) in [
        ("p50", 0.5, Goal::Known),
        ("p99", 0.99, Goal::AtMost(8.0)),
        ("p99.9", 0.999, Goal::Known),
    ] {
        let what = format!("wait of a login without a hash, {CONNECTIONS} connections, {name}");
        table.figure(&what, quantile(&waits, part) * 1000.0, " ms", goal);
    }
    Ok(())
}

fn answer(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    Ok(Identity::new(credentials.username())?)
}

/// The wall seconds of each login of all clients within this time.
async fn all(address: SocketAddr, time: Duration) -> anyhow::Result<Vec<f64>> {
    let mut clients = JoinSet::new();
    for client in 0..CONNECTIONS {
        let mut connection = Connection::open(address).await?;
        clients.spawn(async move {
            let mut waits = Vec::new();
            let begun = Instant::now();
            for login in 0.. {
                let body = format!(r#"{{"username":"user-{client}-{login}","password":"-"}}"#);
                let request = format!(
                    "POST /auth/login HTTP/1.1\r\nhost: {address}\r\n\
                     content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let start = Instant::now();
                connection.exchange(&request).await?;
                if begun.elapsed() > time {
                    break;
                }
                if login >= WARM {
                    waits.push(start.elapsed().as_secs_f64());
                }
            }
            anyhow::Ok(waits)
        });
    }
    let waits: anyhow::Result<Vec<_>> = clients.join_all().await.into_iter().collect();
    Ok(waits?.concat())
}
