//! A guarded route, compared with the same route without a gate, in axum, actix-web and warp. The
//! clients use loopback sockets that stay open. A third route has no gate, and its handler calls
//! the verifier. The difference between that route and the guarded one is the cost of the gate
//! itself.
//!
//! Each application runs on its own thread, and another thread runs all clients. A client writes
//! the same bytes and reads answers of known length. Every figure includes its cost, which must be
//! small, or it would hide the cost of the gate.

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
/// The time of a batch of requests: long compared with a switch of threads.
const BATCH: Duration = Duration::from_millis(10);
/// Bytes for verified tokens: enough for all clients.
const CACHE: u64 = 16 << 20;
/// Entries in a pull.
const PART: u32 = 100_000;

/// The route `/` of an application.
#[derive(Clone)]
enum Route {
    /// It ignores the token.
    Bare,
    /// Its handler verifies the token.
    Verifying(Verifier),
    /// It is behind a gate.
    Guarded(Verifier),
}

/// Serves `/` in one of these ways, and `/cpu` without a gate, on its own thread until the process
/// ends.
type Serve = fn(Route) -> anyhow::Result<std::net::SocketAddr>;

const FRAMEWORKS: [(&str, Serve); 3] = [
    ("axum", axum::serve),
    ("actix-web", actix::serve),
    ("warp", warp::serve),
];

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    // The verifiers' tasks run on this runtime.
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
