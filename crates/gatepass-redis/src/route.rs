//! Finds out which server has which partition. A single server has all of them, and the nodes of a
//! cluster share them.
//!
//! A call that a server may have run is not sent again. A call is sent again only if the server has
//! refused it (for example, it lacks the script or the slot), if it was never sent, or if it only
//! reads.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use futures_util::future::select_ok;
use gatepass::{Clock, StoreError};
use redis::{Cmd, ConnectionAddr, ConnectionInfo, RedisError, RedisResult, Value};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until, timeout_at},
};

use crate::{
    error::Failure,
    node::{Around, Node, Request, Said},
    partition::{Keys, PARTITIONS, Partition},
    script::Call,
};

/// How often a call is sent before it fails.
const ATTEMPTS: u32 = 8;
/// How long to wait while the cluster moves a slot.
const PAUSE: Duration = Duration::from_millis(10);
/// The number of connections to each server for changes that replicas must acknowledge. Such a
/// change blocks its connection until they have.
const ACKNOWLEDGING: usize = 8;

/// The servers.
pub(crate) struct Servers {
    pub(crate) keys: Keys,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) timeout: Duration,
    /// How many replicas must have a change, and how long to wait for them.
    replicas: Option<(u32, Duration)>,
    /// How to connect to any of the servers, except for the address.
    template: ConnectionInfo,
    /// The addresses that the URLs name, if there is a cluster. Empty for a single server.
    seeds: Vec<String>,
    routes: RwLock<Routes>,
    refreshing: Mutex<()>,
}

/// The known owners of the partitions.
struct Routes {
    version: u64,
    owners: Vec<Arc<Node>>,
    nodes: HashMap<String, Arc<Node>>,
}

/// Options for calls to the servers.
pub(crate) struct Usage {
    pub(crate) keys: Keys,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) timeout: Duration,
    pub(crate) replicas: Option<(u32, Duration)>,
}

impl Servers {
    /// The single server of `info`.
    pub(crate) fn single(info: ConnectionInfo, usage: Usage) -> RedisResult<Self> {
        Self::new(info, Vec::new(), usage)
    }

    /// The cluster of the nodes `infos`.
    pub(crate) async fn cluster(
        infos: &[ConnectionInfo],
        usage: Usage,
    ) -> Result<Arc<Self>, Failure> {
        let seeds = infos.iter().map(|info| info.addr().to_string()).collect();
        let first = infos.first().ok_or(Failure::NoSlots)?.clone();
        let servers = Self::new(first, seeds, usage).map_err(Failure::Redis)?;
        servers.refresh(0).await?;
        Ok(Arc::new(servers))
    }

    fn new(info: ConnectionInfo, seeds: Vec<String>, usage: Usage) -> RedisResult<Self> {
        let mut servers = Self {
            keys: usage.keys,
            clock: usage.clock,
            timeout: usage.timeout,
            replicas: usage.replicas,
            template: info.clone(),
            seeds,
            routes: RwLock::new(Routes {
                version: 0,
                owners: Vec::new(),
                nodes: HashMap::new(),
            }),
            refreshing: Mutex::new(()),
        };
        let node = servers.node(&info.addr().to_string())?;
        let routes = servers.routes.get_mut();
        routes.unwrap_or_else(PoisonError::into_inner).owners = vec![node; PARTITIONS];
        Ok(servers)
    }

    /// The time as an argument, or nothing if the server takes its own.
    pub(crate) fn time(&self) -> Option<i64> {
        Some(self.clock.as_ref()?.now().unix_millis())
    }

    pub(crate) fn is_cluster(&self) -> bool {
        !self.seeds.is_empty()
    }

    /// All servers that have a partition.
    pub(crate) fn owners(&self) -> Vec<Arc<Node>> {
        let mut owners: Vec<Arc<Node>> = Vec::new();
        for owner in &self.read().owners {
            if !owners.iter().any(|known| Arc::ptr_eq(known, owner)) {
                owners.push(Arc::clone(owner));
            }
        }
        owners
    }

    /// The server that has `partition`, and the version of the routes that say so.
    pub(crate) fn owner(&self, partition: Partition) -> Result<(u64, Arc<Node>), Failure> {
        let routes = self.read();
        let owner = routes.owners.get(partition.index());
        Ok((routes.version, Arc::clone(owner.ok_or(Failure::NoSlots)?)))
    }

