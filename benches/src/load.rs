//! The other work of the machine while something is measured, from `/proc` (Linux).

use std::{collections::HashMap, fs, process};

/// Other processes may take so much of one core, and the hypervisor so much of all cores, before a
/// figure isn't to be trusted.
const OTHERS: f64 = 0.10;
const STOLEN: f64 = 0.01;
/// Ticks of all cores below which there is nothing to judge by: a tenth of a second or so.
const FEW: f64 = 20.0;

/// The work that the machine has done since it started, in ticks of the kernel's clock.
#[derive(Clone, Copy, Default)]
pub(crate) struct Load {
    all: f64,
    stolen: f64,
    /// By processes other than this one, its descendants and the kernel's threads.
    others: f64,
    cores: f64,
}

impl Load {
    /// The load so far. All zero where the system doesn't say.
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

    /// The reason to distrust a figure that was measured between `before` and this, if there is
    /// one; `None` if too little time has passed to say.
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

/// The CPU seconds that servers have taken which this process has started.
pub(crate) fn servers_seconds() -> f64 {
    // The unit in which Linux tells times to programs (`USER_HZ`).
    const TICKS: f64 = 100.0;
    (ticks(process::id()) - own()) / TICKS
}

/// The ticks of this process, its descendants and the kernel's threads, which work for us.
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
        // Its own and those of its children that have ended, in user mode and in the kernel.
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

/// The id of a process, and its numbers after its name, which may have blanks and parentheses.
fn fields(stat: &str) -> Option<(u32, Vec<f64>)> {
    let (pid, _) = stat.split_once(' ')?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields = rest.split(' ').map(|field| field.parse().unwrap_or(0.0));
    Some((pid.parse().ok()?, fields.collect()))
}
