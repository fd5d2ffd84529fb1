//! A session as stores keep it, and the changes it can go through.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    env::clock::Timestamp,
    model::{
        identity::Identity,
        ids::{
            AccountId, Audience, ClientId, Generation, Issuer, SessionId, SessionNumber, Subject,
        },
        lifetimes,
        revocation::{Revocation, RevocationTarget},
    },
};

/// One login on one device: one row, however often it is refreshed.
///
/// Its fields are public because stores write and read them; no other code has reason to make one.
/// The methods are the only changes there are. Each is pure and takes the store's time, and a clock
/// that is set back by less than [`CLOCK_JITTER`](Self::CLOCK_JITTER) doesn't make time run
/// backwards within the session. A store that can hold a row still while it changes (a mutex, a
/// single writer) applies them as they are; one that can't says the same in its own language, and
/// the contract suite of `gatepass-testkit` shows that it does.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside this crate build it from their rows"
)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Its place among the sessions of its account.
    pub number: SessionNumber,
    /// The issuer that began it. No other can use it, also where both share the store.
    pub issuer: Issuer,
    /// The audience of its access tokens. No other audience can use it.
    pub audience: Audience,
    /// The OAuth client it belongs to.
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
    /// When the user last proved who they are.
    pub authenticated_at: Timestamp,
    /// When the session was last refreshed, or began.
    pub last_seen_at: Timestamp,
    /// From where it was last refreshed, or begun.
    pub seen_from: SeenFrom,
    /// When it can no longer be refreshed unless it is refreshed before.
    pub idle_expires_at: Timestamp,
    /// When it ends at the latest, however often it is refreshed.
    pub absolute_expires_at: Timestamp,
    /// No access token of this session is valid past this instant. Never decreases.
    pub access_until: Timestamp,
    /// When and why it was ended, if it was.
    pub ended: Option<Ended>,
}

/// The exchange of a session's refresh token for the next one.
///
/// A session rotates at most once per [`overlap`](crate::ReusePolicy::overlap), so the last
/// rotation is all that it must remember. A rotation over several generations means that the store
/// lost writes; it spends all of them at once.
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

/// A hint at where a request came from: 24 bits of a hash of the `User-Agent`, and as many of the
/// address. It tells whether two requests differ. It isn't a secret: the store's reader can check
/// whether an address that it guesses fits.
///
/// ```
/// use gatepass::{Device, store::SeenFrom};
///
/// let mut device = Device::default();
/// device.address = Some("192.0.2.1".parse()?);
/// let laptop = SeenFrom::of(&device);
/// device.address = Some("192.0.2.9".parse()?);
/// let phone = SeenFrom::of(&device);
/// assert!(laptop.differs_from(phone));
/// // A request of which nothing is known differs from none.
/// assert!(!laptop.differs_from(SeenFrom::default()));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeenFrom(i64);

impl SeenFrom {
    const HALF: i64 = (1 << 24) - 1;

    /// The hint for the requests of `device`.
    #[must_use]
    pub fn of(device: &Device) -> Self {
        let agent = device
            .user_agent
            .as_deref()
            .map(|agent| hint(agent.as_bytes()));
        let address = device.address.map(|address| match address.to_canonical() {
            IpAddr::V4(address) => hint(&address.octets()),
            IpAddr::V6(address) => hint(&address.octets()),
        });
        Self(agent.unwrap_or(0) << 24 | address.unwrap_or(0))
    }

    /// The hint that a store has kept as a number of 48 bits.
    #[must_use]
    pub const fn from_bits(bits: i64) -> Self {
        Self(bits & (Self::HALF << 24 | Self::HALF))
    }

    /// The hint as a number of 48 bits, which a double holds exactly.
    #[must_use]
    pub const fn bits(self) -> i64 {
        self.0
    }

