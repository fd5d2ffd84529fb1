//! Gatepass sessions in Redis or Valkey, on a single server or in a cluster.

mod cursor;
mod error;
mod listener;
mod log;
mod node;
mod opening;
mod partition;
mod reader;
mod route;
mod row;
mod script;
mod sessions;
mod store;

pub use self::{
    error::{Cause, OpenError},
    reader::{RedisLog, RedisLogBuilder},
    store::{RedisStore, RedisStoreBuilder},
};

/// The version of the keys and of what is in them.
const LAYOUT: u32 = 1;
