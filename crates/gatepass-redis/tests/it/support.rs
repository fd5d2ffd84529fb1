//! The servers that `cargo xtask test` starts, and a namespace in them for each store.

use std::sync::mpsc;

use gatepass_redis::{RedisStore, RedisStoreBuilder};
use gatepass_servers::Directory;
use gatepass_testkit::proxy::{Action, Direction, Proxy};
use redis::{AsyncConnectionConfig, Client, FromRedisValue, aio::MultiplexedConnection};
use test_support::servers::server;
pub(crate) use test_support::servers::{PATIENCE, address_of, proxy_before, through, unique};

/// A server of this run's own, as a user who may do everything.
pub(crate) fn redis() -> String {
    server("GATEPASS_TEST_REDIS")
}

/// A cluster of three, as URLs that are separated by commas.
pub(crate) fn cluster() -> String {
    server("GATEPASS_TEST_REDIS_CLUSTER")
}

/// A store in a namespace of its own, with all the time that it needs.
pub(crate) fn at(urls: impl Into<String>) -> RedisStoreBuilder {
    RedisStore::at(urls)
        .namespace(unique("test"))
        .timeout(PATIENCE)
        .open_timeout(PATIENCE)
}

/// A place for servers of a test's own.
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

/// Asks the server at `url` over a connection of its own.
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

/// All keys of a namespace at the servers of `urls`. The store itself never looks for keys.
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

/// Returns a function that brings all that clients have sent through `proxy` since it was called
/// before.
pub(crate) fn sent_through(proxy: &Proxy) -> impl Fn() -> String + use<> {
    let (note, noted) = mpsc::channel();
    proxy.tap(move |chunk| {
        if chunk.direction == Direction::ToServer {
            // A test that has ended listens no more.
            let _ = note.send(chunk.bytes.to_vec());
        }
        Action::Pass
    });
    move || {
        let sent: Vec<u8> = noted.try_iter().flatten().collect();
        String::from_utf8_lossy(&sent).into_owned()
    }
}

/// Closes the connections that `proxy` has towards the clients, and lets new ones through.
pub(crate) fn half_close(proxy: &Proxy) {
    proxy.half_close();
    proxy.heal();
}
