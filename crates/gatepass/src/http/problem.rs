//! The problem that a response reports.

use std::borrow::Cow;

use crate::model::refusal::Refusal;

/// The problem that a response reports: a fault of the request, or a failure of the server.
///
/// A failure of the server has no details here. For example, a store that can't be reached has the
/// reason `store_unavailable`, and only the log has its error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    error: Cow<'static, str>,
    description: Cow<'static, str>,
    reason: &'static str,
    refusal: Option<Refusal>,
}

impl Problem {
    pub(crate) fn new(
        error: impl Into<Cow<'static, str>>,
        description: impl Into<Cow<'static, str>>,
        reason: &'static str,
    ) -> Self {
        Self {
            error: error.into(),
            description: description.into(),
            reason,
            refusal: None,
        }
    }

    pub(crate) fn of_refusal(error: &'static str, refusal: &Refusal) -> Self {
        Self {
            refusal: Some(refusal.clone()),
            ..Self::new(error, refusal.to_string(), refusal.reason())
        }
    }

    /// The name of the error in OAuth, or a name of the same style: the member `error` of the body.
    /// For example, `invalid_token`.
    #[must_use]
    pub fn error(&self) -> &str {
        &self.error
    }

    /// The stable name of the problem: the member `reason` of the body. For example, `expired`.
    ///
    /// [`REASONS`](Self::REASONS) lists all of them.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// The description in English: the member `error_description` of the body.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The refusal, if gatepass refused the client's credentials. `None` for a request that can't
    /// be understood, such as a body that isn't JSON, and for a failure of the server.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    /// Every [`reason`](Self::reason) with its description, for a table of texts in your own
    /// language. The description in a response may name a detail, such as the missing member. The
    /// table has it in general words.
    ///
    /// ```
    /// use gatepass::wire::Problem;
    ///
    /// let french = |reason: &str| match reason {
    ///     "bad_credentials" => "Nom ou mot de passe incorrect.",
    ///     "expired" | "revoked" | "session_ended" => "Reconnectez-vous.",
    ///     _ => "Une erreur est survenue.",
    /// };
    /// for (reason, english) in Problem::REASONS {
    ///     println!("{reason}: {english} {}", french(reason));
    /// }
    /// ```
    pub const REASONS: &[(&str, &str)] = &[
        ("missing", "no credentials were presented"),
        (
            "ambiguous",
            "the credentials are ambiguous or not well-formed",
        ),
        ("malformed", "the token is malformed"),
        ("bad_signature", "the signature of the token is not valid"),
        ("unknown_key", "the token names no key that is trusted here"),
        ("wrong_type", "the token is of another type"),
        ("wrong_issuer", "the token is from another issuer"),
        ("wrong_audience", "the token is for another audience"),
        ("expired", "the token has expired"),
        ("not_yet_valid", "the token is not valid yet"),
        ("revoked", "the token has been revoked"),
        (
            "stale_grant",
            "the rights of the session have changed: refresh the access token",
        ),
        ("unknown_session", "the session is not known"),
        ("insufficient_scope", "the token lacks a scope"),
        (
            "authentication_too_old",
            "a more recent authentication is required",
        ),
        (
            "authentication_too_weak",
            "another kind of authentication is required",
        ),
        ("session_ended", "the session has ended"),
        ("refresh_expired", "the refresh token has expired"),
        ("reused", "the refresh token was used before"),
        ("wrong_client", "the token belongs to another client"),
        (
            "invalid_scope",
            "more scopes were asked for than were granted",
        ),
        ("invalid_client", "the client could not be authenticated"),
        (
            "cross_site",
            "a request from another site may not use cookies",
        ),
        ("bad_credentials", "the user name or the password is wrong"),
        ("too_many_attempts", "too many attempts"),
        ("body_too_large", "the body is too large"),
        ("body_stalled", "the body did not arrive in time"),
        ("body_unparseable", "the body can't be parsed"),
        (
            "unsupported_media_type",
            "the body has another media type than this endpoint takes",
        ),
        ("missing_parameter", "a member or parameter is missing"),
        ("repeated_parameter", "a parameter is there more than once"),
        (
            "bad_parameter",
            "a parameter has a value that this endpoint doesn't know",
        ),
        (
            "unauthorized_client",
            "this client may not use this grant type",
        ),
        (
            "unsupported_grant_type",
            "this grant type is not offered here",
        ),
        ("method_not_allowed", "this method is not allowed here"),
        ("not_found", "there is nothing here"),
        (
            "store_unavailable",
            "the service is temporarily unavailable, try again",
        ),
        (
            "issuer_unavailable",
            "the service is temporarily unavailable, try again",
        ),
        ("internal", "the server failed"),
    ];
}
