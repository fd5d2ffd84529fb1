//! The API's errors: `{"errors":{"email":["can't be blank"]}}`.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use gatepass::{
    StoreError,
    wire::{Problem, Reply, RequestHead},
};
use gatepass_axum::AuthRejection;
use serde_json::{Value, json};

pub(crate) enum ApiError {
    /// A member with an invalid value.
    Invalid(&'static str, String),
    /// The value belongs to another user or article.
    Taken(String),
    /// The object belongs to another user.
    Forbidden(&'static str),
    NotFound(&'static str),
    /// The body didn't arrive in time.
    TooSlow,
    /// gatepass refused the request. Its response is complete.
    Rejected(AuthRejection),
    /// The database failed, or too many passwords wait to be hashed.
    Unavailable(StoreError),
    /// The server failed.
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

/// PostgreSQL's code for a text that it can't store: a text with NUL.
const NO_TEXT: &str = "22021";

impl ApiError {
    pub(crate) fn nul(member: &'static str) -> Self {
        Self::Invalid(member, "can't contain NUL".to_owned())
    }

    pub(crate) fn blank(member: &'static str) -> Self {
        Self::Invalid(member, "can't be blank".to_owned())
    }
}

impl From<AuthRejection> for ApiError {
    fn from(rejection: AuthRejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error)
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        let violated = error.as_database_error().and_then(|error| {
            let violated = error.constraint().filter(|_| error.is_unique_violation());
            violated.map(str::to_owned)
        });
        let code = error.as_database_error().and_then(|error| error.code());
        match violated {
            // The constraints are named after the members.
            Some(member) => Self::Taken(member),
            None if code.as_deref() == Some(NO_TEXT) => Self::nul("request"),
            None => Self::Failed(error.into()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, errors) = match self {
            Self::Invalid(member, message) => (422, errors(member, &message)),
            Self::Taken(member) => (409, errors(&member, "has already been taken")),
            Self::Forbidden(what) => (403, errors(what, "forbidden")),
            Self::NotFound(what) => (404, errors(what, "not found")),
            Self::TooSlow => (408, errors("body", "took too long")),
            Self::Rejected(rejection) => return rejection.into_response(),
            Self::Unavailable(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a request could not be served now"
                );
                (503, errors("server", "try again"))
            }
            Self::Failed(error) => {
                tracing::error!(
                    error = &*error as &dyn std::error::Error,
                    "a request failed"
                );
                (500, errors("server", "failed"))
            }
        };
        let status = StatusCode::from_u16(status).unwrap_or_default();
        (status, Json(errors)).into_response()
    }
}

/// A refusal or an error of gatepass, in the format of this API.
pub(crate) fn of_gatepass(_: &RequestHead<'_>, problem: &Problem, reply: Reply) -> Reply {
    let errors = match problem.reason() {
        "bad_credentials" => errors("credentials", "invalid"),
        "missing" => errors("token", "is missing"),
        "expired" => errors("token", "has expired"),
        _ if reply.status() == 401 => errors("token", "is invalid"),
        _ => errors("request", problem.description()),
    };
    reply.with_json(&errors)
}

fn errors(what: &str, message: &str) -> Value {
    json!({ "errors": { what: [message] } })
}
