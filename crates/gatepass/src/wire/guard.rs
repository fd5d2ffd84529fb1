//! The gate: whether a request is let through, and what it leaves for the handler.

use std::sync::Arc;

use crate::{
    error::Error,
    model::{
        refusal::Refusal,
        scopes::{self, RequiredScopes, Scopes},
    },
    token::pass::Pass,
    verifier::{requirements::Demand, verifier::Verifier},
    wire::{
        credentials::{self, Source},
        head::RequestHead,
        refusal::{Surface, refuse},
        reply::Reply,
    },
};

impl Verifier {
    /// Judges a request: finds its access token and verifies it against `demand`.
    ///
    /// # Errors
    ///
    /// Like [`verify`](Self::verify), and [`Refusal::Missing`], [`Refusal::Ambiguous`] or
    /// [`Refusal::CrossSite`] where there is not exactly one token that the request may use.
    pub async fn admit(&self, head: &RequestHead<'_>, demand: &Demand) -> Result<Pass, Error> {
        self.admitted(head, demand).await.1
    }

    /// Where the token was, as far as that is known, and what became of it.
    pub(super) async fn admitted(
        &self,
        head: &RequestHead<'_>,
        demand: &Demand,
    ) -> (Source, Result<Pass, Error>) {
        let (source, token) = credentials::access_token(head, self.browser_policy());
        let judged = match token {
            Ok(Some(token)) => self.verify(token, demand).await,
            Ok(None) => Err(Refusal::Missing.into()),
            Err(refusal) => {
                self.refusals().token(None, &refusal);
                Err(refusal.into())
            }
        };
        (source, judged)
    }

    /// Judges a request on behalf of a guard: what goes on to the handler, or what answers instead.
    ///
    /// A guard with an [`optional`](Demand::optional) demand lets a request without credentials
    /// through, as an [`Admission`] without a pass; so it does one with a bad cookie, which a browser
    /// sends without being asked. A bad bearer is refused.
    ///
    /// # Errors
    ///
    /// What to refuse with; [`Verifier::refusal`] makes the reply of it.
    pub async fn guard(&self, head: &RequestHead<'_>, demand: &Demand) -> Result<Admission, Error> {
        let outcome = match self.admitted(head, demand).await {
            (_, Ok(pass)) => Ok(pass),
            (source, Err(Error::Refused(refusal)))
                if demand.is_optional() && is_anonymous(source, &refusal) =>
            {
                Err(refusal)
            }
            (_, Err(error)) => return Err(error),
        };
        Ok(Admission {
            outcome,
            realm: Arc::clone(self.realm()),
            cookies: self.browser_policy().transport.has_cookies(),
        })
    }

    /// The reply of a guard that refuses a request.
    #[must_use]
    pub fn refusal(&self, error: &Error) -> Reply {
        refuse(error, self.realm(), Surface::Resource)
    }
}

/// Whether a request that was refused counts as one without credentials.
fn is_anonymous(source: Source, refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Missing => true,
        // The cookie is good: it is the request that asks for too much, or comes from elsewhere.
        Refusal::CrossSite
        | Refusal::InsufficientScope { .. }
        | Refusal::AuthenticationTooOld { .. } => false,
        _ => source == Source::Cookie,
    }
}

/// What a guard puts into a request's extensions: the pass, or why there is none.
///
/// Extractors ask it by an [`Inquiry`](super::Inquiry), since one that finds no admission at all has no guard
/// before it.
#[derive(Clone, Debug)]
pub struct Admission {
    outcome: Result<Pass, Refusal>,
    realm: Arc<str>,
    /// Whether a cookie may have authenticated the request.
    cookies: bool,
}

impl Admission {
    /// The pass, if the request was made with a token.
    ///
    /// # Errors
    ///
    /// Why there is none, behind a guard that is optional: [`Refusal::Missing`], or what is wrong with the
    /// cookie.
    pub fn pass(&self) -> Result<&Pass, Refusal> {
        self.outcome.as_ref().map_err(Clone::clone)
    }

    /// The pass, if it has all the scopes that `R` stands for.
    ///
    /// # Errors
    ///
    /// Why there is none, or [`Refusal::InsufficientScope`].
    pub fn pass_with<R: RequiredScopes>(&self) -> Result<&Pass, Refusal> {
        let pass = self.pass()?;
        if scopes::required::<R>().all(|scope| pass.scopes().contains(scope)) {
            return Ok(pass);
        }
        let required = Scopes::new(scopes::required::<R>()).unwrap_or_default();
        Err(Refusal::InsufficientScope { required })
    }

    /// The `Cache-Control` that a guard adds to its handler's response, if the response has none of its own.
    ///
    /// It is `private` if tokens travel in cookies, so that no shared cache answers other users with the response.
    /// For example, a CDN may otherwise keep one user's `GET /me` for minutes (RFC 9111 §4.2.2). Bearers need
    /// nothing: a shared cache doesn't keep responses to requests with `Authorization` (RFC 9111 §3.5).
    #[must_use]
    pub fn cache_control(&self) -> Option<&'static str> {
        self.cookies.then_some("private")
    }

    /// The reply that refuses the request after all, where the handler wants more than its guard.
    #[must_use]
    pub fn refusal(&self, refusal: &Refusal) -> Reply {
        refuse(
            &Error::Refused(refusal.clone()),
            &self.realm,
            Surface::Resource,
        )
    }
}
