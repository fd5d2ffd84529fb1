//! The identity that a login establishes.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::model::{
    authentication::{Authentication, InvalidAuthenticationValue, checked},
    ids::{InvalidName, Subject},
    json::is_strict,
    provider_login::ProviderLogin,
    refusal::Refusal,
    scopes::{InvalidScope, Scopes},
    text::{floor_char_boundary, is_deceptive},
};

/// Claims that gatepass sets or reads itself (RFC 7519 §4.1, RFC 8176, RFC 8693 §4.1, RFC 9068
/// §2.2, OIDC Core §2), and standard claims that it may set later: `may_act` (RFC 8693 §4.4) and
/// `cnf` (RFC 7800).
const RESERVED: [&str; 18] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "sid",
    "sn",
    "auth_time",
    "client_id",
    "scope",
    "act",
    "may_act",
    "cnf",
    "amr",
    "acr",
    "gv",
];

/// The identity that a successful login establishes: the user, the scopes and your own claims.
///
/// ```
/// use std::time::Duration;
/// use gatepass::{Identity, Scopes};
///
/// #[derive(serde::Serialize)]
/// struct Tenant { tenant: u32 }
///
/// let identity = Identity::new("alice")?
///     .scopes(Scopes::parse("profile")?)
///     .claims(&Tenant { tenant: 7 })?
///     .device("Alice's laptop")
///     .access_ttl(Duration::from_secs(300));
/// # Ok::<(), gatepass::IdentityError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The first member, so that SQL and Lua find it: see [`Identity::own_idle_ttl`].
    #[serde(default, skip_serializing_if = "Option::is_none", with = "millis")]
    idle_ttl: Option<Duration>,
    subject: Subject,
    #[serde(default, skip_serializing_if = "Scopes::is_empty")]
    scopes: Scopes,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    claims: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_ttl: Option<Duration>,
    /// The scopes that the client asked for at login. The session gets no others, even if the user
    /// gets more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<Scopes>,
    /// The user who acts as the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<Subject>,
    /// The longest time that an impersonation may last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_ttl: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "millis")]
    absolute_ttl: Option<Duration>,
    #[serde(default, skip_serializing_if = "is_false")]
    access_only: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    session_cookies: bool,
    /// How the user was authenticated.
    #[serde(default, skip_serializing_if = "Authentication::is_unknown")]
    authentication: Authentication,
    /// The login at an OpenID Connect provider that the session began with.
    ///
    /// It is boxed because few logins have it, and each login moves an identity many times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider_login: Option<Box<ProviderLogin>>,
}

impl Identity {
    /// Longest device label in bytes. gatepass cuts a longer one, since it only names a row in a
    /// list.
    const MAX_DEVICE: usize = 100;

    /// The identity of the user with this subject (`sub`). It has neither scopes nor custom claims
    /// yet.
    ///
    /// ```
    /// use gatepass::Identity;
    ///
    /// let alice = Identity::new("alice")?;
    /// assert_eq!(alice.subject().as_str(), "alice");
    /// # Ok::<(), gatepass::InvalidName>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidName`] if `subject` is not valid: see [`Subject::new`].
    pub fn new(subject: impl Into<String>) -> Result<Self, InvalidName> {
        Ok(Self::of(Subject::new(subject)?))
    }

    /// The identity of the user with this subject, as [`new`](Self::new).
    #[must_use]
    pub fn of(subject: Subject) -> Self {
        Self {
            idle_ttl: None,
            subject,
            scopes: Scopes::default(),
            claims: Map::new(),
            device: None,
            access_ttl: None,
            limit: None,
            actor: None,
            session_ttl: None,
            absolute_ttl: None,
            access_only: false,
            session_cookies: false,
            authentication: Authentication::default(),
            provider_login: None,
        }
    }

    /// Allows these scopes.
    #[must_use]
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// Adds the members of `claims` to the claims of the access token. Every holder of the token
    /// can read them, so don't put secrets there.
    ///
    /// # Errors
    ///
    /// [`IdentityError::NotAnObject`] if `claims` does not serialise to a JSON object,
    /// [`IdentityError::ReservedClaim`] if a member has the name of a claim that gatepass sets or
    /// reserves (for example, `amr`), and [`IdentityError::UnreadableClaims`] if no gate could read
    /// them back.
    pub fn claims(mut self, claims: &impl Serialize) -> Result<Self, IdentityError> {
        let Ok(Value::Object(claims)) = serde_json::to_value(claims) else {
            return Err(IdentityError::NotAnObject);
        };
        if let Some(name) = claims.keys().find(|name| RESERVED.contains(&name.as_str())) {
            return Err(IdentityError::ReservedClaim(name.clone()));
        }
        self.claims = claims;
        // As a store writes it, one level deeper than a token.
        let stored = serde_json::to_string(&self).map_err(|_| IdentityError::NotAnObject)?;
        if !is_strict(&stored) {
            return Err(IdentityError::UnreadableClaims);
        }
        Ok(self)
    }

