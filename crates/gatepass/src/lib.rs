#![doc = include_str!("../README.md")]
#![doc = include_str!("../docs/overview.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(any(feature = "aws_lc_rs", feature = "rust_crypto")))]
compile_error!(
    "gatepass needs a crypto backend: enable its feature `aws_lc_rs`, which is on by default, or `rust_crypto`"
);

mod authority;
mod config;
mod denylist;
mod env;
mod error;
mod http;
pub mod issuers;
pub mod keys;
mod model;
mod observe;
pub mod store;
mod token;
mod verifier;
pub mod wire;

pub mod inspect {
    //! Tools that show the parts of a token to a person. Gates and endpoints don't need them.

    pub use crate::token::{
        inspect::{TokenForm, verify_jws, verify_refresh_token},
        parts::{AccessTokenParts, Fault, Member, Part},
    };
}

/// Guides, one for each subject.
pub mod docs {
    /// WebSockets, event streams and gRPC streams that end with their session.
    #[doc = include_str!("../docs/connections.md")]
    pub mod connections {}

    /// Each default and its reason.
    #[doc = include_str!("../docs/defaults.md")]
    pub mod defaults {}

    /// The events in the log, and the metrics.
    #[doc = include_str!("../docs/events.md")]
    pub mod events {}

    /// Access tokens of other issuers, such as Keycloak, Auth0 or Entra.
    #[doc = include_str!("../docs/issuers.md")]
    pub mod issuers {}

    /// The steps after a leak of a secret, a key, a token or a backup.
    #[doc = include_str!("../docs/leaks.md")]
    pub mod leaks {}

    /// The migration of an application from another system, without logging out its users.
    #[doc = include_str!("../docs/moving_in.md")]
    pub mod moving_in {}

    /// A service on several nodes: the bound on revocations, the choice of a store, and failures.
    #[doc = include_str!("../docs/nodes.md")]
    pub mod nodes {}

    /// Reverse proxies, heartbeats, the sessions of all users, `gatepass doctor`, and alerts.
    #[doc = include_str!("../docs/operating.md")]
    pub mod operating {}

    /// The speed of gatepass, and the cost of many nodes.
    #[doc = include_str!("../docs/performance.md")]
    pub mod performance {}

    /// Roles and claims that change while sessions go on, and staff who act as a user.
    #[doc = include_str!("../docs/rights.md")]
    pub mod rights {}

    /// Trust, the attacks that gatepass prevents, and the risks that remain.
    #[doc = include_str!("../docs/threats.md")]
    pub mod threats {}

    /// Ends of sessions, and changes of their rights, that commit with your own data.
    #[doc = include_str!("../docs/transactions.md")]
    pub mod transactions {}

    /// The versions of other crates and of Rust that work with gatepass.
    #[doc = include_str!("../docs/versions.md")]
    pub mod versions {}

    /// The requests that clients send, the answers, and the refusals.
    #[doc = include_str!("../docs/wire.md")]
    pub mod wire {}
}

pub use async_trait::async_trait;

pub use self::{
    authority::{
        administering::{EndedSessions, FoundSessions},
        adopt::{Adopt, OldToken, OldTokens},
        authenticator::{AuthenticationError, Authenticator, Credentials, UserUpdate},
        authority::{Authority, SessionPage},
        builder::AuthorityBuilder,
        changing::Change,
        enforcing::Ending,
        events::Event,
        issued::{AccessToken, Issued, RefreshToken, Renewed},
        oauth::Introspection,
        pace::Pace,
        resuming::Resumed,
        throttling::LoginAttempt,
    },
    config::BuildError,
    denylist::staleness::Staleness,
    env::{
        clock::{Clock, SystemClock, Timestamp},
        internal_error::InternalError,
    },
    error::Error,
    keys::{secret::MasterSecret, set::KeySet},
    model::{
        authentication::InvalidAuthenticationValue,
        device::Device,
        health::{AdoptionHealth, Health},
        identity::{Identity, IdentityError},
        ids::{ClientId, InvalidName, SessionId, Subject},
        local_path::{InvalidLocalPath, LocalPath},
        network::{InvalidNetwork, Network},
        refusal::Refusal,
        rotation::{OnReuse, ReusePolicy},
        scopes::{InvalidScope, RequiredScopes, Scopes},
        session::Session,
        session_cursor::SessionCursor,
        session_filter::{SessionFilter, SessionState},
        throttling::{LoginThrottle, ThrottledBy},
        transport::Transport,
        trusted_proxies::{InvalidProxies, TrustedProxies},
    },
    store::{error::StoreError, memory::MemoryStore},
    token::pass::Pass,
    verifier::{
        builder::VerifierBuilder, connection::Connection, ended::Ended, guarded::Guarded,
        protected_resource::ProtectedResource, requirements::Requirements, verifier::Verifier,
    },
};
