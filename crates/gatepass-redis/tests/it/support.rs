//! The servers that `cargo xtask test` starts, and a namespace in them for each store.

use std::sync::mpsc;

use gatepass_redis::{RedisStore, RedisStoreBuilder};
use gatepass_servers::Directory;
use gatepass_testkit::proxy::{Action, Direction, Proxy};
use redis::{AsyncConnectionConfig, Client, FromRedisValue, aio::MultiplexedConnection};
use test_support::servers::server;
pub(crate) use test_support::servers::{PATIENCE, address_of, proxy_before, through, unique};

/// A server for this run, as a user with all rights.
pub(crate) fn redis() -> String {
    server("GATEPASS_TEST_REDIS")
}

/// A cluster of three nodes, as URLs separated by commas.
pub(crate) fn cluster() -> String {
    server("GATEPASS_TEST_REDIS_CLUSTER")
}

/// A store with its own namespace and a generous time limit.
pub(crate) fn at(urls: impl Into<String>) -> RedisStoreBuilder {
    RedisStore::at(urls)
        .namespace(unique("test"))
        .timeout(PATIENCE)
        .open_timeout(PATIENCE)
}

/// A directory for a test's own servers.
pub(crate) fn directory() -> Directory {
    Directory::make(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A connection that is not the store's.
pub(crate) async fn connection(url: &str) -> MultiplexedConnection {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    let client = Client::open(url).unwrap();
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    connection.await.unwrap()
}

/// Asks the server at `url` over a new connection.
pub(crate) async fn ask<T: FromRedisValue>(url: &str, command: &[&str]) -> redis::RedisResult<T> {
    let [name, arguments @ ..] = command else {
        panic!("a command has a name")
    };
    let mut connection = connection(url).await;
    redis::cmd(name)
        .arg(arguments)
        .query_async(&mut connection)
        .await
}

/// All keys of a namespace on the servers at `urls`. The store itself never searches for keys.
pub(crate) async fn keys(urls: &str, namespace: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for url in urls.split(',') {
        let pattern = format!("{{{namespace}:*");
        let keys: Vec<String> = ask(url, &["KEYS", &pattern]).await.unwrap();
        all.extend(keys.into_iter().map(|key| (url.to_owned(), key)));
    }
    all.sort();
    all
}

/// Returns a function that returns all that clients have sent through `proxy` since its last call.
pub(crate) fn sent_through(proxy: &Proxy) -> impl Fn() -> String + use<> {
    let (note, noted) = mpsc::channel();
    proxy.tap(move |chunk| {
        if chunk.direction == Direction::ToServer {
            // A test that has ended no longer listens.
            let _ = note.send(chunk.bytes.to_vec());
        }
        Action::Pass
    });
    move || {
        let sent: Vec<u8> = noted.try_iter().flatten().collect();
        String::from_utf8_lossy(&sent).into_owned()
    }
}

/// Closes the proxy's connections to clients, and lets new ones through.
pub(crate) fn half_close(proxy: &Proxy) {
    proxy.half_close();
    proxy.heal();
}