    /// Names the device, for the user's list of sessions.
    ///
    /// gatepass cuts the label after 100 bytes. It leaves out control characters, line separators
    /// and directional marks (for example, U+202E), since they can make one label look like
    /// another.
    #[must_use]
    pub fn device(mut self, label: impl Into<String>) -> Self {
        let mut label: String = label.into();
        label.retain(|c| !is_deceptive(c));
        label.truncate(floor_char_boundary(&label, Self::MAX_DEVICE));
        self.device = Some(label);
        self
    }

    /// Sets the lifetime of this session's access tokens, instead of the configured one. It must be
    /// at least the overlap (and 1 s), and at most the absolute lifetime. Otherwise, issuing fails
    /// with [`IdentityError::AccessTtl`].
    #[must_use]
    pub fn access_ttl(mut self, ttl: Duration) -> Self {
        self.access_ttl = Some(ttl);
        self
    }

    /// Lets this session stay unused for `ttl`, in whole milliseconds, instead of the configured
    /// time. For example, a login with "remember me" gives it 90 days.
    ///
    /// The time holds for the whole session: a refresh or a change of rights doesn't change it. It
    /// must be at least the overlap (and 1 s), and at most
    /// [`max_absolute_ttl`](crate::AuthorityBuilder::max_absolute_ttl). Otherwise, issuing fails
    /// with [`IdentityError::SessionTtl`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use gatepass::{AuthenticationError, Credentials, Identity};
    ///
    /// fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    ///     let identity = match (credentials.username(), credentials.password()) {
    ///         ("alice", Some("wonderland")) => Identity::new("alice")?,
    ///         _ => return Err(AuthenticationError::BadCredentials),
    ///     };
    ///     Ok(match credentials.extra("remember_me") {
    ///         Some(true) => identity.idle_ttl(Duration::from_secs(90 * 86_400)),
    ///         // A day at most, and only until the browser is closed.
    ///         _ => identity.absolute_ttl(Duration::from_secs(86_400)).session_cookies(),
    ///     })
    /// }
    /// ```
    #[must_use]
    pub fn idle_ttl(mut self, ttl: Duration) -> Self {
        self.idle_ttl = Some(whole_millis(ttl));
        self
    }

    /// Ends this session after `ttl`, however much it is used, instead of after the configured
    /// time. The same bounds as for [`idle_ttl`](Self::idle_ttl) apply.
    ///
    /// ```
    /// use std::time::Duration;
    /// use gatepass::Identity;
    ///
    /// // A terminal in a shop: a shift at most.
    /// let identity = Identity::new("till-7")?.absolute_ttl(Duration::from_secs(8 * 3600));
    /// # Ok::<(), gatepass::InvalidName>(())
    /// ```
    #[must_use]
    pub fn absolute_ttl(mut self, ttl: Duration) -> Self {
        self.absolute_ttl = Some(whole_millis(ttl));
        self
    }

    /// Begins a session without a refresh token, which ends with its access token.
    ///
    /// The answer to the login has no `refresh_token`, and no cookie for it. You can list and end
    /// the session like any other. It goes on while its client [renews](crate::Authority::renew)
    /// the access token in time, until its absolute end. Use it, for example, for a client that was
    /// written for another service and keeps only one token.
    ///
    /// Its idle lifetime is the lifetime of its access tokens, even if you set
    /// [`idle_ttl`](Self::idle_ttl).
    ///
    /// ```
    /// use gatepass::{Authority, Device, Error, Identity, Subject};
    ///
    /// /// The one token of a client that keeps no other.
    /// async fn token(authority: &Authority, user: Subject) -> Result<String, Error> {
    ///     let issued = authority.issue(Identity::of(user).access_only(), Device::default()).await?;
    ///     Ok(issued.access_token.as_str().to_owned())
    /// }
    /// ```
    #[must_use]
    pub fn access_only(mut self) -> Self {
        self.access_only = true;
        self
    }

