//! Pages for failed requests.

use std::fmt;

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use gatepass::wire::{Problem, Reply, RequestHead};
use gatepass_actix::AuthRejection;

use crate::html;

pub(crate) const TOO_MANY_ATTEMPTS: &str = "Too many attempts. Wait a few minutes.";

#[derive(Debug)]
pub(crate) enum Failed {
    /// gatepass refused the request. Its response is complete.
    Rejected(AuthRejection),
    NotFound,
    /// The form didn't arrive in time.
    TooSlow,
}

impl From<AuthRejection> for Failed {
    fn from(rejection: AuthRejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::NotFound => f.write_str("not found"),
            Self::TooSlow => f.write_str("the form was not there in time"),
        }
    }
}

impl ResponseError for Failed {
    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Rejected(rejection) => rejection.error_response(),
            Self::NotFound => html::answer(
                StatusCode::NOT_FOUND,
                "Not found",
                "<p>There is no such page.</p>",
            ),
            Self::TooSlow => html::answer(
                StatusCode::REQUEST_TIMEOUT,
                "Sorry",
                &html::message("Your form took too long. Send it again."),
            ),
        }
    }
}

/// A refusal or an error of gatepass as a page. The status and the headers stay.
pub(crate) fn of_gatepass(_: &RequestHead<'_>, problem: &Problem, reply: Reply) -> Reply {
    let text = match problem.reason() {
        "cross_site" => "This form came from another site, so nothing was done.",
        "too_many_attempts" => TOO_MANY_ATTEMPTS,
        _ => problem.description(),
    };
    let page = html::page("Sorry", &html::message(text));
    reply.with_body("text/html; charset=utf-8", page)
}
