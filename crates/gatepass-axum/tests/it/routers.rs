//! Gates on merged and nested routers, and on fallbacks.

use axum::{Router, routing::get};
use gatepass::{Requirements, Scopes, Transport};
use gatepass_axum::GateLayer;

use crate::rig::{Rig, asked, send};

fn admins(gate: GateLayer) -> GateLayer {
    gate.require(Requirements::new().scopes(Scopes::parse("admin").unwrap()))
}

#[tokio::test]
async fn of_gates_in_one_another_each_refuses_and_the_innermost_admits() {
    let rig = Rig::start().await;
    let routes = || Router::new().route("/", get(rig.handler()));
    let nested = |inner: GateLayer, outer: GateLayer| {
        Router::new()
            .nest("/inner", routes().route_layer(inner))
            .route_layer(outer)
    };
    let gate = || rig.gate();
    let (plain, admin) = (
        rig.bearer("alice", "").await,
        rig.bearer("bob", "admin").await,
    );
    for (name, app, stranger, user, administrator) in [
        (
            "inner requires",
            nested(admins(gate()), gate()),
            401,
            403,
            200,
        ),
        (
            "outer requires",
            nested(gate(), admins(gate())),
            401,
            403,
            200,
        ),
        (
            "inner opens",
            nested(gate().require(Requirements::new().optional()), gate()),
            401,
            200,
            200,
        ),
        (
            "outer opens",
            nested(gate(), gate().require(Requirements::new().optional())),
            401,
            200,
            200,
        ),
    ] {
        for (bearer, status) in [
            (None, stranger),
            (Some(&*plain), user),
            (Some(&*admin), administrator),
        ] {
            let answer = send(&app, asked("GET", "/inner", bearer)).await;
            assert_eq!(answer.status, status, "{name} {bearer:?}");
            assert_eq!(rig.runs(), usize::from(status == 200), "{name} {bearer:?}");
        }
    }
}

#[tokio::test]
async fn a_handler_sees_what_the_gate_next_to_it_admits() {
    let (outer, inner) = (Rig::start().await, Rig::over(Transport::Cookie).await);
    let routes = Router::new().route("/", get(inner.handler()));
    let app = Router::new()
        .nest("/inner", routes.route_layer(inner.gate()))
        .layer(outer.gate().require(Requirements::new().optional()));
    let cookie = inner.bearer("alice", "").await;
    let cookie = cookie.replace("Bearer ", "__Host-gatepass=");
    let mut request = asked("GET", "/inner", None);
    request
        .headers_mut()
        .insert("cookie", cookie.parse().unwrap());
    let answer = send(&app, request).await;
    assert_eq!((answer.status, &*answer.body), (200, &b"alice"[..]));
}

#[tokio::test]
async fn a_gate_guards_the_router_it_is_put_on_and_none_that_it_is_merged_with() {
    let rig = Rig::start().await;
    let guarded = Router::new()
        .route("/guarded", get(rig.handler()))
        .route_layer(rig.gate());
    let app = Router::new()
        .route("/before", get(rig.open()))
        .merge(guarded)
        .route("/after", get(rig.open()))
        .nest("/nested", Router::new().route("/", get(rig.open())));
    for (path, status) in [
        ("/guarded", 401),
        ("/before", 200),
        ("/after", 200),
        ("/nested", 200),
        ("/nowhere", 404),
    ] {
        let answer = send(&app, asked("GET", path, None)).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(rig.runs(), usize::from(status == 200), "{path}");
    }
}

#[tokio::test]
async fn fallbacks_are_guarded_by_a_layer_and_not_by_a_route_layer() {
    let rig = Rig::start().await;
    let routes = || {
        Router::new()
            .route("/", get(rig.open()))
            .fallback(rig.open())
            .method_not_allowed_fallback(rig.open())
    };
    let of_method = Router::new()
        .route("/", get(rig.open()).route_layer(rig.gate()))
        .fallback(rig.open())
        .method_not_allowed_fallback(rig.open());
    for (name, app, nowhere, no_method) in [
        ("layer", routes().layer(rig.gate()), 401, 401),
        ("route_layer", routes().route_layer(rig.gate()), 200, 401),
        ("of one method", of_method, 200, 200),
    ] {
        for (method, path, status) in [
            ("GET", "/", 401),
            ("GET", "/nowhere", nowhere),
            ("POST", "/", no_method),
        ] {
            let answer = send(&app, asked(method, path, None)).await;
            assert_eq!(answer.status, status, "{name}: {method} {path}");
            let runs = usize::from(status == 200);
            assert_eq!(rig.runs(), runs, "{name}: {method} {path}");
        }
    }
}

#[tokio::test]
async fn a_fallback_that_asks_who_is_logged_in_never_runs_without_a_gate() {
    let rig = Rig::start().await;
    let bearer = rig.bearer("alice", "").await;
    let routes = || {
        Router::new()
            .route("/", get(rig.handler()))
            .fallback(rig.handler())
            .method_not_allowed_fallback(rig.handler())
    };
    // The fallback is not behind a `route_layer`.
    let app = routes().route_layer(rig.gate());
    let answer = send(&app, asked("GET", "/nowhere", Some(&bearer))).await;
    assert_eq!(
        (answer.status, answer.reason().as_deref()),
        (500, Some("internal"))
    );
    assert_eq!(rig.runs(), 0);

    let app = routes().layer(rig.gate());
    for (method, path) in [("GET", "/nowhere"), ("POST", "/")] {
        let answer = send(&app, asked(method, path, Some(&bearer))).await;
        assert_eq!((answer.status, &*answer.body), (200, &b"alice"[..]));
        assert_eq!(rig.runs(), 1);
    }
}
