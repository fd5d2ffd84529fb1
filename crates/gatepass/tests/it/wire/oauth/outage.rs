//! A store that fails at any step: 503, and nothing has happened.

use std::sync::Arc;

use gatepass::store::{EndReason, EndSessions, SessionStore};
use gatepass_sqlite::SqliteStore;
use gatepass_testkit::Op;

use super::*;

fn assert_unavailable(case: &str, reply: &Reply) {
    assert_eq!(said(reply), (503, json!("store_unavailable")), "{case}");
    let error = body(reply).get("error").cloned();
    assert_eq!(error, Some(json!("temporarily_unavailable")), "{case}");
    assert_eq!(header(reply, "retry-after"), Some("2"), "{case}");
    assert_eq!(header(reply, "www-authenticate"), None, "{case}");
    assert_eq!(header(reply, "set-cookie"), None, "{case}");
    assert_well_formed(case, reply);
}

#[tokio::test]
async fn a_fault_at_any_step_is_503_and_spends_begins_and_ends_nothing() {
    let kinds = [
        StoreErrorKind::Unavailable,
        StoreErrorKind::TimedOut,
        StoreErrorKind::Busy,
        StoreErrorKind::Corrupt,
    ];
    let service = Service::open().await;
    let (access, refresh) = service.login().await;
    let narrowed = "grant_type=refresh_token&scope=a&refresh_token=";
    let steps = [
        ("/auth/token", "", LOGIN.to_owned(), Op::Begin),
        ("/auth/token", "", format!("{LOGIN}&scope=a"), Op::Begin),
        ("/auth/token", "", format!("{narrowed}{refresh}"), Op::Load),
        (
            "/auth/token",
            "",
            format!("{narrowed}{refresh}"),
            Op::Advance,
        ),
        (
            "/auth/revoke",
            "",
            format!("token={access}"),
            Op::RevokeToken,
        ),
        ("/auth/revoke", "", format!("token={refresh}"), Op::Load),
        ("/auth/revoke", "", format!("token={refresh}"), Op::End),
        (
            "/auth/introspect",
            BASIC,
            format!("token={access}"),
            Op::Status,
        ),
        (
            "/auth/introspect",
            BASIC,
            format!("token={refresh}"),
            Op::Load,
        ),
    ];
    for (path, authorization, form, op) in &steps {
        for kind in kinds {
            service.faults.inject(*op, StoreFault::Fail(kind));
            let reply = service.post(path, authorization, form).await;
            assert_unavailable(&format!("{path}, {op:?}, {kind:?}"), &reply);
            service.faults.heal();
            assert!(service.lives(&access).await, "{path}, {op:?}");
            assert_eq!(service.sessions().await, 1, "{path}, {op:?}");
        }
    }
    // Neither was it spent: long after, it is refreshed and not recovered.
    service.clock.advance(Duration::from_secs(120));
    let (_, second) = tokens(&service.refresh(&refresh).await);
    service.clock.advance(Duration::from_secs(120));
    service
        .faults
        .inject(Op::Recover, StoreFault::Fail(StoreErrorKind::Unavailable));
    assert_unavailable("recovery", &service.refresh(&refresh).await);
    service.faults.heal();
    let recovered = tokens(&service.refresh(&refresh).await).1;
    assert_eq!(recovered, second);
}

#[tokio::test]
async fn what_was_done_before_its_answer_was_lost_is_answered_when_asked_again() {
    let lost = StoreFault::LoseAnswer(StoreErrorKind::TimedOut);
    for (op, ends) in [(Op::RevokeToken, false), (Op::End, true)] {
        let service = Service::open().await;
        let (access, refresh) = service.login().await;
        let form = format!("token={}", if ends { &refresh } else { &access });
        service.faults.inject(op, lost);
        assert_unavailable("revoke", &service.post("/auth/revoke", "", &form).await);
        service.faults.heal();
        let again = service.post("/auth/revoke", "", &form).await;
        assert_eq!((again.status(), again.body()), (200, &b""[..]));
        assert!(!service.lives(&access).await, "{op:?}");
        let refreshed = service.refresh(&refresh).await.status();
        assert_eq!(refreshed, if ends { 400 } else { 200 }, "{op:?}");
    }
    let service = Service::open().await;
    let (_, refresh) = service.login().await;
    service.faults.inject(Op::Advance, lost);
    assert_unavailable("refresh", &service.refresh(&refresh).await);
    service.faults.heal();
    assert_eq!(service.refresh(&refresh).await.status(), 200);
}

#[tokio::test]
async fn what_needs_no_store_is_answered_without_one() {
    let service = Service::open().await;
    let (_, refresh) = service.login().await;
    let fail = StoreFault::Fail(StoreErrorKind::Unavailable);
    service.faults.inject_everywhere(fail);
    let forged = format!("{refresh}A");
    let answers = [
        ("/auth/token", "", "grant_type=x".to_owned(), 400),
        ("/auth/token", "Basic !", LOGIN.to_owned(), 401),
        (
            "/auth/token",
            "",
            format!("grant_type=refresh_token&refresh_token={forged}"),
            400,
        ),
        ("/auth/revoke", "", format!("token={forged}"), 200),
        ("/auth/revoke", "", "token=a.b.c".to_owned(), 200),
        ("/auth/introspect", "", format!("token={refresh}"), 401),
        ("/auth/introspect", BASIC, format!("token={forged}"), 200),
        ("/auth/introspect", BASIC, "token=a.b.c".to_owned(), 200),
    ];
    for (path, authorization, form, status) in answers {
        let reply = service.post(path, authorization, &form).await;
        assert_eq!(reply.status(), status, "{path} {form}");
    }
}

#[tokio::test]
async fn introspection_knows_of_an_end_that_has_not_reached_this_node() {
    let clock = ManualClock::new();
    let directory = tempfile::TempDir::new().unwrap();
    let store = SqliteStore::builder(directory.path().join("sessions.db")).clock(clock.clone());
    let store = Arc::new(store.open().unwrap());
    let cut_off = TestStore::new(Arc::clone(&store));
    let faults = cut_off.clone();
    let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
    let builder = Authority::builder(REALM, "shop-api", secret, cut_off).clock(clock);
    let authority = builder.build().await.unwrap();
    let endpoints = Endpoints::builder(authority.clone())
        .client(gateway())
        .introspection();
    let endpoints = endpoints.build().unwrap();
    let identity = Identity::new("alice").unwrap();
    let issued = authority.issue(identity, Device::default()).await.unwrap();

    faults.inject(Op::Pull, StoreFault::Fail(StoreErrorKind::Unavailable));
    let elsewhere = EndSessions::Session(issued.session_id);
    store.end(elsewhere, EndReason::Logout).await.unwrap();
    for token in [issued.access_token.as_str(), issued.refresh_token.as_str()] {
        let form = format!("token={token}");
        let sent = RequestBody::Complete(form.as_bytes());
        let reply = send(&endpoints, "POST", "/auth/introspect", BASIC, sent).await;
        assert_eq!(body(&reply), json!({ "active": false }));
    }
}
