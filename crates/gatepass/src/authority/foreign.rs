//! Revocations of the tokens of other issuers.

use crate::{
    authority::{adopt::Adoption, authority::Authority, ending::to_the_end, enforcing::Ending},
    error::Error,
    issuers::tokens::ForeignTokens,
    model::{
        changes::RevokeForeign,
        ids::{AccountId, Issuer, Subject, TokenId},
        refusal::Refusal,
        revocation::{Revocation, RevocationTarget},
    },
    observe,
    token::pass::{Foreign, Pass},
};

impl Authority {
    /// Revokes access tokens of another [issuer](crate::issuers::Issuers) here: one, or all that a
    /// subject got up to now. Nothing changes at the issuer.
    ///
    /// The revocation is in the same log as all others. So each node over this store enforces it
    /// within `max_staleness`, and ends the open connections with such a token.
    ///
    /// A subject can have at most 100 individually revoked tokens at a time. One more revokes all
    /// tokens of the subject that were issued up to now.
    ///
    /// A revocation of all tokens covers each token whose `iat` is not after the store's time.
    /// `iat` is in whole seconds, so it also covers a token that the issuer issues within the same
    /// second. If the issuer's clock is ahead, call this again after that time.
    ///
    /// ```
    /// use gatepass::{Authority, Ending, Error, Pass, issuers::ForeignTokens};
    ///
    /// /// Ends what the user of `pass` can do here, also with other tokens.
    /// async fn lock_out(authority: &Authority, pass: &Pass) -> Result<Ending, Error> {
    ///     match pass.foreign_issuer() {
    ///         Some(issuer) if !pass.is_adopted() => {
    ///             let all = ForeignTokens::of(issuer.clone(), pass.subject().clone());
    ///             authority.revoke_foreign(&all).await
    ///         }
    ///         _ => authority.logout_all(pass.subject()).await,
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongIssuer`] if gatepass accepts no access tokens of the issuer, and
    /// [`Error::Store`] if the store did not confirm the revocation.
    pub async fn revoke_foreign(&self, tokens: &ForeignTokens) -> Result<Ending, Error> {
        let ForeignTokens {
            issuer,
            subject,
            jti,
        } = tokens;
        let mut revoke = self.foreign(issuer, AccountId::of_foreign(issuer, subject))?;
        if let Some(jti) = jti {
            // The expiry of the token is not known.
            let until = self.inner.settings.clock.now() + revoke.lifetime;
            revoke = revoke.only(self.foreign_token(issuer, subject, jti), until);
        }
        let (authority, tokens) = (self.clone(), tokens.clone());
        to_the_end(async move {
            let (revoked, ending) = authority.revoke_foreign_now(revoke).await?;
            if let Some(revocation) = revoked {
                let is_one = matches!(revocation.target, RevocationTarget::Token(_));
                let jti = tokens.jti.filter(|_| is_one);
                // The name of an old token may be the token itself.
                let jti = match authority.adoption_of(&tokens.issuer) {
                    Some(_) => jti.map(|_| "[redacted]".to_owned()),
                    None => jti,
                };
                observe::foreign_revoked(&tokens.issuer, &tokens.subject, jti.as_deref());
            }
            Ok(ending)
        })
        .await
    }

    /// Revokes the one token of `pass`.
    pub(super) async fn revoke_foreign_pass(
        &self,
        pass: &Pass,
        foreign: &Foreign,
    ) -> Result<Ending, Error> {
        // An open connection may outlive its token, and must find the entry.
        let mut until = pass.expires_at().max(self.inner.settings.clock.now());
        if let Some(adoption) = self.adoption_of(&foreign.issuer) {
            // The old system may let a token live longer than it said.
            until = until.max(adoption.kept_until());
        }
        let revoke = self.foreign(&foreign.issuer, foreign.account)?;
        let revoke = revoke.only(pass.token_id(), until);
        let (revoked, ending) = self.revoke_foreign_now(revoke).await?;
        match revoked.map(|revocation| revocation.target) {
            None => {}
            Some(RevocationTarget::Token(_)) => observe::token_revoked(pass),
            Some(_) => observe::foreign_revoked(&foreign.issuer, pass.subject(), None),
        }
        Ok(ending)
    }

    /// The move from the old system of this name.
    fn adoption_of(&self, issuer: &Issuer) -> Option<&Adoption> {
        let adoption = self.adoption();
        adoption.filter(|adoption| adoption.issuer == *issuer)
    }

    /// The id of the token that `issuer` calls `jti`.
    fn foreign_token(&self, issuer: &Issuer, subject: &Subject, jti: &str) -> TokenId {
        match self.adoption_of(issuer) {
            Some(adoption) => {
                let audience = &self.inner.verifier.policy().audience;
                adoption.token_id(audience, jti)
            }
            None => TokenId::of_foreign_jti(issuer, subject, jti),
        }
    }

    /// The revocation of all tokens of an account of `issuer`.
    pub(super) fn foreign(
        &self,
        issuer: &Issuer,
        account: AccountId,
    ) -> Result<RevokeForeign, Refusal> {
        let lifetime = match self.adoption_of(issuer) {
            Some(adoption) => {
                let now = self.inner.settings.clock.now();
                Some(adoption.kept_until().since(now))
            }
            None => self.inner.verifier.max_lifetime_of(issuer),
        };
        let lifetime = lifetime.ok_or(Refusal::WrongIssuer)?;
        Ok(RevokeForeign::all(account, lifetime))
    }

    /// Revokes, and enforces the revocation on this node. Returns the new entry of the log, if
    /// there is one.
    pub(super) async fn revoke_foreign_now(
        &self,
        revoke: RevokeForeign,
    ) -> Result<(Option<Revocation>, Ending), Error> {
        let revoked = self.ask("revoke_foreign", self.inner.store.revoke_foreign(revoke));
        let revoked = revoked.await?;
        let here = match revoked {
            Some(revocation) => {
                self.inner.verifier.apply(&[revocation]);
                true
            }
            // It was revoked before, maybe by a call whose answer was lost; the revocation is
            // durable.
            None => self.inner.verifier.catch_up().await.is_ok(),
        };
        Ok((revoked, Ending::new(self, here)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::Subject;

    /// Otherwise a revocation here would end the sessions that the other issuer keeps in this very
    /// store, and a logout there could let old tokens in again.
    #[test]
    fn a_subject_of_another_issuer_is_none_of_the_accounts_of_that_issuer() {
        let issuer = Issuer::new("https://login.example").unwrap();
        let alice = Subject::new("alice").unwrap();
        let accounts = [
            AccountId::of(&issuer, &alice),
            AccountId::of_foreign(&issuer, &alice),
        ];
        assert_ne!(accounts[0], accounts[1]);
    }
}
