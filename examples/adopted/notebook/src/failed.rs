//! Requests that fail, as pages.

use std::fmt;

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use gatepass::{
    Error, StoreError,
    wire::{ErrorFormat, Problem, Reply, RequestHead},
};
use gatepass_actix::AuthRejection;

use crate::html;

#[derive(Debug)]
pub(crate) enum Failed {
    /// gatepass has refused it, and its response is complete.
    Rejected(AuthRejection),
    Gatepass(Error),
    NotFound,
}

impl From<AuthRejection> for Failed {
    fn from(rejection: AuthRejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Gatepass(error)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Gatepass(error.into())
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::Gatepass(error) => error.fmt(f),
            Self::NotFound => f.write_str("not found"),
        }
    }
}

impl ResponseError for Failed {
    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Rejected(rejection) => rejection.error_response(),
            Self::Gatepass(error) => {
                let reply = Reply::of_error(error, "notebook", ErrorFormat::Login);
                if reply.status() >= 500 {
                    tracing::error!(error = error as &dyn std::error::Error, "a request failed");
                }
                let status = StatusCode::from_u16(reply.status());
                let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                html::answer(status, "Sorry", &html::message(&error.description()))
            }
            Self::NotFound => html::answer(
                StatusCode::NOT_FOUND,
                "Not found",
                "<p>There is no such page.</p>",
            ),
        }
    }
}

/// A refusal or a failure of gatepass as a page. The status and the headers stay.
pub(crate) fn of_gatepass(_: &RequestHead<'_>, problem: &Problem, reply: Reply) -> Reply {
    let text = match problem.reason() {
        "cross_site" => "This form came from another site, so nothing was done.",
        _ => problem.description(),
    };
    let page = html::page("Sorry", &html::message(text));
    reply.with_body("text/html; charset=utf-8", page)
}
