//! What is logged: every event by its stable name, with what an operator needs, and no secret.

mod browser;
mod named;
mod oauth;
mod refusals;
mod secrets;
mod shown;

use gatepass::{
    AuthenticationError, Authenticator, Credentials, Device, Identity, Session, UserUpdate,
    async_trait,
};
use test_support::world::{MINUTE, subject};

const PASSWORD: &str = "correct horse battery staple";
const USERNAME: &str = "alice-as-she-typed-it";

/// Knows one user, and does with the user's name what an application may do.
struct OneUser;

#[async_trait]
impl Authenticator for OneUser {
    async fn authenticate(
        &self,
        credentials: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        match credentials.password() {
            PASSWORD => Ok(Identity::of(subject("alice"))),
            "again" => Err(AuthenticationError::TooManyAttempts {
                retry_after: MINUTE,
            }),
            _ => Err(AuthenticationError::BadCredentials),
        }
    }

    async fn reload_user(&self, _: &Session) -> Result<UserUpdate, AuthenticationError> {
        Ok(UserUpdate::Unchanged)
    }
}
