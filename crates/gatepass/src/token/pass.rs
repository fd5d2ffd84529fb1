//! A verified access token, as a handler sees it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    env::{clock::Timestamp, internal_error::InternalError},
    model::{
        authentication::Authentication,
        identity::Identity,
        ids::{
            AccountId, ClientId, GrantVersion, Issuer, SessionId, SessionNumber, Subject, TokenId,
        },
        json::is_strict_object,
        refusal::Refusal,
        scopes::Scopes,
    },
};

/// A verified access token: all that a handler sees of it.
///
/// If you have a pass, gatepass has checked the signature, the claims, the time and the
/// revocations. The pass doesn't change when the token is revoked later, so don't keep it longer
/// than the request. For a long stream, use a [`Connection`](crate::Connection), which tells you
/// when to end it.
///
/// A pass is cheap to clone. `Debug` shows ids and times, never the token.
#[derive(Clone)]
pub struct Pass(Arc<Verified>);

struct Verified {
    claims: PassClaims,
    /// The version of the revocations at which a lookup last found the token live. Zero before the
    /// first one.
    live_at: AtomicU64,
    /// The newest version of the session's rights that the node knew at a lookup. Zero before the
    /// first one.
    newest_grant: AtomicU32,
}

#[derive(PartialEq)]
pub(crate) struct PassClaims {
    pub(crate) subject: Subject,
    pub(crate) origin: Origin,
    pub(crate) token: TokenId,
    pub(crate) client: Option<ClientId>,
    pub(crate) scopes: Scopes,
    pub(crate) actor: Option<Subject>,
    pub(crate) authentication: Authentication,
    pub(crate) issued_at: Timestamp,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) expires_at: Timestamp,
    pub(crate) authenticated_at: Option<Timestamp>,
    pub(crate) custom: CustomClaims,
}

/// The issuer of a token.
#[derive(PartialEq)]
pub(crate) enum Origin {
    /// This service, for one of its sessions.
    Own(OwnSession),
    /// Another issuer, which this service trusts.
    Foreign(Foreign),
}

/// The session that a token of this service belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct OwnSession {
    pub(crate) id: SessionId,
    pub(crate) number: SessionNumber,
    pub(crate) grant: GrantVersion,
}

/// The issuer of a token that this service hasn't issued, and the account of its subject.
#[derive(PartialEq)]
pub(crate) struct Foreign {
    pub(crate) issuer: Issuer,
    pub(crate) account: AccountId,
    /// Whether the issuer is the old system, whose users are users of this service.
    pub(crate) is_adopted: bool,
}

/// The claims that the application adds: a JSON object in which no object has a member twice.
///
/// It stays text, since many handlers never read it. A handler that reads it names a type, so
/// serde_json need not build a tree of values.
#[derive(Default)]
pub(crate) struct CustomClaims {
    /// Empty for an object without members.
    json: Box<str>,
}

impl CustomClaims {
    /// The claims in an object. `None` if the text isn't an object, if `may_have` doesn't allow the
    /// name of one of its own members, or if an object has a member twice.
    pub(crate) fn parse(json: String, may_have: impl FnMut(&str) -> bool) -> Option<Self> {
        is_strict_object(&json, may_have).then(|| Self {
            json: json.into_boxed_str(),
        })
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(match &*self.json {
            "" => "{}",
            json => json,
        })
    }
}

/// Equal if they have the same members with the same values, in any order and spelling.
impl PartialEq for CustomClaims {
    fn eq(&self, other: &Self) -> bool {
        let value = |claims: &Self| claims.read::<Value>();
        let is_same = || Ok::<_, serde_json::Error>(value(self)? == value(other)?);
        self.json == other.json || is_same().unwrap_or(false)
    }
}

impl Pass {
    pub(crate) fn new(claims: PassClaims) -> Self {
        Self(Arc::new(Verified {
            claims,
            live_at: AtomicU64::new(0),
            newest_grant: AtomicU32::new(0),
        }))
    }

    /// A pass for credentials that the application has judged itself.
    pub(crate) fn of_identity(
        identity: &Identity,
        issuer: Issuer,
        issued_at: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        let token = TokenId::of_foreign_text(&issuer, identity.subject().as_str());
        let origin = (issuer, false);
        Self::of_credentials(identity, origin, token, issued_at, expires_at)
    }

