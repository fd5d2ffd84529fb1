//! Login sessions you can revoke, at the speed of tokens you can't.

#![doc = include_str!("../docs/overview.md")]

#[cfg(not(any(feature = "aws_lc_rs", feature = "rust_crypto")))]
compile_error!(
    "gatepass needs a crypto backend: enable its feature `aws_lc_rs`, which is on by default, or `rust_crypto`"
);

mod authority;
mod config;
mod denylist;
mod env;
mod error;
mod keys;
mod model;
mod observe;
mod store;
mod token;
mod verifier;
pub mod wire;

pub mod inspect {
    //! Tools that show tokens to people. Gates and endpoints need none of this.

    pub use crate::token::inspect::{TokenForm, verify_jws, verify_refresh_token};
}

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
    authority::{
        authenticator::{AuthenticationError, Authenticator, Credentials, Reread},
        authority::{Authority, SessionPage},
        builder::AuthorityBuilder,
        issued::{AccessToken, Issued, RefreshToken, Renewed},
        oauth::Introspection,
        resuming::Resumed,
        rotation::{Decision, OnReuse, Presenter, ReusePolicy, decide},
    },
    config::BuildError,
    denylist::staleness::Staleness,
    env::{
        clock::{Clock, SystemClock, Timestamp},
        internal_error::InternalError,
        random::{Random, SystemRandom},
    },
    error::Error,
    keys::{
        algorithm::Algorithm,
        error::KeyError,
        file::KeyFileError,
        secret::MasterSecret,
        secret_set::SecretSet,
        set::{KeySet, SkippedKey},
        signing::SigningKey,
        verifying::VerifyingKey,
    },
    model::{
        account::Account,
        grant::{Grant, GrantError},
        health::Health,
        ids::{
            AccountId, Audience, ClientId, Generation, InvalidId, InvalidName, Issuer, SessionId,
            SessionNumber, Subject, TokenId,
        },
        refusal::Refusal,
        revocation::{Cutoff, Revocation, Revoked},
        scopes::{InvalidScope, RequiredScopes, Scopes},
        session::{
            Advance, AdvanceCause, Device, EndReason, Ended, NewSession, Recover, Renew, Rotation,
            SeenFrom, Session,
        },
        transport::Transport,
    },
    store::{
        Begun, Cursor, EndTarget, Pull, Purged, RevocationLog, RevokeToken, SessionStore, Status,
        error::{StoreError, StoreErrorKind},
        memory::MemoryStore,
        service::Identity,
    },
    token::pass::Pass,
    verifier::{builder::VerifierBuilder, requirements::Demand, verifier::Verifier},
};
