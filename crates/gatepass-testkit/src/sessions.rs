//! Sessions for the tests of a store, and the calls of nodes about them.
//!
//! Change the fields that your test is about:
//!
//! ```
//! use gatepass::{MemoryStore, store::SessionStore};
//! use gatepass_testkit::sessions::{advance_of, begin};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let store = MemoryStore::new();
//! let session = begin(&store, "alice").await;
//! let mut advance = advance_of(&session);
//! advance.to = advance.to.next();
//! assert!(store.advance(advance).await.unwrap().is_some());
//! # }
//! ```

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test whose store fails has nothing to go on with"
)]

use std::time::Duration;

use gatepass::{
    ClientId, Identity, LoginThrottle, Scopes, Session, SessionId, Subject,
    store::{
        AccountId, Advance, AttemptKey, Audience, CountAttempt, Cursor, EndReason, EndSessions,
        Issuer, NewSession, PullResult, Random, Recover, Renew, Revocation, RevocationLog,
        RevokeToken, SessionStore, SystemRandom, TokenId,
    },
};

/// The lifetime of an access token: 15 minutes.
pub const ACCESS_TTL: Duration = Duration::from_secs(900);
/// The idle lifetime of a session: a day.
pub const IDLE_TTL: Duration = Duration::from_secs(86_400);
/// The absolute lifetime of a session: 30 days.
pub const ABSOLUTE_TTL: Duration = Duration::from_secs(30 * 86_400);

/// The subject `name`.
#[must_use]
pub fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

/// The issuer of all these sessions.
#[must_use]
pub fn issuer() -> Issuer {
    Issuer::new("https://shop.example").unwrap()
}

/// The account of the subject `name` at [`issuer`].
#[must_use]
pub fn account(name: &str) -> AccountId {
    AccountId::of(&issuer(), &subject(name))
}

/// A random session id of an account.
#[must_use]
pub fn session_id(of: AccountId) -> SessionId {
    let mut id = [0; 18];
    SystemRandom.fill(&mut id).unwrap();
    id[..2].copy_from_slice(&of.prefix());
    SessionId::from_bytes(id)
}

/// A login of `name` by the client `web`, with the scope `profile`.
#[must_use]
pub fn new_session(name: &str) -> NewSession {
    let mut new = NewSession::new(
        session_id(account(name)),
        issuer(),
        Audience::new("shop-api").unwrap(),
        ClientId::new("web").unwrap(),
        Identity::of(subject(name)).scopes(Scopes::parse("profile").unwrap()),
    );
    new.idle_ttl = IDLE_TTL;
    new.absolute_ttl = ABSOLUTE_TTL;
    new.access_ttl = ACCESS_TTL;
    new
}

/// The refresh of `session` in its current state. It has no rule about the last rotation, so a test
/// need not wait between two refreshes.
#[must_use]
pub fn advance_of(session: &Session) -> Advance {
    let mut advance = Advance::new(session);
    advance.idle_ttl = IDLE_TTL;
    advance.access_ttl = ACCESS_TTL;
    advance
}

/// The recovery of the last refresh of `session`.
#[must_use]
pub fn recovery_of(session: &Session) -> Recover {
    let mut recover = Recover::new(session);
    recover.access_ttl = ACCESS_TTL;
    recover
}

/// The renewal of an access token of `session`.
#[must_use]
pub fn renewal_of(session: &Session) -> Renew {
    let mut renew = Renew::new(session);
    renew.access_ttl = ACCESS_TTL;
    renew
}

/// The revocation of one token of `session`.
#[must_use]
pub fn token_of(session: &Session, number: u8) -> RevokeToken {
    RevokeToken::new(TokenId::from_bytes([number; 16]), session)
}

/// Begins a session of `name`.
///
/// # Panics
///
/// If the store fails.
pub async fn begin(store: &impl SessionStore, name: &str) -> Session {
    store.begin(new_session(name)).await.unwrap().session
}

/// Ends `session`, and returns the entries that this wrote to the log.
///
/// # Panics
///
/// If the store fails.
pub async fn end(store: &impl SessionStore, session: &Session) -> Vec<Revocation> {
    let target = EndSessions::Session(session.id);
    let ended = store.end(target, EndReason::Logout).await.unwrap();
    ended.into_iter().collect()
}

/// Pulls all entries of `log` after `after`, in as many parts as necessary. Returns them with the
/// cursor behind the last one.
///
/// # Panics
///
/// If the log fails, if it does not know `after`, or if a part is empty although more follow.
///
/// ```
/// use gatepass::MemoryStore;
/// use gatepass_testkit::sessions::{begin, end, pull_all};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let store = MemoryStore::new();
/// let (entries, cursor) = pull_all(&store, None).await;
/// assert_eq!(entries, []);
/// let session = begin(&store, "alice").await;
/// let ended = end(&store, &session).await;
/// assert_eq!(pull_all(&store, Some(&cursor)).await.0, ended);
/// # }
/// ```
pub async fn pull_all(
    log: &impl RevocationLog,
    after: Option<&Cursor>,
) -> (Vec<Revocation>, Cursor) {
    let (mut all, mut after) = (Vec::new(), after.cloned());
    loop {
        let PullResult::Entries {
            entries,
            next,
            more,
            ..
        } = log.pull(after.as_ref()).await.unwrap()
        else {
            panic!("{after:?} is no place in this log")
        };
        assert!(!more || !entries.is_empty(), "a part brings something");
        all.extend(entries);
        if !more {
            return (all, next);
        }
        after = Some(next);
    }
}

/// Counts one attempt to log in for each of this many names, each from its own address.
pub async fn attempt_with_names(store: &impl SessionStore, names: u8) {
    for number in 0..names {
        let key = |kind: u8| {
            let mut bytes = [kind; 16];
            bytes[1] = number;
            AttemptKey::from_bytes(bytes)
        };
        let mut attempt = CountAttempt::new(key(1), LoginThrottle::default());
        attempt.address_and_pair = Some((key(2), key(3)));
        store.count_attempt(attempt).await.unwrap();
    }
}
