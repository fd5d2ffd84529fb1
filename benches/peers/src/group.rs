//! Routes to compare: a bare one, and the same route behind several guards.

use std::{any::Any, net::SocketAddr, sync::mpsc, thread};

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};

use crate::{
    client::Connection,
    measure::{Cost, Effort, Quartiles, rounds},
};

/// A server with a route `/bare`, and guarded ones.
pub(crate) struct Group {
    /// The framework, the algorithm, the store.
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    /// The header with the credentials, for each connection to the bare route.
    pub(crate) headers: Vec<String>,
    pub(crate) guards: Vec<Guard>,
    /// Files and servers that the measurement needs.
    #[expect(dead_code, reason = "held until it is dropped")]
    pub(crate) held: Vec<Box<dyn Any>>,
}

/// A guarded route.
pub(crate) struct Guard {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    /// One header for each connection. A guard may have its own credentials.
    pub(crate) headers: Vec<String>,
    /// The work that gatepass does and this guard doesn't.
    pub(crate) less: &'static str,
}

/// The figures of one guard.
pub(crate) struct Row {
    pub(crate) group: String,
    pub(crate) guard: &'static str,
    /// Requests per second, as a share of the bare route's.
    pub(crate) rate: Quartiles,
    /// Requests per second of the server's processor time, as a share of the bare route's.
    pub(crate) server_rate: Quartiles,
    /// The server's processor time for each request in microseconds, minus the bare route's.
    pub(crate) added: Quartiles,
    pub(crate) less: &'static str,
}

impl Group {
    pub(crate) fn measure(self, effort: Effort) -> anyhow::Result<Vec<Row>> {
        let client = Builder::new_current_thread().enable_all().build()?;
        let mut routes = vec![open(&client, self.address, "/bare", &self.headers)?];
        for guard in &self.guards {
            routes.push(open(&client, self.address, guard.path, &guard.headers)?);
        }
        let measured = rounds(&client, &mut routes, effort)?;
        let row = |(at, guard): (usize, &Guard)| {
            let of = |value: fn(Cost, Cost) -> f64| {
                let costs = measured.iter();
                Quartiles::of(
                    costs.filter_map(|costs| Some(value(*costs.first()?, *costs.get(at)?))),
                )
            };
            Row {
                group: self.name.clone(),
                guard: guard.name,
                rate: of(|bare, guarded| bare.wall / guarded.wall),
                server_rate: of(|bare, guarded| bare.server / guarded.server),
                added: of(|bare, guarded| (guarded.server - bare.server) * 1e6),
                less: guard.less,
            }
        };
        Ok((1..).zip(&self.guards).map(row).collect())
    }
}

fn open(
    client: &Runtime,
    address: SocketAddr,
    path: &str,
    headers: &[String],
) -> anyhow::Result<Vec<Connection>> {
    let connections = headers.iter();
    connections
        .map(|header| client.block_on(Connection::open(address, path, header)))
        .collect()
}

/// Sends the address of a server, and everything that its clients need.
pub(crate) type Ready<T> = mpsc::Sender<(SocketAddr, T)>;

/// Runs a server in its own thread until the process ends. `start` reports when it listens.
pub(crate) fn serve<T: Send + 'static, F: Future<Output = anyhow::Result<()>>>(
    start: impl FnOnce(Ready<T>) -> F + Send + 'static,
) -> anyhow::Result<(SocketAddr, T)> {
    let (ready, started) = mpsc::channel();
    let server = thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(start(ready))
    });
    match started.recv() {
        Ok(ready) => Ok(ready),
        // The thread has ended, since the sender is gone.
        Err(_) => match server.join() {
            Ok(ended) => Err(ended.err().context("the server ended without a reason")?),
            Err(_) => anyhow::bail!("the server panicked"),
        },
    }
}

/// The header with an access token.
pub(crate) fn bearers(tokens: &[String]) -> Vec<String> {
    let bearer = |token: &String| format!("authorization: Bearer {token}");
    tokens.iter().map(bearer).collect()
}
