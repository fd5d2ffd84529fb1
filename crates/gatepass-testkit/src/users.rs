//! Users for tests.

use async_trait::async_trait;
use gatepass::{
    AuthenticationError, Authenticator, Credentials, Device, Identity, Scopes, Session, UserUpdate,
};

/// Users who all have the same password. Each user name is its own subject.
///
/// Each check lets other tasks run before the answer, as a question to a database does.
///
/// ```
/// use gatepass::{Authority, Credentials, Device, MasterSecret, MemoryStore};
/// use gatepass_testkit::OnePassword;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = MasterSecret::generate()?;
/// let authority = Authority::builder("https://shop.example", "shop-api", secret, MemoryStore::new())
///     .authenticator(OnePassword::new("wonderland"))
///     .build()
///     .await?;
/// let alice = Credentials::new("alice", "wonderland");
/// assert!(authority.login(&alice, Device::default()).await.is_ok());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct OnePassword {
    password: String,
    scopes: Scopes,
}

impl OnePassword {
    /// Users with this password and without scopes.
    pub fn new(password: impl Into<String>) -> Self {
        Self {
            password: password.into(),
            scopes: Scopes::default(),
        }
    }

    /// Gives each user these scopes.
    #[must_use]
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }
}

impl std::fmt::Debug for OnePassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnePassword")
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Authenticator for OnePassword {
    async fn authenticate(
        &self,
        credentials: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        tokio::task::yield_now().await;
        if credentials.password() != Some(&self.password) {
            return Err(AuthenticationError::BadCredentials);
        }
        Ok(Identity::new(credentials.username())?.scopes(self.scopes.clone()))
    }

    async fn reload_user(&self, _: &Session) -> Result<UserUpdate, AuthenticationError> {
        tokio::task::yield_now().await;
        Ok(UserUpdate::Unchanged)
    }
}
