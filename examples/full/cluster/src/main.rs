//! Starts three nodes over one store, in axum, actix-web and warp, and shows when each learns of a
//! logout on another: `cargo run -p example-cluster`. Add `-- --help` for its stores.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program says what it does, and what went wrong"
)]

mod node;
mod store;
mod watch;

use std::{
    env, fs,
    io::{self, Write},
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::Context;
use clap::Parser;
use serde_json::json;
use tempfile::{NamedTempFile, TempDir};

use self::{
    node::{Node, Session, random},
    store::Store,
    watch::{BOUND, Outcome, Watch},
};

const FRAMEWORKS: [&str; 3] = ["axum", "actix", "warp"];
const PASSWORD: &str = "a password for a moment";

/// Starts three nodes of different frameworks over one store, and shows when each learns of a
/// logout.
#[derive(Parser)]
struct Arguments {
    /// `postgres`, `redis`, `redis-cluster` or `sqlite` starts a store. `postgres://…`, `redis://…`
    /// or `sqlite:FILE` names your own.
    #[arg(long, default_value = "postgres")]
    store: String,

    /// Keeps the nodes running at the end, so that you can open their pages in a browser.
    #[arg(long)]
    stay: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let directory = TempDir::new()?;
    // First, because it fails immediately if the server isn't installed.
    let store = Store::choose(&arguments.store, directory.path())?;
    println!("Build the examples");
    let programs = build()?;
    println!("\nStart three nodes over {}", store.name);
    // A name that no user of your store has.
    let user = format!("cluster-{:.16}", random()?);
    let nodes = start(programs, &directory, &store, &user)?;
    let played = play(&nodes);
    let right = played
        .as_ref()
        .is_ok_and(|rows| rows.iter().all(Outcome::is_right));
    if !right {
        for node in &nodes {
            println!("\nWhat {} said\n{}", node.framework, node.log());
        }
    }
    print(&store.name, &played?);
    anyhow::ensure!(right, "a node learned of a logout too late, or not at all");
    if arguments.stay {
        stay(&nodes, &user)?;
    }
    Ok(())
}

/// Builds the examples' programs with the profile of this program, in the same directory.
fn build() -> anyhow::Result<[PathBuf; 3]> {
    let own = env::current_exe()?;
    let directory = own.parent().context("this program is in no directory")?;
    let profile = directory.file_name().filter(|name| *name != "debug");
    let cargo = env::var_os("CARGO").context("run it with `cargo run -p example-cluster`")?;
    let packages = FRAMEWORKS.map(|framework| format!("--package=example-{framework}"));
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--bins", "--profile"])
        .arg(profile.unwrap_or("dev".as_ref()))
        .args(packages)
        .status()?;
    anyhow::ensure!(built.success(), "the examples were not built");
    let suffix = env::consts::EXE_SUFFIX;
    Ok(FRAMEWORKS.map(|framework| directory.join(format!("example-{framework}{suffix}"))))
}

/// Starts a node of each framework. The page of each node shows how soon the node before it learns
/// of a logout.
fn start(
    programs: [PathBuf; 3],
    directory: &TempDir,
    store: &Store,
    user: &str,
) -> anyhow::Result<Vec<Node>> {
    let secret = directory.path().join("secret");
    // Nodes refuse a secret that others may read. Only the owner can read this file.
    let mut private = NamedTempFile::new_in(directory)?;
    private.write_all(random()?.repeat(2).as_bytes())?;
    private.persist(&secret)?;
    let users = directory.path().join("users.json");
    let user_list = json!([{"username": user, "password": PASSWORD, "scope": "profile"}]);
    fs::write(&users, user_list.to_string())?;
    let mut nodes: Vec<Node> = Vec::new();
    for (framework, program) in FRAMEWORKS.into_iter().zip(programs) {
        let mut command = Command::new(program);
        command
            .arg("--secret-file")
            .arg(&secret)
            .arg("--users")
            .arg(&users)
            .args(["--max-staleness", &format!("{}ms", BOUND.as_millis())]);
        if !store.is_own {
            // A user in your database would stay there.
            command.args(["--user-store", "memory"]);
        }
        if let Some(before) = nodes.last() {
            command.args(["--peer", before.url()]);
        }
        let home = directory.path().join(framework);
        let mut node = Node::start(framework, command, home, &store.location, user)?;
        node.wait()?;
        nodes.push(node);
    }
    Ok(nodes)
}

fn play(nodes: &[Node]) -> anyhow::Result<Vec<Outcome>> {
    let [axum, actix, warp] = nodes else {
        anyhow::bail!("there are three nodes")
    };
    println!("\nA session of all nodes");
    let first = axum.login(PASSWORD)?;
    all_accept(nodes, &first)?;
    let second = actix.refresh(&first)?;

    println!("\nLogouts, each on another node than the login");
    let one = "/auth/logout";
    let mut outcomes = vec![end(nodes, warp, one, &second, &second)?];
    for (login, logout) in [(actix, warp), (warp, axum)] {
        let session = login.login(PASSWORD)?;
        outcomes.push(end(nodes, logout, one, &session, &session)?);
    }

    println!("\nA logout of all devices");
    let phone = axum.login(PASSWORD)?;
    let laptop = actix.login(PASSWORD)?;
    outcomes.push(end(nodes, warp, "/auth/logout-all", &laptop, &phone)?);
    nodes.iter().try_for_each(|node| node.refuses(&laptop))?;
    Ok(outcomes)
}

/// Logs `session` out on one node, while this program asks all nodes about the session `watched`.
fn end(
    nodes: &[Node],
    on: &Node,
    path: &str,
    session: &Session,
    watched: &Session,
) -> anyhow::Result<Outcome> {
    all_accept(nodes, watched)?;
    let watch = Watch::begin(nodes.iter().map(Node::me), watched.bearer());
    let ended = on.logout(path, session)?;
    let what = format!(
        "token from {}, {path} on {}",
        watched.framework, on.framework
    );
    let outcome = watch.end(what, ended);
    for (node, seen) in nodes.iter().zip(&outcome.nodes) {
        println!("  {:<6} {}", node.framework, seen.shown());
        node.refuses(watched)?;
    }
    Ok(outcome)
}

fn all_accept(nodes: &[Node], session: &Session) -> anyhow::Result<()> {
    nodes.iter().try_for_each(|node| node.accepts(session))
}

/// Keeps the nodes running until the user presses Enter.
fn stay(nodes: &[Node], user: &str) -> anyhow::Result<()> {
    println!("\nOpen a page, and log in as {user} with the password: {PASSWORD}\n");
    for node in nodes {
        println!("  {:<6} {}", node.framework, node.url());
    }
    println!("\nPress Enter to stop.");
    io::stdin().read_line(&mut String::new())?;
    Ok(())
}

fn print(store: &str, outcomes: &[Outcome]) {
    let bound = BOUND.as_millis();
    println!(
        "\nms from the answer to a logout until a node refuses, over {store}; at most {bound}:\n"
    );
    let columns = FRAMEWORKS.map(|framework| format!("{framework:>10}"));
    println!("{:<48}{}", "", columns.concat());
    for outcome in outcomes {
        println!("{:<48}{}", outcome.what, outcome.learned());
    }
}
