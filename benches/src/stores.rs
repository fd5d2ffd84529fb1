//! Durable refreshes in every store, compared with the smallest store that can do one, through the
//! same client.

mod postgres;
mod redis;
mod sqlite;

use std::time::Duration;

use gatepass::{Authority, Device, MasterSecret, ReusePolicy, store::SessionStore};
use tokio::{runtime::Runtime, task::JoinSet};

pub(crate) use self::{
    postgres::run as postgres,
    redis::{run as redis, run_cluster as redis_cluster},
    sqlite::run as sqlite,
};
use crate::{
    measure::{Quartiles, Size, rounds_of, waiting},
    table::{Goal, Table},
    token::{AUDIENCE, ISSUER, identity},
};

/// How many callers refresh at once.
const CALLERS: [usize; 3] = [1, 16, 64];
/// Tasks that log in at once before the measurement.
const LOGINS: usize = 64;

const BATCH: Duration = Duration::from_millis(40);

/// The goals of a store: at least these shares of the bare rate, for 16 and for 64 callers.
type Goals = [f64; 2];

/// Sessions of all callers together. They take some megabytes.
fn sessions(table: &Table) -> usize {
    table.size.pick(4_000, 16_000)
}

/// The smallest possible store: rows of ids and generations, and a compare-and-advance that is as
/// durable as the store's.
trait Bare: Clone + Send + Sync + 'static {
    /// The part of a row that a caller knows.
    type Row: Send + 'static;

    /// Advances the row. No other caller advances this row meanwhile.
    fn advance(&self, row: &mut Self::Row) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Compares `store` with `bare` and its `rows`.
fn compare<B: Bare>(
    table: &mut Table,
    runtime: &Runtime,
    (name, goals): (&str, Goals),
    store: impl SessionStore,
    bare: &B,
    mut rows: Vec<B::Row>,
) -> anyhow::Result<()> {
    // Within the overlap, another refresh would bring the same refresh token and write nothing.
    let every = ReusePolicy {
        overlap: Duration::ZERO,
        ..ReusePolicy::default()
    };
    let builder = Authority::builder(ISSUER, AUDIENCE, MasterSecret::generate()?, store);
    let builder = builder.reuse(every);
    let authority = runtime.block_on(builder.build())?;
    let mut tokens = runtime.block_on(log_in(&authority, sessions(table)))?;
    for callers in CALLERS {
        let goal = match callers {
            16 => Goal::AtLeast(goals[0]),
            64 => Goal::AtLeast(goals[1]),
            _ if table.size == Size::Quick => continue,
            _ => Goal::Known,
        };
        println!("   {name}, {callers} at once");
        let mut ours = among(callers, tokens, |tokens| Ours {
            authority: authority.clone(),
            tokens,
        });
        let mut theirs = among(callers, rows, |rows| Theirs {
            bare: bare.clone(),
            rows,
        });
        let measured = rounds_of(
            BATCH,
            table.size.pick(25, 100),
            [
                waiting(|times| runtime.block_on(all(&mut ours, times))),
                waiting(|times| runtime.block_on(all(&mut theirs, times))),
            ],
        )?;
        let ratio = Quartiles::of(&measured, |[ours, theirs]| theirs / ours);
        let who = match callers {
            1 => "1 caller".to_owned(),
            _ => format!("{callers} callers"),
        };
        let what = format!("refreshes/s, {name}, {who}, of bare compare-and-advances");
        table.ratio(&what, ratio, goal);
        let rate = Quartiles::of(&measured, |[ours, _]| callers as f64 / ours);
        let what = format!("refreshes/s, {name}, {who}");
        table.spread(&what, rate, "", Goal::Known);
        tokens = ours
            .into_iter()
            .flat_map(|caller| caller.tokens.all)
            .collect();
        rows = theirs
            .into_iter()
            .flat_map(|caller| caller.rows.all)
            .collect();
    }
    Ok(())
}

/// A client that refreshes.
trait Caller: Send + 'static {
    fn refresh(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// A whole refresh of gatepass: token in, pair of tokens out.
struct Ours {
    authority: Authority,
    tokens: InTurn<String>,
}

impl Caller for Ours {
    async fn refresh(&mut self) -> anyhow::Result<()> {
        let token = self.tokens.next()?;
        let issued = self.authority.refresh(token).await?;
        let next = issued.refresh_token.as_str();
        anyhow::ensure!(next != token, "a refresh wrote nothing");
        next.clone_into(token);
        Ok(())
    }
}

struct Theirs<B: Bare> {
    bare: B,
    rows: InTurn<B::Row>,
}

impl<B: Bare> Caller for Theirs<B> {
    async fn refresh(&mut self) -> anyhow::Result<()> {
        self.bare.advance(self.rows.next()?).await
    }
}

/// The items of a caller, in an order without neighbours. No other caller takes them meanwhile.
struct InTurn<T> {
    all: Vec<T>,
    turn: usize,
}

impl<T> InTurn<T> {
    fn next(&mut self) -> anyhow::Result<&mut T> {
        // Shares no divisor with any number of sessions per caller.
        self.turn = (self.turn + 617) % self.all.len().max(1);
        let next = self.all.get_mut(self.turn);
        next.ok_or_else(|| anyhow::anyhow!("a caller without sessions"))
    }
}

/// Makes this many callers, each with its share of `all`.
fn among<T, C>(callers: usize, all: Vec<T>, caller: impl Fn(InTurn<T>) -> C) -> Vec<C> {
    let each = all.len() / callers;
    let mut all = all.into_iter();
    let part = |number| InTurn {
        all: all.by_ref().take(each).collect(),
        turn: number * each / callers,
    };
    (0..callers).map(part).map(caller).collect()
}

/// Makes each caller refresh `times` times, all callers at once.
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

async fn log_in(authority: &Authority, sessions: usize) -> anyhow::Result<Vec<String>> {
    let mut logins = JoinSet::new();
    for login in 0..LOGINS {
        let authority = authority.clone();
        logins.spawn(async move {
            let mut tokens = Vec::new();
            for number in (login..sessions).step_by(LOGINS) {
                let issued = authority
                    .issue(identity(number)?, Device::default())
                    .await?;
                tokens.push(issued.refresh_token.as_str().to_owned());
            }
            anyhow::Ok(tokens)
        });
    }
    let mut tokens = Vec::new();
    for some in logins.join_all().await {
        tokens.extend(some?);
    }
    Ok(tokens)
}

/// As random as ids are, so the rows lie in the same order.
fn id(number: usize) -> [u8; 18] {
    let mut id = [0; 18];
    let mixed = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for (byte, mixed) in id.iter_mut().zip(mixed.to_be_bytes()) {
        *byte = mixed;
    }
    id
}