    /// Whether both user agents are known and differ, or both addresses.
    #[must_use]
    pub const fn differs_from(self, other: Self) -> bool {
        const fn differ(one: i64, other: i64) -> bool {
            one != 0 && other != 0 && one != other
        }
        differ(self.0 >> 24, other.0 >> 24) || differ(self.0 & Self::HALF, other.0 & Self::HALF)
    }

    /// This hint, with each half that is unknown taken from `before`.
    #[must_use]
    pub const fn or(self, before: Self) -> Self {
        let agent = if self.0 >> 24 == 0 { before.0 } else { self.0 } & Self::HALF << 24;
        let address = if self.0 & Self::HALF == 0 {
            before.0
        } else {
            self.0
        } & Self::HALF;
        Self(agent | address)
    }
}

/// 24 bits of a hash, never all zero.
fn hint(bytes: &[u8]) -> i64 {
    let [first, second, third, ..] = <[u8; 32]>::from(Sha256::digest(bytes));
    i64::from_be_bytes([0, 0, 0, 0, 0, first, second, third]).max(1)
}

/// The known facts about the device of a session, for the user's list of sessions. Never trusted.
///
/// [`RequestHead::device`](crate::wire::RequestHead::device) has those of a request. Without a
/// request, begin with `Device::default()`, an unknown device, and set the facts that you know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Device {
    /// The `User-Agent` that logged in, printable ASCII, cut to 256 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The address that logged in, as the server saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
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
    /// The user was deleted, or may not be logged in any more.
    UserDeleted,
    /// The subject had more sessions than `max_sessions` allows. The store ended this one and all
    /// older ones.
    TooManySessions,
    /// More access tokens were revoked one by one than a session (8) or its account (100) may have.
    TooManyRevocations,
}

impl EndReason {
    const ALL: [Self; 9] = [
        Self::Logout,
        Self::LogoutAll,
        Self::Replaced,
        Self::EndedByUser,
        Self::EndedByApplication,
        Self::Reuse,
        Self::UserDeleted,
        Self::TooManySessions,
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
            Self::TooManyRevocations => "too_many_revocations",
        }
    }

    /// The reason of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

/// A session to begin.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewSession {
    /// Its id, new and random, with the prefix of its account.
    pub id: SessionId,
    /// The issuer that begins it.
    pub issuer: Issuer,
    /// The audience of its access tokens.
    pub audience: Audience,
    /// The OAuth client it belongs to.
    pub client: ClientId,
    /// The user, and the scopes and claims that the login allows.
    pub identity: Identity,
    /// The known facts about the device.
    pub device: Device,
    /// How long it may stay unused.
    pub idle_ttl: Duration,
    /// How long it may last at all.
    pub absolute_ttl: Duration,
    /// The lifetime of an access token whose identity does not say.
    pub access_ttl: Duration,
    /// How many usable sessions the account may have with this one; the oldest are ended.
    pub max_sessions: Option<NonZeroU32>,
}

impl NewSession {
    /// A session of an unknown device. The lifetimes are the defaults of
    /// [`AuthorityBuilder`](crate::AuthorityBuilder): the session may stay unused for 14 days and
    /// last 90 days, and an access token lives 15 minutes. The account may have any number of
    /// sessions, while an authority allows 100 by default. Set the fields that should differ.
    ///
    /// ```
    /// use gatepass::{ClientId, Identity, SessionId};
    /// use gatepass::store::{AccountId, Audience, Issuer, NewSession};
    /// use std::time::Duration;
    ///
    /// let issuer = Issuer::new("https://shop.example")?;
    /// let identity = Identity::new("alice")?;
    /// // A test can choose the id. Its first two bytes are those of the account.
    /// let mut id = [7; 18];
    /// id[..2].copy_from_slice(&AccountId::of(&issuer, identity.subject()).prefix());
    /// let (audience, client) = (Audience::new("shop-api")?, ClientId::new("web")?);
    /// let mut new = NewSession::new(SessionId::from_bytes(id), issuer, audience, client, identity);
    /// new.idle_ttl = Duration::from_secs(3600);
    /// assert_eq!(new.access_ttl, Duration::from_secs(15 * 60));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn new(
        id: SessionId,
        issuer: Issuer,
        audience: Audience,
        client: ClientId,
        identity: Identity,
    ) -> Self {
        Self {
            id,
            issuer,
            audience,
            client,
            identity,
            device: Device::default(),
            idle_ttl: lifetimes::IDLE_TTL,
            absolute_ttl: lifetimes::ABSOLUTE_TTL,
            access_ttl: lifetimes::ACCESS_TTL,
            max_sessions: None,
        }
    }

    /// The account that the session is to belong to.
    #[must_use]
    pub fn account(&self) -> AccountId {
        AccountId::of(&self.issuer, self.identity.subject())
    }
}

