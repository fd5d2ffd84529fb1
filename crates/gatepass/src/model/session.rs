//! A session as stores keep it, and its end.

use std::time::Duration;

use crate::{
    env::clock::Timestamp,
    model::{
        device::{Device, SeenFrom},
        grant::Grant,
        identity::Identity,
        ids::{
            AccountId, Audience, ClientId, Generation, Issuer, SessionId, SessionNumber, Subject,
        },
        revocation::{Revocation, RevocationTarget},
    },
};

/// One login on one device: one row, however often the client refreshes it.
///
/// Its fields are public because stores write and read them. No other code needs to build a
/// session.
///
/// Its methods are the only ways to change it. Each is pure and takes the store's time. If the
/// clock goes back by less than [`CLOCK_JITTER`](Self::CLOCK_JITTER), time doesn't run backwards
/// within the session. A store that can lock a row (a mutex, a single writer) applies the methods
/// as they are. Other stores express the same changes in their own language (SQL, Lua), and the
/// contract suite of `gatepass-testkit` checks them.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside this crate build it from their rows"
)]
pub struct Session {
    /// The session's id.
    pub id: SessionId,
    /// Its place among the sessions of its account.
    pub number: SessionNumber,
    /// The issuer that began it. No other issuer can use it, even if both share the store.
    pub issuer: Issuer,
    /// The audience of its access tokens. No other audience can use it.
    pub audience: Audience,
    /// The OAuth client that the session belongs to.
    pub client: ClientId,
    /// The user, and the scopes and claims that the login allows.
    pub identity: Identity,
    /// The known facts about the device.
    pub device: Device,
    /// How often it has been refreshed: the generation of the one refresh token that is current.
    pub generation: Generation,
    /// The last rotation, which spent the refresh tokens before the current one.
    pub rotated: Option<Rotation>,
    /// The newest generation that was handed out again because its first answer was lost.
    pub recovered: Option<Generation>,
    /// When the session began.
    pub created_at: Timestamp,
    /// When the user last authenticated.
    pub authenticated_at: Timestamp,
    /// When the session was last refreshed, or began.
    pub last_seen_at: Timestamp,
    /// A hint at where the last refresh, or the login, came from.
    pub seen_from: SeenFrom,
    /// When the session expires, unless the client refreshes it before.
    pub idle_expires_at: Timestamp,
    /// When the session ends at the latest, however often the client refreshes it.
    pub absolute_expires_at: Timestamp,
    /// The time after which no access token of this session is valid. Never decreases.
    pub access_until: Timestamp,
    /// The versions of its identity's scopes and claims.
    pub grant: Grant,
    /// When and why the session ended, if it did.
    pub ended: Option<Ended>,
}

/// The exchange of a session's refresh token for the next one.
///
/// A session rotates at most once per [`overlap`](crate::ReusePolicy::overlap), so it needs to
/// remember only the last rotation. A rotation over several generations means that the store lost
/// writes. It spends all of these generations at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside this crate build it from their rows"
)]
pub struct Rotation {
    /// The generation before it.
    pub from: Generation,
    /// When.
    pub at: Timestamp,
}

/// The end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside this crate build it from their rows"
)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: EndReason,
}

/// Why a session was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// The user logged out of it.
    Logout,
    /// The user logged out everywhere, or everywhere else.
    LogoutAll,
    /// The same browser logged in again, and the new session's cookies replaced this one's.
    Replaced,
    /// The user ended it from their list of sessions.
    EndedByUser,
    /// The application ended it.
    EndedByApplication,
    /// A spent refresh token came back.
    Reuse,
    /// The user was deleted, or may not log in any more.
    UserDeleted,
    /// The subject had more sessions than `max_sessions` allows. The store ended this one and all
    /// older ones.
    TooManySessions,
    /// The user logged out at the OpenID Connect provider through which they had logged in.
    BackchannelLogout,
    /// A session may have 8 access tokens that were revoked one by one, and its account 100. There
    /// were more.
    TooManyRevocations,
}

impl EndReason {
    const ALL: [Self; 10] = [
        Self::Logout,
        Self::LogoutAll,
        Self::Replaced,
        Self::EndedByUser,
        Self::EndedByApplication,
        Self::Reuse,
        Self::UserDeleted,
        Self::TooManySessions,
        Self::BackchannelLogout,
        Self::TooManyRevocations,
    ];

