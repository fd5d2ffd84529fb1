//! Login sessions you can revoke, at the speed of tokens you can't.

mod clock;
mod error;
mod grant;
mod ids;
mod random;
mod rotation;
mod scopes;
mod session;
mod store;

pub use self::{
    clock::{Clock, SystemClock, Timestamp},
    error::{Error, GrantError, InternalError, Refusal, StoreError, StoreErrorKind},
    grant::Grant,
    ids::{ClientId, Generation, InvalidId, InvalidName, SessionId, Subject, TokenId},
    random::{Random, SystemRandom},
    rotation::{Decision, OnReuse, ReusePolicy, decide},
    scopes::{InvalidScope, Scopes},
    session::{Advance, Device, EndReason, Ended, NewSession, Recover, SPENT_REMEMBERED, Session},
    store::{
        Begun, Cursor, EndTarget, MemoryStore, Pull, Revocation, RevocationLog, RevokeToken,
        Revoked, SessionStore, Status,
    },
};
