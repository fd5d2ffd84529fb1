//! Logouts that an OpenID Connect provider reports (OIDC Back-Channel Logout).
//!
//! A logout first writes into the log that it happened, and then ends the sessions that it finds. A
//! login through the provider first stores its session, and then looks into the log. So if the two
//! race, the logout finds the session, or the login finds the logout.

use std::time::Duration;

use crate::{
    authority::{
        administering::EndedSessions, authority::Authority, ending::to_the_end, pace::Pace,
    },
    error::Error,
    issuers::tokens::ForeignTokens,
    model::{
        changes::RevokeForeign,
        ids::AccountId,
        provider_login::ProviderLogout,
        refusal::Refusal,
        session::{EndReason, Session},
        session_filter::SessionFilter,
    },
    observe,
    store::{EndSessions, answer},
};

/// How long the log remembers a logout for logins that are under way: longer than it takes from an
/// ID token to the session.
const LOGIN_UNDER_WAY: Duration = Duration::from_secs(600);

impl Authority {
    /// Carries out a logout token (OpenID Connect Back-Channel Logout 1.0): ends the sessions that
    /// logins through the provider began, and refuses the provider's access tokens of the user.
    ///
    /// The endpoint `POST /auth/backchannel-logout` calls it. Call it yourself if you have an
    /// endpoint of your own. See [`docs::issuers`](crate::docs::issuers).
    ///
    /// The call can be repeated. A logout token that is sent again ends nothing more: a login
    /// after the logout has a later ID token.
    ///
    /// ```
    /// use gatepass::{Authority, Error};
    ///
    /// async fn logged_out(authority: &Authority, logout_token: &str) -> Result<u64, Error> {
    ///     Ok(authority.backchannel_logout(logout_token).await?.count)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the logout token isn't good. gatepass refuses every logout token
    /// unless you configure [`backchannel_logout`](crate::AuthorityBuilder::backchannel_logout).
    /// [`Error::KeysUnavailable`] if the provider's keys can't be fetched. [`Error::Store`] if the
    /// store did not confirm an end, or if your function failed; some of the sessions may have
    /// ended by then.
    pub async fn backchannel_logout(&self, logout_token: &str) -> Result<EndedSessions, Error> {
        let logout = self.inner.verifier.verify_logout(logout_token).await?;
        let authority = self.clone();
        to_the_end(async move { authority.log_out(logout).await }).await
    }

    async fn log_out(&self, logout: ProviderLogout) -> Result<EndedSessions, Error> {
        let subject_of = self.inner.settings.subject_of.as_ref();
        let subject_of = subject_of.ok_or(Refusal::WrongIssuer)?;
        let replica = self.inner.verifier.replica();
        replica.catch_up().await?;
        // An entry has the store's time. A token that is sent again must not renew the entry, which
        // would then cover what the user has got since.
        let is_known = |account| replica.has_cut_off(account, logout.issued_at);
        for account in logout.accounts().filter(|account| !is_known(*account)) {
            let remember = RevokeForeign::all(account, LOGIN_UNDER_WAY);
            let remembered = self.inner.store.revoke_foreign(remember);
            self.ask("revoke_foreign", remembered).await?;
        }
        let mut filter = Some(SessionFilter::new());
        if let Some(user) = logout.subject() {
            let (issuer, user) = (logout.issuer.clone(), user.clone());
            let accepts = self.inner.verifier.max_lifetime_of(&issuer).is_some();
            if accepts && !is_known(AccountId::of_foreign(&issuer, &user)) {
                let all = ForeignTokens::of(issuer.clone(), user.clone());
                self.revoke_foreign(&all).await?;
            }
            let found = subject_of(issuer, user);
            let found = answer::in_time(self.inner.settings.authenticator_timeout, found).await;
            let found = found
                .inspect_err(|error| observe::store_unavailable("backchannel_logout", error))?;
            if let (Some(own), Some(adoption)) = (&found, self.adoption())
                && !is_known(AccountId::of_foreign(&adoption.issuer, own))
            {
                // Otherwise an old token would bring the user back.
                self.retire_all(own).await?;
            }
            filter = found.map(|own| SessionFilter::new().subject(own));
        }
        let own = self.inner.verifier.policy().issuer.clone();
        // The sessions of all audiences end, as after a logout everywhere.
        let filter = filter.map(|filter| filter.issuer(own).ended_by(logout.clone()));
        let ended = match filter {
            Some(filter) => {
                let reason = EndReason::BackchannelLogout;
                self.end_each(filter, Pace::default(), reason).await?
            }
            None => EndedSessions::none(self),
        };
        observe::backchannel_logout(&logout, ended.count);
        Ok(ended)
    }

    /// Ends a session that was just stored, and refuses it, if the user has logged out at the
    /// provider since the provider issued the ID token of the login.
    pub(super) async fn check_provider_login(&self, session: &Session) -> Result<(), Error> {
        let Some(login) = session.identity.provider_login() else {
            return Ok(());
        };
        if self.inner.settings.subject_of.is_none() {
            return Ok(());
        }
        let replica = self.inner.verifier.replica();
        replica.catch_up().await?;
        let mut accounts = login.accounts().into_iter();
        if !accounts.any(|account| replica.has_cut_off(account, login.issued_at())) {
            return Ok(());
        }
        let target = EndSessions::SessionOf(session.id, session.account());
        let reason = EndReason::BackchannelLogout;
        self.end(target, Some(session.subject()), reason).await?;
        Err(Refusal::SessionEnded.into())
    }
}
