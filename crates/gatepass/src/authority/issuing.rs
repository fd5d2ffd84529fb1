//! The tokens of a session, and their signatures.

use std::time::Duration;

use crate::{
    authority::{
        authority::Authority,
        issued::{AccessToken, Issued, RefreshToken, Renewed},
        signatures,
    },
    env::{clock::Timestamp, internal_error::InternalError, random},
    error::Error,
    keys::signing::SigningKey,
    model::{authentication::Authentication, ids::TokenId, scopes::Scopes, session::Session},
    token::{
        access::Unsigned,
        claims::{NewActor, NewClaims},
    },
};

/// The authentication that an access token states.
pub(super) struct Proof<'a> {
    pub(super) at: Timestamp,
    pub(super) how: &'a Authentication,
}

impl Authority {
    /// A fresh access token of the session with these scopes, or else all of the session's, and the
    /// refresh token of its current generation.
    pub(super) async fn answer(
        &self,
        session: &Session,
        scopes: Option<&Scopes>,
    ) -> Result<(Issued, TokenId), Error> {
        let granted = session.identity.granted_scopes();
        // The caller has checked the scopes against the session as it was read. Another node may
        // have taken some away since.
        let asked = scopes.map(|asked| granted.intersection(asked));
        let scopes = asked.as_ref().unwrap_or(granted);
        let renewed = self.newest_access_token(session, scopes).await?;
        let refresh_token = match session.identity.is_access_only() {
            true => String::new(),
            false => {
                let refresh_keys = self.inner.refresh_keys.load();
                refresh_keys.token(session.id, session.generation)
            }
        };
        let issued = Issued {
            access_token: renewed.access_token,
            refresh_token: RefreshToken::new(refresh_token),
            expires_at: renewed.expires_at,
            refresh_at: renewed.refresh_at,
            server_time: renewed.server_time,
            scopes: renewed.scopes,
            session_id: renewed.session_id,
            refresh_expires_at: session.idle_expires_at,
            session_cookies: renewed.session_cookies,
        };
        Ok((issued, renewed.token_id))
    }

    /// A fresh access token of the session with these scopes and its last authentication.
    pub(super) async fn newest_access_token(
        &self,
        session: &Session,
        scopes: &Scopes,
    ) -> Result<Renewed, Error> {
        let proof = Proof {
            at: session.authenticated_at,
            how: session.identity.authentication(),
        };
        self.access_token(session, scopes, proof).await
    }

    /// A fresh access token of the session with these scopes and this authentication.
    pub(super) async fn access_token(
        &self,
        session: &Session,
        scopes: &Scopes,
        proof: Proof<'_>,
    ) -> Result<Renewed, Error> {
        let settings = &self.inner.settings;
        // In whole seconds, as tokens state it, so that a lifetime of 900 s is exactly that.
        let now = settings.clock.now().truncated_to_secs();
        let token = TokenId::random(&*settings.random)?;
        let ttl = session
            .identity
            .own_access_ttl()
            .unwrap_or(settings.access_ttl);
        // Never past `access_until`: the log would forget the session's end before the token
        // expires.
        let expires_at = (now + ttl).min(session.access_until).truncated_to_secs();
        let key = self.signing_key()?;
        let unsigned = {
            let policy = self.inner.verifier.policy();
            let claims = NewClaims {
                iss: policy.issuer.as_str(),
                sub: session.subject().as_str(),
                aud: policy.audience.as_str(),
                exp: expires_at.unix_secs(),
                iat: now.unix_secs(),
                jti: token.to_string(),
                sid: session.id.to_string(),
                sn: session.number.get(),
                gv: session.grant.newest.get(),
                auth_time: proof.at.unix_secs(),
                client_id: session.client.as_str(),
                scope: scopes.as_str(),
                act: session.identity.actor().map(|actor| NewActor {
                    sub: actor.as_str(),
                }),
                amr: &proof.how.amr,
                acr: proof.how.acr.as_deref(),
                custom: session.identity.raw_claims(),
            };
            Unsigned::new(&key, &claims)?
        };
        let access_token = signatures::sign(&key, unsigned).await?;
        Ok(Renewed {
            access_token: AccessToken::new(access_token),
            expires_at,
            refresh_at: now + self.refresh_after(expires_at.since(now))?,
            server_time: now,
            scopes: scopes.clone(),
            session_id: session.id,
            token_id: token,
            useful_until: session.idle_expires_at.max(expires_at),
            session_cookies: session.identity.has_session_cookies(),
        })
    }

    /// The key that signs now. A clone, since other keys may replace it while this one signs.
    fn signing_key(&self) -> Result<SigningKey, InternalError> {
        let keys = self.inner.verifier.keys();
        let key = keys.active().ok_or(InternalError::new("no signing key"))?;
        Ok(key.clone())
    }

    /// After 75 to 90 % of the token's life: early enough for a retry, and spread so that clients
    /// that logged in together do not come back together.
    pub(crate) fn refresh_after(&self, life: Duration) -> Result<Duration, InternalError> {
        let [jitter] = random::bytes(&*self.inner.settings.random)?;
        Ok(life.mul_f64(0.75 + 0.15 * f64::from(jitter) / 255.0))
    }
}
