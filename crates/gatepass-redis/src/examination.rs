//! The examination: finds faults of the servers and their data without changing anything.

use std::{sync::Arc, time::Duration};

use gatepass::store::{Examination, Finding, Heartbeats, StoreErrorKind};
use redis::{Cmd, Value};
use tokio::time::{Instant, timeout};

use crate::{
    error::{Failure, OpenError, Unreadable},
    heartbeats,
    node::{Node, Request},
    opening::{About, Settings, about},
    partition::{LAYOUT, PARTITIONS, Partition},
    route::Servers,
    row::{array, int, millis, text},
    script::OPENED,
    sessions,
};

/// How long a row may be due before the examination reports that the purge doesn't keep up. A purge
/// runs once a minute unless configured otherwise.
const OVERDUE: Duration = Duration::from_secs(3600);
/// How full a server may be before the examination warns, in percent of its `maxmemory`.
const FULL: u64 = 90;

/// Examines the servers that `settings` lead to.
pub(crate) async fn examine(settings: Settings) -> Result<Examination, OpenError> {
    let patience = settings.open_timeout;
    let (servers, place) = settings.reach().await?;
    let looked = timeout(patience, look(&servers, patience)).await;
    let looked = looked.map_err(|_| place.clone().timed_out())?;
    looked.map_err(|failure| place.error(failure))
}

async fn look(servers: &Arc<Servers>, patience: Duration) -> Result<Examination, Failure> {
    let mut findings = Vec::new();
    let mut is_replica = false;
    for node in servers.owners() {
        let deadline = Instant::now() + patience;
        let about = about(&node, deadline).await?;
        is_replica |= !about.is("role", "master");
        let server = Server {
            address: node.address(),
            about,
        };
        findings.extend(server.role());
        findings.extend(server.memory());
        findings.extend(server.disk(&node, deadline).await);
    }
    // A replica can't answer the following questions.
    if is_replica {
        return Ok(Examination::new(findings, None));
    }
    if let Some(fault) = layout(servers, patience).await? {
        findings.push(fault);
        return Ok(Examination::new(findings, None));
    }
    findings.extend(overdue(servers, patience).await?);
    let heartbeats = heartbeats(servers, &mut findings).await;
    Ok(Examination::new(findings, heartbeats))
}

/// A server and its answer to `INFO`.
struct Server {
    address: String,
    about: About,
}

impl Server {
    fn number(&self, field: &str) -> u64 {
        let number = self.about.get(field).and_then(|text| text.parse().ok());
        number.unwrap_or(0)
    }

    fn role(&self) -> Option<Finding> {
        (!self.about.is("role", "master")).then(|| {
            let text = format!(
                "{} is a replica, and may not know all revocations yet: give the nodes the address of \
                 the primary",
                self.address
            );
            Finding::error("replica", text)
        })
    }

    fn memory(&self) -> Vec<Finding> {
        let (address, mut findings) = (&self.address, Vec::new());
        let evicts = self.about.evicts();
        if let Some(policy) = evicts {
            findings.push(Finding::error(
                "evicting",
                format!(
                    "{address} removes keys when its memory is full (maxmemory-policy {policy}), \
                     including revocations: revoked tokens become valid again. Set noeviction"
                ),
            ));
        }
        let evicted = self.number("evicted_keys");
        if evicted > 0 {
            findings.push(Finding::error(
                "evicted",
                format!(
                    "{address} has removed {evicted} keys since it was started, and revocations may \
                     be among them: set maxmemory-policy to noeviction, and end the sessions of \
                     users who have logged out since, for example by a new master secret. `CONFIG \
                     RESETSTAT` clears this finding"
                ),
            ));
        }
        let (used, most) = (self.number("used_memory"), self.number("maxmemory"));
        if most > 0 && used.saturating_mul(100) >= most.saturating_mul(FULL) {
            findings.push(Finding::warning(
                "memory_full",
                format!(
                    "{address} uses {used} bytes of {most} (maxmemory): when they are used up, no \
                     user can log in or refresh. Raise maxmemory"
                ),
            ));
        }
        findings
    }

