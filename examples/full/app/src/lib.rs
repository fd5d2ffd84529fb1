//! The example application without its web framework: settings, users, keys, and its output.
//!
//! The examples for the frameworks share this crate. Only their routes differ. For your own
//! application, copy [`Users`], which is a complete [`gatepass::Authenticator`], and
//! [`App::with_store`], which builds the [`gatepass::Authority`].

mod answer;
mod app;
mod brought;
mod demo;
mod greeting;
mod location;
mod own_account;
mod pages;
mod peer;
mod secrets;
#[cfg(feature = "tower")]
mod serve;
mod settings;
mod start;
mod store;
mod talk;
#[cfg(test)]
mod testing;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "under-test")]
mod under_test;
mod users;

#[cfg(feature = "tower")]
pub use self::serve::{HEAD_TIMEOUT, serve};
#[cfg(feature = "under-test")]
pub use self::under_test::hash_passwords_at_little_cost;
pub use self::{
    answer::Answer,
    app::App,
    brought::Brought,
    demo::Action,
    location::{Database, StoreLocation, Unechoed, Url},
    own_account::PASSWORD_BODY_LIMIT,
    pages::{Asset, account, maybe, me},
    peer::PeerUrl,
    secrets::MasterSecretFile,
    settings::{ClientSetting, Settings},
    start::{drained, exit_code, shutdown, start},
    talk::{TICK, clock, talk, ticks},
    users::{NewUser, Users},
};
