//! The routes for users who change their own account: `PUT /me/password` and `DELETE /me`.

use gatepass::{AuthenticationError, Device, Pass, Refusal};
use serde::Deserialize;
use tracing::error;
use zeroize::Zeroizing;

use crate::{answer::Answer, app::App, users::MAX_PASSWORD};

/// The longest body of `PUT /me/password` in bytes: two passwords whose characters are all escaped.
pub const PASSWORD_BODY_LIMIT: u16 = 16 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Passwords {
    current_password: String,
    new_password: String,
}

impl App {
    /// The answer to `PUT /me/password`. Gives the user of `pass`, at `device`, another password,
    /// and ends all other sessions of the user. `body` is `None` if it is longer than
    /// [`PASSWORD_BODY_LIMIT`], or if the client broke off.
    pub async fn change_password(
        &self,
        pass: &Pass,
        device: &Device,
        body: Option<&[u8]>,
    ) -> Answer {
        let Some(body) = body else {
            return Answer::error(413, "body_too_large", "the body is too large");
        };
        let Ok(asked) = serde_json::from_slice::<Passwords>(body) else {
            let description =
                "the body must be a JSON object with the strings current_password and new_password";
            return Answer::error(400, "body_unparseable", description);
        };
        let current = Zeroizing::new(asked.current_password);
        let new = Zeroizing::new(asked.new_password);
        if new.is_empty() || new.len() > MAX_PASSWORD {
            let description = format!("the new password must have 1 to {MAX_PASSWORD} bytes");
            return Answer::error(400, "bad_password", &description);
        }
        let changed = self
            .users
            .change_password(&self.authority, pass, device, &current, new);
        match changed.await {
            Ok(()) => Answer::no_content(),
            Err(AuthenticationError::BadCredentials) => {
                Answer::error(403, "bad_credentials", "the current password is wrong")
            }
            Err(AuthenticationError::TooManyAttempts { retry_after }) => {
                let refusal = Refusal::TooManyAttempts { retry_after };
                Answer::error(429, refusal.reason(), &refusal.to_string()).retry_after(retry_after)
            }
            Err(error) => {
                report(&error);
                // The answer is no 503: a client that repeats the request by itself would count as
                // guessing, because the new password may already be in place.
                let description = "the password may be changed: log in with the new one, or try again with either";
                Answer::error(503, "not_confirmed", description)
            }
        }
    }

    /// The answer to `DELETE /me`. Deletes the user of `pass`, and ends all sessions of the user.
    pub async fn delete_user(&self, pass: &Pass) -> Answer {
        match self.users.delete(&self.authority, pass.subject()).await {
            // The answer is the same if another request deleted the user first.
            Ok(_) => Answer::no_content(),
            Err(error) => {
                report(&error);
                Answer::store_unavailable(&error)
            }
        }
    }
}

/// Logs the cause for the operator.
fn report(cause: &(dyn std::error::Error + 'static)) {
    error!(error = cause, "a user could not be changed");
}

#[cfg(test)]
mod tests;