/// Why a session advances, which decides how strictly it must be alive and what else changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a store must be able to do all that is asked"
)]
pub enum AdvanceCause {
    /// Its current refresh token was presented. The session must be refreshable.
    Refresh,
    /// Its current refresh token was presented together with a valid access token of the session,
    /// which speaks for it even if it was idle for too long.
    Resume,
    /// The user has just proved again who they are, with a valid access token of the session:
    /// [`authenticated_at`](Session::authenticated_at) becomes now. It may have been idle for too
    /// long. The generation stays (`to` is `from`) if the session rotated within `overlap`.
    Reauthenticate,
}

/// A compare-and-advance: the refresh itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Advance {
    /// The session.
    pub id: SessionId,
    /// The client that asks; it must be the session's.
    pub client: ClientId,
    /// The generation that the session must have.
    pub from: Generation,
    /// The generation that it gets. Further than the next one only where the store lost writes.
    pub to: Generation,
    /// Why.
    pub cause: AdvanceCause,
    /// The last rotation must be longer ago than this, if `to` is the next generation. Zero for no
    /// such rule.
    pub overlap: Duration,
    /// The request's origin.
    pub seen_from: SeenFrom,
    /// The identity from now on, where it has changed.
    pub identity: Option<Identity>,
    /// How long the session may stay unused from now on.
    pub idle_ttl: Duration,
    /// The lifetime of an access token whose identity does not say.
    pub access_ttl: Duration,
}

impl Advance {
    /// The refresh of `session` by its own client, from its generation to the next one. The session
    /// may rotate again at once (`overlap` is zero), and its identity stays as it is. From now on
    /// the session may stay unused for 14 days, and an access token lives 15 minutes. The request
    /// comes from an unknown device. Set the fields that should differ.
    ///
    /// ```
    /// use gatepass::store::{Advance, Generation};
    /// use std::time::Duration;
    /// # use gatepass::{ClientId, Identity, Session, SessionId, Timestamp};
    /// # use gatepass::store::{Audience, Issuer, NewSession, SessionNumber};
    ///
    /// # let (issuer, audience) = (Issuer::new("https://shop.example")?, Audience::new("shop-api")?);
    /// # let (client, identity) = (ClientId::new("web")?, Identity::new("alice")?);
    /// # let new = NewSession::new(SessionId::from_bytes([7; 18]), issuer, audience, client, identity);
    /// # let now = Timestamp::from_unix_secs(1_800_000_000);
    /// # let mut session = Session::begin(new, SessionNumber::new(1), now);
    /// let mut advance = Advance::new(&session);
    /// advance.idle_ttl = Duration::from_secs(3600);
    /// assert!(session.advance(advance, now));
    /// assert_eq!(session.generation, Generation::new(1));
    /// assert_eq!(session.idle_expires_at, now + Duration::from_secs(3600));
    /// # Ok::<(), gatepass::InvalidName>(())
    /// ```
    #[must_use]
    pub fn new(session: &Session) -> Self {
        Self {
            id: session.id,
            client: session.client.clone(),
            from: session.generation,
            to: session.generation.next(),
            cause: AdvanceCause::Refresh,
            overlap: Duration::ZERO,
            seen_from: SeenFrom::default(),
            identity: None,
            idle_ttl: lifetimes::IDLE_TTL,
            access_ttl: lifetimes::ACCESS_TTL,
        }
    }
}

