//! The application's part of a login: it says who may log in, and with which identity.

use std::{borrow::Cow, error::Error as StdError, fmt, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{
    model::{
        device::Device,
        identity::{Identity, IdentityError},
        ids::{InvalidName, Issuer, Subject},
        scopes::InvalidScope,
        session::Session,
        throttling,
    },
    store::error::StoreError,
};

/// Your application's users: it checks their credentials, and reads them again at each refresh.
///
/// Two rules keep user names secret. Unknown users and wrong passwords get the same answer,
/// [`AuthenticationError::BadCredentials`], and they must take the same time: hash the password
/// even if there is no such user. Hash off the async threads (`tokio::task::spawn_blocking`): a
/// good password hash takes tens of milliseconds.
///
/// gatepass bounds how often a client may try ([`LoginThrottle`](crate::LoginThrottle)). Three more
/// bounds keep a flood of logins from taking your memory and your processors:
///
/// * Bound how many passwords are hashed at once, for example by a `tokio::sync::Semaphore`. An
///   argon2id hash takes 19 MiB.
/// * Reuse the memory (`Argon2::hash_password_into_with_memory`). Many threads that each free 19
///   MiB leave a gigabyte in the arenas of glibc.
/// * Bound how many logins wait, first for each address and then for all: answer the others at once
///   with [`AuthenticationError::TooManyAttempts`].
///
/// A client that hangs up should give its place to others. axum, warp and tonic then drop this
/// trait's future. actix-web goes on with it, unless the server has `h1_allow_half_closed(false)`.
/// The example application does all of this in `examples/full/app/src/users.rs`.
///
/// ```
/// use gatepass::{
///     AuthenticationError, Authenticator, Credentials, Device, Identity, Session, UserUpdate,
///     async_trait,
/// };
///
/// struct OneUser;
///
/// #[async_trait]
/// impl Authenticator for OneUser {
///     async fn authenticate(&self, credentials: &Credentials, _: &Device) -> Result<Identity, AuthenticationError> {
///         // A real one compares with a hash, such as argon2id.
///         match (credentials.username(), credentials.password()) {
///             ("alice", Some("wonderland")) => Ok(Identity::new("alice")?),
///             _ => Err(AuthenticationError::BadCredentials),
///         }
///     }
///
///     async fn reload_user(&self, session: &Session) -> Result<UserUpdate, AuthenticationError> {
///         Ok(if session.subject().as_str() == "alice" { UserUpdate::Unchanged } else { UserUpdate::Deleted })
///     }
/// }
/// ```
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// Decides whether `credentials` are right and what they allow. `device` is the device that
    /// asks, as far as it is known. gatepass has counted the attempt by then
    /// ([`LoginThrottle`](crate::LoginThrottle)).
    ///
    /// If the request has other members, such as a one-time code, there may be no password. Refuse
    /// a login without a password unless you have checked those members.
    ///
    /// # Errors
    ///
    /// [`AuthenticationError`]. Return `BadCredentials` only if you know that the credentials are
    /// wrong. If the database is down, return `Unavailable`.
    async fn authenticate(
        &self,
        credentials: &Credentials,
        device: &Device,
    ) -> Result<Identity, AuthenticationError>;

    /// Decides whether `credentials` prove that the user of `session` is present, and what the user
    /// may do now. The identity must be of the same subject.
    ///
    /// The default calls [`authenticate`](Self::authenticate) with the credentials, whose user name
    /// is the session's subject. If your users log in with another name than their subject,
    /// override this and look that name up.
    ///
    /// # Errors
    ///
    /// As [`authenticate`](Self::authenticate).
    async fn reauthenticate(
        &self,
        session: &Session,
        credentials: &Credentials,
        device: &Device,
    ) -> Result<Identity, AuthenticationError> {
        let _ = session;
        self.authenticate(credentials, device).await
    }

    /// The name by which gatepass counts attempts to log in with `username`
    /// ([`LoginThrottle`](crate::LoginThrottle)). All spellings that lead to one user must give the
    /// same name, or a guesser gets more attempts by other spellings.
    ///
    /// The default is the name without white space around it, in lower case. For example, if you
    /// also ignore dots in e-mail addresses, remove the dots here.
    fn throttle_key<'n>(&self, username: &'n str) -> Cow<'n, str> {
        throttling::throttle_key(username)
    }

    /// Reads the user again before gatepass refreshes `session`, and before it spends the refresh
    /// token. gatepass also calls it before each answer without a rotation: for example, to a retry
    /// or a second tab.
    ///
    /// The default says that nothing has changed. Override it if you can delete a user, lock a user
    /// or change a user's scopes. Otherwise such a user stays logged in, with the scopes of the
    /// login, until the session ends. Or call
    /// [`Authority::logout_all`](crate::Authority::logout_all) whenever you change a user.
    ///
    /// # Errors
    ///
    /// [`AuthenticationError::Unavailable`]. The client can then try the refresh again.
    async fn reload_user(&self, session: &Session) -> Result<UserUpdate, AuthenticationError> {
        let _ = session;
        Ok(UserUpdate::Unchanged)
    }
}

/// The application's function from a provider's user to its own.
pub(crate) type SubjectOf = Arc<
    dyn Fn(
            Issuer,
            Subject,
        ) -> Pin<Box<dyn Future<Output = Result<Option<Subject>, StoreError>> + Send>>
        + Send
        + Sync,
