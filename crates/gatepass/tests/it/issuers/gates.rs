//! Their tokens pass the gates of a service that issues tokens itself, and act on no session of it.

use gatepass::{
    Clock, Device, Identity, Scopes, Staleness, Subject,
    wire::{Endpoints, Gate, RequestBody, RequestHead},
};

use super::*;

async fn rig() -> (Authority, Web, ManualClock, String) {
    let (web, clock) = (Web::default(), ManualClock::new());
    web.publish(METADATA, metadata(LOGIN));
    web.publish(JWKS, jwks(&[&key()]));
    let authority = authority(&web, &clock).await;
    let token = signed(&key(), &claims(&clock));
    (authority, web, clock, token)
}

fn head<'a>(method: &'a str, path: &'a str, authorization: &'a str) -> RequestHead<'a> {
    RequestHead::new(method, path, move |name| {
        let values = [
            ("authorization", authorization),
            ("content-type", "application/json"),
        ];
        let named = values.into_iter().filter(move |(own, _)| *own == name);
        named.map(|(_, value)| value.as_bytes())
    })
}

#[tokio::test(start_paused = true)]
async fn a_gate_accepts_our_tokens_and_theirs() {
    let (authority, _, clock, theirs) = rig().await;
    let alice = Identity::new("alice").unwrap();
    let issued = authority.issue(alice, Device::default()).await.unwrap();
    let (ours, verifier) = (issued.access_token.as_str(), authority.verifier());
    for _ in 0..2 {
        let pass = verifier.verify(ours, &Requirements::new()).await.unwrap();
        assert_eq!(pass.foreign_issuer(), None);
        assert_eq!(pass.session_id(), Some(issued.session_id));
        let pass = verifier
            .verify(&theirs, &Requirements::new())
            .await
            .unwrap();
        assert_eq!(pass.foreign_issuer().unwrap().as_str(), LOGIN);
        assert_eq!(pass.subject().as_str(), "alice");
        assert_eq!(pass.client_id().unwrap().as_str(), "a-client-of-theirs");
        assert_eq!(pass.scopes().as_str(), "orders:read");
        assert_eq!(pass.issued_at(), clock.now());
        assert_eq!((pass.session_id(), pass.session_number()), (None, None));
        assert_eq!(
            (pass.grant_version(), pass.authenticated_at()),
            (None, None)
        );
        let shown = format!("{pass:?}");
        assert!(shown.contains(LOGIN) && !shown.contains(&theirs), "{shown}");
    }
    let bearer = format!("Bearer {theirs}");
    let judged = Gate::new(&authority).try_judge(&head("GET", "/", &bearer));
    assert!(
        judged.unwrap().is_ok(),
        "without waiting, and without the store"
    );
}

