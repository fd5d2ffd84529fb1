//! The one mapping from errors to replies.

use crate::{
    error::Error,
    http::{problem::Problem, reply::Reply},
    model::{authentication::listed, refusal::Refusal, scopes::Scopes},
    observe,
    verifier::{
        protected_resource::PublishedResource, requirements::Requirements, verifier::Verifier,
    },
};

/// The kind of endpoint that refuses. It decides the status and the error name of a refusal. For
/// example, [`Refusal::SessionEnded`] is 401 `invalid_token` at a gate, and 400 `invalid_grant` at
/// the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorFormat {
    /// A gate, or an endpoint that takes an access token: RFC 6750 §3.
    Resource,
    /// One of the application's own endpoints that issue tokens for credentials or a refresh token.
    Login,
    /// An endpoint of OAuth: RFC 6749 §5.2.
    OAuth,
    /// The endpoint for logout tokens: OIDC Back-Channel Logout §2.8.
    Logout,
}

/// The protection space that a challenge names (RFC 9110 §11.5). A `&str` converts into the
/// protection space with that realm.
///
/// ```
/// use gatepass::{Refusal, wire::{ErrorFormat, ProtectionSpace, Reply}};
///
/// let metadata = "https://mcp.example/.well-known/oauth-protected-resource/mcp";
/// let space = ProtectionSpace::new("mcp").resource_metadata(metadata);
/// let reply = Reply::of_error(&Refusal::Missing.into(), space, ErrorFormat::Resource);
/// let (_, challenge) = reply.headers().find(|(name, _)| *name == "www-authenticate").unwrap();
/// assert_eq!(challenge, format!(r#"Bearer realm="mcp", resource_metadata="{metadata}""#));
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct ProtectionSpace<'s> {
    realm: &'s str,
    resource_metadata: Option<&'s str>,
    scopes: Option<&'s Scopes>,
}

impl<'s> ProtectionSpace<'s> {
    /// The protection space of this realm.
    pub fn new(realm: &'s str) -> Self {
        Self {
            realm,
            resource_metadata: None,
            scopes: None,
        }
    }

    /// Sets the URL of its description (RFC 9728 §5.1). Challenges for access tokens name it.
    pub fn resource_metadata(self, url: &'s str) -> Self {
        Self {
            resource_metadata: Some(url),
            ..self
        }
    }

    /// The last parameters of a challenge for an access token. With `scopes`, the challenge names
    /// the required scopes, so a client can ask for them.
    fn parameters(self, scopes: bool) -> String {
        let Some(url) = self.resource_metadata else {
            return String::new();
        };
        let scopes = self.scopes.filter(|one| scopes && !one.is_empty());
        let scopes = scopes.map_or_else(String::new, |scopes| format!(r#", scope="{scopes}""#));
        format!(r#"{scopes}, resource_metadata="{}""#, quotable(url))
    }
}

impl<'s> From<&'s str> for ProtectionSpace<'s> {
    fn from(realm: &'s str) -> Self {
        Self::new(realm)
    }
}

impl Verifier {
    /// The protection space of a route with these requirements.
    pub(super) fn protection_space<'s>(
        &'s self,
        requirements: Option<&'s Requirements>,
    ) -> ProtectionSpace<'s> {
        let resource = self.policy().resource.as_deref();
        ProtectionSpace {
            realm: self.realm(),
            resource_metadata: resource.map(PublishedResource::metadata_url),
            scopes: requirements.map(|requirements| &requirements.scopes),
        }
    }
}

/// How long a client should wait before it tries again after a failure of the server, in seconds. A
/// store takes about this long to fail over or restart.
const RETRY_AFTER: &str = "2";

impl Reply {
    /// The reply to `error` in this protection space.
    #[must_use]
    pub fn of_error<'s>(
        error: &Error,
        space: impl Into<ProtectionSpace<'s>>,
        format: ErrorFormat,
    ) -> Self {
        match error {
            Error::Refused(refusal) => refused(refusal, space.into(), format),
            Error::Store(_) | Error::KeysUnavailable { .. } => Self::of_problem(
                503,
                Problem::new(
                    "temporarily_unavailable",
                    error.description(),
                    error.reason(),
                ),
            )
            .header("retry-after", RETRY_AFTER),
            Error::Identity(_) | Error::Internal(_) => {
                observe::internal(error);
                Self::internal()
            }
        }
    }
}

