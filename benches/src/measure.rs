//! Comparing several operations on a machine that is never quiet.
//!
//! Each operation runs in small batches. All take turns, and each round compares their batches. So
//! other work of the machine affects all of them alike. A batch that it interrupts is one outlier
//! among hundreds, and changes no median or quartile.
//!
//! criterion and divan measure one function after the other, so their ratio has the noise of
//! minutes in it. tango-bench does interleave, but pairs functions of one name from two builds.
//! These benchmarks compare functions of one build.

use std::{
    hint::black_box,
    pin::pin,
    sync::Barrier,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::clock::{computing, wall};

/// Runs an operation this many times, and returns the seconds of the whole.
pub(crate) type Contender<'a> = Box<dyn FnMut(u32) -> anyhow::Result<f64> + 'a>;

/// The amount of measurement.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// Little of everything, so all parts together take two minutes.
    Quick,
    /// Everything that a report needs.
    Full,
}

impl Size {
    /// Returns the value for this size.
    pub(crate) fn pick<T>(self, quick: T, full: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

/// The approximate time of a batch of computing: far shorter than a slice of the scheduler, and far
/// longer than a reading of the clock.
const BATCH: Duration = Duration::from_micros(500);

/// A [`Contender`] that repeats an operation on one thread. Measures the CPU time of that thread.
pub(crate) fn each<'a, T>(mut operation: impl FnMut() -> anyhow::Result<T> + 'a) -> Contender<'a> {
    Box::new(move |times| {
        computing(|| {
            for _ in 0..times {
                black_box(operation()?);
            }
            Ok(())
        })
    })
}

/// A [`Contender`] that itself repeats an operation. Measures wall time.
pub(crate) fn waiting<'a>(
    mut operations: impl FnMut(u32) -> anyhow::Result<()> + 'a,
) -> Contender<'a> {
    Box::new(move |times| wall(|| operations(times)))
}

/// A [`Contender`] in which several threads repeat an operation at the same time. It takes the
/// average CPU time of a thread. `operations` gets the number of its thread.
pub(crate) fn together<'a>(
    threads: usize,
    operations: impl Fn(usize, u32) -> anyhow::Result<()> + Sync + 'a,
) -> Contender<'a> {
    Box::new(move |times| {
        let (start, operations) = (Barrier::new(threads), &operations);
        let computed: anyhow::Result<Vec<f64>> = thread::scope(|scope| {
            let running: Vec<_> = (0..threads)
                .map(|thread| {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        computing(|| operations(thread, times))
                    })
                })
                .collect();
            let result = |thread: thread::ScopedJoinHandle<'_, _>| thread.join();
            running
                .into_iter()
                .map(|thread| result(thread).map_err(|_| anyhow::anyhow!("a thread panicked"))?)
                .collect()
        });
        Ok(computed?.iter().sum::<f64>() / threads as f64)
    })
}

/// The result of an operation that waits for nothing.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => anyhow::bail!("the operation under measurement had to wait"),
    }
}

/// The seconds of each contender's operation, round by round.
pub(crate) fn rounds<const N: usize>(
    size: Size,
    contenders: [Contender<'_>; N],
) -> anyhow::Result<Vec<[f64; N]>> {
    rounds_of(BATCH, size.pick(300, 1500), contenders)
}

/// The same, in batches of about `batch`.
pub(crate) fn rounds_of<const N: usize>(
    batch: Duration,
    rounds: usize,
    mut contenders: [Contender<'_>; N],
) -> anyhow::Result<Vec<[f64; N]>> {
    let mut sizes = [1; N];
    for (contender, size) in contenders.iter_mut().zip(&mut sizes) {
        *size = size_of_batch(batch, contender)?;
    }
    let mut measured = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let mut seconds = [0.0; N];
        let mut turns: Vec<_> = contenders.iter_mut().zip(sizes).zip(&mut seconds).collect();
        // The first contender finds the caches of the last one, so they take turns.
        turns.rotate_left(round % N);
        for ((contender, size), seconds) in turns {
            *seconds = contender(size)? / f64::from(size);
        }
        measured.push(seconds);
    }
    Ok(measured)
}

fn size_of_batch(batch: Duration, contender: &mut Contender<'_>) -> anyhow::Result<u32> {
    let mut size = 1_u32;
    loop {
        // Takes the smaller of two, since an interruption makes an operation look slower.
        let took = contender(size)?.min(contender(size)?);
        if took >= batch.as_secs_f64() / 2.0 {
            return Ok(size);
        }
        size = size
            .checked_mul(2)
            .context("the operation under measurement takes no time")?;
    }
}

/// The median of the measurements, and the middle half around it.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Quartiles {
    pub(crate) lower: f64,
    pub(crate) median: f64,
    pub(crate) upper: f64,
}

impl Quartiles {
    /// The quartiles of `value` over all rounds.
    pub(crate) fn of<const N: usize>(
        rounds: &[[f64; N]],
        value: impl Fn(&[f64; N]) -> f64,
    ) -> Self {
        Self::among(rounds.iter().map(value).collect())
    }

    /// The quartiles of these values.
    pub(crate) fn among(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            lower: quantile(&values, 0.25),
            median: quantile(&values, 0.5),
            upper: quantile(&values, 0.75),
        }
    }

    /// The distance of the farther quartile from the median, as a share of the median.
    pub(crate) fn spread(&self) -> f64 {
        let farther = (self.upper - self.median).max(self.median - self.lower);
        farther / self.median.abs()
    }
}

/// The value with `part` of the `sorted` values below it.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = (sorted.len().saturating_sub(1) as f64 * part).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}
