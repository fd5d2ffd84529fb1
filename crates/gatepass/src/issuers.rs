//! Other issuers whose access tokens gatepass accepts beside its own, and their keys.
//!
//! [`Issuers`] is the configuration: give it to
//! [`AuthorityBuilder::issuers`](crate::AuthorityBuilder::issuers), or to
//! [`VerifierBuilder::issuers`](crate::VerifierBuilder::issuers).
//! [`docs::issuers`](crate::docs::issuers) explains how gatepass judges their tokens.

pub(crate) mod discovery;
pub(crate) mod fetcher;
pub(crate) mod known;
pub(crate) mod remote;
#[cfg(feature = "reqwest")]
pub(crate) mod reqwest;
pub(crate) mod several;
pub(crate) mod tokens;
pub(crate) mod trusted;
pub(crate) mod url;

pub use self::{
    fetcher::{FetchError, FetchRequest, Fetched, Fetcher},
    several::Issuers,
    tokens::ForeignTokens,
    trusted::TrustedIssuer,
};
pub use crate::model::{health::IssuerHealth, provider_login::ProviderLogin};
