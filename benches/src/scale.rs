//! The denylist from a thousand to ten million revocations, and a model of a service of many nodes,
//! checked against measurements.

mod model;
mod stream;

use crate::{
    chart::{Line, lines},
    child::{self, Loaded},
    measure::{Quartiles, Size},
    scale::model::{Costs, Service},
    table::{Goal, Table, short},
};

const ENTRIES: [u32; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
/// Below this number of entries, the memory of the process hides theirs.
const VISIBLE: u32 = 100_000;

pub(crate) fn run(table: &mut Table) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for entries in ENTRIES.iter().take(table.size.pick(4, 5)) {
        println!("   {entries} revocations");
        let loaded = child::load(*entries, true, table.size)?;
        denylist(table, &loaded);
        all.push(loaded);
    }
    charts(table, &all);
    let Some(largest) = all.last() else {
        return Ok(());
    };
    let stream = stream::costs(table)?;
    let visible = all.iter().filter(|loaded| loaded.entries >= VISIBLE);
    // The tables are more or less full, so the model uses the worst case.
    let bytes = visible.map(|loaded| loaded.bytes).fold(0.0, f64::max);
    let costs = Costs {
        bytes,
        load: largest.seconds.median / f64::from(largest.entries),
        ..stream
    };
    for loaded in all.iter().filter(|loaded| loaded.entries >= VISIBLE) {
        let entries = f64::from(loaded.entries);
        let what = format!("model: memory of {entries} revocations, of the measured");
        let ratio = costs.memory(entries) / (loaded.bytes * entries);
        table.figure(&what, ratio, "", Goal::Known);
        let what = format!("model: load of {entries} revocations, of the measured");
        let ratio = costs.load * entries / loaded.seconds.median;
        table.figure(&what, ratio, "", Goal::Known);
    }
    if table.size == Size::Full {
        stream::check(table, &costs)?;
    }
    let services = [10.0, 100.0, 1_000.0].into_iter().flat_map(|nodes| {
        [10.0, 1_000.0].map(|logins| Service {
            nodes,
            logins,
            ..Service::USUAL
        })
    });
    let tables = model::table(&costs, services);
    println!("{tables}");
    table.notes.push(tables);
    Ok(())
}

fn denylist(table: &mut Table, loaded: &Loaded) {
    let entries = loaded.entries;
    if let Some(checks) = &loaded.checks {
        let what = format!("verify HS256 among {entries} revocations, of one among none");
        table.ratio(&what, checks.of_none, Goal::Known);
        let what = format!("check among {entries} revocations");
        table.spread(&what, checks.nanoseconds, " ns", Goal::Known);
        let what = format!("verify HS256 among {entries} revocations, time on two threads of one");
        table.ratio(&what, checks.two_of_one, Goal::Known);
    }
    if entries >= VISIBLE {
        let what = format!("bytes of one of {entries} revocations");
        table.figure(&what, loaded.bytes, " bytes", Goal::AtMost(50.0));
    }
    let what = format!("CPU time to load {entries} revocations");
    let millis = |seconds: f64| seconds * 1000.0;
    let took = Quartiles {
        lower: millis(loaded.seconds.lower),
        median: millis(loaded.seconds.median),
        upper: millis(loaded.seconds.upper),
    };
    let goal = match entries {
        1_000_000 => Goal::AtMost(600.0),
        10_000_000 => Goal::AtMost(6_000.0),
        _ => Goal::Known,
    };
    table.spread(&what, took, " ms", goal);
}

fn charts(table: &mut Table, all: &[Loaded]) {
    let points = |value: fn(&Loaded) -> Option<f64>| -> Vec<(f64, f64)> {
        all.iter()
            .filter_map(|loaded| Some((f64::from(loaded.entries), value(loaded)?)))
            .collect()
    };
    let check = points(|loaded| Some(loaded.checks.as_ref()?.nanoseconds.median));
    let load = points(|loaded| Some(loaded.seconds.median * 1000.0));
    let bytes = points(|loaded| (loaded.entries >= VISIBLE).then_some(loaded.bytes));
    let shown = |points: &[(f64, f64)]| {
        let last = points.last();
        last.map_or(String::new(), |(_, value)| short(*value))
    };
    for (file, title, points) in [
        ("check", "ns of a check", check),
        ("load", "ms to load", load),
        ("bytes", "bytes of a revocation", bytes),
    ] {
        let line = Line {
            name: format!("{title}: {} at the end", shown(&points)),
            points,
        };
        table
            .charts
            .push((file, lines(title, "live revocations", &[line])));
    }
}
