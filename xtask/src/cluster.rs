//! `cargo xtask cluster`: three nodes over one store, and when each of them learns of a logout on
//! another.

mod nodes;
mod store;
mod watch;

use xshell::Shell;

use self::{
    nodes::{FRAMEWORKS, Nodes},
    store::Store,
    watch::{BOUND, Outcome},
};
use crate::{built, progress::step};

/// Plays sessions over three nodes, and fails if one did not answer as it must.
pub(crate) fn run(sh: &Shell, store: Option<&str>) -> anyhow::Result<()> {
    // Removed when dropped.
    let directory = sh.create_temp_dir()?;
    // First, since it fails at once where its server is not installed.
    let store = Store::choose(sh, store.unwrap_or("postgres"), directory.path())?;
    step("cluster", "build the examples");
    let programs = FRAMEWORKS.map(|framework| format!("example-{framework}"));
    let programs = programs.each_ref().map(String::as_str);
    let binaries = built::executables(sh, &programs, &programs)?;
    let mut nodes = Nodes::prepare(binaries, directory.path(), &store)?;
    step("cluster", &format!("start three nodes over {}", store.name));
    let outcomes = nodes.start().and_then(|()| play(&mut nodes));
    nodes.stop();

    let failed = nodes.failed();
    if outcomes.is_err() || failed > 0 {
        step("cluster", "what the nodes said");
        println!("{}", nodes.logs());
    }
    print(&store.name, &outcomes?);
    anyhow::ensure!(failed == 0, "cluster: {failed} steps failed");
    step("cluster", "all steps ok");
    Ok(())
}

fn play(nodes: &mut Nodes) -> anyhow::Result<Vec<Outcome>> {
    step("cluster", "a session of all nodes");
    let first = nodes.login(0)?;
    nodes.all_accept(&first)?;
    let second = nodes.refresh(1, &first)?;
    nodes.all_accept(&second)?;

    step("cluster", "logouts, each on another node than the login");
    let mut outcomes = vec![nodes.logout(2, &second)?];
    for login in [1, 2] {
        let tokens = nodes.login(login)?;
        let logout = (login + 1) % FRAMEWORKS.len();
        outcomes.push(nodes.logout(logout, &tokens)?);
    }

    step("cluster", "a logout of all devices");
    let phone = nodes.login(0)?;
    let laptop = nodes.login(1)?;
    outcomes.push(nodes.logout_all(2, &laptop, &phone)?);
    Ok(outcomes)
}

fn print(store: &str, outcomes: &[Outcome]) {
    println!(
        "\nms from the answer to a logout until a node refuses, over {store}; at most {}:\n",
        BOUND.as_millis()
    );
    let head = FRAMEWORKS
        .map(|framework| format!("{framework:>10}"))
        .concat();
    println!("{:<48}{head}", "");
    for outcome in outcomes {
        println!("{:<48}{}", outcome.what, outcome.learned());
    }
    println!();
}
