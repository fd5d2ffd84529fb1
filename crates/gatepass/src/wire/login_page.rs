//! The redirect of a browser's page request to the login page.

use crate::{
    error::Error,
    http::{
        head::{HeaderField, RequestHead},
        reply::Reply,
    },
    model::local_path::LocalPath,
};

/// Sends a browser that asked for a page to the login page, if a login can help. `None` if `reply`,
/// which answers `error`, is to stay.
///
/// The first row that fits:
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

/// The URL of the login page that says why the user must log in, and where the login leads.
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

/// Whether a browser asks for a page to show. It says so by `Sec-Fetch-Mode` (W3C Fetch Metadata);
/// an old browser only says that it takes HTML.
fn is_page_request(head: &RequestHead<'_>) -> bool {
    let navigates = match head.field("sec-fetch-mode") {
        HeaderField::Absent => true,
        HeaderField::Once(mode) => mode == b"navigate",
        HeaderField::Repeated => false,
    };
    navigates && head.accepts_html()
}

/// Longest way back in bytes. Encoded, it is up to three times as long, and proxies in front refuse
/// heads of more than 8 KiB.
const MAX_RETURN_TO: usize = 2000;

/// The path and the query that the request asks for, if they can be asked for again.
fn asked_for(head: &RequestHead<'_>) -> Option<LocalPath> {
    let path = match head.target() {
        (path, "") => path.to_owned(),
        (path, query) => format!("{path}?{query}"),
    };
    let path = Some(path).filter(|path| path.len() <= MAX_RETURN_TO);
    path?.parse().ok()
}

/// `text` as a value in a query (RFC 3986 §3.4).
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