    /// Lets browsers forget the cookies of this session when they are closed: the cookies have no
    /// `Max-Age`. Use it, for example, for a user who didn't tick "remember me".
    ///
    /// Browsers that restore their tabs also restore these cookies, so give such a session a short
    /// [`absolute_ttl`](Self::absolute_ttl) as well. [`idle_ttl`](Self::idle_ttl) has an example.
    #[must_use]
    pub fn session_cookies(mut self) -> Self {
        self.session_cookies = true;
        self
    }

    /// Lets `actor` act as the subject in a session that lasts for `ttl` at most: an impersonation.
    /// Access tokens name the actor (`act`, RFC 8693 §4.1).
    ///
    /// The rights are fixed. The session keeps the scopes and claims that you give it here, even if
    /// the impersonated user gets others. gatepass ignores
    /// [`UserUpdate::Changed`](crate::UserUpdate::Changed) for it, and a
    /// [`change`](crate::Authority::change) can only take scopes away. The session ends if the user
    /// is deleted.
    ///
    /// ```
    /// use std::time::Duration;
    /// use gatepass::{Identity, Scopes, Subject};
    ///
    /// let support = Subject::new("support-7")?;
    /// let identity = Identity::new("alice")?
    ///     .scopes(Scopes::parse("orders:read")?)
    ///     .impersonated_by(support.clone(), Duration::from_secs(30 * 60));
    /// assert_eq!(identity.actor(), Some(&support));
    /// # Ok::<(), gatepass::IdentityError>(())
    /// ```
    #[must_use]
    pub fn impersonated_by(mut self, actor: Subject, ttl: Duration) -> Self {
        self.actor = Some(actor);
        self.session_ttl = Some(ttl);
        self
    }

    /// Names the methods by which the user was authenticated (`amr`), such as `pwd` and `otp`: RFC
    /// 8176 §2 lists them. Access tokens name them, and routes may
    /// [require](crate::Requirements::amr) some.
    ///
    /// The session keeps them at a refresh. A later authentication replaces them, even if its
    /// identity names none.
    ///
    /// ```
    /// use gatepass::Identity;
    ///
    /// let identity = Identity::new("alice")?.amr(["pwd", "otp"])?.acr("urn:example:mfa")?;
    /// # Ok::<(), gatepass::IdentityError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`IdentityError::Authentication`] if one is empty, longer than 255 bytes, or has other
    /// characters than printable ASCII without space, quote and backslash.
    pub fn amr(
        mut self,
        methods: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, IdentityError> {
        self.authentication.amr = checked(methods)?;
        Ok(self)
    }

    /// Names the class of the authentication (`acr`, OIDC Core §2), such as `phr` for one that
    /// can't be phished. Your application and its clients agree on the names. The session keeps and
    /// replaces it together with [`amr`](Self::amr).
    ///
    /// # Errors
    ///
    /// As [`amr`](Self::amr).
    pub fn acr(mut self, class: impl Into<String>) -> Result<Self, IdentityError> {
        self.authentication.acr = checked([class])?.pop();
        Ok(self)
    }

    /// Records the login at an OpenID Connect provider that led to this login. A [back-channel
    /// logout](crate::AuthorityBuilder::backchannel_logout) of the provider then ends the session.
    /// No client sees the record.
    ///
    /// The session keeps the record until a later authentication through a provider replaces it.
    #[must_use]
    pub fn logged_in_by(mut self, login: ProviderLogin) -> Self {
        self.provider_login = Some(Box::new(login));
        self
    }

    /// The login at an OpenID Connect provider that led to this login, if you recorded it.
    #[must_use]
    pub fn provider_login(&self) -> Option<&ProviderLogin> {
        self.provider_login.as_deref()
    }

    /// How the user was authenticated.
    pub(crate) fn authentication(&self) -> &Authentication {
        &self.authentication
    }

    /// The identity after the authentication that returned `other`. Its `amr` and `acr` replace the
    /// old ones even if `other` has none: a password must not keep the strength of an older
    /// passkey.
    pub(crate) fn authenticated_as(mut self, other: &Self) -> Self {
        self.authentication = other.authentication.clone();
        // A password login doesn't end the session at the provider.
        if other.provider_login.is_some() {
            self.provider_login.clone_from(&other.provider_login);
        }
        self
    }

    /// The user who acts as the subject, if this is an impersonation.
    #[must_use]
    pub fn actor(&self) -> Option<&Subject> {
        self.actor.as_ref()
    }

    /// The idle lifetime of this session, if it has one of its own. A store's
    /// [`advance`](crate::store::SessionStore::advance) prefers it to
    /// [`Advance::idle_ttl`](crate::store::Advance::idle_ttl).
    ///
    /// A store that keeps the identity as JSON finds it without parsing the whole: it is the first
    /// member, in milliseconds. For example, `{"idle_ttl":86400000,"subject":…`.
    #[must_use]
    pub fn own_idle_ttl(&self) -> Option<Duration> {
        self.idle_ttl
    }

    /// The absolute lifetime of this session, if it has one of its own.
    #[must_use]
    pub fn own_absolute_ttl(&self) -> Option<Duration> {
        self.absolute_ttl
    }

    /// Whether the session has no refresh token.
    #[must_use]
    pub fn is_access_only(&self) -> bool {
        self.access_only
    }

    /// Whether browsers forget the cookies of the session when they are closed.
    pub(crate) fn has_session_cookies(&self) -> bool {
        self.session_cookies
    }

    /// How long the session lasts at most. `default` is the absolute lifetime of a session whose
    /// identity sets none.
    pub(crate) fn longest(&self, default: Duration) -> Duration {
        let own = self.absolute_ttl.unwrap_or(default);
        self.session_ttl.map_or(own, |ttl| ttl.min(own))
    }

    /// The identity for a new session. `default` is the lifetime of its access tokens, unless the
    /// identity sets one.
    pub(crate) fn beginning(mut self, default: Duration) -> Self {
        if self.access_only {
            self.idle_ttl = Some(whole_millis(self.access_ttl.unwrap_or(default)));
        }
        self
    }

    /// The user who is logged in.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The scopes that the identity allows.
    #[must_use]
    pub fn granted_scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// The custom claims, as a type of your application.
    ///
    /// # Errors
    ///
    /// The error of serde if the claims do not fit the type.
    pub fn custom_claims<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(&self.claims)
    }

