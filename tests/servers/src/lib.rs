//! The servers that the tests use: real ones, on their own ports and in their own directories. They
//! end with the process that started them.
//!
//! `cargo xtask test` starts one of each for all tests. A test that kills or stops a server starts
//! its own:
//!
//! ```no_run
//! use gatepass_servers::{Directory, Durability, Postgres};
//!
//! # fn main() -> anyhow::Result<()> {
//! let directory = Directory::make(std::env::temp_dir().join("gatepass-servers"))?;
//! let mut postgres = Postgres::start(&directory, Durability::Crash)?;
//! // ... write to postgres.url() ...
//! postgres.kill()?;
//! postgres.restart()?;
//! # Ok(()) }
//! ```

mod account;
mod directory;
mod pgbouncer;
mod postgres;
mod process;
mod program;
mod redis;
mod redis_cluster;

pub use self::{
    directory::Directory,
    pgbouncer::PgBouncer,
    postgres::Postgres,
    program::{Durability, Requirement},
    redis::Redis,
    redis_cluster::RedisCluster,
};

/// All programs that the servers need.
pub const REQUIREMENTS: &[Requirement] = &[
    postgres::REQUIREMENT,
    pgbouncer::REQUIREMENT,
    redis::REQUIREMENT,
];