    async fn disk(&self, node: &Arc<Node>, deadline: Instant) -> Vec<Finding> {
        let (address, mut findings) = (&self.address, Vec::new());
        let appends = self.about.is("aof_enabled", "1");
        match config(node, "appendfsync", deadline).await.as_deref() {
            Some("no") if appends => findings.push(Finding::warning(
                "appendfsync_no",
                format!(
                    "{address} lets the system decide when to write (appendfsync no): a power \
                     failure can undo half a minute, including ends of sessions. Set everysec or always"
                ),
            )),
            Some("everysec") if appends => findings.push(Finding::note(
                "appendfsync_everysec",
                format!(
                    "{address} writes once a second (appendfsync everysec): a power failure can undo \
                     the last second or two, including ends of sessions. `always` loses nothing"
                ),
            )),
            _ => {}
        }
        if !appends {
            findings.push(match config(node, "save", deadline).await.as_deref() {
                Some("") => Finding::error(
                    "not_durable",
                    format!(
                        "{address} writes nothing to disk (appendonly no, and no save points): when it \
                         restarts, all users are logged out, and revoked tokens are valid again. Set \
                         appendonly to yes"
                    ),
                ),
                _ => Finding::warning(
                    "snapshots_only",
                    format!(
                        "{address} writes only snapshots (appendonly no): a crash undoes all changes \
                         since the last one, including ends of sessions. Set appendonly to yes"
                    ),
                ),
            });
        }
        let fails = |field| self.about.get(field).is_some_and(|status| status != "ok");
        if ["aof_last_write_status", "rdb_last_bgsave_status"]
            .into_iter()
            .any(fails)
        {
            findings.push(Finding::error(
                "disk_fails",
                format!("{address} could not write to its disk the last time: check whether the disk is full"),
            ));
        }
        findings
    }
}

/// A setting of the server, if the user may read it (`+config|get`).
async fn config(node: &Arc<Node>, name: &str, deadline: Instant) -> Option<String> {
    let mut command = Cmd::new();
    command.arg("CONFIG").arg("GET").arg(name);
    let said = node.send(&Request::One(&command), deadline).await.ok()?;
    let Value::Array(setting) = said.answer else {
        return None;
    };
    text(setting.get(1)?, "setting").ok().map(str::to_owned)
}

/// Finds faults of the namespace.
async fn layout(servers: &Arc<Servers>, patience: Duration) -> Result<Option<Finding>, Failure> {
    for partition in Partition::all() {
        let deadline = Instant::now() + patience;
        let call = OPENED.on([servers.keys.meta(partition)]);
        let answer = servers.call_by(partition, &call, deadline).await?;
        let [version, partitions] = array(&answer, "layout")? else {
            return Err(Unreadable("layout").into());
        };
        let is = |value: &Value, known: String| match value {
            Value::Nil => None,
            value => Some(text(value, "layout").is_ok_and(|text| text == known)),
        };
        let (version, partitions) = (
            is(version, LAYOUT.to_string()),
            is(partitions, PARTITIONS.to_string()),
        );
        if version.is_none() {
            return Ok(Some(Finding::error(
                "no_store",
                "there are no sessions under this namespace, or not in all of its partitions: give \
                 the namespace of the nodes, or start a node",
            )));
        }
        if version == Some(false) || partitions == Some(false) {
            return Ok(Some(Finding::error(
                "other_layout",
                "this namespace has the layout of another release: use the release of the \
                 nodes",
            )));
        }
    }
    Ok(None)
}

/// Finds sessions and entries that a purge should have removed long ago.
async fn overdue(servers: &Arc<Servers>, patience: Duration) -> Result<Option<Finding>, Failure> {
    let mut rows = 0;
    let mut last = None;
    for partition in Partition::all() {
        let deadline = Instant::now() + patience;
        let (_, node) = servers.owner(partition)?;
        let now = match servers.time() {
            Some(now) => now,
            None => time(&node, deadline).await?,
        };
        let due = now.saturating_sub(millis(OVERDUE));
        for key in [
            servers.keys.purge(partition),
            servers.keys.log_purge(partition),
            servers.keys.accounts(partition),
        ] {
            let mut command = Cmd::new();
            command.arg("ZCOUNT").arg(key).arg("-inf").arg(due);
            let said = node.send(&Request::One(&command), deadline).await?;
            rows += int(&said.answer, "count")?.unsigned_abs();
        }
        if partition == Partition::first() {
            last = sessions::last_horizon(servers).await.ok().flatten();
        }
    }
    Ok(Finding::overdue(rows, last))
}

/// The server's time.
async fn time(node: &Arc<Node>, deadline: Instant) -> Result<i64, Failure> {
    let mut command = Cmd::new();
    command.arg("TIME");
    let said = node.send(&Request::One(&command), deadline).await?;
    match array(&said.answer, "time")? {
        [seconds, micros] => Ok(int(seconds, "time")? * 1000 + int(micros, "time")? / 1000),
        _ => Err(Unreadable("time").into()),
    }
}

async fn heartbeats(servers: &Arc<Servers>, findings: &mut Vec<Finding>) -> Option<Heartbeats> {
    match heartbeats::all(servers).await {
        Ok(heartbeats) => Some(heartbeats),
        Err(error) if error.kind() == StoreErrorKind::Corrupt => {
            findings.push(Finding::unreadable_heartbeats());
            None
        }
        Err(_) => {
            let text = "this user can't read the heartbeats: run this as the user of the nodes";
            findings.push(Finding::error("may_not_read", text));
            None
        }
    }
}
