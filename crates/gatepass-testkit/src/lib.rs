#![doc = include_str!("../README.md")]
//!
//! # Parts
//!
//! * [`TestService`]: a service for the tests of your own handlers, with users who are logged in
//!   by one line. [`TestServer`] serves your application to a browser.
//! * [`store_contract!`]: the suite that every [`SessionStore`](gatepass::store::SessionStore) must
//!   pass, one named test per claim.
//! * [`conformance!`]: HTTP scenarios as data, driven through an application in any framework.
//! * [`ManualClock`]: time that passes when a test says so.
//! * [`TestStore`]: a store that fails, hangs, or holds a call on command, so that a test
//!   decides in which order things happen. It also counts its calls.
//! * [`sessions`]: sessions to begin with, and what nodes ask of a store about them.
//! * [`OnePassword`]: users who all have the same password.
//! * `proxy` (feature `proxy`): a network before a real server that cuts, hangs, delays and
//!   half-closes on command, or at the message that a test chooses.
//!
//! A test of an application that must answer 503, and log no user out, while its store is down:
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
