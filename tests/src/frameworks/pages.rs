//! The routes of the scenarios that are pages for browsers, as far as they are the same in each
//! framework.

use std::{convert::Infallible, time::Duration};

use ::axum::body::Bytes;
use futures_util::{Stream, stream};
use gatepass::{LocalPath, Requirements, Scopes, Staleness};

/// The type of the body that is streamed.
pub(super) const TEXT: &str = "text/plain";
/// A `Cache-Control` of the handler's own.
pub(super) const PUBLIC: &str = "public, max-age=60";
/// A cookie of the handler's own.
pub(super) const THEME: &str = "theme=dark; HttpOnly; Secure; SameSite=Lax; Path=/; Max-Age=60";
/// A cookie of the session, which the handler sets by itself.
pub(super) const OWN: &str =
    "__Host-gatepass=own; HttpOnly; Secure; SameSite=Lax; Path=/; Max-Age=60";

pub(super) fn login_page() -> LocalPath {
    "/login".parse().unwrap()
}

/// The requirements of the routes `admin`, `transfer`, `strict` and `maybe`.
pub(super) fn requirements() -> [Requirements; 4] {
    let none = Requirements::new;
    [
        none().scopes(Scopes::parse("admin").unwrap()),
        none().max_age(Duration::from_secs(300)),
        none().staleness(Staleness::Strict),
        none().optional(),
    ]
}

/// The body of the route that streams.
pub(super) fn parts() -> impl Stream<Item = Result<Bytes, Infallible>> {
    let parts = ["one ", "two ", "three"].map(|part| Ok(Bytes::from_static(part.as_bytes())));
    stream::iter(parts)
}
