//! The servers that `cargo xtask test` starts, and a namespace in them for each store.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod given;
pub(crate) mod proxy;

use std::{env, time::Duration};

use gatepass::{Random, SystemRandom};
use gatepass_redis::{RedisStore, RedisStoreBuilder};

/// The contract says nothing of how fast a machine is that has other tests to run.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server of this run's own, as a user who may do everything.
pub(crate) fn redis() -> String {
    server("GATEPASS_TEST_REDIS")
}

/// A cluster of three, as URLs that are separated by commas.
pub(crate) fn cluster() -> String {
    server("GATEPASS_TEST_REDIS_CLUSTER")
}

fn server(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run `cargo xtask test`, or run `cargo xtask servers` in another \
             terminal and set what it prints"
        )
    })
}

/// A name that no other test gives to anything. Numbers of processes would come again while the servers stay.
pub(crate) fn unique(what: &str) -> String {
    let mut random = [0; 8];
    SystemRandom.fill(&mut random).unwrap();
    format!("{what}_{:016x}", u64::from_be_bytes(random))
}

/// A store in a namespace of its own, with all the time that it needs.
pub(crate) fn at(urls: impl Into<String>) -> RedisStoreBuilder {
    RedisStore::at(urls)
        .namespace(unique("test"))
        .timeout(PATIENCE)
        .open_timeout(PATIENCE)
}