    /// The stable name of the reason, for stores and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::LogoutAll => "logout_all",
            Self::Replaced => "replaced",
            Self::EndedByUser => "ended_by_user",
            Self::EndedByApplication => "ended_by_application",
            Self::Reuse => "reuse",
            Self::UserDeleted => "user_deleted",
            Self::TooManySessions => "too_many_sessions",
            Self::BackchannelLogout => "backchannel_logout",
            Self::TooManyRevocations => "too_many_revocations",
        }
    }

    /// The reason of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

impl Session {
    /// How far a store's clock may go back while the session keeps its own time. Synchronised
    /// clocks may differ by this much, for example after a failover to another server.
    ///
    /// If the clock goes back further, the session's last time was wrong, and the store's time
    /// counts. Otherwise, a clock that was ahead for a moment would keep the session's overlap open
    /// until it gets there again.
    pub const CLOCK_JITTER: Duration = Duration::from_secs(10);

    /// The user who is logged in.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        self.identity.subject()
    }

    /// The account that it belongs to.
    #[must_use]
    pub fn account(&self) -> AccountId {
        AccountId::of(&self.issuer, self.subject())
    }

    /// Whether the session has not ended and is not past its absolute end.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ended.is_none() && self.time(now) < self.absolute_expires_at
    }

    /// Whether a client can refresh the session: it is live and not idle for too long.
    #[must_use]
    pub fn is_refreshable(&self, now: Timestamp) -> bool {
        self.is_live(now) && self.time(now) < self.idle_expires_at
    }

    /// Whether a client can still use the session: by a refresh, or with an access token that may
    /// be valid.
    #[must_use]
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.is_refreshable(now) || (self.is_live(now) && self.time(now) < self.access_until)
    }

    /// The last rotation, if it spent the refresh token of `generation`.
    #[must_use]
    pub fn spent_by(&self, generation: Generation) -> Option<Rotation> {
        self.rotated
            .filter(|last| last.from <= generation && generation < self.generation)
    }

    /// How long ago `rotation` was. `None` if it lies in the future because the store's clock was
    /// ahead.
    #[must_use]
    pub fn age_of(&self, rotation: Rotation, now: Timestamp) -> Option<Duration> {
        let now = self.time(now);
        (rotation.at <= now).then(|| now.since(rotation.at))
    }

    /// Whether the last rotation was at most `overlap` ago, so that the session must not rotate
    /// yet. Always false if `overlap` is zero.
    #[must_use]
    pub fn has_just_rotated(&self, overlap: Duration, now: Timestamp) -> bool {
        let age = self.rotated.and_then(|last| self.age_of(last, now));
        overlap > Duration::ZERO && age.is_some_and(|age| age <= overlap)
    }

    /// Ends the session, and returns the revocation, which the store logs in the same act. `None`
    /// if the session had already ended.
    ///
    /// [`access_until`](Self::access_until) is then at least the time of the end. A connection that
    /// [follows its session](crate::Connection::follow_session) may be open long after the last
    /// access token has expired, and its node must still find the entry.
    #[must_use]
    pub fn end(&mut self, reason: EndReason, now: Timestamp) -> Option<Revocation> {
        if self.ended.is_some() {
            return None;
        }
        let at = self.time(now);
        self.ended = Some(Ended { at, reason });
        self.access_until = self.access_until.max(at);
        Some(Revocation {
            target: RevocationTarget::Session(self.id),
            until: self.access_until,
        })
    }

    /// The log entry that tells nodes which access tokens of the session are stale. It replaces the
    /// session's last one.
    #[must_use]
    pub fn grant_entry(&self) -> Revocation {
        Revocation {
            target: RevocationTarget::Grant(self.id, self.grant),
            until: self.access_until,
        }
    }

    /// The time from which the store may remove the row. From then on gatepass refuses the
    /// session's refresh token even without the row. No access token of the session can be valid,
    /// by any clock within the tolerance.
    #[must_use]
    pub fn purge_at(&self) -> Timestamp {
        let needed_until = match self.ended {
            Some(_) => self.access_until,
            None => self.access_until.max(self.idle_expires_at),
        };
        needed_until + Revocation::RETENTION_MARGIN
    }

    /// The store's time, without small steps back.
    pub(super) fn time(&self, now: Timestamp) -> Timestamp {
        if self.last_seen_at.since(now) <= Self::CLOCK_JITTER {
            now.max(self.last_seen_at)
        } else {
            now
        }
    }

    pub(super) fn allow_access(&mut self, default_ttl: Duration, now: Timestamp) {
        let ttl = self.identity.own_access_ttl().unwrap_or(default_ttl);
        // Never lowered, since earlier tokens with a longer lifetime may still be in use.
        self.access_until = self
            .access_until
            .max((now + ttl).min(self.absolute_expires_at));
    }
}
