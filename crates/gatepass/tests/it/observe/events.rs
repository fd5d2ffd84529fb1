//! The log: every event has its stable name and the facts that an operator needs, and no secret.

mod browser;
mod named;
mod oauth;
mod refusals;
mod requests;
mod secrets;
mod shown;

use gatepass::{AuthenticationError, Credentials, Identity};
use test_support::world::{MINUTE, subject};

const PASSWORD: &str = "correct horse battery staple";
const USERNAME: &str = "alice-as-she-typed-it";

/// Knows one user, and looks at the password alone.
fn one_user(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    match credentials.password() {
        Some(PASSWORD) => Ok(Identity::of(subject("alice"))),
        Some("again") => Err(AuthenticationError::TooManyAttempts {
            retry_after: MINUTE,
        }),
        _ => Err(AuthenticationError::BadCredentials),
    }
}
