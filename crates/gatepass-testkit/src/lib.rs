//! The tools that gatepass is tested with, also for a store or an application of your own.
//!
//! * [`store_contract!`]: the suite that every [`SessionStore`](gatepass::store::SessionStore) must
//!   pass, one named test per claim.
//! * [`conformance!`]: HTTP scenarios as data, driven through an application in any framework.
//! * [`ManualClock`]: time that passes when a test says so.
//! * [`FaultyStore`]: a store that fails, hangs, or waits at a gate on command, so that a test
//!   decides in which order things happen.
//! * [`CountingStore`]: a store that counts what it is asked.
//! * `Proxy` (feature `proxy`): a network before a real server that cuts, hangs, delays and
//!   half-closes on command.
//!
//! A test of an application that must answer 503, and log no user out, while its store is down:
//!
//! ```
//! use gatepass::{MemoryStore, SessionId, store::{SessionStore, StoreErrorKind}};
//! use gatepass_testkit::{Fault, FaultyStore, ManualClock};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let clock = ManualClock::new();
//! let store = FaultyStore::new(MemoryStore::with_clock(clock.clone()));
//! let handle = store.handle();
//!
//! handle.inject_everywhere(Fault::Fail(StoreErrorKind::Unavailable));
//! let id = SessionId::from_bytes([7; 18]);
//! assert!(store.load(id).await.is_err());
//!
//! handle.heal();
//! assert!(store.load(id).await.is_ok());
//! # }
//! ```

mod clock;
mod counting;
mod faulty;
mod op;
#[cfg(feature = "proxy")]
mod proxy;
pub mod scenario;
pub mod store_contract;

#[cfg(feature = "proxy")]
pub use self::proxy::Proxy;
pub use self::{
    clock::ManualClock,
    counting::{CountingStore, Counts},
    faulty::{Fault, FaultHandle, FaultyStore, Gate},
    op::Op,
};
