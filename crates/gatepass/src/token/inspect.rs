//! The form of a token: for tools that show tokens to people.

use crate::{
    keys::{secret::MasterSecret, verifying::VerifyingKey},
    model::{
        ids::{Audience, Generation, Issuer, SessionId},
        refusal::Refusal,
    },
    token::{access, refresh},
};

/// The kind of a token, by its form only. Nothing is verified: an attacker can write such a text.
///
/// For tools that show tokens to people. It uses the same code as gates and endpoints. So a token
/// that your tool calls malformed is one that they refuse as malformed. Gates use
/// [`Verifier`](crate::Verifier).
///
/// ```
/// use gatepass::{Refusal, inspect::TokenForm};
///
/// assert_eq!(TokenForm::of("eyJhbGciOiJub25lIn0.e30."), Err(Refusal::UnknownKey));
/// assert_eq!(TokenForm::of("hunter2"), Err(Refusal::Malformed));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenForm {
    /// An access token: a signed JWT (RFC 9068) with every claim that gatepass requires.
    Access,
    /// A refresh token.
    #[non_exhaustive]
    Refresh {
        /// The session that the token claims to refresh.
        session: SessionId,
        /// The generation that the token claims to be.
        generation: Generation,
    },
}

impl TokenForm {
    /// The form of `token`.
    ///
    /// # Errors
    ///
    /// The refusal that the token would get with any set of keys: [`Refusal::Malformed`],
    /// [`Refusal::WrongType`] if it is a JWT of another kind, and [`Refusal::UnknownKey`] if it
    /// names no key, or an algorithm that gatepass does not support.
    pub fn of(token: &str) -> Result<Self, Refusal> {
        if token.starts_with(refresh::PREFIX) {
            let said = refresh::unverified(token)?;
            return Ok(Self::Refresh {
                session: said.session,
                generation: said.generation,
            });
        }
        access::check_form(token).map(|()| Self::Access)
    }
}

/// The session and the generation of a refresh token, if it was made with `secret` by `issuer` for
/// `audience`.
///
/// For tests and tools. Only the store knows whether the session still exists and whether the token
/// is spent: see [`Authority::refresh`](crate::Authority::refresh).
///
/// # Errors
///
/// [`Refusal::Malformed`] or [`Refusal::WrongType`] if it isn't a refresh token,
/// [`Refusal::UnknownKey`] if it belongs to another secret, issuer or audience, and
/// [`Refusal::BadSignature`] if it isn't authentic.
pub fn verify_refresh_token(
    secret: &MasterSecret,
    issuer: &Issuer,
    audience: &Audience,
    token: &str,
) -> Result<(SessionId, Generation), Refusal> {
    let presented = refresh::open_with(secret, issuer, audience, token)?;
    Ok((presented.session, presented.generation))
}

/// The payload, of any content, of a JWS in compact serialization (RFC 7515 §7.1) that `key` has
/// signed.
///
/// For tests and tools. It checks the signature with the same code as for an access token, and
/// nothing else. It checks no issuer, audience, expiry or revocation, and reads neither `typ` nor
/// `kid`. Gates use [`Verifier`](crate::Verifier).
///
/// # Errors
///
/// [`Refusal::Malformed`] if the text is too long, isn't three segments of canonical base64url, or
/// has a header that isn't acceptable. [`Refusal::UnknownKey`] if its `alg` isn't the key's.
/// [`Refusal::BadSignature`] if the key didn't sign it.
pub fn verify_jws(key: &VerifyingKey, jws: &str) -> Result<Vec<u8>, Refusal> {
    access::open_jws(jws, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_a_refresh_token_says_what_is_authenticated_in_it() {
        let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
        let (session, generation) = (SessionId::from_bytes([9; 18]), Generation::new(7));
        let (issuer, audience) = (Issuer::new("shop").unwrap(), Audience::new("api").unwrap());
        let secrets = secret.clone().into();
        let keys = refresh::RefreshKeys::new(&secrets, &issuer, &audience).unwrap();
        let token = keys.token(session, generation);
        let form = TokenForm::Refresh {
            session,
            generation,
        };
        assert_eq!(TokenForm::of(&token), Ok(form));
        assert_eq!(
            verify_refresh_token(&secret, &issuer, &audience, &token),
            Ok((session, generation))
        );

        let other = MasterSecret::from_bytes(&[2; 32]).unwrap();
        let refused = verify_refresh_token(&other, &issuer, &audience, &token);
        assert_eq!(refused, Err(Refusal::UnknownKey));
        assert_eq!(TokenForm::of(&token[1..]), Err(Refusal::Malformed));
        assert_eq!(TokenForm::of(&format!("{token}A")), Err(Refusal::Malformed));
    }
}