    /// Makes the call, within the time limit of a call.
    pub(crate) async fn call(
        self: &Arc<Self>,
        partition: Partition,
        call: Call,
    ) -> Result<Value, StoreError> {
        let deadline = Instant::now() + self.timeout;
        Ok(self.call_by(partition, &call, deadline).await?)
    }

    pub(crate) async fn call_by(
        self: &Arc<Self>,
        partition: Partition,
        call: &Call,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let mut attempt = 1;
        loop {
            let (version, owner) = self.owner(partition)?;
            let failure = match self.ask(&owner, call, false, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if attempt == ATTEMPTS {
                return Err(failure);
            }
            attempt += 1;
            match &failure {
                Failure::Redis(error) if error.code() == Some("MOVED") => {
                    self.moved(partition, error, &owner)?;
                }
                Failure::Redis(error) if error.code() == Some("ASK") => {
                    let there = self.redirected(error, &owner)?;
                    match self.ask(&there, call, true, deadline).await {
                        Err(Failure::Redis(error)) if error.code() == Some("TRYAGAIN") => {
                            pause(deadline).await;
                        }
                        answer => return answer,
                    }
                }
                Failure::Redis(error) if error.code() == Some("TRYAGAIN") => pause(deadline).await,
                // The connection was closed while it was idle, for example by a restart or a
                // firewall.
                Failure::Redis(error) if error.is_io_error() && call.only_reads() => {
                    self.look_around(version);
                }
                Failure::Unconnected(_) if self.is_cluster() => {
                    let refreshed = timeout_at(deadline, self.refresh(version)).await;
                    let moved = |(_, now): (u64, Arc<Node>)| !Arc::ptr_eq(&now, &owner);
                    if !matches!(refreshed, Ok(Ok(()))) || !self.owner(partition).is_ok_and(moved) {
                        return Err(failure);
                    }
                }
                _ => {
                    self.look_around(version);
                    return Err(failure);
                }
            }
            if Instant::now() >= deadline {
                return Err(failure);
            }
        }
    }

    /// Asks one server. Sends it the script if it doesn't know it.
    async fn ask(
        &self,
        node: &Arc<Node>,
        call: &Call,
        asking: bool,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let replicas = self.replicas.filter(|_| call.changes());
        let around = Around { asking, replicas };
        let by_hash = Request::new(call.by_hash(), around);
        let said = match node.send(&by_hash, deadline).await {
            Err(Failure::Redis(error)) if error.code() == Some("NOSCRIPT") => {
                let by_text = call.by_text();
                node.send(&Request::new(&by_text, around), deadline).await?
            }
            said => said?,
        };
        let Said {
            answer,
            replicas: have,
        } = said;
        match replicas {
            Some((needed, _)) if have.unwrap_or(0) < i64::from(needed) => {
                Err(Failure::NotReplicated)
            }
            _ => Ok(answer),
        }
    }

    /// Finds out again which server has which partition, unless another call has done so since
    /// `version`.
    pub(crate) async fn refresh(&self, version: u64) -> Result<(), Failure> {
        let _one_at_a_time = self.refreshing.lock().await;
        if self.read().version != version {
            return Ok(());
        }
        let mut nodes: Vec<_> = self.read().nodes.values().cloned().collect();
        for seed in &self.seeds {
            nodes.push(self.node(seed).map_err(Failure::Redis)?);
        }
        let deadline = Instant::now() + self.timeout;
        let asked = nodes
            .into_iter()
            .map(|node| Box::pin(slots(node, deadline)));
        let (slots, _) = select_ok(asked).await?;
        let owners: Result<Vec<_>, Failure> = Partition::all()
            .map(|partition| {
                let slot = i64::from(self.keys.slot(partition));
                let has = |range: &&Range| (range.first..=range.last).contains(&slot);
                let range = slots.iter().find(has).ok_or(Failure::NoSlots)?;
                self.node(&range.address).map_err(Failure::Redis)
            })
            .collect();
        let owners = owners?;
        let mut routes = self.write();
        routes.version += 1;
        let named = |address: &str| self.seeds.iter().any(|seed| seed == address);
        let owns = |node: &Arc<Node>| owners.iter().any(|owner| Arc::ptr_eq(owner, node));
        // Forgets nodes that have left the cluster: their addresses may lead elsewhere later.
        routes
            .nodes
            .retain(|address, node| named(address) || owns(node));
        routes.owners = owners;
        Ok(())
    }

    /// Calls [`refresh`](Self::refresh) in the background.
    pub(crate) fn look_around(self: &Arc<Self>, version: u64) {
        if self.is_cluster() {
            let servers = Arc::clone(self);
            // If this fails, nothing has changed, and the next call tries again.
            tokio::spawn(async move { drop(servers.refresh(version).await) });
        }
    }

    fn moved(
        self: &Arc<Self>,
        partition: Partition,
        error: &RedisError,
        from: &Node,
    ) -> Result<(), Failure> {
        let node = self.redirected(error, from)?;
        let mut routes = self.write();
        let version = routes.version;
        if let Some(owner) = routes.owners.get_mut(partition.index()) {
            *owner = node;
        }
        drop(routes);
        // Other partitions may have moved as well.
        self.look_around(version);
        Ok(())
    }

    fn redirected(&self, error: &RedisError, from: &Node) -> Result<Arc<Node>, Failure> {
        let (address, _) = error
            .redirect_node()
            .ok_or_else(|| Failure::Redis(error.clone()))?;
        self.node(&complete(address, &from.address()))
            .map_err(Failure::Redis)
    }

    /// The node at this address.
    fn node(&self, address: &str) -> RedisResult<Arc<Node>> {
        if let Some(node) = self.read().nodes.get(address) {
            return Ok(Arc::clone(node));
        }
        let links = self.replicas.map_or(1, |_| 1 + ACKNOWLEDGING);
        let info = self.template.clone();
        let addr = addressed(info.addr(), address);
        let node = Arc::new(Node::new(info.set_addr(addr), links, self.timeout)?);
        let mut routes = self.write();
        let known = routes.nodes.entry(address.to_owned()).or_insert(node);
        Ok(Arc::clone(known))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Routes> {
        self.routes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Routes> {
        self.routes.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A range of slots, and the address of their owner.
struct Range {
    first: i64,
    last: i64,
    address: String,
}

async fn slots(node: Arc<Node>, deadline: Instant) -> Result<Vec<Range>, Failure> {
    let mut command = Cmd::new();
    command.arg("CLUSTER").arg("SLOTS");
    let said = node.send(&Request::One(&command), deadline).await?;
    let Value::Array(ranges) = said.answer else {
        return Err(Failure::NoSlots);
    };
    let ranges = ranges.iter().map(|range| {
        let Value::Array(range) = range else {
            return None;
        };
        let [Value::Int(first), Value::Int(last), Value::Array(owner), ..] = range.as_slice()
        else {
            return None;
        };
        let [host, Value::Int(port), ..] = owner.as_slice() else {
            return None;
        };
        let host = match host {
            Value::BulkString(host) => std::str::from_utf8(host).ok()?,
            _ => "",
        };
        Some(Range {
            first: *first,
            last: *last,
            address: complete(&format!("{host}:{port}"), &node.address()),
        })
    });
    ranges.collect::<Option<_>>().ok_or(Failure::NoSlots)
}

/// Completes an address: without a host, it means the host that was asked.
fn complete(address: &str, asked: &str) -> String {
    match (address.strip_prefix(':'), asked.rsplit_once(':')) {
        (Some(port), Some((host, _))) if !port.contains(':') => format!("{host}:{port}"),
        _ => address.to_owned(),
    }
}

/// The address, encrypted if `like` is.
fn addressed(like: &ConnectionAddr, address: &str) -> ConnectionAddr {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let (host, port) = (host.to_owned(), port.parse().unwrap_or(6379));
    match like {
        ConnectionAddr::TcpTls {
            insecure,
            tls_params,
            ..
        } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        ConnectionAddr::Tcp(..) => ConnectionAddr::Tcp(host, port),
        other => other.clone(),
    }
}

async fn pause(deadline: Instant) {
    sleep_until(deadline.min(Instant::now() + PAUSE)).await;
}