#[tokio::test(start_paused = true)]
async fn a_gate_answers_503_while_it_cannot_get_their_keys() {
    let (web, clock) = (Web::default(), ManualClock::new());
    let authority = authority(&web, &clock).await;
    let bearer = format!("Bearer {}", signed(&key(), &claims(&clock)));
    let head = head("GET", "/", &bearer);
    let reply = Gate::new(&authority)
        .judge(&head)
        .await
        .unwrap_err()
        .into_reply();
    assert_eq!(reply.status(), 503);
    let body = str::from_utf8(reply.body()).unwrap();
    assert!(body.contains("issuer_unavailable"), "{body}");
    assert!(!body.contains("login.example"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn a_route_can_require_our_own_tokens_and_a_recent_authentication() {
    let (authority, _, clock, theirs) = rig().await;
    let verify = async |token: &str, requirements: Requirements| match authority
        .verifier()
        .verify(token, &requirements)
        .await
    {
        Err(Error::Refused(refusal)) => Some(refusal),
        verified => verified.map(|_| None).unwrap(),
    };
    let own = Requirements::new().own_issuer();
    assert_eq!(verify(&theirs, own).await, Some(Refusal::WrongIssuer));
    let read = Requirements::new().scopes(Scopes::parse("orders:read").unwrap());
    assert_eq!(verify(&theirs, read).await, None);
    let write = Requirements::new().scopes(Scopes::parse("orders:write").unwrap());
    let refused = verify(&theirs, write).await;
    assert!(matches!(refused, Some(Refusal::InsufficientScope { .. })));
    let strict = Requirements::new().staleness(Staleness::Strict);
    assert_eq!(verify(&theirs, strict).await, None);

    let recent = || Requirements::new().max_age(MINUTE);
    let too_old = Some(Refusal::AuthenticationTooOld { max_age: MINUTE });
    assert_eq!(
        verify(&theirs, recent()).await,
        too_old,
        "it doesn't say when"
    );
    let now = clock.now().unix_secs();
    for (auth_time, expected) in [(now - 61, too_old), (now - 59, None)] {
        let token = signed(&key(), &claims(&clock).with("auth_time", auth_time));
        assert_eq!(verify(&token, recent()).await, expected);
    }
}

/// The two users are of the same name, and are not the same.
#[tokio::test(start_paused = true)]
async fn their_user_acts_on_no_session_of_ours_of_the_same_name() {
    let (authority, _, _, theirs) = rig().await;
    let alice = Subject::new("alice").unwrap();
    let identity = || Identity::new("alice").unwrap();
    authority
        .issue(identity(), Device::default())
        .await
        .unwrap();
    let endpoints = Endpoints::builder(authority.clone())
        .renew()
        .resume()
        .build()
        .unwrap();
    let bearer = format!("Bearer {theirs}");
    for (method, path, body) in [
        ("POST", "/auth/logout", ""),
        ("POST", "/auth/logout-all", ""),
        ("GET", "/auth/sessions", ""),
        ("DELETE", "/auth/sessions", ""),
        ("POST", "/auth/renew", ""),
        ("POST", "/auth/resume", r#"{"refresh_token":"gpr1.x"}"#),
    ] {
        let head = head(method, path, &bearer);
        let reply = endpoints
            .handle(&head, RequestBody::Complete(body.as_bytes()))
            .await;
        assert_eq!(reply.status(), 401, "{method} {path}");
    }
    let pass = authority
        .verifier()
        .verify(&theirs, &Requirements::new())
        .await
        .unwrap();
    let refused = |error: Error| matches!(error, Error::Refused(Refusal::WrongIssuer));
    assert!(refused(authority.logout_others(&pass).await.unwrap_err()));
    let introspected = authority.introspect(&theirs).await.unwrap();
    assert!(matches!(introspected, gatepass::Introspection::Inactive));
    assert!(authority.logout(&theirs).await.is_err());
    let left = authority.sessions(&alice, None).await.unwrap().sessions;
    assert_eq!(left.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_their_token_ends_with_it_and_changes_hands_never() {
    let (authority, _, clock, theirs) = rig().await;
    let verifier = authority.verifier();
    let pass = verifier
        .verify(&theirs, &Requirements::new())
        .await
        .unwrap();
    let connection = verifier.connection(&pass).follow_session();
    let bob = signed(&key(), &claims(&clock).with("sub", r#""bob""#));
    assert!(connection.renew(&bob).await.is_err());
    let alice = Identity::new("alice").unwrap();
    let ours = authority.issue(alice, Device::default()).await.unwrap();
    assert!(connection.renew(ours.access_token.as_str()).await.is_err());
    clock.advance(10 * MINUTE);
    let renewed = signed(&key(), &claims(&clock).with("jti", r#""another""#));
    connection.renew(&renewed).await.unwrap();
    clock.advance(10 * MINUTE);
    let ended = async { connection.ended().await };
    let waited = tokio::time::timeout(SECOND, ended).await;
    assert!(waited.is_err(), "{waited:?}");
    clock.advance(10 * MINUTE);
    assert_eq!(connection.ended().await, gatepass::Ended::Expired);
}
