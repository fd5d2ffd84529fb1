//! Opens a store, and checks that its servers are safe for sessions.

use std::{collections::HashMap, sync::Arc, time::Duration};

use gatepass::Clock;
use redis::{Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Value};
use tokio::time::{Instant, timeout};

use crate::{
    error::{Failure, OpenError, Place, Unreadable},
    node::{Node, Request},
    partition::{Keys, LAYOUT, PARTITIONS, Partition, is_namespace},
    route::{Servers, Usage},
    row::{array, text},
    script::{OPEN, OPENED},
    sessions,
};

/// The oldest version that knows the flags of the scripts.
const LEAST: (u32, &str) = (7, "7.0");

/// The options of a builder.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) urls: String,
    pub(crate) namespace: String,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) timeout: Duration,
    pub(crate) open_timeout: Duration,
    pub(crate) replicas: Option<(u32, Duration)>,
}

/// The part to open: the log alone, or the store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Log,
    Store,
}

impl Settings {
    pub(crate) fn new(urls: String) -> Self {
        Self {
            urls,
            namespace: "gatepass".to_owned(),
            clock: None,
            timeout: Duration::from_secs(2),
            open_timeout: Duration::from_secs(10),
            replicas: None,
        }
    }

    pub(crate) async fn open(self, access: Access) -> Result<Arc<Servers>, OpenError> {
        let (infos, place) = self.named()?;
        let opened = timeout(self.open_timeout, self.look(&infos, access, &place)).await;
        opened.map_err(|_| place.timed_out())?
    }

    /// Connects, and finds out only which server has which partition.
    pub(crate) async fn reach(self) -> Result<(Arc<Servers>, Place), OpenError> {
        let (infos, place) = self.named()?;
        let reached = timeout(self.open_timeout, self.connect(&infos, &place)).await;
        let servers = reached.map_err(|_| place.clone().timed_out())??;
        Ok((servers, place))
    }

    /// The servers that the URLs name. Errors name the first of them.
    fn named(&self) -> Result<(Vec<ConnectionInfo>, Place), OpenError> {
        if !is_namespace(&self.namespace) {
            return Err(OpenError::Namespace(self.namespace.clone()));
        }
        let infos = parse(&self.urls)?;
        let first = infos.first().ok_or(OpenError::Url)?;
        let place = Place {
            server: first.addr().to_string(),
            user: first
                .redis_settings()
                .username()
                .unwrap_or("default")
                .to_owned(),
            patience: self.open_timeout,
        };
        Ok((infos, place))
    }

    async fn connect(
        &self,
        infos: &[ConnectionInfo],
        place: &Place,
    ) -> Result<Arc<Servers>, OpenError> {
        let (info, about) = self.first_that_answers(infos, place).await?;
        let answering = place.clone().at(info.addr());
        let usage = Usage {
            keys: Keys::new(&self.namespace),
            clock: self.clock.clone(),
            timeout: self.timeout,
            replicas: self.replicas,
        };
        let servers = match about.is("cluster_enabled", "1") {
            true if info.redis_settings().db() != 0 => {
                let server = answering.server;
                return Err(OpenError::Database { server });
            }
            true => Servers::cluster(infos, usage).await,
            false if infos.len() > 1 => {
                let server = answering.server;
                return Err(OpenError::NotACluster { server });
            }
            false => Servers::single(info.clone(), usage)
                .map(Arc::new)
                .map_err(Failure::Redis),
        };
        servers.map_err(|failure| answering.error(failure))
    }

