//! The half that issues, refreshes and ends.

mod issuing;
mod oauth;
mod refreshing;
mod resuming;

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tracing::instrument::{Instrument, WithSubscriber};

pub use self::{
    issuing::{AccessToken, Issued, RefreshToken, Renewed},
    oauth::Introspection,
    resuming::Resumed,
};
use crate::{
    AuthenticationError, Authenticator, ClientId, Clock, Credentials, Device, EndReason, EndTarget,
    Error, Grant, GrantError, Health, InternalError, KeyError, KeySet, NewSession, Pass, Random,
    Refusal, ReusePolicy, Revocation, RevokeToken, Revoked, Scopes, SecretSet, Session, SessionId,
    SessionStore, StoreError, StoreErrorKind, Subject, Timestamp, Verifier,
    builder::AuthorityBuilder,
    names::NameKey,
    observe,
    purge::{Purge, Purger},
    refresh::{self, Presented, RefreshKeys},
    text,
};

/// Begins sessions, refreshes and ends them: a [`Verifier`] plus the keys that sign and a [`SessionStore`].
///
/// Endpoints take one. Cheap to clone.
///
/// ```
/// use gatepass::{Authority, Demand, Device, Error, Grant, MasterSecret, MemoryStore, Refusal, Subject};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = MasterSecret::generate()?;
/// let authority = Authority::builder("https://shop.example", "shop-api", secret, MemoryStore::new())
///     .build()
///     .await?;
///
/// // The application has found out by itself who this is:
/// let issued = authority.issue(Grant::new(Subject::new("alice")?), Device::default()).await?;
/// let pass = authority.verifier().verify(issued.access_token.as_str(), &Demand::new()).await?;
/// assert_eq!(pass.subject().as_str(), "alice");
///
/// authority.logout(issued.refresh_token.as_str()).await?;
/// let refused = authority.verifier().verify(issued.access_token.as_str(), &Demand::new()).await;
/// assert!(matches!(refused, Err(Error::Refused(Refusal::Revoked))));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Authority {
    inner: Arc<Inner>,
}

struct Inner {
    verifier: Verifier,
    store: Arc<dyn SessionStore>,
    settings: Settings,
    refresh_keys: ArcSwap<RefreshKeys>,
    names: ArcSwap<NameKey>,
    _purger: Purger,
}

pub(crate) struct Settings {
    /// Whether the keys of access tokens are derived from the master secrets.
    pub(crate) derived_keys: bool,
    pub(crate) client: ClientId,
    pub(crate) access_ttl: Duration,
    pub(crate) idle_ttl: Duration,
    pub(crate) absolute_ttl: Duration,
    pub(crate) reuse: ReusePolicy,
    pub(crate) max_sessions: Option<NonZeroU32>,
    pub(crate) store_timeout: Duration,
    pub(crate) authenticator_timeout: Duration,
    pub(crate) purge_interval: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) authenticator: Option<Arc<dyn Authenticator>>,
}

/// Longest grant in bytes of JSON, so that any access token fits into 8 KiB.
const MAX_GRANT: usize = 4096;

impl Authority {
    /// Starts to configure an authority that issues as `issuer` (`iss`) for `audience` (`aud`), with one
    /// [`MasterSecret`](crate::MasterSecret) or a [`SecretSet`].
    pub fn builder(
        issuer: impl Into<String>,
        audience: impl Into<String>,
        secrets: impl Into<SecretSet>,
        store: impl SessionStore,
    ) -> AuthorityBuilder {
        let (issuer, audience) = (issuer.into(), audience.into());
        AuthorityBuilder::new(issuer, audience, secrets.into(), Arc::new(store))
    }

    pub(crate) fn start(
        verifier: Verifier,
        store: Arc<dyn SessionStore>,
        refresh_keys: RefreshKeys,
        names: NameKey,
        settings: Settings,
    ) -> Self {
        let purger = Purger::start(Purge {
            store: Arc::clone(&store),
            clock: Arc::clone(&settings.clock),
            interval: settings.purge_interval,
            timeout: settings.store_timeout,
            access_ttl: settings.access_ttl,
        });
        Self {
            inner: Arc::new(Inner {
                verifier,
                store,
                settings,
                refresh_keys: ArcSwap::from_pointee(refresh_keys),
                names: ArcSwap::from_pointee(names),
                _purger: purger,
            }),
        }
    }

