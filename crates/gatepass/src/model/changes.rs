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
    /// Its id, with the prefix of its account: new and random, unless it is
    /// [derived](crate::Adopt) from a token of an old system.
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
    /// When the user proved who they are, if that was before the session begins.
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
    /// The generation that it gets. Further than the next one only where the store lost writes. The
    /// same one if no token is spent, as at an authentication within `overlap`.
    pub to: Generation,
    /// Why.
    pub cause: AdvanceCause,
    /// The last rotation must be longer ago than this, if `to` is the next generation. Zero for no
    /// such rule.
    pub overlap: Duration,
    /// The request's origin.
    pub seen_from: SeenFrom,
    /// How long the session may stay unused from now on, where its identity does not say.
    pub idle_ttl: Duration,
    /// The lifetime of an access token whose identity does not say.
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
    /// The lifetime of an access token whose identity does not say.
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

/// Lets an access token that replaces another live, without a refresh.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Renew {
    /// The session.
    pub id: SessionId,
    /// The client that asks; it must be the session's.
    pub client: ClientId,
    /// The lifetime of an access token whose identity does not say.
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
    /// The version of its rights that the change was made from. The session must still have it, so
    /// that no change undoes another one.
    pub from: GrantVersion,
    /// The identity from now on.
    pub identity: Identity,
    /// The fate of the access tokens that were issued before.
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
    /// When it expires.
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
    /// [`access_until`](Session::access_until), since no access token of the session is valid
    /// longer. Set `until` if you know that this one expires earlier.
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

/// Access tokens of another issuer to revoke: one of a subject, or all that were issued to it up to
/// now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RevokeForeign {
    /// The subject, by [`AccountId::of_foreign`]. No session is of such an account.
    pub account: AccountId,
    /// The one token, and when it expires. `None` for all that were issued up to the store's time.
    pub token: Option<(TokenId, Timestamp)>,
    /// How long after its issue a token of the subject is good at most.
    pub lifetime: Duration,
}

impl RevokeForeign {
    /// How many entries for single tokens of a subject the log may have at once. One more revokes
    /// all of the subject's tokens that were issued up to now instead, by one entry. A client that
    /// fetches and revokes tokens again and again can't fill the replicas of all nodes so.
    pub const MAX_PER_SUBJECT: usize = RevokeToken::MAX_PER_ACCOUNT;

    /// The revocation of all tokens that the subject of `account` got up to now. A token is good
    /// for `lifetime` after its issue at most.
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

    /// The single token as one of a session that doesn't exist. A store can keep its entry like
    /// those of its own tokens, in the place where it keeps what belongs to the account.
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

    /// The revocation of all tokens that were issued up to `now`, in place of the entry `before`
    /// that the log has of the account. It takes nothing back, also if the store's clock has gone
    /// back since.
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
        let idle_ttl = self.identity.own_idle_ttl().unwrap_or(advance.idle_ttl);
        let mut idle_expires_at = (now + idle_ttl).min(self.absolute_expires_at);
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
        self.allow_access(renew.access_ttl, self.time(now));
        true
    }

    /// Gives the session another identity if it is live and its rights still have the version
    /// `change.from`; says whether it was. The number of the version grows unless the effect is
    /// [`GrantEffect::None`], and the log must then get [`grant_entry`](Self::grant_entry) in the
    /// same act.
    #[must_use]
    pub fn change(&mut self, change: ChangeIdentity, now: Timestamp) -> bool {
        if !self.is_live(now) || self.grant.newest != change.from {
            return false;
        }
        self.identity = change.identity;
        if change.effect != GrantEffect::None {
            self.grant.newest = change.from.next();
            // As for an end: open connections must find the entry.
            self.access_until = self.access_until.max(self.time(now));
        }
        if change.effect == GrantEffect::Enforce {
            self.grant.valid_from = self.grant.newest;
        }
        true
    }
}
