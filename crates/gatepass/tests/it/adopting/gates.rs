//! Old tokens at gates: in headers, and in the old system's cookie.

use gatepass::wire::{Outgoing, Users};

use super::*;
use crate::wire::Fields;

/// The cookies that a browser has after this response.
fn jar(response: &Fields) -> String {
    let cookies = response.all("set-cookie").into_iter();
    let pairs = cookies.map(|cookie| cookie.split(';').next().unwrap());
    Vec::from_iter(pairs).join("; ")
}

/// The head of a response that leaves now.
async fn respond(mut outgoing: Outgoing) -> Fields {
    let mut fields = Fields::default();
    if outgoing.waits() {
        outgoing.settle().await;
    }
    outgoing.apply(&mut fields);
    fields
}

#[tokio::test(start_paused = true)]
async fn a_client_that_knows_nothing_of_gatepass_goes_on_until_the_date() {
    let shop = Shop::open_with(|builder| builder.token_header("X-Token").token_scheme("Token"));
    let shop = shop.await;
    let places: [&[(&str, &str)]; 3] = [
        &[("authorization", "Bearer a-key")],
        &[("authorization", "Token a-key")],
        &[("x-token", "a-key")],
    ];
    for headers in places {
        let judged = judge(&shop.gate(), "POST", headers).await;
        let outgoing = judged.as_ref().unwrap().outgoing();
        let pass = pass_of(judged).unwrap();
        assert_eq!(pass.subject().as_str(), "alice");
        assert_eq!(pass.scopes(), &Scopes::parse("orders").unwrap());
        assert_eq!(pass.foreign_issuer().unwrap().as_str(), OLD);
        assert!(pass.is_adopted() && pass.session_id().is_none());
        assert_eq!(respond(outgoing).await.all("set-cookie"), [""; 0]);
    }
    assert_eq!(shop.sessions().await, []);
    shop.clock.advance(MOVE - SECOND);
    shop.with_header("a-key").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_old_token_must_also_meet_the_requirements_of_a_route() {
    let shop = Shop::open().await;
    let headers = [("authorization", "Bearer a-key")];
    let none = Requirements::new();
    let admin = Scopes::parse("admin").unwrap();
    for (requirements, expected) in [
        (none.clone().scopes(admin), Some("insufficient_scope")),
        (none.clone().max_age(DAY), Some("authentication_too_old")),
        // Its subject is a user of this service.
        (none.clone().own_issuer(), None),
        (none.clone().staleness(Staleness::Strict), None),
        (none.optional(), None),
    ] {
        let gate = shop.gate().require(requirements.clone());
        let judged = pass_of(judge(&gate, "GET", &headers).await);
        assert_eq!(judged.err(), expected, "{requirements:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_record_of_an_adopted_user_is_loaded() {
    let shop = Shop::open().await;
    let users = Users::new(async |pass: Pass| Ok(Some(pass.subject().to_string())));
    let gate = shop.gate().users(&users);
    for headers in [
        [("authorization", "Bearer a-key")],
        [("cookie", "sessionid=a-key")],
    ] {
        let state = judge(&gate, "GET", &headers).await.unwrap();
        let request = state.of(head("GET", "/orders", &headers));
        assert_eq!(*request.user::<String>().unwrap(), "alice");
    }
    // Without them, the mistake is the application's.
    let state = judge(&shop.gate(), "GET", &[("cookie", "sessionid=a-key")]).await;
    let state = state.unwrap();
    let request = state.of(head("GET", "/orders", &[]));
    assert_eq!(request.user::<String>().unwrap_err().reply().status(), 500);
}

#[tokio::test(start_paused = true)]
async fn a_browser_with_the_old_cookie_moves_over_at_its_next_request() {
    let shop = Shop::open().await;
    let state = judge(&shop.gate(), "GET", &[("cookie", "sessionid=a-key")]).await;
    let state = state.unwrap();
    let pass = state.optional_pass().unwrap();
    assert_eq!(pass.subject().as_str(), "alice");
    assert_eq!(shop.sessions().await[0].id, pass.session_id().unwrap());
    let fields = respond(state.outgoing()).await;
    assert_eq!(fields.all("cache-control"), ["no-store"]);
    assert_eq!(fields.all("set-cookie").len(), 2);
    // From now on the old cookie counts for nothing, also after a logout.
    let asked = shop.old.asked();
    let cookies = format!("sessionid=a-key; {}", jar(&fields));
    let state = judge(&shop.gate(), "GET", &[("cookie", &cookies)]).await;
    assert_eq!(pass_of(state).unwrap().session_id(), pass.session_id());
    shop.authority.logout_all(pass.subject()).await.unwrap();
    let judged = judge(&shop.gate(), "GET", &[("cookie", &cookies)]).await;
    assert_eq!(pass_of(judged), Err("revoked"));
    assert_eq!(shop.old.asked(), asked);
}

#[tokio::test(start_paused = true)]
async fn all_requests_of_a_page_with_the_old_cookie_are_served() {
    let shop = Shop::open().await;
    let mut sessions = Vec::new();
    for _ in 0..5 {
        let state = judge(&shop.gate(), "GET", &[("cookie", "sessionid=a-key")]).await;
        let state = state.unwrap();
        assert_eq!(respond(state.outgoing()).await.all("set-cookie").len(), 2);
        sessions.push(state.optional_pass().unwrap().session_id());
    }
    sessions.dedup();
    assert_eq!(sessions.len(), 1);
    // Also much later: the browser may have lost the answers.
    shop.clock.advance(10 * DAY);
    let state = judge(&shop.gate(), "GET", &[("cookie", "sessionid=a-key")]).await;
    assert_eq!(pass_of(state).unwrap().session_id(), sessions[0]);
}

#[tokio::test(start_paused = true)]
async fn an_access_only_session_is_set_as_one_cookie_while_it_lives() {
    let shop = Shop::open().await;
    shop.old.put("short", OldToken::new(alice().access_only()));
    let state = judge(&shop.gate(), "GET", &[("cookie", "sessionid=short")]).await;
    let outgoing = state.unwrap().outgoing();
    assert_eq!(respond(outgoing.clone()).await.all("set-cookie").len(), 1);
    shop.authority.logout_all(&subject("alice")).await.unwrap();
    assert_eq!(respond(outgoing).await.all("set-cookie").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_response_sets_no_cookies_of_a_session_that_was_logged_out_meanwhile() {
    let shop = Shop::open().await;
    let state = judge(&shop.gate(), "GET", &[("cookie", "sessionid=a-key")]).await;
    let outgoing = state.unwrap().outgoing();
    shop.authority.logout_all(&subject("alice")).await.unwrap();
    assert_eq!(respond(outgoing).await.all("set-cookie"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn another_site_cannot_use_the_old_cookie() {
    let shop = Shop::open().await;
    let elsewhere = [
        ("cookie", "sessionid=a-key"),
        ("sec-fetch-site", "cross-site"),
    ];
    for gate in [
        shop.gate(),
        shop.gate().require(Requirements::new().optional()),
    ] {
        let judged = judge(&gate, "POST", &elsewhere).await;
        assert_eq!(pass_of(judged), Err("cross_site"));
    }
    assert_eq!(shop.sessions().await, []);
    assert_eq!(shop.old.asked(), 0);
    let twice = [("cookie", "sessionid=a-key; sessionid=b-key")];
    let judged = judge(&shop.gate(), "GET", &twice).await;
    assert_eq!(pass_of(judged), Err("ambiguous"));
}

#[tokio::test(start_paused = true)]
async fn a_dead_old_cookie_is_no_credential() {
    let shop = Shop::open().await;
    let dead = [("cookie", "sessionid=dead")];
    assert_eq!(
        pass_of(judge(&shop.gate(), "GET", &dead).await),
        Err("missing")
    );
    let gate = shop.gate().require(Requirements::new().optional());
    let state = judge(&gate, "GET", &dead).await.unwrap();
    assert!(state.optional_pass().is_none());
    // Nor is one that was logged out.
    shop.authority.logout("a-key").await.unwrap();
    let state = judge(&gate, "GET", &[("cookie", "sessionid=a-key")]).await;
    assert!(state.unwrap().optional_pass().is_none());
}

#[tokio::test(start_paused = true)]
async fn without_cookies_of_our_own_the_old_cookie_is_accepted_as_it_is() {
    let shop = Shop::open_with(|builder| builder.transport(Transport::Bearer)).await;
    let state = judge(&shop.gate(), "GET", &[("cookie", "sessionid=a-key")]).await;
    let state = state.unwrap();
    assert!(state.optional_pass().unwrap().is_adopted());
    let fields = respond(state.outgoing()).await;
    assert_eq!(fields.0, [("cache-control", "private".to_owned())]);
    assert_eq!(shop.sessions().await, []);
}

/// The old system's cookie can be the one in which an application keeps gatepass's access token.
#[tokio::test(start_paused = true)]
async fn the_old_cookie_can_also_be_the_one_of_access_tokens() {
    let shop = Shop::open_with(|builder| builder.token_cookie("sessionid")).await;
    let state = judge(&shop.gate(), "GET", &[("cookie", "sessionid=a-key")]).await;
    let state = state.unwrap();
    assert!(state.optional_pass().unwrap().session_id().is_some());
    let issued = shop.adopt("a-key").await.unwrap();
    let cookie = format!("sessionid={}", issued.access_token.as_str());
    let state = judge(&shop.gate(), "GET", &[("cookie", &cookie)]).await;
    assert_eq!(
        pass_of(state).unwrap().session_id(),
        Some(issued.session_id)
    );
}

#[tokio::test(start_paused = true)]
async fn a_gate_without_adopt_knows_no_old_token() {
    let shop = Shop::open().await;
    let gate = Gate::new(&shop.authority).auto_refresh(&shop.authority);
    for (header, reason) in [
        (("authorization", "Bearer a-key"), "malformed"),
        (("cookie", "sessionid=a-key"), "missing"),
    ] {
        assert_eq!(pass_of(judge(&gate, "GET", &[header]).await), Err(reason));
    }
    assert_eq!(shop.old.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_authority_of_another_service_is_a_mistake_that_is_answered_500() {
    let shop = Shop::open().await;
    let store = MemoryStore::with_clock(shop.clock.clone());
    let secret = MasterSecret::generate().unwrap();
    let other = Authority::builder("https://other.example", "api", secret, store);
    let other = other.clock(shop.clock.clone()).transport(Transport::Both);
    let other = other.adopt(Adopt::new(OLD, shop.until(), shop.old.clone()).cookie("sessionid"));
    let other = other.build().await.unwrap();
    let gate = Gate::new(&other).adopt(&shop.authority);
    for header in [
        ("authorization", "Bearer a-key"),
        ("cookie", "sessionid=a-key"),
    ] {
        assert_eq!(
            pass_of(judge(&gate, "GET", &[header]).await),
            Err("internal")
        );
    }
    assert_eq!(shop.old.asked(), 0);
}
