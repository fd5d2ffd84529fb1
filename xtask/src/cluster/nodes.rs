//! Nodes of one application in different frameworks.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    thread,
};

use anyhow::Context;
use serde_json::{Value, json};

use super::{
    store::Store,
    watch::{BOUND, Outcome, Watch},
};
use crate::{
    client::{Answer, Client, Expected, Method, Request},
    example::Server,
};

/// The frameworks of the nodes.
pub(super) const FRAMEWORKS: [&str; 3] = ["axum", "actix", "warp"];
/// All nodes.
pub(super) struct Nodes {
    nodes: Vec<Node>,
    user: String,
}

struct Node {
    framework: &'static str,
    server: Server,
    client: Client,
}

/// Of one session.
pub(super) struct Tokens {
    framework: &'static str,
    access: String,
    refresh: String,
}

const PASSWORD: &str = "a password for a moment";

impl Nodes {
    /// Nodes that run the programs at `binaries`, one for each framework.
    pub(super) fn prepare(
        binaries: Vec<PathBuf>,
        directory: &Path,
        store: &Store,
    ) -> anyhow::Result<Self> {
        let random = random()?;
        // All nodes have the same. It is worth nothing once they are gone.
        let secret = directory.join("secret");
        fs::write(&secret, random.repeat(8))?;
        let secret = secret.to_str().context("a path that is no UTF-8")?;
        let bound = format!("{}ms", BOUND.as_millis());
        let mut flags = vec!["--secret-file", secret, "--max-staleness", &bound];
        if !store.is_own {
            // Whoever is in somebody else's database stays there.
            flags.extend(["--user-store", "memory"]);
        }
        // Nobody whose sessions could be in somebody else's store.
        let user = format!("cluster-{random}");
        let users = json!([{"username": user, "password": PASSWORD, "scope": "profile"}]);
        let mut nodes = Vec::new();
        for (framework, binary) in FRAMEWORKS.into_iter().zip(binaries) {
            let own = directory.join(framework);
            fs::create_dir(&own)?;
            let server = Server::prepare(binary, &own, &users, &flags)?.over(&store.location);
            let client = Client::new(server.url());
            nodes.push(Node {
                framework,
                server,
                client,
            });
        }
        Ok(Self { nodes, user })
    }

    /// Starts all of them at once.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        thread::scope(|scope| {
            let start = |node: &mut Node| node.server.start(|| node.client.is_ready());
            let nodes = self.nodes.iter_mut();
            let starts: Vec<_> = nodes.map(|node| scope.spawn(move || start(node))).collect();
            starts.into_iter().try_for_each(|start| {
                let started = start.join();
                started.unwrap_or_else(|_| anyhow::bail!("the start of a node panicked"))
            })
        })
    }

    pub(super) fn stop(&mut self) {
        for node in &mut self.nodes {
            node.server.kill();
        }
    }

    pub(super) fn failed(&self) -> usize {
        self.nodes.iter().map(|node| node.client.failed()).sum()
    }

    pub(super) fn logs(&self) -> String {
        let logs = self.nodes.iter();
        let logs = logs.map(|node| format!("-- {}\n{}", node.framework, node.server.log()));
        logs.collect()
    }

    pub(super) fn login(&mut self, node: usize) -> anyhow::Result<Tokens> {
        let body = json!({"username": self.user, "password": PASSWORD});
        self.tokens(node, "login", "/auth/login", body)
    }

    pub(super) fn refresh(&mut self, node: usize, tokens: &Tokens) -> anyhow::Result<Tokens> {
        let body = json!({"refresh_token": tokens.refresh});
        self.tokens(node, "refresh", "/auth/refresh", body)
    }

    /// Asks every node who is logged in.
    pub(super) fn all_accept(&mut self, tokens: &Tokens) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            let what = format!("{:<6} the session is known", node.framework);
            node.get(&what, &tokens.access, OK)?;
        }
        Ok(())
    }

    /// Logs out on one node while all are asked.
    pub(super) fn logout(&mut self, node: usize, tokens: &Tokens) -> anyhow::Result<Outcome> {
        self.end(node, "logout", "/auth/logout", tokens, tokens)
    }

    /// Logs all devices out on one node, with the tokens of one of them, while all nodes are asked
    /// about those of another.
    pub(super) fn logout_all(
        &mut self,
        node: usize,
        tokens: &Tokens,
        other: &Tokens,
    ) -> anyhow::Result<Outcome> {
        let outcome = self.end(node, "logout of all", "/auth/logout-all", tokens, other)?;
        self.all_refuse(tokens)?;
        Ok(outcome)
    }

    fn end(
        &mut self,
        node: usize,
        what: &str,
        path: &str,
        tokens: &Tokens,
        watched: &Tokens,
    ) -> anyhow::Result<Outcome> {
        self.all_accept(watched)?;
        let urls = self
            .nodes
            .iter()
            .map(|node| format!("{}/me", node.server.url()));
        let watch = Watch::begin(urls, &watched.access);
        let ending = self.node(node)?;
        let on = ending.framework;
        let body = None;
        let said = format!("{on:<6} {what}");
        let ended = ending
            .post(&said, path, Some(&tokens.access), body, DONE)?
            .at;
        let outcome = watch.end(
            format!("token from {}, {what} on {on}", watched.framework),
            ended,
        );
        for (node, seen) in self.nodes.iter_mut().zip(&outcome.nodes) {
            let what = format!("{:<6} it is enforced", node.framework);
            node.client.judge(
                &what,
                seen.is_right(),
                &seen.shown(),
                "in time, and for good",
            );
        }
        self.all_refuse(watched)?;
        Ok(outcome)
    }

    fn all_refuse(&mut self, tokens: &Tokens) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            let what = format!("{:<6} the session has ended", node.framework);
            node.get(&what, &tokens.access, REVOKED)?;
        }
        Ok(())
    }

    fn tokens(
        &mut self,
        node: usize,
        what: &str,
        path: &str,
        body: Value,
    ) -> anyhow::Result<Tokens> {
        let node = self.node(node)?;
        let framework = node.framework;
        let what = format!("{framework:<6} {what}");
        let answer = node.post(&what, path, None, Some(body), OK)?;
        Ok(Tokens {
            framework,
            access: answer.token("access_token")?,
            refresh: answer.token("refresh_token")?,
        })
    }

    fn node(&mut self, number: usize) -> anyhow::Result<&mut Node> {
        self.nodes.get_mut(number).context("there is no such node")
    }
}

const OK: Expected = Expected {
    status: 200,
    reason: None,
};
const DONE: Expected = Expected {
    status: 204,
    reason: None,
};
const REVOKED: Expected = Expected {
    status: 401,
    reason: Some("revoked"),
};

impl Node {
    fn get(&mut self, what: &str, access: &str, expected: Expected) -> anyhow::Result<()> {
        let request = Request {
            method: Method::Get,
            path: "/me",
            access: Some(access),
            body: None,
        };
        self.client.expect(what, &request, expected)?;
        Ok(())
    }

    fn post(
        &mut self,
        what: &str,
        path: &str,
        access: Option<&str>,
        body: Option<Value>,
        expected: Expected,
    ) -> anyhow::Result<Answer> {
        let request = Request {
            method: Method::Post,
            path,
            access,
            body,
        };
        self.client.expect(what, &request, expected)
    }
}

fn random() -> anyhow::Result<String> {
    let mut bytes = [0; 8];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
