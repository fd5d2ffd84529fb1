//! A guarded route against the same route without a gate, in axum, actix-web and warp, over
//! loopback sockets that are kept alive. A third route has no gate, and its handler calls the
//! verifier: the difference between that and the gate is the gate's own.
//!
//! Each application runs on a thread of its own, and another thread is all clients. A client writes
//! the same bytes and reads an answer of known length. Its cost counts for each route alike, and
//! is small, since it would otherwise hide the cost of the gate.

mod actix;
mod answers;
mod axum;
mod client;
mod login;
mod warp;

use std::time::Duration;

use gatepass::{SystemClock, Verifier};
use tokio::runtime::{Builder, Runtime};

use self::client::Clients;
pub(crate) use self::login::run as login;
use crate::{
    log::Log,
    measure::{Contender, Quartiles, quantile, rounds_of},
    table::{Goal, Table, short},
    token::Key,
};

const CONNECTIONS: usize = 16;
/// A batch of requests, long beside a change of threads.
const BATCH: Duration = Duration::from_millis(10);
/// Bytes for verified tokens: enough for those of all clients.
const CACHE: u64 = 16 << 20;
/// Entries in a pull.
const PART: u32 = 100_000;

/// How an application answers to `/`.
#[derive(Clone)]
enum Route {
    /// Without a look at the token.
    Bare,
    /// By a handler that verifies the token itself.
    Verifying(Verifier),
    /// Behind a gate.
    Guarded(Verifier),
}

/// Serves `/` in one of these ways, and `/cpu` without a gate: on a thread of its own, until the
/// process ends.
type Serve = fn(Route) -> anyhow::Result<std::net::SocketAddr>;

const FRAMEWORKS: [(&str, Serve); 3] = [
    ("axum", axum::serve),
    ("actix-web", actix::serve),
    ("warp", warp::serve),
];

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    // The verifiers' own tasks run here.
    let runtime = Runtime::new()?;
    for revocations in [0, 1_000, 1_000_000] {
        for (key, name, goal) in [
            (Key::hs256()?, "HS256", 0.72),
            (Key::eddsa()?, "EdDSA, repeated tokens", 0.90),
        ] {
            for (framework, serve) in FRAMEWORKS {
                let quick = revocations == 0 || (revocations > 1_000 && framework == "axum");
                if !table.size.pick(quick, true) {
                    continue;
                }
                let log = Log::new(revocations, PART);
                let verifier = runtime.block_on(key.verifier(log, CACHE))?;
                let what = format!("{framework}, {name}, {revocations} revocations");
                let goal = if revocations == 0 {
                    Goal::AtLeast(goal)
                } else {
                    Goal::Known
                };
                compare(table, serve, verifier, &key, &what, goal)?;
            }
        }
    }
    Ok(())
}

fn compare(
    table: &mut Table,
    serve: Serve,
    verifier: Verifier,
    key: &Key,
    what: &str,
    goal: Goal,
) -> anyhow::Result<()> {
    let client = Builder::new_current_thread().enable_all().build()?;
    let tokens = client.block_on(key.tokens(CONNECTIONS, SystemClock))?;
    let connect = |route| client.block_on(Clients::connect(serve(route)?, &tokens));
    let mut bare = connect(Route::Bare)?;
    let mut verifying = connect(Route::Verifying(verifier.clone()))?;
    let mut guarded = connect(Route::Guarded(verifier))?;
    let contender = |clients| -> Contender<'_> {
        let (client, clients): (_, &mut Clients) = (&client, clients);
        Box::new(move |times| client.block_on(clients.requests(times)))
    };
    let rounds = table.size.pick(60, 300);
    let measured = rounds_of(
        BATCH,
        rounds,
        [
            contender(&mut bare),
            contender(&mut verifying),
            contender(&mut guarded),
        ],
    )?;

    let ratio = Quartiles::of(&measured, |[bare, _, guarded]| bare / guarded);
    let row = format!("requests/s, guarded of bare, {what}");
    table.ratio(&row, ratio, goal);
    let ratio = Quartiles::of(&measured, |[_, verifying, guarded]| verifying / guarded);
    let row = format!("requests/s, guarded of verifying in the handler, {what}");
    table.ratio(&row, ratio, Goal::Known);
    let each = |clients: &Clients| Quartiles::among(clients.computed.clone());
    let (plain, gated) = (each(&bare), each(&guarded));
    let pairs = guarded.computed.iter().zip(&bare.computed);
    let ratio = Quartiles::among(pairs.map(|(guarded, bare)| guarded / bare).collect());
    let row = format!(
        "CPU of a request, guarded of bare ({} of {} µs), {what}",
        short(gated.median * 1e6),
        short(plain.median * 1e6)
    );
    table.ratio(&row, ratio, Goal::Known);
    for waits in [&mut bare.waits, &mut guarded.waits] {
        waits.sort_by(f64::total_cmp);
    }
    for (name, part) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        let (plain, gated) = (
            quantile(&bare.waits, part) * 1e6,
            quantile(&guarded.waits, part) * 1e6,
        );
        let row = format!(
            "wait of {CONNECTIONS} busy clients, {name}, guarded of bare ({} of {} µs), {what}",
            short(gated),
            short(plain)
        );
        table.figure(&row, gated / plain, "", Goal::Known);
    }
    Ok(())
}
