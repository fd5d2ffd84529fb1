//! Mistakes in a configuration, which `build` returns as a [`BuildError`].

use std::time::Duration;

use crate::{
    keys::error::KeyError,
    model::ids::{Audience, ClientId, InvalidName, Issuer},
    store::error::StoreError,
};

/// A configuration that can't work, or a store that can't be read when it must be.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The issuer or the audience isn't a usable name.
    #[error(
        "the {what} must be 1 to 255 bytes of text without control characters, line separators and directional marks; name this service in it"
    )]
    Name {
        /// `issuer` or `audience`.
        what: &'static str,
    },
    /// A realm that does not fit into a challenge.
    #[error(
        "the realm (by default the issuer) must be printable ASCII without quote and backslash; set one with realm()"
    )]
    Realm,
    /// A duration outside of its allowed range.
    #[error("the {what} is {}, and must be {must}", in_words(*.is))]
    Duration {
        /// The setting, in words.
        what: &'static str,
        /// The configured duration.
        is: Duration,
        /// The requirement that it does not meet, in words.
        must: &'static str,
    },
    /// The client id isn't a usable name.
    #[error(transparent)]
    Client(#[from] InvalidName),
    /// A key that can't be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store did not return the revocations, so the node could not judge any request.
    #[error("the revocations could not be loaded from the store")]
    Store(#[source] StoreError),
    /// The store already serves another issuer or audience.
    ///
    /// If this node is meant to belong to that service, its configuration is wrong.
    #[error(
        "the store already serves the issuer {issuer} and the audience {audience}. If this is a node of the same service, give it the same ones; if two services share the store on purpose, call share_store() once"
    )]
    SharedStore {
        /// The issuer that used the store first.
        issuer: Issuer,
        /// Its audience.
        audience: Audience,
    },
    /// The store already serves this issuer and audience with another master secret. This node
    /// could neither refresh nor end the sessions of that secret.
    #[error(
        "the store already serves this issuer and audience with another master secret. Give this node the secret that the other nodes have; if you replace the secret on purpose, keep the old one with SecretSet::retire(), or call share_store() once to log everyone out"
    )]
    OtherSecret,
    /// A trusted origin that no browser sends.
    #[error("{0:?} is no origin; write it as browsers do: https://app.example, without a path")]
    Origin(String),
    /// A scheme, a header field or a cookie that can't carry a token.
    #[error("{name:?} can't carry a token; name {must}")]
    TokenPlace {
        /// Its name.
        name: String,
        /// The names that are possible, in words.
        must: &'static str,
    },
    /// A trusted issuer whose configuration can't work.
    #[error("the trusted issuer {issuer:?} {must}")]
    TrustedIssuer {
        /// The issuer.
        issuer: String,
        /// The requirement that it does not meet, in words.
        must: &'static str,
    },
    /// A protected resource whose configuration can't work.
    #[error("the {what} {value:?} {must}")]
    ProtectedResource {
        /// Which part of the configuration.
        what: &'static str,
        /// Its value.
        value: String,
        /// The requirement that it does not meet, in words.
        must: &'static str,
    },
    /// The verifier has no metadata to serve, because you haven't described the service as a
    /// protected resource.
    #[error("there is no metadata to serve; describe the service with protected_resource()")]
    NoProtectedResource,
    /// Back-channel logout is on, but no trusted issuer has a client for logins. gatepass would
    /// refuse every logout token.
    #[error(
        "backchannel_logout() needs a trusted issuer with a client for logins: add one with TrustedIssuer::for_logins() or login_client()"
    )]
    NoLoginClient,
    /// The name of the old system whose tokens you [adopt](crate::Adopt) isn't usable.
    #[error("the old system {name:?} can't be adopted: its name {must}")]
    Adopt {
        /// Its name.
        name: String,
        /// The requirement that it does not meet, in words.
        must: &'static str,
    },
    /// Two OAuth clients have the same id, or one has the id of the application's own client.
    #[error(
        "more than one client has the id {0:?}: give each its own, and none the id of the application itself, which client_id() sets"
    )]
    DuplicateClient(ClientId),
    /// The base URL of the endpoints isn't usable.
    #[error("the base URL must be like https://shop.example, without query and fragment")]
    BaseUrl,
    /// A number of free attempts of [`LoginThrottle`](crate::LoginThrottle) is 0 or above
    /// 1,000,000.
    #[error("each number of free attempts of login_throttle() must be between 1 and 1,000,000")]
    FreeAttempts,
    /// The endpoints must be mounted under an absolute path.
    #[error("the mount point must be a path such as /auth: with a slash before and none after")]
    Mount,
    /// An endpoint can't be at this path, or two endpoints have it.
    #[error(
        "no endpoint can be at {0:?}, or two are: name a path such as /token. The path of a session \
         ends with /{{id}}, and metadata can't move"
    )]
    EndpointPath(String),
    /// Forms are on, but the transport has no cookies to answer them with.
    #[error("forms of browsers need a transport that has cookies")]
    FormsWithoutCookies,
}

/// The longest duration that a configuration may have: ten years. A longer one is a mistake in a
/// unit.
pub(crate) const MAX_DURATION: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A duration as text, for example `90d` or `1h 30m`.
fn in_words(duration: Duration) -> String {
    let days = duration.as_secs() / 86_400;
    let rest = duration - Duration::from_secs(days * 86_400);
    match (days, rest.is_zero()) {
        (0, _) => humantime::format_duration(rest).to_string(),
        (_, true) => format!("{days}d"),
        (_, false) => format!("{days}d {}", humantime::format_duration(rest)),
    }
}

pub(crate) fn check_duration(
    what: &'static str,
    is: Duration,
    least: Duration,
    most: Duration,
    must: &'static str,
) -> Result<(), BuildError> {
    if (least..=most).contains(&is) {
        Ok(())
    } else {
        Err(BuildError::Duration { what, is, must })
    }
}
