//! The access token that a gate renews while its client uses it, until the response carries it.

use std::fmt;

use zeroize::Zeroizing;

use crate::{
    authority::authority::Authority,
    env::internal_error::InternalError,
    http::head::RequestHead,
    token::pass::Pass,
    verifier::verifier::Verifier,
    wire::{
        cookie::{self, Kind},
        credentials::Source,
    },
};

/// The log message for a mistake in the application.
const OTHER_AUTHORITY: &str = "the authority of auto_renew has another issuer or audience than the gate's verifier; \
     give both the same";

/// A pass whose access token the response may renew.
pub(super) struct Sliding {
    authority: Authority,
    pass: Pass,
    place: Place,
}

/// The place of the renewed token in the response.
#[derive(Clone, Copy)]
enum Place {
    Header(&'static str),
    /// The cookie from which the token came.
    Cookie,
}

/// A field of the response with a renewed access token.
pub(super) struct RenewedToken {
    pub(super) name: &'static str,
    pub(super) value: Zeroizing<String>,
}

impl Sliding {
    /// The pass, if a response to this request may renew its token.
    ///
    /// If the client has a refresh cookie, it must refresh instead, so that its session doesn't
    /// count as idle.
    pub(super) fn of(
        authority: &Authority,
        verifier: &Verifier,
        head: &RequestHead<'_>,
        source: Source,
        pass: &Pass,
    ) -> Result<Option<Self>, InternalError> {
        if !authority.may_slide(pass) {
            return Ok(None);
        }
        let (own, theirs) = (verifier.policy(), authority.verifier().policy());
        if (&own.issuer, &own.audience) != (&theirs.issuer, &theirs.audience) {
            return Err(InternalError::new(OTHER_AUTHORITY));
        }
        let cookie = |kind| cookie::token(kind, head, &own.browser);
        let place = match source {
            Source::Bearer => own.browser.places.renewed.map(Place::Header),
            Source::Cookie => match (cookie(Kind::Access), cookie(Kind::Refresh)) {
                (Ok(Some(_)), Ok(None)) => Some(Place::Cookie),
                _ => None,
            },
        };
        Ok(place.map(|place| Self {
            authority: authority.clone(),
            pass: pass.clone(),
            place,
        }))
    }

    /// Renews the token for a response whose head leaves now. `None` if the store doesn't confirm
    /// that the session is live.
    pub(super) async fn renew(&self) -> Option<RenewedToken> {
        // If the renewal fails, or the new token lasts no longer, the response stays unchanged.
        let renewed = self.authority.renew_if_due(&self.pass).await.ok().flatten();
        let renewed = renewed.filter(|renewed| renewed.expires_at > self.pass.expires_at())?;
        let token = renewed.access_token.as_str();
        let (name, value) = match self.place {
            Place::Header(name) => (name, token.to_owned()),
            Place::Cookie => {
                let policy = self.authority.verifier().browser_policy();
                ("set-cookie", cookie::of_renewed(&renewed, policy).ok()?)
            }
        };
        Some(RenewedToken {
            name,
            value: Zeroizing::new(value),
        })
    }
}

impl RenewedToken {
    /// Whether a field of the handler's response takes this token's place.
    pub(super) fn has_place_of(&self, value: &[u8]) -> bool {
        self.name != "set-cookie" || cookie::name(value) == cookie::name(self.value.as_bytes())
    }
}

/// The `Debug` of a pass shows no token.
impl fmt::Debug for Sliding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sliding")
            .field("pass", &self.pass)
            .finish_non_exhaustive()
    }
}

/// Leaves out the value, which is a token.
impl fmt::Debug for RenewedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenewedToken")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
