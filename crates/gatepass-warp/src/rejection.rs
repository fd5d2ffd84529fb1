//! The reason why a request was refused, as a reply.

use std::{error, fmt};

use gatepass::{Refusal, wire};
use gatepass_tower::response;
use warp::reply::Response;

/// The reason why a request was refused. As a [`warp::Reply`], it is the complete response.
///
/// ```
/// use gatepass::Refusal;
/// use gatepass_warp::{Authorized, Auth, AuthRejection};
/// use warp::{Reply, reply::Response};
///
/// // Behind `gate(…).filter()`, for those who want to answer refusals in their own way.
/// async fn page(auth: Result<Authorized<Auth>, AuthRejection>) -> Response {
///     match auth {
///         Ok(authorized) => {
///             let greeting = format!("hello, {}", authorized.extracted().0.subject());
///             authorized.reply(greeting).await
///         }
///         Err(rejection) if rejection.refusal() == Some(&Refusal::Missing) => "please log in".into_response(),
///         Err(rejection) => rejection.into_response(),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a request that was refused must be answered with this"]
pub struct AuthRejection(pub(crate) wire::AuthRejection);

impl AuthRejection {
    /// The refusal, or `None` for a failure: for example, the store didn't answer, the route has no
    /// gate, or the claims don't fit.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.0.refusal()
    }
}

/// For credentials that your application checks itself.
impl From<wire::AuthRejection> for AuthRejection {
    fn from(rejection: wire::AuthRejection) -> Self {
        Self(rejection)
    }
}

impl fmt::Display for AuthRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl error::Error for AuthRejection {}

impl warp::Reply for AuthRejection {
    fn into_response(self) -> Response {
        response(self.0.into_reply()).into_response()
    }
}