    /// The identity with no more than the scopes that the client asked for (RFC 6749 §3.3).
    pub(crate) fn limited_to(mut self, asked: &Scopes) -> Result<Self, Refusal> {
        if !self.scopes.contains_all(asked) {
            return Err(Refusal::ScopeNotGranted);
        }
        self.scopes = asked.clone();
        self.limit = Some(asked.clone());
        Ok(self)
    }

    /// This identity as the successor of `former` in the same session. It stays within the limit
    /// that the client set at login. An impersonation stays within its scopes and keeps its claims.
    /// The device label stays, unless the application gives another. `amr` and `acr` stay, since
    /// only an authentication changes them. The lifetimes of the session also stay.
    pub(crate) fn succeeding(mut self, former: &Self) -> Self {
        if let Some(limit) = &former.limit {
            self.scopes = self.scopes.intersection(limit);
        }
        if former.actor.is_some() {
            self.scopes = self.scopes.intersection(&former.scopes);
            // gatepass can't tell whether another claim allows more.
            self.claims.clone_from(&former.claims);
        }
        self.limit.clone_from(&former.limit);
        self.actor.clone_from(&former.actor);
        self.session_ttl = former.session_ttl;
        self.idle_ttl = former.idle_ttl;
        self.absolute_ttl = former.absolute_ttl;
        self.access_only = former.access_only;
        self.session_cookies = former.session_cookies;
        self.authentication.clone_from(&former.authentication);
        self.provider_login.clone_from(&former.provider_login);
        self.device = self.device.or_else(|| former.device.clone());
        self
    }

    /// Whether it has the same scopes and claims as `former`.
    pub(crate) fn allows_the_same_as(&self, former: &Self) -> bool {
        self.scopes == former.scopes && self.claims == former.claims
    }

    /// Whether it allows all that `former` allows: at least the same scopes, and each claim with
    /// the same value.
    pub(crate) fn allows_all_of(&self, former: &Self) -> bool {
        let keeps = |(name, value): (&String, &Value)| self.claims.get(name) == Some(value);
        self.scopes.contains_all(&former.scopes) && former.claims.iter().all(keeps)
    }

    pub(crate) fn raw_claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The label of the device, if it has one.
    #[must_use]
    pub fn device_label(&self) -> Option<&str> {
        self.device.as_deref()
    }

    /// The access-token lifetime of this session, if it has one of its own.
    #[must_use]
    pub fn own_access_ttl(&self) -> Option<Duration> {
        self.access_ttl
    }
}

/// The duration in whole milliseconds, as stores keep it.
fn whole_millis(ttl: Duration) -> Duration {
    Duration::from_millis(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX))
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// A duration in whole milliseconds, a number that SQL and Lua read.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde passes a reference")]
    pub(super) fn serialize<S: Serializer>(
        ttl: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let millis = ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        millis.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
    }
}

