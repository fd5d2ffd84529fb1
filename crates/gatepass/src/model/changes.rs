//! The changes that a session can go through while it lives.

use std::{num::NonZeroU32, time::Duration};

use crate::{
    env::clock::Timestamp,
    model::{
        device::{Device, SeenFrom},
        grant::{Grant, GrantEffect},
        identity::Identity,
        ids::{
            AccountId, Audience, ClientId, Generation, GrantVersion, Issuer, SessionId,
            SessionNumber, TokenId,
        },
        lifetimes,
        revocation::{Cutoff, Revocation, RevocationTarget},
        session::{Rotation, Session},
    },
};

/// A session to begin.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewSession {
    /// The session's id, with the prefix of its account. It is random, unless it is
    /// [derived](crate::Adopt) from a token of an old system.
    pub id: SessionId,
    /// The issuer that begins it.
    pub issuer: Issuer,
    /// The audience of its access tokens.
    pub audience: Audience,
    /// The OAuth client that the session belongs to.
    pub client: ClientId,
    /// The user, and the scopes and claims that the login allows.
    pub identity: Identity,
    /// The known facts about the device.
    pub device: Device,
    /// How long the session may stay unused.
    pub idle_ttl: Duration,
    /// How long the session may last, however much it is used.
    pub absolute_ttl: Duration,
    /// The lifetime of an access token, unless its identity sets one.
    pub access_ttl: Duration,
    /// How many usable sessions the account may have, including this one. The store ends the oldest
    /// ones beyond that.
    pub max_sessions: Option<NonZeroU32>,
    /// When the user was authenticated, if that was before the session begins.
    pub authenticated_at: Option<Timestamp>,
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
            authenticated_at: None,
        }
    }

    /// The account that the session will belong to.
    #[must_use]
    pub fn account(&self) -> AccountId {
        AccountId::of(&self.issuer, self.identity.subject())
    }
}

/// Why a session advances. The cause decides how strictly the session must be alive, and what else
/// changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a store must be able to do all that is asked"
)]
pub enum AdvanceCause {
    /// The client presented the session's current refresh token. The session must be refreshable.
    Refresh,
    /// The client presented the session's current refresh token together with a valid access token
    /// of the session. The session may have been idle for too long, because the access token
    /// vouches for it.
    Resume,
    /// The user has just authenticated again, with a valid access token of the session:
    /// [`authenticated_at`](Session::authenticated_at) becomes now. The session may have been idle
    /// for too long. Its generation stays (`to` is `from`) if it rotated within `overlap`.
    Reauthenticate,
}

/// A refresh of a session: a compare-and-set of its generation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Advance {
    /// The session.
    pub id: SessionId,
    /// The client that asks; it must be the session's.
    pub client: ClientId,
    /// The generation that the session must have.
    pub from: Generation,
    /// The generation that the session gets: usually the next one. It is a later one if the store
    /// lost writes. It is the same one if no token is spent, for example at an authentication
    /// within `overlap`.
    pub to: Generation,
    /// Why the session advances.
    pub cause: AdvanceCause,
    /// How long ago the last rotation must be, if `to` is the next generation. Zero means that the
    /// session may rotate at any time.
    pub overlap: Duration,
    /// A hint at where the request came from.
    pub seen_from: SeenFrom,
    /// How long the session may stay unused from now on, unless its identity sets a time.
    pub idle_ttl: Duration,
    /// The lifetime of an access token, unless its identity sets one.
    pub access_ttl: Duration,
}

impl Advance {
    /// The refresh of `session` by its own client, from its generation to the next one. The session
    /// may rotate again at once (`overlap` is zero). From now on the session may stay unused for 14
    /// days, and an access token lives 15 minutes. The request comes from an unknown device. Set
    /// the fields that should differ.
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
            idle_ttl: lifetimes::IDLE_TTL,
            access_ttl: lifetimes::ACCESS_TTL,
        }
    }
}

/// Marks the current generation as recovered and allows new access tokens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recover {
    /// The session.
    pub id: SessionId,
    /// The client that asks; it must be the session's.
    pub client: ClientId,
    /// The generation that the session must have. The first answer with its refresh token was lost.
    pub generation: Generation,
    /// The lifetime of an access token, unless its identity sets one.
    pub access_ttl: Duration,
}

impl Recover {
    /// The recovery of the current generation of `session` by its own client. An access token
    /// lives 15 minutes.
    #[must_use]
    pub fn new(session: &Session) -> Self {
        Self {
            id: session.id,
            client: session.client.clone(),
            generation: session.generation,
            access_ttl: lifetimes::ACCESS_TTL,
        }
    }
}

