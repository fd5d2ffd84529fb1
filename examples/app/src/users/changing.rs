//! Changes of a user that end sessions: a new password, and the user's deletion.

use std::{
    io,
    net::{IpAddr, Ipv6Addr},
};

use gatepass::{
    AuthenticationError, Authority, Error, Pass, StoreError, Subject, store::EndSessions,
};
use tokio::task;
use zeroize::Zeroizing;

use crate::users::Users;

/// The address whose places all changes of passwords share, so that logins have the others.
const CHANGES: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

impl Users {
    /// Deletes a user and ends all sessions of the user at `authority`. Says whether there was such
    /// a user.
    ///
    /// If the sessions are in the same database, one transaction does both. Otherwise the deletion
    /// is committed first. If the process dies, or the store fails, before the sessions have ended,
    /// they live on until their next refresh, which finds that the user is deleted.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the table or the store cannot be written. Call it again: it ends the
    /// sessions also if the user is deleted already.
    pub async fn delete(&self, authority: &Authority, user: &Subject) -> Result<bool, Error> {
        let (users, authority, user) = (self.clone(), authority.clone(), user.clone());
        // A client that hangs up must not stop it halfway.
        let delete = async move {
            let all = EndSessions::AllOf(authority.account(&user));
            let table = &users.inner.table;
            let deleted = table.delete(user.as_str(), all).await?;
            if deleted && table.ends_sessions() {
                enforce(&authority).await;
            } else {
                authority.logout_all(&user).await?;
            }
            Ok(deleted)
        };
        task::spawn(delete).await.map_err(StoreError::unavailable)?
    }

    /// Gives the user of `pass` a new password, if `current` is the present one, and ends all other
    /// sessions of the user at `authority`. An attempt with a wrong password counts as a failed
    /// login.
    ///
    /// If the sessions are in the same database, one transaction does both. Otherwise the password
    /// is committed first. If the process dies, or the store fails, before the sessions have ended,
    /// they live on: call this again with the new password as the current one.
    ///
    /// A login with the old password at the same time may begin a session that lives on, as
    /// [`docs::transactions`](gatepass::docs::transactions) says.
    ///
    /// # Errors
    ///
    /// Those of a login.
    pub(crate) async fn change_password(
        &self,
        authority: &Authority,
        pass: &Pass,
        current: &str,
        new: Zeroizing<String>,
    ) -> Result<(), AuthenticationError> {
        let name = pass.subject().as_str();
        let user = self.check_password(name, current, Some(CHANGES)).await?;
        let mut turn = self
            .inner
            .passwords
            .turn()
            .await
            .map_err(AuthenticationError::unavailable)?;
        let hash = task::spawn_blocking(move || turn.hash(&new)).await;
        let hash = hash.map_err(AuthenticationError::unavailable)?;
        let hash =
            hash.map_err(|error| AuthenticationError::unavailable(io::Error::other(error)))?;
        let (users, authority, pass) = (self.clone(), authority.clone(), pass.clone());
        // A client that hangs up must not stop it halfway.
        let change = async move {
            let account = authority.account(pass.subject());
            let others = EndSessions::AllOfBut(account, pass.session_id());
            let table = &users.inner.table;
            let changed = table.set_hash(&user.name, &user.hash, &hash, others).await;
            if !changed.map_err(AuthenticationError::Unavailable)? {
                // Another change was faster, so that the password is not the current one any more.
                return Err(AuthenticationError::BadCredentials);
            }
            if table.ends_sessions() {
                enforce(&authority).await;
            } else {
                authority
                    .logout_others(&pass)
                    .await
                    .map_err(AuthenticationError::unavailable)?;
            }
            Ok(())
        };
        task::spawn(change)
            .await
            .map_err(AuthenticationError::unavailable)?
    }
}

/// Has this node refuse the sessions that a transaction has ended from the next request on. If that
/// fails, they have ended all the same, and each node refuses them within `max_staleness`.
async fn enforce(authority: &Authority) {
    let _ = authority.verifier().catch_up().await;
}
