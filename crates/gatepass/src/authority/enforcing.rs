//! The wait until every node enforces a revocation.

use std::{fmt, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::{authority::authority::Authority, observe};

/// [`Ending::enforced`] waits for this part of the bound in addition. A clock that is being set
/// right by slewing may run about a tenth slower than another one.
const SLEWED: u32 = 10;

/// Something that has just ended: sessions, or an access token.
///
/// The end is stored, and this node enforces it. Drop the value if that is enough, or wait with
/// [`enforced`](Self::enforced) until the other nodes also enforce it.
///
/// ```
/// use gatepass::{Authority, Device, Identity, MasterSecret, MemoryStore, Subject};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let secret = MasterSecret::generate()?;
/// # let authority = Authority::builder("https://shop.example", "shop-api", secret, MemoryStore::new())
/// #     .build()
/// #     .await?;
/// let alice = Subject::new("alice")?;
/// authority.issue(Identity::of(alice.clone()), Device::default()).await?;
///
/// // Other nodes follow within `max_staleness`.
/// authority.logout_all(&alice).await?;
/// // From here on, no node accepts a token of alice.
/// authority.logout_all(&alice).await?.enforced().await;
/// # Ok(()) }
/// ```
pub struct Ending {
    authority: Authority,
    /// When this node knew that the end was stored.
    stored: Instant,
    /// Whether this node enforces it already.
    pub(super) here: bool,
}

/// Each node has acknowledged that it enforces something.
const ACKNOWLEDGED: &str = "acknowledgement";
/// The bound is over, and no node judges by older data.
const BOUND: &str = "bound";

impl Ending {
    pub(super) fn new(authority: &Authority, here: bool) -> Self {
        Self {
            authority: authority.clone(),
            stored: Instant::now(),
            here,
        }
    }

    /// Waits until every node enforces the end, or answers 503.
    ///
    /// With [`heartbeat`](crate::AuthorityBuilder::heartbeat) set on all nodes, this returns as
    /// soon as each of them has acknowledged the end: after about 100 to 700 ms, depending on how
    /// fast the store pushes news. It returns at the latest after the bound: the longest
    /// `max_staleness` of the nodes, and a tenth more since clocks may run at different rates. So
    /// it needs no answer of the store, and can't fail.
    ///
    /// *Nodes that it waits for:* this node, all nodes that write heartbeats, and all nodes that
    /// you declare with [`silent_nodes`](crate::AuthorityBuilder::silent_nodes). If a node has died
    /// without a farewell, calls wait for it during the next ten minutes, each up to the bound.
    /// Calls don't wait for a node that can read the store but has failed to write to it for longer
    /// than that. Without heartbeats, this waits for this node's own `max_staleness`: configure
    /// other nodes with the same or a shorter one, or declare them with `silent_nodes`.
    ///
    /// *A node that has lost its store* answers 503 once the bound is over, since its lease ends
    /// then. So the promise also holds for it. The exception is a node with
    /// [`danger_judge_by_stale_revocations`], which may go on accepting revoked tokens. The open
    /// connections of any node that has lost its store may stay for their
    /// [`patience`](crate::Connection::patience) longer.
    ///
    /// *Open connections:* by then, gatepass has told the connections of an ended session to end.
    /// They close a little later:
    /// [`docs::connections`](crate::docs::connections#when-a-connection-ends).
    ///
    /// *A store that loses what it has acknowledged*, for example by a failover to a replica that
    /// is behind, may have lost the end itself.
    ///
    /// [`danger_judge_by_stale_revocations`]: crate::AuthorityBuilder::danger_judge_by_stale_revocations
    pub async fn enforced(self) {
        let by = self.wait().await;
        observe::revocation_enforced(self.stored.elapsed(), by);
    }

    async fn wait(&self) -> &'static str {
        let inner = &self.authority.inner;
        // Each check of a token asks such a store itself.
        if inner.store.is_volatile() {
            return ACKNOWLEDGED;
        }
        let acknowledged = async {
            match inner.verifier.heart().filter(|_| self.here) {
                Some(heart) => heart.ask().answered().await,
                None => std::future::pending().await,
            }
            if let Some(silent) = inner.settings.silent_nodes {
                sleep_until(self.after(silent)).await;
            }
        };
        tokio::select! {
            () = acknowledged => ACKNOWLEDGED,
            () = self.bound() => BOUND,
        }
    }

    /// Waits until the bound of every node is over. Nodes that appear meanwhile count as well.
    async fn bound(&self) {
        let mut until = self.after(self.slowest());
        loop {
            sleep_until(until).await;
            let now = self.after(self.slowest());
            if now <= until {
                return;
            }
            until = now;
        }
    }

    fn slowest(&self) -> Duration {
        let inner = &self.authority.inner;
        let own = inner.settings.max_staleness;
        let beating = inner.verifier.heart().map(|heart| heart.slowest());
        let silent = inner.settings.silent_nodes;
        [beating, silent]
            .into_iter()
            .flatten()
            .fold(own, Duration::max)
    }

    /// The instant at which nodes with this bound know what was stored.
    fn after(&self, bound: Duration) -> Instant {
        self.stored + bound + bound / SLEWED
    }
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ending").finish_non_exhaustive()
    }
}