/// Allows a new access token for a session without a refresh.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Renew {
    /// The session.
    pub id: SessionId,
    /// The client that asks; it must be the session's.
    pub client: ClientId,
    /// The lifetime of an access token, unless its identity sets one.
    pub access_ttl: Duration,
}

impl Renew {
    /// The renewal of an access token of `session` by its own client. An access token lives
    /// 15 minutes.
    #[must_use]
    pub fn new(session: &Session) -> Self {
        Self {
            id: session.id,
            client: session.client.clone(),
            access_ttl: lifetimes::ACCESS_TTL,
        }
    }
}

/// Another identity for a session, such as one with fewer scopes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChangeIdentity {
    /// The session.
    pub id: SessionId,
    /// The version of the session's rights that the change is based on. The session must still have
    /// this version, so that no change undoes another one.
    pub from: GrantVersion,
    /// The identity from now on.
    pub identity: Identity,
    /// The consequence for the access tokens that were issued before.
    pub effect: GrantEffect,
}

impl ChangeIdentity {
    /// The change of `session` to `identity`. Every node refuses the access tokens that were issued
    /// before.
    #[must_use]
    pub fn new(session: &Session, identity: Identity) -> Self {
        Self {
            id: session.id,
            from: session.grant.newest,
            identity,
            effect: GrantEffect::Enforce,
        }
    }
}

/// One access token to revoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RevokeToken {
    /// The token.
    pub token: TokenId,
    /// Its session.
    pub session: SessionId,
    /// The account of the session.
    pub account: AccountId,
    /// When the token expires.
    pub until: Timestamp,
}

impl RevokeToken {
    /// How many entries for single tokens a session may have in the log at once. One more ends the
    /// session instead, so that a client can't fill the replicas of all nodes.
    pub const MAX_PER_SESSION: usize = 8;
    /// How many entries for single tokens the sessions of an account may have in the log at once.
    /// One more ends its session instead. For example, a client can't get around
    /// [`MAX_PER_SESSION`](Self::MAX_PER_SESSION) by logging in again and again.
    pub const MAX_PER_ACCOUNT: usize = 100;

    /// The revocation of `token`, an access token of `session`. It lasts until
    /// [`access_until`](Session::access_until), when every access token of the session has expired.
    /// Set `until` if you know that this one expires earlier.
    ///
    /// ```
    /// use gatepass::store::{RevokeToken, TokenId};
    /// # use gatepass::{ClientId, Identity, Session, SessionId, Timestamp};
    /// # use gatepass::store::{Audience, Issuer, NewSession, SessionNumber};
    ///
    /// # let (issuer, audience) = (Issuer::new("https://shop.example")?, Audience::new("shop-api")?);
    /// # let (client, identity) = (ClientId::new("web")?, Identity::new("alice")?);
    /// # let new = NewSession::new(SessionId::from_bytes([7; 18]), issuer, audience, client, identity);
    /// # let session = Session::begin(new, SessionNumber::new(1), Timestamp::from_unix_secs(0));
    /// let revoke = RevokeToken::new(TokenId::from_bytes([1; 16]), &session);
    /// assert_eq!(revoke.session, session.id);
    /// assert_eq!(revoke.until, session.access_until);
    /// # Ok::<(), gatepass::InvalidName>(())
    /// ```
    #[must_use]
    pub fn new(token: TokenId, session: &Session) -> Self {
        Self {
            token,
            session: session.id,
            account: session.account(),
            until: session.access_until,
        }
    }
}

/// Access tokens of another issuer to revoke: one token of a subject, or all tokens that the
/// subject got up to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RevokeForeign {
    /// The subject, by [`AccountId::of_foreign`]. Such an account has no sessions.
    pub account: AccountId,
    /// The one token, and when it expires. `None` means all tokens that were issued up to the
    /// store's time.
    pub token: Option<(TokenId, Timestamp)>,
    /// The longest time for which a token of the subject is valid after its issue.
    pub lifetime: Duration,
}

impl RevokeForeign {
    /// How many entries for single tokens of a subject the log may have at once. Instead of one
    /// more, the store appends a single entry that revokes all tokens that the subject got up to
    /// now. So a client that fetches and revokes tokens again and again can't fill the replicas of
    /// all nodes.
    pub const MAX_PER_SUBJECT: usize = RevokeToken::MAX_PER_ACCOUNT;

    /// The revocation of all tokens that the subject of `account` got up to now. A token is valid
    /// for at most `lifetime` after its issue.
    #[must_use]
    pub const fn all(account: AccountId, lifetime: Duration) -> Self {
        Self {
            account,
            token: None,
            lifetime,
        }
    }

    /// The revocation of one token instead, which expires at `until`.
    #[must_use]
    pub const fn only(mut self, token: TokenId, until: Timestamp) -> Self {
        self.token = Some((token, until));
        self
    }

