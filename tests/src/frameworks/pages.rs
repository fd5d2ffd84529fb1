//! The parts of the scenarios' pages for browsers that are the same in each framework.

use std::{convert::Infallible, time::Duration};

use ::axum::body::Bytes;
use example_app::App;
use futures_util::{Stream, stream};
use gatepass::{Change, Identity, LocalPath, Pass, Requirements, Scopes, Staleness};
use serde_json::Value;

/// The type of the streamed body.
pub(super) const TEXT: &str = "text/plain";
/// A `Cache-Control` that the handler sets.
pub(super) const PUBLIC: &str = "public, max-age=60";
/// A cookie that the handler sets.
pub(super) const THEME: &str = "theme=dark; HttpOnly; Secure; SameSite=Lax; Path=/; Max-Age=60";
/// A session cookie that the handler sets itself.
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

/// The requirements of the route `vault`.
pub(super) fn strong() -> Requirements {
    let strong = Requirements::new().acr(["phr", "phrh"]).unwrap();
    strong.amr(["hwk"]).unwrap()
}

/// The identity after an authentication with a passkey: of `name`, or of the current user.
pub(super) fn by_passkey(pass: &Pass, name: Option<&str>) -> Identity {
    let identity = Identity::new(name.unwrap_or(pass.subject().as_str())).unwrap();
    let identity = identity.scopes(pass.scopes().clone());
    identity.amr(["hwk", "user"]).unwrap().acr("phr").unwrap()
}

/// The identity for a login without a refresh token.
pub(super) fn access_only(pass: &Pass) -> Identity {
    let identity = Identity::of(pass.subject().clone());
    identity.scopes(pass.scopes().clone()).access_only()
}

/// Takes the scope `admin` away from the user and from all sessions of the user.
pub(super) async fn take(app: App, pass: Pass) -> Value {
    let left = pass.scopes().without(&admin());
    set_scope(&app, &pass, &left).await;
    let take = Change::enforced(move |identity| Ok(identity.scopes(left.clone())));
    changed(&app, &pass, &take).await
}

/// Gives the scope `admin` to the user and to all sessions of the user.
pub(super) async fn give(app: App, pass: Pass) -> Value {
    let all = pass.scopes().union(&admin());
    set_scope(&app, &pass, &all).await;
    let give = Change::offered(move |identity| Ok(identity.scopes(all.clone())));
    changed(&app, &pass, &give).await
}

fn admin() -> Scopes {
    Scopes::parse("admin").unwrap()
}

async fn set_scope(app: &App, pass: &Pass, scopes: &Scopes) {
    let set = app.users.set_scope(pass.subject().as_str(), scopes.clone());
    assert!(set.await.unwrap());
}

async fn changed(app: &App, pass: &Pass, change: &Change) -> Value {
    let changed = app.authority.change(pass.subject(), change).await.unwrap();
    assert!(changed > 0);
    example_app::me(pass)
}

/// The body of the streaming route.
pub(super) fn parts() -> impl Stream<Item = Result<Bytes, Infallible>> {
    let parts = ["one ", "two ", "three"].map(|part| Ok(Bytes::from_static(part.as_bytes())));
    stream::iter(parts)
}
