//! The redirect of a browser's page request to the login page.

use crate::{
    error::Error,
    http::{
        head::{HeaderField, RequestHead},
        reply::Reply,
    },
    model::local_path::LocalPath,
};

/// Redirects a browser that asked for a page to the login page, if a login can help. `None` means
/// that `reply`, the answer to `error`, stays.
///
/// The first row that fits decides:
///
/// | the request | is answered with |
/// |---|---|
/// | was refused for another reason than its credentials (not 401) | `reply` |
/// | doesn't accept `text/html` | `reply` |
/// | isn't a navigation (`Sec-Fetch-Mode`), such as a `fetch` | `reply` |
/// | is for the login page itself | `reply` |
/// | is a `GET` or `HEAD` of a local path | a redirect that names the path |
/// | is anything else, such as a form | a redirect that names none: a form can't be sent again |
pub(super) fn redirect(
    page: &LocalPath,
    head: &RequestHead<'_>,
    error: &Error,
    reply: &Reply,
) -> Option<Reply> {
    if reply.status() != 401 || !is_page_request(head) || head.target().0 == page.path() {
        return None;
    }
    let resumable = matches!(head.method(), "GET" | "HEAD");
    let way_back = asked_for(head).filter(|_| resumable);
    let location = location(page, error.reason(), way_back.as_ref());
    Some(Reply::see_other(&location))
}

/// The URL of the login page, with the reason for the login and the path to return to.
pub(super) fn location(page: &LocalPath, reason: &str, way_back: Option<&LocalPath>) -> String {
    let mut location = page.to_string();
    let mut separator = if location.contains('?') { '&' } else { '?' };
    if let Some(path) = way_back {
        location.push_str(&format!("{separator}return_to={}", encoded(path.as_str())));
        separator = '&';
    }
    location.push_str(&format!("{separator}reason={reason}"));
    location
}

/// Whether a browser asks for a page. Browsers say so in `Sec-Fetch-Mode` (W3C Fetch Metadata). An
/// old browser says only that it accepts HTML.
fn is_page_request(head: &RequestHead<'_>) -> bool {
    let navigates = match head.field("sec-fetch-mode") {
        HeaderField::Absent => true,
        HeaderField::Once(mode) => mode == b"navigate",
        HeaderField::Repeated => false,
    };
    navigates && head.accepts_html()
}

/// Longest `return_to` in bytes. Encoded, it is up to three times as long, and proxies refuse heads
/// of more than 8 KiB.
const MAX_RETURN_TO: usize = 2000;

/// The path and the query of the request, if they form a local path.
fn asked_for(head: &RequestHead<'_>) -> Option<LocalPath> {
    let path = match head.target() {
        (path, "") => path.to_owned(),
        (path, query) => format!("{path}?{query}"),
    };
    let path = Some(path).filter(|path| path.len() <= MAX_RETURN_TO);
    path?.parse().ok()
}

/// Encodes `text` as a value in a query (RFC 3986 §3.4).
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