fn refused(refusal: &Refusal, space: ProtectionSpace<'_>, format: ErrorFormat) -> Reply {
    let description = refusal.to_string();
    let reply = |status, error| Reply::of_problem(status, Problem::of_refusal(error, refusal));
    let realm = quotable(space.realm);
    let last = |scopes| match format {
        ErrorFormat::Resource => space.parameters(scopes),
        // These endpoints don't ask for an access token.
        ErrorFormat::Login | ErrorFormat::OAuth | ErrorFormat::Logout => String::new(),
    };
    let challenge = |error: &str, further: String| {
        format!(
            r#"Bearer realm="{realm}", error="{error}", error_description="{}"{further}{}"#,
            quotable(&description),
            last(error == "invalid_token")
        )
    };
    let bare_challenge = || format!(r#"Bearer realm="{realm}"{}"#, last(true));
    match refusal {
        _ if format == ErrorFormat::Logout => reply(400, "invalid_request"),
        Refusal::TooManyAttempts { retry_after } => {
            reply(429, "slow_down").header("retry-after", whole_seconds(*retry_after))
        }
        Refusal::CrossSite => reply(403, "cross_site_request"),
        Refusal::InvalidClient => {
            let challenge = format!(r#"Basic realm="{realm}", charset="UTF-8""#);
            reply(401, "invalid_client").header("www-authenticate", challenge)
        }
        Refusal::ScopeNotGranted => reply(400, "invalid_scope"),
        Refusal::Ambiguous if format == ErrorFormat::OAuth => reply(400, "invalid_request"),
        Refusal::Ambiguous => reply(400, "invalid_request").header(
            "www-authenticate",
            challenge("invalid_request", String::new()),
        ),
        _ if format == ErrorFormat::OAuth => reply(400, "invalid_grant"),
        Refusal::Missing => {
            reply(401, "missing_token").header("www-authenticate", bare_challenge())
        }
        _ if format == ErrorFormat::Login => {
            reply(401, "invalid_grant").header("www-authenticate", bare_challenge())
        }
        Refusal::InsufficientScope { required } => reply(403, "insufficient_scope").header(
            "www-authenticate",
            challenge("insufficient_scope", format!(r#", scope="{required}""#)),
        ),
        Refusal::AuthenticationTooOld { max_age } => {
            let error = "insufficient_user_authentication";
            let max_age = format!(r#", max_age="{}""#, max_age.as_secs());
            reply(401, error).header("www-authenticate", challenge(error, max_age))
        }
        Refusal::AuthenticationTooWeak { amr, acr } => {
            let error = "insufficient_user_authentication";
            let mut values = String::new();
            for (name, list) in [("acr_values", acr), ("amr_values", amr)] {
                if !list.is_empty() {
                    values.push_str(&format!(r#", {name}="{}""#, quotable(&listed(list))));
                }
            }
            reply(401, error).header("www-authenticate", challenge(error, values))
        }
        Refusal::Malformed
        | Refusal::BadSignature
        | Refusal::UnknownKey
        | Refusal::WrongType
        | Refusal::WrongIssuer
        | Refusal::WrongAudience
        | Refusal::Expired
        | Refusal::NotYetValid
        | Refusal::Revoked
        | Refusal::StaleGrant
        | Refusal::UnknownSession
        | Refusal::SessionEnded
        | Refusal::RefreshExpired
        | Refusal::Reused
        | Refusal::WrongClient
        | Refusal::BadCredentials => reply(401, "invalid_token").header(
            "www-authenticate",
            challenge("invalid_token", String::new()),
        ),
    }
}

/// Escapes `text` for a quoted string (RFC 9110 §5.6.4).
fn quotable(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', r#"\""#)
}

/// Rounds up, so that no client comes back too early.
fn whole_seconds(duration: std::time::Duration) -> String {
    let secs = duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0));
    secs.to_string()
}
