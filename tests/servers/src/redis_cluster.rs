//! A Redis Cluster.

use std::process::Command;

use crate::{
    directory::Directory,
    program::{Durability, succeeds},
    redis::{Redis, ask},
};

/// A cluster of masters, with a replica of each if the test wants it. It stops when this is
/// dropped.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// The smallest number of masters in a cluster of Redis.
    const MASTERS: usize = 3;

    /// Starts three masters with `replicas` each, and waits until they serve all slots.
    ///
    /// # Errors
    ///
    /// An error with the servers' output, if they don't start.
    pub fn start(
        directory: &Directory,
        durability: Durability,
        replicas: usize,
    ) -> anyhow::Result<Self> {
        let password = crate::program::password()?;
        let mut nodes = Vec::new();
        for _ in 0..Self::MASTERS * (1 + replicas) {
            let settings = [
                "cluster-enabled yes",
                // How long a node may be silent before the others replace it.
                "cluster-node-timeout 2000",
                "repl-diskless-sync-delay 0",
            ];
            let node = Redis::with_password(directory, durability, &settings, password.clone())?;
            nodes.push(node);
        }
        let mut create = Command::new("redis-cli");
        create.env("REDISCLI_AUTH", &password);
        create.args(["--cluster", "create"]);
        create.args(
            nodes
                .iter()
                .map(|node| format!("127.0.0.1:{}", node.port())),
        );
        create.args(["--cluster-replicas", &replicas.to_string(), "--cluster-yes"]);
        succeeds("redis-cli --cluster create", &mut create)?;
        let cluster = Self { nodes };
        cluster.settled(replicas)
    }

    fn settled(mut self, replicas: usize) -> anyhow::Result<Self> {
        let nodes = self.nodes.len();
        for node in &mut self.nodes {
            let (port, password) = (node.port(), node.password().to_owned());
            node.wait_until(|| {
                let state = ask(port, &password, &["cluster", "info"])?;
                anyhow::ensure!(state.contains("cluster_state:ok"), "{state}");
                let known = format!("cluster_known_nodes:{nodes}\r");
                anyhow::ensure!(state.contains(&known), "{state}");
                let replication = ask(port, &password, &["info", "replication"])?;
                let ready = match replication.contains("role:master") {
                    true => replication.contains(&format!("connected_slaves:{replicas}\r")),
                    false => replication.contains("master_link_status:up"),
                };
                anyhow::ensure!(ready, "{replication}");
                Ok(())
            })?;
        }
        Ok(self)
    }

    /// The URLs of all nodes, separated by commas.
    #[must_use]
    pub fn url(&self) -> String {
        let urls: Vec<_> = self.nodes.iter().map(Redis::url).collect();
        urls.join(",")
    }

    /// The nodes of the cluster.
    #[must_use]
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// The nodes, for a test that kills them.
    #[must_use]
    pub fn nodes_mut(&mut self) -> &mut [Redis] {
        &mut self.nodes
    }
}
