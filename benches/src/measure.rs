//! Measuring several things against each other on a machine that is never quiet.
//!
//! Each runs in small batches, all of them in turn and in the same thread, and is compared batch by
//! batch. Other work of the machine then meets all of them alike. A batch that it interrupted is
//! one outlier among hundreds, which no median and no quartile sees.
//!
//! criterion and divan measure one function after the other, so that their ratio has the noise of
//! minutes in it. tango-bench does interleave, but pairs functions of one name out of two builds.
//! The functions that are compared here are in one build.

use std::{
    fmt,
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use anyhow::Context as _;

/// Runs an operation as often as it is told.
pub(crate) type Contender<'a> = Box<dyn FnMut(u32) -> anyhow::Result<()> + 'a>;

/// How long a batch takes, about: far less than a slice of the scheduler's, far more than reading a
/// clock.
pub(crate) const BATCH: Duration = Duration::from_micros(500);

const ROUNDS: usize = 1500;

/// A [`Contender`] that repeats one operation.
pub(crate) fn each<'a, T>(mut operation: impl FnMut() -> anyhow::Result<T> + 'a) -> Contender<'a> {
    Box::new(move |times| {
        for _ in 0..times {
            black_box(operation()?);
        }
        Ok(())
    })
}

/// The result of an operation that has nothing to wait for.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => anyhow::bail!("what is measured had to wait"),
    }
}

/// The seconds that an operation of each contender took, round by round.
pub(crate) fn rounds<const N: usize>(
    contenders: [Contender<'_>; N],
) -> anyhow::Result<Vec<[f64; N]>> {
    rounds_of(BATCH, ROUNDS, contenders)
}

/// The same, in batches that take about `batch`.
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
        // The first contender finds the caches as the last one left them, so they take turns.
        turns.rotate_left(round % N);
        for ((contender, size), seconds) in turns {
            *seconds = time(contender, size)? / f64::from(size);
        }
        measured.push(seconds);
    }
    Ok(measured)
}

fn size_of_batch(batch: Duration, contender: &mut Contender<'_>) -> anyhow::Result<u32> {
    let mut size = 1_u32;
    loop {
        let took = time(contender, size)?;
        if took >= batch.as_secs_f64() / 2.0 {
            return Ok(size);
        }
        size = size
            .checked_mul(2)
            .context("what is measured takes no time")?;
    }
}

fn time(contender: &mut Contender<'_>, times: u32) -> anyhow::Result<f64> {
    let start = Instant::now();
    contender(times)?;
    Ok(start.elapsed().as_secs_f64())
}

/// The middle of what was measured, and where its middle half lies.
#[derive(Clone, Copy)]
pub(crate) struct Quartiles {
    lower: f64,
    pub(crate) median: f64,
    upper: f64,
}

impl Quartiles {
    /// The quartiles of the values that `value` computes from each round.
    pub(crate) fn of<const N: usize>(
        rounds: &[[f64; N]],
        value: impl Fn(&[f64; N]) -> f64,
    ) -> Self {
        let mut values: Vec<f64> = rounds.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        Self {
            lower: quantile(&values, 0.25),
            median: quantile(&values, 0.5),
            upper: quantile(&values, 0.75),
        }
    }
}

impl fmt::Display for Quartiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lower,
            median,
            upper,
        } = self;
        write!(f, "{median:.3} ({lower:.3} to {upper:.3})")
    }
}

/// The value below which `part` of the `sorted` ones lie.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = (sorted.len().saturating_sub(1) as f64 * part).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}
