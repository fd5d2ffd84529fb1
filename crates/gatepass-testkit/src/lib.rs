#![doc = include_str!("../README.md")]
//!
//! # Parts
//!
//! * [`TestService`]: a service for the tests of your own handlers. One line logs a user in.
//!   [`TestServer`] serves your application to a browser.
//! * [`store_contract!`]: the suite that every [`SessionStore`](gatepass::store::SessionStore) must
//!   pass, one named test per claim.
//! * [`conformance!`]: HTTP scenarios as data, which it plays on an application in any framework.
//! * [`ManualClock`]: time that passes only on your command.
//! * [`TestStore`]: a store that fails, hangs or holds a call on command, so your test decides in
//!   which order things happen. It also counts its calls.
//! * [`sessions`]: sessions for the tests of a store, and the calls of nodes about them.
//! * [`OnePassword`]: users who all have the same password.
//! * `proxy` (feature `proxy`): a network in front of a real server. It cuts, hangs, delays and
//!   half-closes on command, or at a message that your test chooses.
//!
//! For example, an application must answer 503 and log no user out while its store is down:
//!
//! ```
//! use gatepass::{MemoryStore, SessionId, store::{SessionStore, StoreErrorKind}};
//! use gatepass_testkit::{ManualClock, StoreFault, TestStore};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let clock = ManualClock::new();
//! let store = TestStore::new(MemoryStore::with_clock(clock.clone()));
//!
//! store.inject_everywhere(StoreFault::Fail(StoreErrorKind::Unavailable));
//! let id = SessionId::from_bytes([7; 18]);
//! assert!(store.load(id).await.is_err());
//!
//! store.heal();
//! assert!(store.load(id).await.is_ok());
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
mod op;
#[cfg(feature = "proxy")]
pub mod proxy;
pub mod scenario;
mod service;
pub mod sessions;
pub mod store_contract;
mod test_store;
mod users;

pub use self::{
    clock::ManualClock,
    op::Op,
    service::{TestLogin, TestServer, TestService, TestUser},
    test_store::{HeldCall, StoreFault, TestStore},
    users::OnePassword,
};
