//! The fixed state that each operation runs in.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use gatepass::{
    Authority, Clock, Identity, InternalError, KeySet, MasterSecret, MemoryStore, Scopes,
    SessionId, StoreError, Subject, Timestamp, Transport, Verifier, async_trait,
    keys::{Algorithm, SigningKey},
    store::{
        Cursor, GrantVersion, PullResult, Random, Revocation, RevocationLog, TokenId, TokenStatus,
    },
};
use tokio::runtime::Runtime;

const ISSUER: &str = "https://shop.example";
const AUDIENCE: &str = "shop-api";
const SECRET: &[u8] = b"a secret of the benchmarks, of 32 bytes and more";

/// A clock that stands still until you move it. Clones show the same time.
#[derive(Clone)]
pub(crate) struct StoppedClock(Arc<AtomicU64>);

impl StoppedClock {
    /// A clock at 2030-01-01T00:00:00Z, an hour after the start of the machine.
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(3600)))
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_secs(1_893_452_400) + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

/// A random source whose bytes never repeat, and are the same in each run.
#[derive(Default)]
struct Sequence(AtomicU64);

impl Random for Sequence {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), InternalError> {
        for bytes in buffer.chunks_mut(8) {
            // SplitMix64, whose outputs are a permutation of all numbers.
            let number = self.0.fetch_add(1, Ordering::Relaxed);
            let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^= mixed >> 31;
            for (byte, mixed) in bytes.iter_mut().zip(mixed.to_le_bytes()) {
                *byte = mixed;
            }
        }
        Ok(())
    }
}

/// `count` different sets of bytes.
pub(crate) fn ids<const N: usize>(count: usize) -> anyhow::Result<Vec<[u8; N]>> {
    let random = Sequence(AtomicU64::new(1 << 32));
    let id = |_| {
        let mut bytes = [0; N];
        random.fill(&mut bytes)?;
        Ok(bytes)
    };
    (0..count).map(id).collect()
}

/// The keys of the core's tests.
pub(crate) fn key(algorithm: Algorithm) -> anyhow::Result<SigningKey> {
    let pem: &[u8] = match algorithm {
        Algorithm::Hs256 => return Ok(SigningKey::hs256(SECRET)?),
        Algorithm::Rs256 => include_bytes!("../../../crates/gatepass/tests/keys/rsa.pem"),
        Algorithm::Es256 => include_bytes!("../../../crates/gatepass/tests/keys/p256.pem"),
        Algorithm::EdDsa => include_bytes!("../../../crates/gatepass/tests/keys/ed25519.pem"),
        other => anyhow::bail!("there is no key for {other}"),
    };
    Ok(SigningKey::from_pem(algorithm, pem)?)
}

/// An authority over a store in memory.
pub(crate) fn authority(
    runtime: &Runtime,
    algorithm: Algorithm,
    clock: &StoppedClock,
) -> anyhow::Result<Authority> {
    let store = MemoryStore::with_clock(clock.clone());
    let secret = MasterSecret::from_bytes(SECRET)?;
    let builder = Authority::builder(ISSUER, AUDIENCE, secret, store)
        .keys(KeySet::signing(key(algorithm)?))
        .random(Sequence::default())
        .clock(clock.clone());
    Ok(runtime.block_on(builder.build())?)
}

/// A verifier that knows `revocations`.
pub(crate) fn verifier(
    runtime: &Runtime,
    algorithm: Algorithm,
    transport: Transport,
    revocations: Vec<Revocation>,
) -> anyhow::Result<Verifier> {
    let keys = KeySet::verifying([key(algorithm)?.verifying_key().clone()]);
    let log = Log(Mutex::new(revocations));
    let builder = Verifier::builder(ISSUER, AUDIENCE, keys, log)
        .transport(transport)
        .clock(StoppedClock::new());
    Ok(runtime.block_on(builder.build())?)
}

/// A usual identity, with a name of the same length for each number.
pub(crate) fn identity(number: usize) -> anyhow::Result<Identity> {
    let subject = Subject::new(format!("user-{number:012}"))?;
    Ok(Identity::of(subject).scopes(Scopes::parse("orders profile")?))
}

/// The result of an operation that waits for nothing.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => anyhow::bail!("an operation that is counted had to wait"),
    }
}

/// A log that gives all its entries to the first pull.
struct Log(Mutex<Vec<Revocation>>);

#[async_trait]
impl RevocationLog for Log {
    async fn pull(&self, _: Option<&Cursor>) -> Result<PullResult, StoreError> {
        let entries = self.0.lock().map(|mut log| std::mem::take(&mut *log));
        let entries = entries.unwrap_or_default();
        Ok(PullResult::entries(entries, Cursor::new("end"), false))
    }

    async fn changed(&self, _: &Cursor) {
        std::future::pending().await
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