>;

/// A function that checks credentials, for a first program or a test. It can't await, and a refresh
/// doesn't read the user again. It runs on the request's own task, so it must not take long. The
/// check of a password hash takes long, and belongs in an [`Authenticator`] of your own.
///
/// ```
/// # use gatepass::{AuthenticationError, Authority, Credentials, Identity, MasterSecret, MemoryStore};
/// fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
///     match (credentials.username(), credentials.password()) {
///         ("alice", Some("wonderland")) => Ok(Identity::new("alice")?),
///         _ => Err(AuthenticationError::BadCredentials),
///     }
/// }
/// # let secret = MasterSecret::generate().unwrap();
/// let authority = Authority::builder("https://shop.example", "shop-api", secret, MemoryStore::new())
///     .authenticator(login);
/// ```
#[async_trait]
impl<F> Authenticator for F
where
    F: Fn(&Credentials) -> Result<Identity, AuthenticationError> + Send + Sync + 'static,
{
    async fn authenticate(
        &self,
        credentials: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        self(credentials)
    }
}

/// The state of a user since the last refresh.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "made by applications, and there is no fourth case"
)]
#[allow(
    clippy::large_enum_variant,
    reason = "made once for a refresh, so applications need no box; the lint depends on a feature of serde_json"
)]
pub enum UserUpdate {
    /// The session goes on as it is.
    Unchanged,
    /// The session goes on with this identity, of the same subject. If its scopes or claims differ
    /// from before, every node refuses the session's older access tokens within `max_staleness`, as
    /// after [`Authority::change`](crate::Authority::change). So keep values that vary by
    /// themselves, such as a balance, out of the claims: each refresh would refuse the tokens of
    /// the user's other tabs.
    Changed(Identity),
    /// The user no longer exists, or may not be logged in. The session ends.
    Deleted,
}

/// The reason why no user was authenticated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthenticationError {
    /// Unknown user or wrong password.
    #[error("the user name or the password is wrong")]
    BadCredentials,
    /// Too many attempts for this user or from this address, by your application's own count.
    /// gatepass itself refuses attempts that exceed [`LoginThrottle`](crate::LoginThrottle).
    #[error("too many attempts")]
    TooManyAttempts {
        /// When to try again, in whole seconds on the wire.
        retry_after: Duration,
    },
    /// The application gave an identity that gatepass can't issue. This is a mistake in its code,
    /// and the client gets a 500.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The application could not read its users. gatepass tells the client to try again (503).
    #[error("the users could not be read")]
    Unavailable(#[source] StoreError),
}

impl From<InvalidName> for AuthenticationError {
    fn from(invalid: InvalidName) -> Self {
        IdentityError::from(invalid).into()
    }
}

impl From<InvalidScope> for AuthenticationError {
    fn from(invalid: InvalidScope) -> Self {
        IdentityError::from(invalid).into()
    }
}

impl AuthenticationError {
    /// [`Unavailable`](Self::Unavailable), because of `source`, whose text must hold no secret.
    pub fn unavailable(source: impl StdError + Send + Sync + 'static) -> Self {
        Self::Unavailable(StoreError::unavailable(source))
    }
}

/// The credentials that a user logs in with. `Debug` shows only the user name. When the credentials
/// are dropped, the memory of the password is overwritten.
///
/// ```
/// use gatepass::{AuthenticationError, Credentials, Identity};
///
/// fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
///     let code: Option<String> = credentials.extra("code");
///     match (credentials.username(), credentials.password(), code.as_deref()) {
///         ("alice", Some("wonderland"), _) => Ok(Identity::new("alice")?),
///         // A real one looks for the code that it has mailed to the user.
///         ("alice", None, Some("493021")) => Ok(Identity::new("alice")?),
///         _ => Err(AuthenticationError::BadCredentials),
///     }
/// }
/// assert!(login(&Credentials::new("alice", "wonderland")).is_ok());
/// assert!(login(&Credentials::without_password("alice")).is_err());
/// ```
pub struct Credentials {
    username: String,
    password: Option<Zeroizing<String>>,
    extra: Map<String, Value>,
}

impl Credentials {
    /// A user name and a password.
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            password: Some(Zeroizing::new(password.into())),
            ..Self::without_password(username)
        }
    }

    /// A user name alone.
    pub fn without_password(username: impl Into<String>) -> Self {
        Self {
            username: username.into(),
            password: None,
            extra: Map::new(),
        }
    }

    /// The credentials in the body of a request. Without a password there must be other members.
    pub(crate) fn of_body(
        username: impl Into<String>,
        password: Option<String>,
        extra: Map<String, Value>,
    ) -> Option<Self> {
        (password.is_some() || !extra.is_empty()).then(|| Self {
            username: username.into(),
            password: password.map(Zeroizing::new),
            extra,
        })
    }

    pub(crate) fn with_extra(mut self, extra: Map<String, Value>) -> Self {
        self.extra = extra;
        self
    }

    /// The user name, as it was typed.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The password, as it was typed, if the request has one. An empty password counts as one.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.password.as_ref().map(|password| password.as_str())
    }

    /// The further member `name` of the login request, such as a one-time code or the response of a
    /// passkey, if it is there and of this type.
    #[must_use]
    pub fn extra<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        T::deserialize(self.extra.get(name)?).ok()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}
