//! The names of another issuer's tokens, for a revocation.

use std::fmt;

use crate::model::ids::{Issuer, Subject};

/// Access tokens of another issuer: all tokens of a subject, or one of them.
/// [`Authority::revoke_foreign`](crate::Authority::revoke_foreign) revokes them.
///
/// ```
/// use gatepass::{Subject, issuers::ForeignTokens, store::Issuer};
///
/// let (issuer, alice) = (Issuer::new("https://login.example/")?, Subject::new("alice")?);
/// let all = ForeignTokens::of(issuer, alice);
/// let one = all.clone().jti("qHVnYkzrPPf3DSyGfaQzqM");
/// # Ok::<(), gatepass::InvalidName>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ForeignTokens {
    pub(crate) issuer: Issuer,
    pub(crate) subject: Subject,
    pub(crate) jti: Option<String>,
}

/// Redacts the name, because the name of an old system's token may be the token itself.
impl fmt::Debug for ForeignTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignTokens")
            .field("issuer", &self.issuer)
            .field("subject", &self.subject)
            .field("jti", &self.jti.as_ref().map(|_| "[redacted]"))
            .finish()
    }
}

impl ForeignTokens {
    /// All tokens that `issuer` has issued to `subject` up to now.
    #[must_use]
    pub const fn of(issuer: Issuer, subject: Subject) -> Self {
        Self {
            issuer,
            subject,
            jti: None,
        }
    }

    /// Only the token with this `jti`. For a token of Entra, give its `uti`.
    #[must_use]
    pub fn jti(mut self, jti: impl Into<String>) -> Self {
        self.jti = Some(jti.into());
        self
    }
}
