//! The gate: whether a request is let through, and what it leaves for the handler.

use std::sync::{Arc, LazyLock};

use crate::{
    error::Error,
    model::refusal::Refusal,
    token::pass::Pass,
    verifier::{requirements::Requirements, verifier::Verifier},
    wire::{
        auth_state::AuthState,
        credentials::{self, Source},
        head::RequestHead,
        refusal::ErrorFormat,
        reply::Reply,
    },
};

/// A gate as the adapters hold it: a verifier, and what the routes behind the gate require. It is
/// cheap to clone.
///
/// ```
/// use gatepass::{Authority, Requirements, Scopes, wire::{Gate, Reply, RequestHead}};
///
/// fn admins(authority: &Authority) -> Result<Gate, gatepass::InvalidScope> {
///     Ok(Gate::new(authority).require(Requirements::new().scopes(Scopes::parse("admin")?)))
/// }
///
/// /// The reply to a request that the gate refuses.
/// async fn answer(gate: &Gate, head: &RequestHead<'_>) -> Option<Reply> {
///     let refused = gate.judge(head).await.err()?;
///     Some(gate.verifier().error_reply(&refused).for_method(head.method()))
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Gate {
    verifier: Verifier,
    /// `None` until the first call of `require`.
    requirements: Option<Arc<Requirements>>,
}

impl Gate {
    /// A gate that lets through the requests whose access token `verifier` accepts. Give it the
    /// [`Verifier`], or the [`Authority`](crate::Authority) that has one.
    pub fn new(verifier: impl Into<Verifier>) -> Self {
        Self {
            verifier: verifier.into(),
            requirements: None,
        }
    }

    /// Requires more of each request than a good access token: scopes, a recent authentication,
    /// fresher revocation data. The requirements of several calls add up ([`Requirements::and`]):
    /// after `optional`, a call that requires more lets strangers through no longer.
    pub fn require(mut self, requirements: Requirements) -> Self {
        let requirements = match self.requirements {
            // A gate without requirements is not optional. The first call may make it so.
            None => requirements,
            Some(before) => Arc::unwrap_or_clone(before).and(requirements),
        };
        self.requirements = Some(Arc::new(requirements));
        self
    }

    /// Judges a request, as [`Verifier::gate`] does by the requirements of this gate.
    ///
    /// # Errors
    ///
    /// As [`Verifier::gate`].
    pub async fn judge(&self, head: &RequestHead<'_>) -> Result<AuthState, Error> {
        self.verifier.gate(head, self.requirements()).await
    }

    /// Judges a request without waiting, if the revocations that the node knows are fresh enough.
    ///
    /// `None` means that the store must be asked: call [`judge`](Self::judge) then. For example, a
    /// route asks for [`Staleness::Strict`](crate::Staleness::Strict), or the node has lost its
    /// store for longer than `max_staleness`. An adapter that tries this first makes no future for
    /// nearly all requests.
    ///
    /// ```
    /// use gatepass::{Error, wire::{AuthState, Gate, RequestHead}};
    ///
    /// async fn judge(gate: &Gate, head: &RequestHead<'_>) -> Result<AuthState, Error> {
    ///     match gate.try_judge(head) {
    ///         Some(judged) => judged,
    ///         None => gate.judge(head).await,
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The inner result has the errors of [`judge`](Self::judge).
    #[must_use]
    pub fn try_judge(&self, head: &RequestHead<'_>) -> Option<Result<AuthState, Error>> {
        self.verifier.try_gate(head, self.requirements())
    }

    fn requirements(&self) -> &Requirements {
        static NONE: LazyLock<Requirements> = LazyLock::new(Requirements::new);
        self.requirements.as_deref().unwrap_or_else(|| &NONE)
    }

    /// The verifier, which makes the [`error_reply`](Verifier::error_reply) of a request that the
    /// gate refuses.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}

impl Verifier {
    /// Judges a request: finds its access token, and verifies it against `requirements`. An
    /// adapter's gate puts the result into the request's extensions, or answers with the error.
    ///
    /// If the requirements are [`optional`](Requirements::optional), a request without credentials
    /// is let through, as an [`AuthState`] without a pass. A request with a bad cookie is let
    /// through in the same way, since a browser sends that unasked. A bad bearer is refused.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify). Also [`Refusal::Missing`], [`Refusal::Ambiguous`] or
    /// [`Refusal::CrossSite`] if there isn't exactly one token that the request may use. Make the
    /// reply by [`error_reply`](Self::error_reply).
    pub async fn gate(
        &self,
        head: &RequestHead<'_>,
        requirements: &Requirements,
    ) -> Result<AuthState, Error> {
        let (source, verified) = self.authorized(head, requirements).await;
        self.let_through(source, verified, requirements)
    }

    /// [`gate`](Self::gate) without waiting; `None` if the store must be asked.
    fn try_gate(
        &self,
        head: &RequestHead<'_>,
        requirements: &Requirements,
    ) -> Option<Result<AuthState, Error>> {
        let (source, token) = credentials::access_token(head, self.browser_policy());
        let verified = match token {
            Ok(Some(token)) => self.try_verify(token, requirements)?,
            Ok(None) => Err(Refusal::Missing.into()),
            Err(refusal) => Err(self.report(refusal)),
        };
        Some(self.let_through(source, verified, requirements))
    }

    fn let_through(
        &self,
        source: Source,
        verified: Result<Pass, Error>,
        requirements: &Requirements,
    ) -> Result<AuthState, Error> {
        let outcome = match verified {
            Ok(pass) => Ok(pass),
            Err(Error::Refused(refusal))
                if requirements.is_optional() && is_anonymous(source, &refusal) =>
            {
                Err(refusal)
            }
            Err(error) => return Err(error),
        };
        Ok(AuthState::new(outcome, self))
    }

    /// The reply of a gate that does not let a request through because of `error`.
    #[must_use]
    pub fn error_reply(&self, error: &Error) -> Reply {
        Reply::of_error(error, self.realm(), ErrorFormat::Resource)
    }

    /// The place of the token, as far as that is known, and the result of its verification.
    pub(super) async fn authorized(
        &self,
        head: &RequestHead<'_>,
        requirements: &Requirements,
    ) -> (Source, Result<Pass, Error>) {
        let (source, token) = credentials::access_token(head, self.browser_policy());
        let verified = match token {
            Ok(Some(token)) => self.verify(token, requirements).await,
            Ok(None) => Err(Refusal::Missing.into()),
            Err(refusal) => Err(self.report(refusal)),
        };
        (source, verified)
    }

    fn report(&self, refusal: Refusal) -> Error {
        self.refusals().token(None, &refusal);
        refusal.into()
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
