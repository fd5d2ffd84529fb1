//! Durable refreshes in a SQLite file, against the least that can be called one.

mod raw;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use gatepass::{Authority, Device, MasterSecret};
use gatepass_sqlite::SqliteStore;
use tempfile::TempDir;
use tokio::task::JoinSet;

use self::raw::Raw;
use crate::{
    measure::{Contender, Quartiles, rounds_of},
    table::{Goal, Table},
    token::{AUDIENCE, ISSUER, grant},
};

const CALLERS: usize = 16;
/// Sessions of each caller. All of them make a file of some megabytes.
const SESSIONS: usize = 1000;

/// Which of its sessions a caller refreshes after the one at `turn`: not its neighbour in the file, and not
/// the one next to what the other callers refresh meanwhile.
fn after(turn: usize) -> usize {
    (turn + 617) % SESSIONS
}

/// Where a caller begins.
fn first(caller: usize) -> usize {
    caller * SESSIONS / CALLERS
}

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let directory = directory()?;

    let store = SqliteStore::open(directory.path().join("sessions.db"))?;
    let builder = Authority::builder(ISSUER, AUDIENCE, MasterSecret::generate()?, store);
    let authority = runtime.block_on(builder.build())?;
    let mut ours = runtime.block_on(log_in(&authority))?;

    let raw = Arc::new(Raw::open(
        &directory.path().join("raw.db"),
        CALLERS * SESSIONS,
    )?);
    let mut theirs: Vec<_> = (0..CALLERS).map(|caller| raw.caller(caller)).collect();

    let ours: Contender<'_> = Box::new(|times| runtime.block_on(all(&mut ours, times)));
    let theirs: Contender<'_> = Box::new(|times| runtime.block_on(all(&mut theirs, times)));
    let measured = rounds_of(Duration::from_millis(40), 150, [ours, theirs])?;
    let ratio = Quartiles::of(&measured, |[ours, theirs]| theirs / ours);
    let what = "durable refreshes/s, SQLite, 16 callers, of raw compare-and-advances";
    table.ratio(what, ratio, Goal::AtLeast(0.7));
    Ok(())
}

/// On the disk that the build is on: in a directory for temporary files there might be none under it.
pub(crate) fn directory() -> anyhow::Result<TempDir> {
    let program: PathBuf = std::env::current_exe()?;
    let build = program.parent().context("a program without a directory")?;
    Ok(TempDir::new_in(build)?)
}

/// One who refreshes.
pub(crate) trait Caller: Send + 'static {
    fn refresh(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Has each caller refresh `times` times, all of them at once.
async fn all<C: Caller>(callers: &mut Vec<C>, times: u32) -> anyhow::Result<()> {
    let mut running = JoinSet::new();
    for mut caller in callers.drain(..) {
        running.spawn(async move {
            for _ in 0..times {
                caller.refresh().await?;
            }
            anyhow::Ok(caller)
        });
    }
    while let Some(done) = running.join_next().await {
        callers.push(done??);
    }
    Ok(())
}

/// The whole of it: token in, pair of tokens out.
struct Client {
    authority: Authority,
    refresh_tokens: Vec<String>,
    turn: usize,
}

impl Caller for Client {
    async fn refresh(&mut self) -> anyhow::Result<()> {
        let token = self.refresh_tokens.get_mut(self.turn);
        let token = token.context("no session")?;
        self.turn = after(self.turn);
        let issued = self.authority.refresh(token).await?;
        issued.refresh_token.as_str().clone_into(token);
        Ok(())
    }
}

async fn log_in(authority: &Authority) -> anyhow::Result<Vec<Client>> {
    let mut clients = JoinSet::new();
    for caller in 0..CALLERS {
        let authority = authority.clone();
        clients.spawn(async move {
            let mut refresh_tokens = Vec::with_capacity(SESSIONS);
            for number in 0..SESSIONS {
                let grant = grant(caller * SESSIONS + number)?;
                let issued = authority.issue(grant, Device::default()).await?;
                refresh_tokens.push(issued.refresh_token.as_str().to_owned());
            }
            anyhow::Ok(Client {
                authority,
                refresh_tokens,
                turn: first(caller),
            })
        });
    }
    clients.join_all().await.into_iter().collect()
}
