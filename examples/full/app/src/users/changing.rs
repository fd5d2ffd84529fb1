//! Changes of a user that end sessions: a new password, and the deletion of the user.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
};

use gatepass::{
    AuthenticationError, Authority, Device, Error, Pass, Refusal, StoreError, Subject,
    store::EndSessions,
};
use tokio::task;
use zeroize::Zeroizing;

use crate::users::Users;

/// All changes of passwords share the places of this address, so that logins have the others.
const CHANGES: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

impl Users {
    /// Deletes a user, and ends all sessions of the user at `authority`. Returns whether the user
    /// existed.
    ///
    /// If the sessions are in the same database, one transaction does both. Otherwise the deletion
    /// is committed first. If the process dies or the store fails before the sessions have ended,
    /// they live until their next refresh, which finds that the user is deleted.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the table or the store can't be written. Call it again: it also ends the
    /// sessions of a user who is already deleted.
    pub async fn delete(&self, authority: &Authority, user: &Subject) -> Result<bool, Error> {
        let (users, authority, user) = (self.clone(), authority.clone(), user.clone());
        // A client that hangs up must not stop this between the two steps.
        let delete = async move {
            let all = EndSessions::AllOf(authority.account(&user));
            let table = &users.inner.table;
            let deleted = table.delete(user.as_str(), all).await?;
            if deleted && table.ends_sessions() {
                enforce(&authority).await;
            } else {
                // The reason is `LogoutAll`: an application can choose another reason only in a
                // transaction.
                authority.logout_all(&user).await?;
            }
            Ok(deleted)
        };
        task::spawn(delete).await.map_err(StoreError::unavailable)?
    }

    /// Gives the user of `pass` a new password, if `current` is the present one, and ends all other
    /// sessions of the user at `authority`. A wrong `current` counts as a failed login from
    /// `device`.
    ///
    /// If the sessions are in the same database, one transaction does both. Otherwise the password
    /// is committed first. If the process dies or the store fails before the sessions have ended,
    /// they stay live: call this again with the new password as the current one.
    ///
    /// A concurrent login with the old password may begin a session that stays live, as
    /// [`docs::transactions`](gatepass::docs::transactions) says.
    ///
    /// # Errors
    ///
    /// * `BadCredentials` if `current` is wrong, or if another change was faster.
    /// * `TooManyAttempts`, as for a login.
    /// * `Unavailable` if the table or the store fails. Call it again, with the new password as the
    ///   current one if the old one is refused.
    pub(crate) async fn change_password(
        &self,
        authority: &Authority,
        pass: &Pass,
        device: &Device,
        current: &str,
        new: Zeroizing<String>,
    ) -> Result<(), AuthenticationError> {
        let name = pass.subject().as_str();
        let attempt = authority.login_attempt(name, device).await;
        let attempt = attempt.map_err(not_counted)?;
        let checked = self.check_password(name, current, Some(CHANGES)).await;
        let settled = match &checked {
            Ok(_) => attempt.succeeded().await,
            Err(AuthenticationError::BadCredentials) => {
                attempt.failed();
                Ok(())
            }
            Err(_) => attempt.cancelled().await,
        };
        let user = checked?;
        settled.map_err(AuthenticationError::unavailable)?;
        let hash = self.hash(new).await?;
        let (users, authority, pass) = (self.clone(), authority.clone(), pass.clone());
        // A client that hangs up must not stop this between the two steps.
        let change = async move {
            let account = authority.account(pass.subject());
            let others = match pass.session_id() {
                Some(own) => EndSessions::AllOfBut(account, own),
                None => EndSessions::AllOf(account),
            };
            let table = &users.inner.table;
            let changed = table.set_hash(&user.name, &user.hash, &hash, others).await;
            if !changed.map_err(AuthenticationError::Unavailable)? {
                // Another change was faster, so `current` is no longer the current password.
                return Err(AuthenticationError::BadCredentials);
            }
            if table.ends_sessions() {
                enforce(&authority).await;
            } else {
                let others = authority.logout_others(&pass).await;
                others.map_err(AuthenticationError::unavailable)?;
            }
            Ok(())
        };
        task::spawn(change)
            .await
            .map_err(AuthenticationError::unavailable)?
    }

    async fn hash(&self, password: Zeroizing<String>) -> Result<String, AuthenticationError> {
        let turn = self.inner.passwords.turn().await;
        let mut turn = turn.map_err(AuthenticationError::unavailable)?;
        let hashed = task::spawn_blocking(move || turn.hash(&password)).await;
        hashed
            .map_err(AuthenticationError::unavailable)?
            .map_err(|error| AuthenticationError::unavailable(io::Error::other(error)))
    }
}

fn not_counted(error: Error) -> AuthenticationError {
    match error {
        Error::Refused(Refusal::TooManyAttempts { retry_after }) => {
            AuthenticationError::TooManyAttempts { retry_after }
        }
        error => AuthenticationError::unavailable(error),
    }
}

/// Makes this node refuse the sessions that a transaction has ended, from the next request on. If
/// that fails, the sessions have still ended, and each node refuses them within `max_staleness`.
async fn enforce(authority: &Authority) {
    let _ = authority.verifier().catch_up().await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clap::Parser;
    use futures_util::FutureExt;
    use gatepass::{Authenticator, Credentials, Device, MasterSecret, MemoryStore, Requirements};
    use gatepass_testkit::ManualClock;

    use super::*;
    use crate::{app::App, settings::Settings, users::PLACES_EACH};

    #[tokio::test]
    async fn changes_of_passwords_leave_places_to_logins() {
        let clock = ManualClock::new();
        let store = Arc::new(MemoryStore::with_clock(clock.clone()));
        let settings = Settings::parse_from(["example", "--store", "memory"]);
        let secret = MasterSecret::generate().unwrap();
        let app = App::with_store(&settings, secret, store, clock)
            .await
            .unwrap();
        let (users, password) = (&app.users, "alice-in-wonderland");
        let alice = Credentials::new("alice", password);
        let device = Device::default();
        let issued = app.authority.login(&alice, device.clone()).await.unwrap();
        let (token, any) = (issued.access_token.as_str(), Requirements::new());
        let pass = app.authority.verifier().verify(token, &any).await.unwrap();

        let turns = || users.inner.passwords.turn().now_or_never();
        let held = Vec::from_iter(std::iter::from_fn(turns));
        let change = || {
            let new = Zeroizing::new(password.to_owned());
            Box::pin(users.change_password(&app.authority, &pass, &device, password, new))
        };
        let mut waiting = Vec::from_iter((0..PLACES_EACH).map(|_| change()));
        for change in &mut waiting {
            assert!(change.now_or_never().is_none());
        }
        let refused = change().now_or_never();
        assert!(
            matches!(
                refused,
                Some(Err(AuthenticationError::TooManyAttempts { .. }))
            ),
            "{refused:?}"
        );
        let mut login = users.authenticate(&alice, &device);
        assert!((&mut login).now_or_never().is_none());
        drop((held, waiting));
        login.await.unwrap();
    }
}