/// Marks the current generation as recovered and lets new access tokens live.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recover {
    /// The session.
    pub id: SessionId,
    /// The client that asks; it must be the session's.
    pub client: ClientId,
    /// The generation that the session must have, and whose first answer was lost.
    pub generation: Generation,
    /// The identity from now on, where it has changed.
    pub identity: Option<Identity>,
    /// The lifetime of an access token whose identity does not say.
    pub access_ttl: Duration,
}

impl Recover {
    /// The recovery of the current generation of `session` by its own client. The identity stays as
    /// it is, and an access token lives 15 minutes.
    #[must_use]
    pub fn new(session: &Session) -> Self {
        Self {
            id: session.id,
            client: session.client.clone(),
            generation: session.generation,
            identity: None,
            access_ttl: lifetimes::ACCESS_TTL,
        }
    }
}

/// Lets an access token that replaces another live, without a refresh.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Renew {
    /// The session.
    pub id: SessionId,
    /// The client that asks; it must be the session's.
    pub client: ClientId,
    /// The identity from now on, where it has changed.
    pub identity: Option<Identity>,
    /// The lifetime of an access token whose identity does not say.
    pub access_ttl: Duration,
}

impl Renew {
    /// The renewal of an access token of `session` by its own client. The identity stays as it is,
    /// and an access token lives 15 minutes.
    #[must_use]
    pub fn new(session: &Session) -> Self {
        Self {
            id: session.id,
            client: session.client.clone(),
            identity: None,
            access_ttl: lifetimes::ACCESS_TTL,
        }
    }
}

impl Session {
    /// How far a store's clock may go back without being believed: what clocks that are kept right
    /// differ by, for example after a failover to another server.
    ///
    /// Beyond that the session's last time was wrong, and the store's time counts. Otherwise a
    /// clock that was ahead for a moment would hold the session's overlap open until it gets there
    /// again.
    pub const CLOCK_JITTER: Duration = Duration::from_secs(10);

    /// The session that `new` asks for, begun as number `number` at `now`.
    #[must_use]
    pub fn begin(new: NewSession, number: SessionNumber, now: Timestamp) -> Self {
        let absolute_expires_at = now + new.absolute_ttl;
        let mut session = Self {
            id: new.id,
            number,
            issuer: new.issuer,
            audience: new.audience,
            client: new.client,
            identity: new.identity,
            seen_from: SeenFrom::of(&new.device),
            device: new.device,
            generation: Generation::FIRST,
            rotated: None,
            recovered: None,
            created_at: now,
            authenticated_at: now,
            last_seen_at: now,
            idle_expires_at: (now + new.idle_ttl).min(absolute_expires_at),
            absolute_expires_at,
            access_until: now,
            ended: None,
        };
        session.allow_access(new.access_ttl, now);
        session
    }

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