/// An identity that cannot become a token. This is a mistake in the application.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The subject is not valid.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A scope is not valid.
    #[error(transparent)]
    Scope(#[from] InvalidScope),
    /// Custom claims must serialise to a JSON object.
    #[error("custom claims must serialise to a JSON object")]
    NotAnObject,
    /// A custom claim has the name of one that gatepass sets, or may set in a later release.
    #[error(
        "the claim {0:?} is reserved: gatepass sets it or may set it later. Give your claim another name"
    )]
    ReservedClaim(String),
    /// A gate could not read the custom claims.
    #[error(
        "custom claims may be at most 126 levels deep, and no member may have a name that begins with \
         $serde_json::private"
    )]
    UnreadableClaims,
    /// Subject, scopes and custom claims do not fit into an access token of 8 KiB.
    #[error("subject, scopes and custom claims make the access token longer than 8 KiB")]
    TooLarge,
    /// The access token is longer than the cookies that browsers keep (4096 bytes with the name and
    /// the attributes). The login fails with this error before the store gets the session.
    #[error("subject, scopes and custom claims make the access token longer than a cookie may be")]
    TooLargeForCookie,
    /// The access-token lifetime is shorter than the overlap or longer than the session.
    #[error(
        "the access-token lifetime of the identity must be between the overlap and the absolute lifetime"
    )]
    AccessTtl,
    /// The idle or the absolute lifetime is shorter than the overlap, or longer than any session
    /// may last.
    #[error(
        "the idle and the absolute lifetime of the identity must be between the overlap and the \
         longest lifetime of a session, which max_absolute_ttl() sets"
    )]
    SessionTtl,
    /// A value of `amr` or `acr` is not valid.
    #[error(transparent)]
    Authentication(#[from] InvalidAuthenticationValue),
    /// `reload_user`, `reauthenticate` or a change returned an identity with another subject.
    #[error("the application changed the subject of a session, which can't change")]
    SubjectChanged,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_custom_claim_cannot_replace_a_standard_one() {
        for name in RESERVED {
            let identity = Identity::new("alice").unwrap();
            assert_eq!(
                identity.claims(&json!({ name: 1 })),
                Err(IdentityError::ReservedClaim(name.into()))
            );
        }
    }

    #[test]
    fn custom_claims_are_an_object() {
        let identity = Identity::new("alice").unwrap();
        assert_eq!(identity.claims(&[1, 2]), Err(IdentityError::NotAnObject));
    }

    #[test]
    fn no_custom_claims_are_taken_that_a_gate_could_not_read() {
        let deep = |levels| (1..levels).fold(json!({}), |inner, _| json!({ "a": inner }));
        let claims_of = |claims: Value| Identity::new("alice").unwrap().claims(&claims);
        assert!(claims_of(deep(126)).is_ok());
        for claims in [
            deep(127),
            json!({ "$serde_json::private::RawValue": "1" }),
            json!({ "a": [{ "$serde_json::private::Number": "1" }] }),
        ] {
            assert_eq!(claims_of(claims), Err(IdentityError::UnreadableClaims));
        }
    }

    #[test]
    fn an_idle_lifetime_of_its_own_is_the_first_member_in_milliseconds() {
        let ttl = Duration::from_secs(90 * 86_400) + Duration::from_micros(1_500);
        let identity = Identity::new("alice").unwrap().idle_ttl(ttl);
        let json = serde_json::to_string(&identity).unwrap();
        assert!(
            json.starts_with(r#"{"idle_ttl":7776000001,"subject":"#),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<Identity>(&json).unwrap(), identity);
        // No custom claim can take its place as the first member.
        let claims = json!({ "idle_ttl": 1, "{\"idle_ttl\":1": 1 });
        let identity = Identity::new("alice").unwrap().claims(&claims).unwrap();
        let json = serde_json::to_string(&identity).unwrap();
        assert!(json.starts_with(r#"{"subject":"#), "{json}");
    }

    #[test]
    fn a_device_label_is_cut_between_characters() {
        let identity = Identity::new("alice").unwrap().device("ä".repeat(80));
        assert_eq!(identity.device_label().unwrap().len(), 100);
    }

    #[test]
    fn a_device_label_is_shown_as_it_is_written() {
        let label = "Bob's\u{202e} \u{2066}lap\u{200f}top\u{2028}\u{61c}\n";
        let identity = Identity::new("alice").unwrap().device(label);
        assert_eq!(identity.device_label(), Some("Bob's laptop"));
    }
}