    async fn look(
        &self,
        infos: &[ConnectionInfo],
        access: Access,
        place: &Place,
    ) -> Result<Arc<Servers>, OpenError> {
        let servers = self.connect(infos, place).await?;
        let mut persists = true;
        for owner in servers.owners() {
            let place = place.clone().named(owner.address());
            let wrong = |failure| place.clone().error(failure);
            let about = self.ask(&owner).await.map_err(wrong)?;
            about.check(&place)?;
            persists &= self.persists(&owner, &about).await;
        }
        if access == Access::Store && !persists {
            tracing::warn!(
                target: "gatepass",
                "store.not_durable: Redis writes nothing to disk (appendonly no, and no save points): when it restarts, all users are logged \
                 out, and revoked tokens are valid again until they expire. Set `appendonly yes`"
            );
        }
        for partition in Partition::all() {
            let (_, owner) = servers
                .owner(partition)
                .map_err(|failure| place.clone().error(failure))?;
            let place = place.clone().named(owner.address());
            let found = self.layout(&servers, partition, access).await;
            let found = found.map_err(|failure| place.clone().error(failure))?;
            let (server, namespace) = (place.server, self.namespace.clone());
            // A verifier with a log that no store writes would accept every revoked token.
            let Some(found) = found else {
                return Err(OpenError::NoStore { server, namespace });
            };
            if found.version != LAYOUT.to_string() {
                return Err(OpenError::OtherLayout {
                    server,
                    namespace,
                    found: found.version,
                    known: LAYOUT,
                });
            }
            if let Some(found) = found.partitions
                && found != PARTITIONS.to_string()
            {
                return Err(OpenError::OtherPartitions {
                    server,
                    namespace,
                    found,
                    known: PARTITIONS,
                });
            }
        }
        Ok(servers)
    }

    /// The first server that answers, and its description of itself.
    async fn first_that_answers<'i>(
        &self,
        infos: &'i [ConnectionInfo],
        place: &Place,
    ) -> Result<(&'i ConnectionInfo, About), OpenError> {
        let mut first = None;
        for info in infos {
            let place = place.clone().at(info.addr());
            // Divides the time, so that it can try each server.
            let patience = self.open_timeout / u32::try_from(infos.len()).unwrap_or(u32::MAX);
            let node = Node::new(info.clone(), 1, patience)
                .map_err(|error| place.clone().error(Failure::Redis(error)))?;
            match about(&Arc::new(node), Instant::now() + patience).await {
                Ok(about) => return Ok((info, about)),
                Err(failure) => first = first.or(Some(place.error(failure))),
            }
        }
        Err(first.unwrap_or(OpenError::Url))
    }

    async fn ask(&self, node: &Arc<Node>) -> Result<About, Failure> {
        about(node, Instant::now() + self.open_timeout).await
    }

    /// Whether the server writes anything to disk. Assumes so if the user may not ask.
    async fn persists(&self, node: &Arc<Node>, about: &About) -> bool {
        let mut command = Cmd::new();
        command.arg("CONFIG").arg("GET").arg("save");
        let deadline = Instant::now() + self.open_timeout;
        let said = match about.is("aof_enabled", "1") {
            true => return true,
            false => node.send(&Request::One(&command), deadline).await,
        };
        match said.map(|said| said.answer) {
            Ok(Value::Array(setting)) => setting
                .get(1)
                .is_none_or(|points| text(points, "save").is_ok_and(|points| !points.is_empty())),
            _ => true,
        }
    }

    /// The layout of a partition. If there is none and this opens a store, writes the layout of
    /// this release.
    async fn layout(
        &self,
        servers: &Arc<Servers>,
        partition: Partition,
        access: Access,
    ) -> Result<Option<Layout>, Failure> {
        let deadline = Instant::now() + self.open_timeout;
        let keys = [servers.keys.meta(partition)];
        let call = match access {
            Access::Log => OPENED.on(keys),
            Access::Store => {
                let name = sessions::incarnation().map_err(|_| Unreadable("randomness"))?;
                let partitions = PARTITIONS.to_string();
                OPEN.on(keys).text(name).int(LAYOUT.into()).text(partitions)
            }
        };
        let answer = servers.call_by(partition, &call, deadline).await?;
        let [version, partitions] = array(&answer, "layout")? else {
            return Err(Unreadable("layout").into());
        };
        let field = |value: &Value| match value {
            Value::Nil => Ok(None),
            value => text(value, "layout").map(|text| Some(text.to_owned())),
        };
        let partitions = field(partitions)?;
        Ok(field(version)?.map(|version| Layout {
            version,
            partitions,
        }))
    }
}