    /// Whether it is neither ended nor past its absolute end.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ended.is_none() && self.time(now) < self.absolute_expires_at
    }

    /// Whether it can be refreshed: live and not idle for too long.
    #[must_use]
    pub fn is_refreshable(&self, now: Timestamp) -> bool {
        self.is_live(now) && self.time(now) < self.idle_expires_at
    }

    /// Whether a client can still use it: it can be refreshed, or an access token of it may be
    /// valid.
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

    /// How long ago `rotation` was; `None` if it lies in the future because the store's clock was
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

    /// Refreshes the session if it is alive enough for `advance.cause`, the client's own, of the
    /// generation `advance.from`, and may rotate again; says whether it was.
    #[must_use]
    pub fn advance(&mut self, advance: Advance, now: Timestamp) -> bool {
        let alive = match advance.cause {
            AdvanceCause::Refresh => self.is_refreshable(now),
            AdvanceCause::Resume | AdvanceCause::Reauthenticate => self.is_live(now),
        };
        let too_soon =
            advance.to == advance.from.next() && self.has_just_rotated(advance.overlap, now);
        let fits =
            alive && !too_soon && self.client == advance.client && self.generation == advance.from;
        if !fits {
            return false;
        }
        let now = self.time(now);
        if advance.to != advance.from {
            // A jump over several generations means that the store lost their writes. When they
            // were spent is unknown; "now" gives their honest holders one overlap and no more.
            self.rotated = Some(Rotation {
                from: advance.from,
                at: now,
            });
            self.generation = advance.to;
        }
        let mut idle_expires_at = (now + advance.idle_ttl).min(self.absolute_expires_at);
        if self.last_seen_at > now {
            // The clock has gone back. A session that was promised to live until then still does.
            idle_expires_at = idle_expires_at.max(self.idle_expires_at);
        }
        self.idle_expires_at = idle_expires_at;
        self.last_seen_at = now;
        self.seen_from = advance.seen_from.or(self.seen_from);
        if advance.cause == AdvanceCause::Reauthenticate {
            self.authenticated_at = now;
        }
        if let Some(identity) = advance.identity {
            self.identity = identity;
        }
        self.allow_access(advance.access_ttl, now);
        true
    }

    /// Marks the current generation as recovered if the session is refreshable, the client's own
    /// and still of that generation; says whether it was. Doing it twice is the same as once.
    #[must_use]
    pub fn recover(&mut self, recover: Recover, now: Timestamp) -> bool {
        let fits = self.is_refreshable(now)
            && self.client == recover.client
            && self.generation == recover.generation;
        if !fits {
            return false;
        }
        self.recovered = Some(recover.generation);
        if let Some(identity) = recover.identity {
            self.identity = identity;
        }
        self.allow_access(recover.access_ttl, self.time(now));
        true
    }

    /// Lets a new access token live if the session is live and the client's own; says whether it
    /// was. Neither its generation nor its idle expiry changes: no refresh token was shown.
    #[must_use]
    pub fn renew(&mut self, renew: Renew, now: Timestamp) -> bool {
        if !self.is_live(now) || self.client != renew.client {
            return false;
        }
        if let Some(identity) = renew.identity {
            self.identity = identity;
        }
        self.allow_access(renew.access_ttl, self.time(now));
        true
    }

    /// Ends the session, which can happen once; the revocation is what must be logged with it.
    #[must_use]
    pub fn end(&mut self, reason: EndReason, now: Timestamp) -> Option<Revocation> {
        if self.ended.is_some() {
            return None;
        }
        self.ended = Some(Ended {
            at: self.time(now),
            reason,
        });
        Some(Revocation {
            target: RevocationTarget::Session(self.id),
            until: self.access_until,
        })
    }

    /// From when on nothing needs the row any more: its refresh token is refused with or without
    /// it, and none of its access tokens can be valid, on no clock that is tolerated.
    #[must_use]
    pub fn purge_at(&self) -> Timestamp {
        let needed_until = match self.ended {
            Some(_) => self.access_until,
            None => self.access_until.max(self.idle_expires_at),
        };
        needed_until + Revocation::RETENTION_MARGIN
    }

    /// The store's time as this session has it.
    fn time(&self, now: Timestamp) -> Timestamp {
        if self.last_seen_at.since(now) <= Self::CLOCK_JITTER {
            now.max(self.last_seen_at)
        } else {
            now
        }
    }

    fn allow_access(&mut self, default_ttl: Duration, now: Timestamp) {
        let ttl = self.identity.own_access_ttl().unwrap_or(default_ttl);
        // Never lowered: tokens that were issued with a longer lifetime are still about.
        self.access_until = self
            .access_until
            .max((now + ttl).min(self.absolute_expires_at));
    }
}