    /// A pass for a token of the old system `issuer`.
    pub(crate) fn adopted(
        identity: &Identity,
        issuer: Issuer,
        token: TokenId,
        issued_at: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        Self::of_credentials(identity, (issuer, true), token, issued_at, expires_at)
    }

    fn of_credentials(
        identity: &Identity,
        (issuer, is_adopted): (Issuer, bool),
        token: TokenId,
        issued_at: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        let subject = identity.subject().clone();
        let claims = identity.raw_claims();
        let json = if claims.is_empty() {
            String::new()
        } else {
            Value::from(claims.clone()).to_string()
        };
        Self::new(PassClaims {
            token,
            origin: Origin::Foreign(Foreign {
                account: AccountId::of_foreign(&issuer, &subject),
                issuer,
                is_adopted,
            }),
            subject,
            client: None,
            scopes: identity.granted_scopes().clone(),
            actor: identity.actor().cloned(),
            authentication: identity.authentication().clone(),
            issued_at,
            not_before: None,
            expires_at,
            authenticated_at: None,
            custom: CustomClaims {
                json: json.into_boxed_str(),
            },
        })
    }

    /// The user who is logged in (`sub`).
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.0.claims.subject
    }

    /// The session that the token belongs to (`sid`). `None` for a token of another issuer, which
    /// has no session here.
    #[must_use]
    pub fn session_id(&self) -> Option<SessionId> {
        self.own_session().map(|session| session.id)
    }

    /// The place of the session among the sessions of its account (`sn`). `None` for a token of
    /// another issuer.
    #[must_use]
    pub fn session_number(&self) -> Option<SessionNumber> {
        self.own_session().map(|session| session.number)
    }

    /// The token's own id (`jti`).
    ///
    /// For a token of another issuer, the id is a hash. It covers the issuer, the subject and the
    /// `jti`, or the issuer and the signed text if the token has no `jti`.
    #[must_use]
    pub fn token_id(&self) -> TokenId {
        self.0.claims.token
    }

    /// The OAuth client that the token was issued to (`client_id`). Tokens of this service always
    /// name one. A token of another issuer can name it in `client_id`, `azp`, `cid` or `appid`.
    #[must_use]
    pub fn client_id(&self) -> Option<&ClientId> {
        self.0.claims.client.as_ref()
    }

    /// The other [issuer](crate::issuers::Issuers) that issued the token. `None` for a token of
    /// this service.
    ///
    /// Only issuer and subject together name a user. For example, the user `alice` of a foreign
    /// issuer is not your own user `alice`.
    #[must_use]
    pub fn foreign_issuer(&self) -> Option<&Issuer> {
        match &self.0.claims.origin {
            Origin::Own(_) => None,
            Origin::Foreign(foreign) => Some(&foreign.issuer),
        }
    }

    /// Whether this is a token of an old system that you [adopt](crate::Adopt). Its
    /// [`foreign_issuer`](Self::foreign_issuer) is the name of that system, and its subject is one
    /// of your users. The token has no session until the client exchanges it.
    #[must_use]
    pub fn is_adopted(&self) -> bool {
        match &self.0.claims.origin {
            Origin::Own(_) => false,
            Origin::Foreign(foreign) => foreign.is_adopted,
        }
    }

    /// The account of a token of another issuer.
    pub(crate) fn foreign_account(&self) -> Result<AccountId, InternalError> {
        match &self.0.claims.origin {
            Origin::Own(_) => Err(InternalError::new("expected a token of another issuer")),
            Origin::Foreign(foreign) => Ok(foreign.account),
        }
    }

    /// Whether the subject is a user of another service.
    pub(crate) fn is_of_other_service(&self) -> bool {
        self.foreign_issuer().is_some() && !self.is_adopted()
    }

    /// The scopes that the token allows (`scope`).
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.0.claims.scopes
    }

    /// The user who acts as the [`subject`](Self::subject), if the session is an impersonation
    /// (`act`, RFC 8693 §4.1). For example, a member of the support team.
    #[must_use]
    pub fn actor(&self) -> Option<&Subject> {
        self.0.claims.actor.as_ref()
    }

    /// The version of the session's rights that the token carries (`gv`). `None` for a token of
    /// another issuer.
    #[must_use]
    pub fn grant_version(&self) -> Option<GrantVersion> {
        self.own_session().map(|session| session.grant)
    }

    /// Whether the client gets more rights if it refreshes: the session's rights have grown since
    /// the token was issued, or the user was authenticated by other methods. Gates tell the client
    /// in a response header.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.newest_grant() > self.grant_version().unwrap_or_default()
    }

    /// The newest version of the session's rights that the node knows.
    pub(crate) fn newest_grant(&self) -> GrantVersion {
        let known = GrantVersion::new(self.0.newest_grant.load(Ordering::Relaxed));
        known.max(self.grant_version().unwrap_or_default())
    }

    /// When the token was issued (`iat`).
    #[must_use]
    pub fn issued_at(&self) -> Timestamp {
        self.0.claims.issued_at
    }

    /// When the token expires (`exp`).
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.0.claims.expires_at
    }

    /// When the user last authenticated (`auth_time`). Tokens of this service always have the
    /// claim. Tokens of another issuer may lack it.
    #[must_use]
    pub fn authenticated_at(&self) -> Option<Timestamp> {
        self.0.claims.authenticated_at
    }

    /// The methods by which the user was authenticated (`amr`, RFC 8176), such as `pwd` and `otp`.
    /// Empty if the issuer didn't name any.
    #[must_use]
    pub fn amr(&self) -> &[String] {
        &self.0.claims.authentication.amr
    }

    /// The class of the authentication (`acr`, OIDC Core §2), if the issuer has named one.
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.0.claims.authentication.acr.as_deref()
    }

    /// How the user was authenticated.
    pub(crate) fn authentication(&self) -> &Authentication {
        &self.0.claims.authentication
    }

    /// The custom claims, as a type of your application.
    ///
    /// # Errors
    ///
    /// The error of serde if the claims do not fit the type.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        self.0.claims.custom.read()
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.0.claims.origin
    }

    fn own_session(&self) -> Option<&OwnSession> {
        match &self.0.claims.origin {
            Origin::Own(session) => Some(session),
            Origin::Foreign(_) => None,
        }
    }

    /// The session, for operations that need a token of this service.
    pub(crate) fn own(&self) -> Result<OwnSession, Refusal> {
        self.own_session().copied().ok_or(Refusal::WrongIssuer)
    }

    /// Whether the last lookup used this `version` of the revocations and found the token live.
    pub(crate) fn is_known_live(&self, version: u64) -> bool {
        self.0.live_at.load(Ordering::Relaxed) == version
    }

    /// Notes that a lookup in this `version` of the revocations has found the token live.
    pub(crate) fn found_live(&self, version: u64) {
        self.0.live_at.store(version, Ordering::Relaxed);
    }

    /// Notes that the session's rights have this version, which is newer than the token's version.
    pub(crate) fn found_newer(&self, grant: GrantVersion) {
        self.0
            .newest_grant
            .fetch_max(grant.get(), Ordering::Relaxed);
    }

    /// The approximate size on the heap, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let claims = &self.0.claims;
        let client = (claims.client.as_ref()).map_or(0, |client| client.as_str().len());
        let issuer = (self.foreign_issuer()).map_or(0, |issuer| issuer.as_str().len());
        let names = claims.subject.as_str().len() + client + issuer;
        let actor = claims
            .actor
            .as_ref()
            .map_or(0, |actor| actor.as_str().len());
        let methods = self.amr().iter();
        let methods: usize = methods
            .map(|method| size_of::<String>() + method.len())
            .sum();
        let class = self.acr().map_or(0, str::len);
        names + actor + methods + class + claims.scopes.as_str().len() + claims.custom.json.len()
    }

    pub(crate) fn not_before(&self) -> Option<Timestamp> {
        self.0.claims.not_before
    }
}

/// Two passes are equal if their tokens have the same claims.
impl PartialEq for Pass {
    fn eq(&self, other: &Self) -> bool {
        self.0.claims == other.0.claims
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass")
            .field("subject", &self.0.claims.subject)
            .field("issuer", &self.foreign_issuer())
            .field("session", &self.session_id())
            .field("jti", &self.0.claims.token)
            .field("scopes", &self.0.claims.scopes)
            .field("expires_at", &self.0.claims.expires_at)
            .finish_non_exhaustive()
    }
}
