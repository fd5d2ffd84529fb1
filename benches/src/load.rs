//! The machine's other work during a measurement, from `/proc` (Linux).

use std::{collections::HashMap, fs, process};

/// The share of one core for other processes, and the share of all cores for the hypervisor, above
/// which a figure isn't trustworthy.
const OTHERS: f64 = 0.10;
const STOLEN: f64 = 0.01;
/// The fewest ticks of all cores to judge by: about a tenth of a second.
const FEW: f64 = 20.0;

/// The machine's work since its start, in ticks of the kernel's clock.
#[derive(Clone, Copy, Default)]
pub(crate) struct Load {
    all: f64,
    stolen: f64,
    /// The work of processes other than this one, its descendants and the kernel's threads.
    others: f64,
    cores: f64,
}

impl Load {
    /// The load so far, or all zero if the system doesn't report it.
    pub(crate) fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let cores = stat.lines().filter(|line| line.starts_with("cpu")).count();
        let ticks: Vec<f64> = stat
            .lines()
            .next()
            .into_iter()
            .flat_map(|line| line.split_whitespace().skip(1))
            .filter_map(|ticks| ticks.parse().ok())
            .collect();
        let tick = |place: usize| ticks.get(place).copied().unwrap_or(0.0);
        // user, nice and system; then idle, iowait, irq, softirq and steal.
        let busy = tick(0) + tick(1) + tick(2);
        Self {
            all: ticks.iter().take(8).sum(),
            stolen: tick(7),
            others: busy - ours(),
            cores: cores.saturating_sub(1) as f64,
        }
    }

    /// The reason, if any, to distrust a figure that was measured between `before` and this. `None`
    /// if too little time has passed to judge.
    pub(crate) fn doubt_since(&self, before: &Self) -> Option<Option<String>> {
        let all = self.all - before.all;
        if all < FEW {
            return None;
        }
        let others = (self.others - before.others) / all * self.cores;
        let stolen = (self.stolen - before.stolen) / all;
        Some(if stolen > STOLEN {
            Some(format!("the hypervisor took {:.0} %", stolen * 100.0))
        } else if others > OTHERS {
            Some(format!(
                "other processes took {:.0} % of a core",
                others * 100.0
            ))
        } else {
            None
        })
    }
}

/// The CPU seconds of the servers that this process has started.
pub(crate) fn servers_seconds() -> f64 {
    // Linux reports times to programs in this unit (`USER_HZ`).
    const TICKS: f64 = 100.0;
    (ticks(process::id()) - own()) / TICKS
}

/// The ticks of this process, its descendants and the kernel's threads, which work for it.
fn ours() -> f64 {
    const KERNEL_THREADS: u32 = 2;
    ticks(process::id()) + ticks(KERNEL_THREADS)
}

/// The ticks of a process and of its descendants.
fn ticks(root: u32) -> f64 {
    let mut processes = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((pid, fields)) = fields(&stat) else {
            continue;
        };
        let field = |place: usize| fields.get(place).copied().unwrap_or(0.0);
        // Its own ticks and those of its ended children, in user mode and in the kernel.
        let ticks: f64 = [11, 12, 13, 14].into_iter().map(field).sum();
        processes.insert(pid, (field(1) as u32, ticks));
    }
    let descends = |mut pid: u32| {
        while let Some((parent, _)) = processes.get(&pid) {
            if pid == root {
                return true;
            }
            pid = *parent;
        }
        false
    };
    let ours = processes.iter().filter(|(pid, _)| descends(**pid));
    ours.map(|(_, (_, ticks))| ticks).sum()
}

/// The ticks of this process alone.
fn own() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = fields(&stat).map(|(_, fields)| fields).unwrap_or_default();
    fields.iter().skip(11).take(2).sum()
}

/// The id of a process, and the numbers after its name. The name may have blanks and parentheses.
fn fields(stat: &str) -> Option<(u32, Vec<f64>)> {
    let (pid, _) = stat.split_once(' ')?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields = rest.split(' ').map(|field| field.parse().unwrap_or(0.0));
    Some((pid.parse().ok()?, fields.collect()))
}