/// The layout of a namespace.
struct Layout {
    version: String,
    /// `None` if no store has been opened since the namespace was empty.
    partitions: Option<String>,
}

/// Fails if a server would remove keys to make room. An operator may change that setting while it
/// runs.
pub(crate) async fn refuse_evicting(servers: &Arc<Servers>) -> Result<(), Failure> {
    let deadline = Instant::now() + servers.timeout;
    for owner in servers.owners() {
        let mut command = Cmd::new();
        command.arg("INFO").arg("memory");
        let said = owner.send(&Request::One(&command), deadline).await?;
        if let Some(policy) = About::parse(&said.answer)?.evicts() {
            tracing::error!(
                target: "gatepass", server = owner.address(), policy,
                "store.evicting: Redis removes keys when its memory is full, including revocations: revoked tokens \
                 become valid again. Set `maxmemory-policy noeviction`"
            );
            return Err(Failure::Evicting(policy.to_owned()));
        }
    }
    Ok(())
}

impl Place {
    fn at(self, addr: &ConnectionAddr) -> Self {
        self.named(addr.to_string())
    }

    fn named(mut self, server: String) -> Self {
        self.server = server;
        self
    }
}

/// The fields of a server's answer to `INFO`.
pub(crate) struct About(HashMap<String, String>);

pub(crate) async fn about(node: &Arc<Node>, deadline: Instant) -> Result<About, Failure> {
    let mut command = Cmd::new();
    command.arg("INFO");
    let said = node.send(&Request::One(&command), deadline).await?;
    let about = About::parse(&said.answer)?;
    match about.get("redis_version") {
        Some(_) => Ok(about),
        None => Err(Unreadable("INFO").into()),
    }
}

impl About {
    fn parse(answer: &Value) -> Result<Self, Unreadable> {
        let lines = text(answer, "INFO")?.lines();
        let fields = lines.filter_map(|line| line.split_once(':'));
        let about = fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Ok(Self(about.collect()))
    }

    pub(crate) fn get(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }

    pub(crate) fn is(&self, field: &str, value: &str) -> bool {
        self.get(field) == Some(value)
    }

    fn check(&self, place: &Place) -> Result<(), OpenError> {
        let server = place.server.clone();
        let found = self.get("redis_version").unwrap_or_default().to_owned();
        let major = found.split('.').next().and_then(|major| major.parse().ok());
        let (least, named) = LEAST;
        if major.is_none_or(|major: u32| major < least) {
            return Err(OpenError::ServerVersion {
                server,
                found,
                least: named,
            });
        }
        if !self.is("role", "master") {
            return Err(OpenError::Replica { server });
        }
        match self.evicts() {
            None => Ok(()),
            Some(policy) => Err(OpenError::Evicting {
                server,
                policy: policy.to_owned(),
            }),
        }
    }

    /// The policy by which the server removes keys when its memory is full, if it does.
    pub(crate) fn evicts(&self) -> Option<&str> {
        self.get("maxmemory_policy")
            .filter(|policy| *policy != "noeviction")
    }
}

fn parse(urls: &str) -> Result<Vec<ConnectionInfo>, OpenError> {
    let infos: Result<Vec<_>, _> = urls
        .split(',')
        .map(|url| {
            let url = url.trim();
            let schemes = ["redis://", "rediss://", "valkey://", "valkeys://"];
            if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
                return Err(OpenError::Url);
            }
            prepare_encryption(url);
            let info = url.into_connection_info().map_err(|_| OpenError::Url)?;
            // Old servers don't know this command, and users with few rights may not run it.
            let settings = info.redis_settings().clone().set_skip_set_lib_name();
            Ok(info.set_redis_settings(settings))
        })
        .collect();
    infos
}

/// Chooses the crypto library for TLS, because several may be compiled in. An earlier choice stays.
#[cfg(feature = "tls")]
fn prepare_encryption(url: &str) {
    let is_encrypted = ["rediss://", "valkeys://"];
    if is_encrypted.iter().any(|scheme| url.starts_with(scheme)) {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}

#[cfg(not(feature = "tls"))]
fn prepare_encryption(_: &str) {}
