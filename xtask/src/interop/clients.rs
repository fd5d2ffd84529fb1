//! Runs clients and resource servers that people use against the servers of all examples.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::Context;
use serde_json::{Value, json};
use ureq::Agent;
use xshell::Shell;

use super::{install::Installed, keygen};
use crate::{built, example::Server, process::Process, progress::step};

/// How long one client may take with all servers on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// The frameworks, each with a route of its example that requires an access token and that a
/// browser could call.
const EXAMPLES: &[(&str, &str)] = &[
    ("axum", "/me"),
    ("actix", "/me"),
    ("warp", "/me"),
    // The other guarded routes are methods of gRPC.
    ("tonic", "/auth/sessions"),
];

/// The algorithm that a server signs with, and the flag and the file with the key.
const KEYS: &[(&str, &str, &str)] = &[
    ("HS256", "--secret-file", "secret"),
    ("ES256", "--key", "es256.pem"),
];

/// The scripts of the clients. Each reads the list of servers, talks to all of them, and prints a
/// line for each.
const SCRIPTS: &[&str] = &[
    "clients/pyjwt_client.py",
    "clients/jose_client.mjs",
    "clients/requests_oauthlib_client.py",
    "clients/authlib_client.py",
    "clients/oauth4webapi_client.mjs",
    "clients/openid_client_client.mjs",
    "clients/openapi_document.py",
    "clients/swagger_ui_client.mjs",
];

const USER: (&str, &str) = ("alice", "a password for alice");
const AUDIENCE: &str = "shop-api";
/// The secret has characters that one client escapes in HTTP Basic, and another does not.
const CLIENT: (&str, &str) = ("gateway", "the gateway's secret: 100%2D+random");
const PUBLIC_CLIENT: &str = "desktop";

/// A running server, and its description for a client.
struct Running {
    name: String,
    server: Server,
    described: Value,
}

/// Has each client talk to each server. Fails at the first wrong answer.
pub(super) fn run(sh: &Shell, installed: &Installed, tool: &Path) -> anyhow::Result<()> {
    // Removed when dropped.
    let directory = sh.create_temp_dir()?;
    let directory = directory.path();
    {
        let _there = sh.push_dir(directory);
        keygen(sh, tool, &["secret", "--out", "secret"])?;
        // The file that a service gets if it verifies with a shared secret.
        keygen(sh, tool, &["hs256", "--from", "secret"])?;
        keygen(sh, tool, &["es256"])?;
    }
    let jwk: Value = serde_json::from_str(&sh.read_file(directory.join("hs256.jwk"))?)?;

    // Stopped when dropped.
    let mut servers = Vec::new();
    for (framework, guarded) in EXAMPLES {
        let example = format!("example-{framework}");
        step("interop", &format!("start {example}"));
        let binary = built::executable(sh, &example, &example)?;
        for (algorithm, flag, file) in KEYS {
            let name = format!("{framework}, {algorithm}");
            let home = directory.join(format!("{framework}-{algorithm}"));
            sh.create_dir(&home)?;
            let key = directory.join(file).display().to_string();
            let server = start(&binary, &home, &[flag, &key]).with_context(|| name.clone())?;
            let mut described = describe(&server, &name, guarded)?;
            if let Some(members) = described.as_object_mut() {
                members.insert("algorithm".into(), (*algorithm).into());
                let symmetric = *algorithm == "HS256";
                members.insert("jwk".into(), symmetric.then(|| jwk.clone()).into());
            }
            servers.push(Running {
                name,
                server,
                described,
            });
        }
    }
    let described: Vec<_> = servers.iter().map(|one| &one.described).collect();
    fs::write(
        directory.join("servers.json"),
        json!({ "servers": described }).to_string(),
    )?;
    for script in SCRIPTS {
        converse(installed, script, directory, &servers)?;
    }
    Ok(())
}

fn start(binary: &Path, home: &Path, keys: &[&str]) -> anyhow::Result<Server> {
    let users = json!([{"username": USER.0, "password": USER.1, "scope": "profile"}]);
    let mut server = Server::prepare(home)?;
    let (url, client) = (server.url(), format!("{}:{}", CLIENT.0, CLIENT.1));
    let flags = [
        // Without an overlap, the server detects a reused refresh token at once.
        "--overlap",
        "0s",
        "--recovery",
        "0s",
        // Each client tries a wrong password, and all of them use the same user.
        "--no-login-throttle",
        "--issuer",
        &url,
        "--audience",
        AUDIENCE,
        "--client",
        &client,
        "--client",
        PUBLIC_CLIENT,
    ];
    server.start(binary, &users, &[&flags, keys].concat(), || {
        get(&metadata_url(&url)).is_ok()
    })?;
    Ok(server)
}

/// The URL of a server's metadata, which lists its endpoints (RFC 8414).
fn metadata_url(url: &str) -> String {
    format!("{url}/.well-known/oauth-authorization-server")
}

fn describe(server: &Server, name: &str, guarded: &str) -> anyhow::Result<Value> {
    let url = server.url();
    let confidential = |method: &str| json!({"id": CLIENT.0, "secret": CLIENT.1, "method": method});
    Ok(json!({
        "name": name,
        "issuer": url,
        "audience": AUDIENCE,
        "guarded": format!("{url}{guarded}"),
        "metadata": get(&metadata_url(&url))?,
        "user": {"username": USER.0, "password": USER.1},
        "clients": [
            confidential("client_secret_basic"),
            confidential("client_secret_post"),
            {"id": PUBLIC_CLIENT, "secret": null, "method": "none"},
        ],
    }))
}

fn get(url: &str) -> anyhow::Result<Value> {
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(5)))
        // The server is on this machine, so ignore the proxies that the environment names.
        .proxy(None)
        .build()
        .into();
    let text = agent.get(url).call()?.into_body().read_to_string()?;
    Ok(serde_json::from_str(&text)?)
}

fn converse(
    installed: &Installed,
    script: &str,
    directory: &Path,
    servers: &[Running],
) -> anyhow::Result<()> {
    let (program, path) = installed.script(script);
    let (out, err) = (directory.join("out"), directory.join("err"));
    let mut command = Command::new(program);
    command
        .arg(path)
        .stdin(File::open(directory.join("servers.json"))?)
        .stdout(File::create(&out)?)
        .stderr(File::create(&err)?)
        // A client must not write to the source tree.
        .env("PYTHONDONTWRITEBYTECODE", "1");
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        // The servers are on this machine.
        command.env_remove(name);
    }
    let ended = Process::start(&mut command)?.wait(PATIENCE, || false);
    for line in fs::read_to_string(&out)?.lines() {
        step("interop", line);
    }
    let told = fs::read_to_string(&err)?;
    let right = matches!(&ended, Ok(Some(status)) if status.success());
    if !right {
        let concerned = servers.iter().filter(|one| told.contains(&one.name));
        for Running { name, server, .. } in concerned {
            step("interop", &format!("what the server said ({name})"));
            println!("{}", server.log());
        }
    }
    ended.with_context(|| script.to_owned())?;
    anyhow::ensure!(right, "interop: {script}: {}", told.trim_end());
    Ok(())
}