    /// The single token, as if it belonged to a session, which doesn't exist. A store can keep its
    /// entry like the entries of its own tokens, beside the other data of the account.
    #[must_use]
    pub fn single(&self) -> Option<RevokeToken> {
        let (token, until) = self.token?;
        let mut session = [0; 18];
        let bytes = self.account.prefix().into_iter().chain(*token.as_bytes());
        (session.iter_mut().zip(bytes)).for_each(|(to, from)| *to = from);
        Some(RevokeToken {
            token,
            session: SessionId::from_bytes(session),
            account: self.account,
            until,
        })
    }

    /// The revocation of all tokens that were issued up to `now`. It replaces `before`, the
    /// account's last entry in the log, and covers all that `before` covers, even if the store's
    /// clock has gone back since.
    #[must_use]
    pub fn entry(&self, before: Option<(Cutoff, Timestamp)>, now: Timestamp) -> Revocation {
        let cutoff = Cutoff::all(SessionNumber::new(now.unix_millis()));
        let until = now + self.lifetime;
        let (cutoff, until) = before.map_or((cutoff, until), |(before, kept)| {
            (before.and(cutoff), kept.max(until))
        });
        Revocation {
            target: RevocationTarget::Sessions(self.account, cutoff),
            until,
        }
    }
}

impl Session {
    /// Begins the session that `new` describes at `now`, with the number `number`.
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
            authenticated_at: new.authenticated_at.map_or(now, |at| at.min(now)),
            last_seen_at: now,
            idle_expires_at: (now + new.idle_ttl).min(absolute_expires_at),
            absolute_expires_at,
            access_until: now,
            grant: Grant::default(),
            ended: None,
        };
        session.allow_access(new.access_ttl, now);
        session
    }

    /// Refreshes the session, and returns whether it did. The session must be alive enough for
    /// `advance.cause`, belong to the client, have the generation `advance.from`, and be allowed to
    /// rotate again.
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
            // A jump over several generations means that the store lost their writes, and the times
            // when they were spent. "Now" gives their honest holders one overlap and no more.
            self.rotated = Some(Rotation {
                from: advance.from,
                at: now,
            });
            self.generation = advance.to;
        }
        let idle_ttl = self.identity.own_idle_ttl().unwrap_or(advance.idle_ttl);
        let mut idle_expires_at = (now + idle_ttl).min(self.absolute_expires_at);
        if self.last_seen_at > now {
            // The clock has gone back. The session keeps the later expiry that it already had.
            idle_expires_at = idle_expires_at.max(self.idle_expires_at);
        }
        self.idle_expires_at = idle_expires_at;
        self.last_seen_at = now;
        self.seen_from = advance.seen_from.or(self.seen_from);
        if advance.cause == AdvanceCause::Reauthenticate {
            self.authenticated_at = now;
        }
        self.allow_access(advance.access_ttl, now);
        true
    }

    /// Marks the current generation as recovered, and returns whether it did. The session must be
    /// refreshable, belong to the client, and still have that generation. The call is idempotent.
    #[must_use]
    pub fn recover(&mut self, recover: Recover, now: Timestamp) -> bool {
        let fits = self.is_refreshable(now)
            && self.client == recover.client
            && self.generation == recover.generation;
        if !fits {
            return false;
        }
        self.recovered = Some(recover.generation);
        self.allow_access(recover.access_ttl, self.time(now));
        true
    }

    /// Allows a new access token if the session is live and belongs to the client, and returns
    /// whether it did. The generation and the idle expiry stay, since the client presented no
    /// refresh token.
    #[must_use]
    pub fn renew(&mut self, renew: Renew, now: Timestamp) -> bool {
        if !self.is_live(now) || self.client != renew.client {
            return false;
        }
        self.allow_access(renew.access_ttl, self.time(now));
        true
    }

    /// Gives the session another identity, and returns whether it did. The session must be live,
    /// and its rights must still have the version `change.from`. The version grows unless the
    /// effect is [`GrantEffect::None`]. If it grows, the store must append
    /// [`grant_entry`](Self::grant_entry) to the log in the same act.
    #[must_use]
    pub fn change(&mut self, change: ChangeIdentity, now: Timestamp) -> bool {
        if !self.is_live(now) || self.grant.newest != change.from {
            return false;
        }
        self.identity = change.identity;
        if change.effect != GrantEffect::None {
            self.grant.newest = change.from.next();
            // As in `end`: open connections must find the entry.
            self.access_until = self.access_until.max(self.time(now));
        }
        if change.effect == GrantEffect::Enforce {
            self.grant.valid_from = self.grant.newest;
        }
        true
    }
}
