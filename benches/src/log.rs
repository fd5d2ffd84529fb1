//! A log of revocations that makes its entries when a reader pulls them, so they take no memory
//! before.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use gatepass::{
    Clock, SessionId, StoreError, SystemClock, Timestamp, async_trait,
    store::{
        Cursor, GrantVersion, PullResult, Revocation, RevocationLog, RevocationTarget, TokenId,
        TokenStatus,
    },
};
use tokio::sync::Notify;

use crate::measure::at_once;

/// Seconds until the entries end: the usual lifetime of an access token.
const LIFE: u64 = 900;

/// A log of entries by number, half of them of sessions and half of single tokens.
#[derive(Clone)]
pub(crate) struct Log(Arc<Inner>);

struct Inner {
    /// Entries in front of all others.
    first: Vec<Revocation>,
    /// Entries in a pull.
    part: u32,
    /// The number of entries so far.
    length: AtomicU32,
    longer: Notify,
    /// The number of entries that the reader has taken.
    taken: AtomicU32,
    /// Whether the reader has taken a part and hasn't asked for more yet.
    is_applied: AtomicBool,
    now: Timestamp,
}

impl Log {
    /// A log of `length` entries, in parts of `part`.
    pub(crate) fn new(length: u32, part: u32) -> Self {
        Self::after(Vec::new(), length, part)
    }

    /// The same log, with `first` in front.
    pub(crate) fn after(first: Vec<Revocation>, length: u32, part: u32) -> Self {
        Self(Arc::new(Inner {
            first,
            part,
            length: AtomicU32::new(length),
            longer: Notify::new(),
            taken: AtomicU32::new(0),
            is_applied: AtomicBool::new(false),
            now: SystemClock.now(),
        }))
    }

    /// Makes every entry and drops it again. This is the share of a load that isn't the reader's.
    pub(crate) fn drain(&self) -> anyhow::Result<()> {
        let mut cursor = None;
        loop {
            match at_once(self.pull(cursor.as_ref()))?? {
                PullResult::Entries {
                    entries,
                    next,
                    more,
                    ..
                } => {
                    black_box(entries);
                    if !more {
                        return Ok(());
                    }
                    cursor = Some(next);
                }
                PullResult::Reset => anyhow::bail!("a log in memory was reset"),
            }
        }
    }

    /// Adds this many entries, and tells the reader.
    pub(crate) fn append(&self, entries: u32) {
        self.0.length.fetch_add(entries, Ordering::Release);
        self.0.longer.notify_one();
    }

    /// Whether the reader has taken and applied all entries.
    pub(crate) fn is_read(&self) -> bool {
        let length = self.0.length.load(Ordering::Acquire);
        self.0.taken.load(Ordering::Acquire) == length && !self.is_applied()
    }

    /// Whether the reader is applying a part.
    pub(crate) fn is_applied(&self) -> bool {
        self.0.is_applied.load(Ordering::Acquire)
    }
}

fn entry(number: u32, now: Timestamp) -> Revocation {
    let (one, two, three) = (mixed(number, 1), mixed(number, 2), mixed(number, 3));
    let target = if number.is_multiple_of(2) {
        let mut id = [0; 18];
        let bytes = one.to_be_bytes().into_iter().chain(two.to_be_bytes());
        let bytes = bytes.chain(three.to_be_bytes());
        id.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        RevocationTarget::Session(SessionId::from_bytes(id))
    } else {
        let id = u128::from(one) << 64 | u128::from(two);
        RevocationTarget::Token(TokenId::from_bytes(id.to_be_bytes()))
    };
    let until = now + Duration::from_secs(1 + three % LIFE);
    Revocation { target, until }
}

/// SplitMix64: as random as ids are, and cheap next to a reader's work.
fn mixed(number: u32, part: u64) -> u64 {
    let seed = u64::from(number).wrapping_mul(3).wrapping_add(part);
    let mut bits = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The number of the entry at a cursor.
fn place(cursor: &Cursor) -> u32 {
    cursor.as_str().parse().unwrap_or(0)
}

#[async_trait]
impl RevocationLog for Log {
    async fn pull(&self, after: Option<&Cursor>) -> Result<PullResult, StoreError> {
        let log = &*self.0;
        log.is_applied.store(false, Ordering::Release);
        let from = after.map_or(0, place);
        let to = log
            .length
            .load(Ordering::Acquire)
            .min(from.saturating_add(log.part));
        let made = (from..to).map(|number| entry(number, log.now));
        let entries = match after {
            None => log.first.iter().copied().chain(made).collect(),
            Some(_) => made.collect(),
        };
        let more = to < log.length.load(Ordering::Acquire);
        log.is_applied.store(true, Ordering::Release);
        log.taken.store(to, Ordering::Release);
        let next = Cursor::new(to.to_string());
        Ok(PullResult::entries(entries, next, more))
    }

    async fn changed(&self, after: &Cursor) {
        self.0.is_applied.store(false, Ordering::Release);
        while self.0.length.load(Ordering::Acquire) <= place(after) {
            self.0.longer.notified().await;
        }
    }

    async fn status(
        &self,
        _: SessionId,
        _: TokenId,
        _: GrantVersion,
    ) -> Result<TokenStatus, StoreError> {
        Ok(TokenStatus::Live)
    }
}
