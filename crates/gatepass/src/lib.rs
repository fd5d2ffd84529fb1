//! Login sessions you can revoke, at the speed of tokens you can't.

#![doc = include_str!("../docs/overview.md")]

#[cfg(not(any(feature = "aws_lc_rs", feature = "rust_crypto")))]
compile_error!(
    "gatepass needs a crypto backend: enable its feature `aws_lc_rs`, which is on by default, or `rust_crypto`"
);

mod account;
mod authenticator;
mod authority;
mod base64url;
mod builder;
mod clock;
mod codec;
mod crypto;
mod denylist;
mod error;
mod grant;
mod horizon;
mod identity;
mod ids;
mod inspect;
mod keys;
mod names;
mod observe;
mod pass;
mod purge;
mod random;
mod refresh;
mod rotation;
mod scopes;
mod secret;
mod session;
mod store;
mod text;
mod transport;
mod verifier;
pub mod wire;

/// Longer texts.
pub mod docs {
    #[doc = include_str!("../docs/defaults.md")]
    pub mod defaults {}

    #[doc = include_str!("../docs/events.md")]
    pub mod events {}

    #[doc = include_str!("../docs/leaks.md")]
    pub mod leaks {}

    #[doc = include_str!("../docs/nodes.md")]
    pub mod nodes {}

    #[doc = include_str!("../docs/threats.md")]
    pub mod threats {}

    #[doc = include_str!("../docs/wire.md")]
    pub mod wire {}
}

pub use async_trait::async_trait;

pub use self::{
    account::{Account, Cutoff},
    authenticator::{AuthenticationError, Authenticator, Credentials, Reread},
    authority::{
        AccessToken, Authority, Introspection, Issued, RefreshToken, Renewed, Resumed, SessionPage,
    },
    builder::{AuthorityBuilder, BuildError, VerifierBuilder},
    clock::{Clock, SystemClock, Timestamp},
    denylist::{Health, Staleness},
    error::{Error, GrantError, InternalError, Refusal, StoreError, StoreErrorKind},
    grant::Grant,
    identity::Identity,
    ids::{
        AccountId, Audience, ClientId, Generation, InvalidId, InvalidName, Issuer, SessionId,
        SessionNumber, Subject, TokenId,
    },
    inspect::TokenForm,
    keys::{Algorithm, KeyError, KeyFileError, KeySet, SigningKey, SkippedKey, VerifyingKey},
    pass::Pass,
    random::{Random, SystemRandom},
    rotation::{Decision, OnReuse, Presenter, ReusePolicy, decide},
    scopes::{InvalidScope, RequiredScopes, Scopes},
    secret::{MasterSecret, SecretSet},
    session::{
        Advance, AdvanceCause, Device, EndReason, Ended, NewSession, Recover, Renew, Rotation,
        SeenFrom, Session,
    },
    store::{
        Begun, Cursor, EndTarget, MemoryStore, Pull, Purged, Revocation, RevocationLog,
        RevokeToken, Revoked, SessionStore, Status,
    },
    transport::Transport,
    verifier::{Demand, Verifier},
};