    /// The half that verifies, for guards.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.inner.verifier
    }

    /// How this node stands with the revocations it judges by, as [`Verifier::health`] says.
    #[must_use]
    pub fn health(&self) -> Health {
        self.inner.verifier.health()
    }

    /// The lifetime of an access token whose grant doesn't set its own.
    pub(crate) fn access_ttl(&self) -> Duration {
        self.inner.settings.access_ttl
    }

    /// Whether the application can authenticate users by credentials.
    #[must_use]
    pub fn can_authenticate(&self) -> bool {
        self.inner.settings.authenticator.is_some()
    }

    /// Swaps the keys of access tokens for others, at once and for all clones.
    ///
    /// # Errors
    ///
    /// [`KeyError::NoSigningKey`] or [`KeyError::DuplicateKeyId`]; the old keys stay then.
    pub fn replace_keys(&self, keys: KeySet) -> Result<(), KeyError> {
        self.inner.verifier.replace_keys(keys)
    }

    /// Swaps the master secrets for others, at once and for all clones, and with them the keys of access
    /// tokens where those are derived from them.
    ///
    /// # Errors
    ///
    /// [`KeyError::DuplicateSecret`]; the old ones stay then.
    pub fn replace_secrets(&self, secrets: &SecretSet) -> Result<(), KeyError> {
        let refresh_keys = RefreshKeys::new(secrets)?;
        if self.inner.settings.derived_keys {
            self.inner.verifier.replace_keys(secrets.derived_keys())?;
        }
        self.inner.refresh_keys.store(Arc::new(refresh_keys));
        self.inner.names.store(Arc::new(NameKey::new(secrets)));
        Ok(())
    }

    /// The OAuth client that logins of the application itself belong to.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        &self.inner.settings.client
    }

    /// Logs in with credentials, by the application's [`Authenticator`].
    ///
    /// # Errors
    ///
    /// [`Refusal::BadCredentials`] or [`Refusal::TooManyAttempts`]; [`Error::Store`] if users or
    /// sessions cannot be reached; [`Error::Grant`] if the application granted what cannot be issued.
    pub async fn login(&self, credentials: &Credentials, device: Device) -> Result<Issued, Error> {
        self.login_fitting(&self.inner.settings.client, credentials, device, None, None)
            .await
    }

    /// Logs in with credentials for `client`, with `scopes`, which the user must have, or else all that
    /// it has: the password grant (RFC 6749 §4.3), for first-party clients (RFC 9700 §2.4 forbids it to
    /// others). The session stays within the scopes that were asked for.
    ///
    /// # Errors
    ///
    /// As [`login`](Self::login), and [`Refusal::ScopeNotGranted`].
    pub async fn login_as(
        &self,
        client: &ClientId,
        credentials: &Credentials,
        device: Device,
        scopes: Option<&Scopes>,
    ) -> Result<Issued, Error> {
        self.login_fitting(client, credentials, device, scopes, None)
            .await
    }

    /// Logs in as [`login_as`](Self::login_as) does, and refuses an access token of more than `longest`
    /// bytes before the session is stored.
    pub(crate) async fn login_fitting(
        &self,
        client: &ClientId,
        credentials: &Credentials,
        device: Device,
        scopes: Option<&Scopes>,
        longest: Option<usize>,
    ) -> Result<Issued, Error> {
        let authenticator = self.inner.settings.authenticator.as_ref();
        let authenticator =
            authenticator.ok_or(InternalError::new("login without an authenticator"))?;
        let device = cleaned(device);
        let authenticated = self.consult(authenticator.authenticate(credentials, &device));
        let granted = authenticated.await.and_then(|grant| match scopes {
            Some(scopes) => grant.limited_to(scopes).map_err(Error::from),
            None => Ok(grant),
        });
        let grant = granted.inspect_err(|error| {
            if let Error::Refused(refusal) = error {
                let name_hash = self.name_hash(credentials.username());
                let refusals = self.inner.verifier.refusals();
                refusals.login(&device, Some(&name_hash), refusal);
            }
        })?;
        self.issue_fitting(client, grant, device, longest).await
    }

    /// Begins a session for a login that the application has done itself.
    ///
    /// # Errors
    ///
    /// [`Error::Grant`] if the grant cannot be issued, [`Error::Store`] if the session cannot be stored.
    pub async fn issue(&self, grant: Grant, device: Device) -> Result<Issued, Error> {
        self.issue_as(&self.inner.settings.client, grant, device)
            .await
    }

    /// Begins a session that belongs to `client`, which alone can refresh it.
    ///
    /// # Errors
    ///
    /// As [`issue`](Self::issue).
    pub async fn issue_as(
        &self,
        client: &ClientId,
        grant: Grant,
        device: Device,
    ) -> Result<Issued, Error> {
        self.issue_fitting(client, grant, device, None).await
    }

    /// Begins a session as [`issue_as`](Self::issue_as) does, and refuses an access token of more than
    /// `longest` bytes before the session is stored.
    pub(crate) async fn issue_fitting(
        &self,
        client: &ClientId,
        grant: Grant,
        device: Device,
        longest: Option<usize>,
    ) -> Result<Issued, Error> {
        let settings = &self.inner.settings;
        self.check_grant(&grant)?;
        let new = NewSession {
            id: SessionId::random(grant.subject(), &*settings.random)?,
            client: client.clone(),
            grant,
            device: cleaned(device),
            idle_ttl: settings.idle_ttl,
            absolute_ttl: settings.absolute_ttl,
            access_ttl: settings.access_ttl,
            max_sessions: settings.max_sessions,
        };
        if let Some(longest) = longest {
            self.check_length(&new, longest)?;
        }
        let begun = self.ask("begin", self.inner.store.begin(new)).await?;
        let subject = begun.session.subject();
        self.enforce(&begun.ended, Some(subject), EndReason::TooManySessions);
        let (issued, token) = self.answer(&begun.session, None)?;
        observe::session_issued(&begun.session, token);
        Ok(issued)
    }

    /// Ends the session of an access or refresh token. Of the refresh tokens any generation will do,
    /// and of the access tokens an expired one, too: whoever holds one may always end its session.
    /// A session that has ended already stays so.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the token is not one of ours, [`Error::Store`] if the end is not known
    /// to be stored.
    pub async fn logout(&self, token: &str) -> Result<(), Error> {
        self.logout_unless(token, &[]).await.map(drop)
    }

    /// Ends the session of a token as [`logout`](Self::logout) does, unless it is one of `ended`, and
    /// says which it is.
    pub(crate) async fn logout_unless(
        &self,
        token: &str,
        ended: &[SessionId],
    ) -> Result<SessionId, Error> {
        let opened = self.session_of_token(token);
        let (session, target) = opened.inspect_err(|refusal| {
            self.inner.verifier.refusals().token(None, refusal);
        })?;
        if !ended.contains(&session) {
            self.end(target, EndReason::Logout).await?;
        }
        Ok(session)
    }

    /// Ends the session of a token that a browser has sent with a login, since it loses the token by
    /// the answer. Returns that session; `None` if the token is not one of ours.
    pub(crate) async fn end_replaced(
        &self,
        token: &str,
        ended: Option<SessionId>,
    ) -> Result<Option<SessionId>, Error> {
        let Ok((session, target)) = self.session_of_token(token) else {
            return Ok(None);
        };
        if ended != Some(session) {
            self.end(target, EndReason::Replaced).await?;
        }
        Ok(Some(session))
    }

    /// The session of an authentic token of any kind and age, and how to end it.
    fn session_of_token(&self, token: &str) -> Result<(SessionId, EndTarget), Refusal> {
        if token.starts_with(refresh::PREFIX) {
            let presented = self.open_refresh_token(token)?;
            Ok((presented.session, EndTarget::Session(presented.session)))
        } else {
            let pass = self.inner.verifier.open(token)?;
            let target = EndTarget::SessionOf(pass.session_id(), pass.subject().clone());
            Ok((pass.session_id(), target))
        }
    }

    /// Ends every session of `subject`; returns how many there were.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the end is not known to be stored.
    pub async fn logout_all(&self, subject: &Subject) -> Result<usize, Error> {
        self.end(EndTarget::AllOf(subject.clone()), EndReason::LogoutAll)
            .await
    }

    /// Ends every session of the pass's subject but the pass's own; returns how many there were.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the end is not known to be stored.
    pub async fn logout_others(&self, pass: &Pass) -> Result<usize, Error> {
        let target = EndTarget::AllOfBut(pass.subject().clone(), pass.session_id());
        self.end(target, EndReason::LogoutAll).await
    }

    /// Ends a session of `subject`, as its owner wishes; says whether the subject has or had it.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the end is not known to be stored.
    pub async fn end_session_of(&self, subject: &Subject, id: SessionId) -> Result<bool, Error> {
        let target = EndTarget::SessionOf(id, subject.clone());
        if self.end(target, EndReason::EndedByUser).await? > 0 {
            return Ok(true);
        }
        let (session, _) = self.ask("load", self.inner.store.load(id)).await?;
        Ok(session.is_some_and(|session| session.subject() == subject))
    }

    /// Ends a session, as the application wishes. One that is unknown or has ended stays so.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the end is not known to be stored.
    pub async fn end_session(&self, id: SessionId) -> Result<(), Error> {
        self.end(EndTarget::Session(id), EndReason::EndedByApplication)
            .await
            .map(drop)
    }

    /// Revokes one access token, and leaves its session alone. A session of which more than 32 are
    /// revoked at a time is ended instead.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the revocation is not known to be stored.
    pub async fn revoke_token(&self, pass: &Pass) -> Result<(), Error> {
        let (authority, pass) = (self.clone(), pass.clone());
        to_the_end(async move { authority.revoke_token_now(&pass).await }).await
    }

    async fn revoke_token_now(&self, pass: &Pass) -> Result<(), Error> {
        let token = RevokeToken {
            token: pass.token_id(),
            session: pass.session_id(),
            until: pass.expires_at(),
        };
        let revoked = self
            .ask("revoke_token", self.inner.store.revoke_token(token))
            .await?;
        match revoked {
            Some(
                revocation @ Revocation {
                    target: Revoked::Session(_),
                    ..
                },
            ) => {
                let subject = Some(pass.subject());
                self.enforce(&[revocation], subject, EndReason::TooManyRevocations);
            }
            Some(revocation) => {
                self.inner.verifier.apply(&[revocation]);
                observe::token_revoked(pass);
            }
            // It was revoked before, maybe by a call whose answer was lost; the revocation is durable.
            None => drop(self.inner.verifier.catch_up().await),
        }
        Ok(())
    }

    /// The sessions of `subject` that a client can still use, newest first. A session whose refresh
    /// token has expired is among them while an access token of it may be valid.
    ///
    /// The times are exact, for the application's own use. Don't show them to a client: a thief who
    /// has copied a refresh token learns from `last_seen_at` or `idle_expires_at` when to replay it.
    /// The endpoint `GET /auth/sessions` rounds them to the hour, and leaves them out of the
    /// current session.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the store cannot be read.
    pub async fn sessions(&self, subject: &Subject) -> Result<Vec<Session>, Error> {
        self.ask("sessions", self.inner.store.sessions(subject))
            .await
    }

    /// The hash of a user name, as the log has it.
    fn name_hash(&self, name: &str) -> String {
        self.inner.names.load().hash(name)
    }

    /// What a refresh token says, if it is authentic.
    fn open_refresh_token(&self, token: &str) -> Result<Presented, Refusal> {
        self.open_refresh_token_at(token, self.inner.settings.clock.now())
    }

    fn open_refresh_token_at(&self, token: &str, now: Timestamp) -> Result<Presented, Refusal> {
        self.inner.refresh_keys.load().open(token, now)
    }

    async fn end(&self, target: EndTarget, reason: EndReason) -> Result<usize, Error> {
        let authority = self.clone();
        to_the_end(async move { authority.end_now(target, reason).await }).await
    }

    async fn end_now(&self, target: EndTarget, reason: EndReason) -> Result<usize, Error> {
        let subject = match &target {
            EndTarget::Session(_) => None,
            EndTarget::SessionOf(_, subject)
            | EndTarget::AllOf(subject)
            | EndTarget::AllOfBut(subject, _) => Some(subject.clone()),
        };
        let ended = self
            .ask("end", self.inner.store.end(target, reason))
            .await?;
        self.enforce(&ended, subject.as_ref(), reason);
        if ended.is_empty() {
            // It was ended before, maybe by a call whose answer was lost. The end is durable, and if
            // this fails it is enforced within the bound all the same.
            let _ = self.inner.verifier.catch_up().await;
        }
        Ok(ended.len())
    }

    /// Enforces here and now the ends that have just been committed; the other nodes follow the log.
    fn enforce(&self, ended: &[Revocation], subject: Option<&Subject>, reason: EndReason) {
        self.inner.verifier.apply(ended);
        for revocation in ended {
            if let Revoked::Session(session) = revocation.target {
                observe::session_ended(session, subject, reason);
            }
        }
    }

    /// Waits for the store, but not for ever.
    async fn ask<T>(
        &self,
        operation: &'static str,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Error> {
        let answer = tokio::time::timeout(self.inner.settings.store_timeout, answer).await;
        let answer = answer.unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::TimedOut)));
        answer
            .inspect_err(|error| observe::store_unavailable(operation, error))
            .map_err(Error::from)
    }

    /// Waits for the application's authenticator, but not for ever.
    async fn consult<T>(
        &self,
        answer: impl Future<Output = Result<T, AuthenticationError>>,
    ) -> Result<T, Error> {
        let answer = tokio::time::timeout(self.inner.settings.authenticator_timeout, answer).await;
        let late = || AuthenticationError::Unavailable(StoreError::new(StoreErrorKind::TimedOut));
        answer
            .unwrap_or_else(|_| Err(late()))
            .map_err(not_authenticated)
    }

    /// Signs a token of the session that `new` would begin, to see how long it is: neither its times
    /// nor its id change the length.
    fn check_length(&self, new: &NewSession, longest: usize) -> Result<(), Error> {
        let session = Session::begin(new.clone(), self.inner.settings.clock.now());
        let scopes = session.grant.granted_scopes();
        let signed = self.access_token(&session, scopes, session.authenticated_at)?;
        if signed.access_token.as_str().len() > longest {
            return Err(GrantError::TooLargeForCookie.into());
        }
        Ok(())
    }

    fn check_grant(&self, grant: &Grant) -> Result<(), GrantError> {
        let Settings {
            reuse,
            absolute_ttl,
            ..
        } = &self.inner.settings;
        let least = reuse.overlap.max(Duration::from_secs(1));
        if grant
            .own_access_ttl()
            .is_some_and(|ttl| !(least..=*absolute_ttl).contains(&ttl))
        {
            return Err(GrantError::AccessTtl);
        }
        // A grant that cannot be written as JSON cannot be written as a token either.
        match serde_json::to_vec(grant) {
            Ok(json) if json.len() <= MAX_GRANT => Ok(()),
            _ => Err(GrantError::TooLarge),
        }
    }
}

/// Does `work` to its end, even if whoever asked for it hangs up meanwhile: a logout that has arrived
/// must not be undone by a client that does not wait, nor the end of a session by a thief who does not.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::spawn(work.in_current_span().with_current_subscriber()).await;
    done.unwrap_or_else(|_| Err(InternalError::new("a revocation panicked").into()))
}

/// The application may have made `device` itself, from a header as it was sent.
fn cleaned(mut device: Device) -> Device {
    device.user_agent = device
        .user_agent
        .map(|sent| text::user_agent(sent.as_bytes()));
    device
}

fn not_authenticated(error: AuthenticationError) -> Error {
    match error {
        AuthenticationError::BadCredentials => Refusal::BadCredentials.into(),
        AuthenticationError::TooManyAttempts { retry_after } => {
            Refusal::TooManyAttempts { retry_after }.into()
        }
        AuthenticationError::Grant(error) => error.into(),
        AuthenticationError::Unavailable(error) => {
            observe::store_unavailable("authenticator", &error);
            error.into()
        }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("verifier", &self.inner.verifier)
            .finish_non_exhaustive()
    }
}
