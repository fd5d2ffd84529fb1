//! The endpoint that exchanges old tokens, and the others where a browser has the old cookie.

use gatepass::{Credentials, wire::Endpoint};

use super::*;

fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    Ok(Identity::new(credentials.username())?)
}

async fn post(shop: &Shop, path: &str, headers: &[(&'static str, &str)], body: &Value) -> Reply {
    let endpoints = Endpoints::new(shop.authority.clone());
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let mut headers = headers.to_vec();
    if !body.is_empty() {
        headers.push(("content-type", "application/json"));
    }
    let head = head("POST", path, &headers);
    endpoints
        .handle(&head, RequestBody::Complete(body.as_bytes()))
        .await
}

async fn adopt(shop: &Shop, headers: &[(&'static str, &str)], body: &Value) -> Reply {
    post(shop, "/auth/adopt", headers, body).await
}

fn json_of(reply: &Reply) -> Value {
    serde_json::from_slice(reply.body()).unwrap()
}

fn cookies_of(reply: &Reply) -> Vec<&str> {
    let cookies = reply.headers().filter(|(name, _)| *name == "set-cookie");
    cookies
        .map(|(_, value)| value.split(';').next().unwrap())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_client_gets_its_tokens_where_it_has_the_old_one() {
    let shop = Shop::open().await;
    let header = [("authorization", "Bearer a-key")];
    let reply = adopt(&shop, &header, &Value::Null).await;
    assert_eq!(reply.status(), 200);
    let body = json_of(&reply);
    assert!(body["access_token"].is_string() && body["refresh_token"].is_string());
    assert_eq!(cookies_of(&reply), [""; 0]);

    let cookie = [("cookie", "sessionid=a-key")];
    let reply = adopt(&shop, &cookie, &json!({ "transport": "bearer" })).await;
    assert_eq!((reply.status(), cookies_of(&reply).len()), (200, 2));
    assert_eq!(json_of(&reply)["access_token"], Value::Null);
    assert_eq!(json_of(&reply)["session_id"], body["session_id"]);
}

/// A page that has kept its token in a script moves to cookies.
#[tokio::test(start_paused = true)]
async fn a_client_with_a_header_can_ask_for_cookies() {
    let shop = Shop::open().await;
    let header = [("authorization", "Bearer a-key")];
    let asks = json!({ "transport": "cookie" });
    let reply = adopt(&shop, &header, &asks).await;
    assert_eq!((reply.status(), cookies_of(&reply).len()), (200, 2));
    assert_eq!(json_of(&reply)["access_token"], Value::Null);
    let elsewhere = [header[0], ("sec-fetch-site", "cross-site")];
    assert_eq!(adopt(&shop, &elsewhere, &asks).await.status(), 403);
    let odd = adopt(&shop, &header, &json!({ "transport": "pigeon" })).await;
    assert_eq!(odd.status(), 400);

    // A service whose logins all get cookies sets them here as well.
    let shop = Shop::open_with(|builder| builder.transport(Transport::Cookie)).await;
    let reply = adopt(&shop, &header, &Value::Null).await;
    assert_eq!((reply.status(), cookies_of(&reply).len()), (200, 2));
}

#[tokio::test(start_paused = true)]
async fn an_exchange_by_cookie_ends_another_session_and_not_its_own() {
    let shop = Shop::open().await;
    let header = [("authorization", "Bearer a-key")];
    let asks = json!({ "transport": "cookie" });
    let first = adopt(&shop, &header, &asks).await;
    let jar = cookies_of(&first).join("; ");
    let again = adopt(&shop, &[header[0], ("cookie", &jar)], &asks).await;
    assert_eq!(json_of(&again)["session_id"], json_of(&first)["session_id"]);
    assert_eq!(shop.sessions().await.len(), 1);

    shop.old.put("another", OldToken::new(alice()));
    let header = [("authorization", "Bearer another")];
    let other = adopt(&shop, &[header[0], ("cookie", &jar)], &asks).await;
    let sessions = shop.sessions().await;
    assert_eq!(sessions.len(), 1);
    assert_eq!(json_of(&other)["session_id"], sessions[0].id.to_string());
}

#[tokio::test(start_paused = true)]
async fn each_refusal_has_its_answer() {
    let shop = Shop::open().await;
    shop.old.put("revoked", OldToken::new(alice()));
    let pass = shop.with_header("revoked").await.unwrap();
    shop.authority.revoke_token(&pass).await.unwrap();
    let cross_site = ("sec-fetch-site", "cross-site");
    let cases: [(&[_], u16, &str); 7] = [
        (&[], 401, "missing"),
        (&[("authorization", "Bearer garbage")], 401, "malformed"),
        (&[("authorization", "Bearer revoked")], 401, "revoked"),
        (&[("authorization", "Bearer a b")], 400, "ambiguous"),
        (&[("cookie", "sessionid=garbage")], 401, "malformed"),
        (
            &[("cookie", "sessionid=a-key"), cross_site],
            403,
            "cross_site",
        ),
        (&[("cookie", "sessionid=a; sessionid=b")], 400, "ambiguous"),
    ];
    for (headers, status, reason) in cases {
        let reply = adopt(&shop, headers, &Value::Null).await;
        assert_eq!(json_of(&reply)["reason"], reason, "{headers:?}");
        assert_eq!(reply.status(), status, "{headers:?}");
    }
    shop.old.is_down(true);
    let header = [("authorization", "Bearer a-key")];
    assert_eq!(adopt(&shop, &header, &Value::Null).await.status(), 503);
    shop.old.is_down(false);
    shop.clock.advance(MOVE);
    let reply = adopt(&shop, &header, &Value::Null).await;
    assert_eq!(json_of(&reply)["reason"], "expired");
}

/// Otherwise the next request would log the browser in again.
#[tokio::test(start_paused = true)]
async fn a_logout_ends_the_old_cookie_as_well() {
    let shop = Shop::open_with(|builder| builder.authenticator(login)).await;
    let state = judge(&shop.gate(), "GET", &[("cookie", "sessionid=a-key")]).await;
    assert!(state.unwrap().optional_pass().is_some());
    let issued = shop.adopt("a-key").await.unwrap();
    let own = format!("__Host-gatepass={}", issued.access_token.as_str());
    for (case, others) in [
        ("exchanged", own.as_str()),
        ("fresh login", ""),
        ("old alone", "none=none"),
    ] {
        shop.old.put(case, OldToken::new(alice()));
        let key = if case == "exchanged" { "a-key" } else { case }.replace(' ', "-");
        shop.old.put(&key, OldToken::new(alice()));
        let others = match others {
            "" => {
                let issued = shop.authority.issue(alice(), Device::default()).await;
                format!("__Host-gatepass={}", issued.unwrap().access_token.as_str())
            }
            others => others.to_owned(),
        };
        let cookies = format!("sessionid={key}; {others}");
        let reply = post(&shop, "/auth/logout", &[("cookie", &cookies)], &Value::Null).await;
        assert_eq!(reply.status(), 204, "{case}");
        assert_eq!(shop.sessions().await, [], "{case}");
        let left = format!("sessionid={key}");
        let judged = judge(&shop.gate(), "GET", &[("cookie", &left)]).await;
        assert_eq!(pass_of(judged), Err("session_ended"), "{case}");
    }
    // One that is dead is no reason to fail, and none to succeed.
    let dead = [("cookie", "sessionid=dead")];
    let reply = post(&shop, "/auth/logout", &dead, &Value::Null).await;
    assert_eq!(json_of(&reply)["reason"], "missing");
    let elsewhere = [
        ("cookie", "sessionid=a-key"),
        ("sec-fetch-site", "cross-site"),
    ];
    let reply = post(&shop, "/auth/logout", &elsewhere, &Value::Null).await;
    assert_eq!(reply.status(), 403);
}

#[tokio::test(start_paused = true)]
async fn a_login_by_cookie_takes_the_place_of_the_old_cookie() {
    let shop = Shop::open_with(|builder| builder.authenticator(login)).await;
    let credentials = json!({ "username": "bob", "password": "x", "transport": "cookie" });
    let cookie = [("cookie", "sessionid=a-key")];
    let reply = post(&shop, "/auth/login", &cookie, &credentials).await;
    assert_eq!(reply.status(), 200);
    // Bob's cookies are gone, and his browser isn't that of Alice.
    let judged = judge(&shop.gate(), "GET", &cookie).await;
    assert_eq!(pass_of(judged), Err("session_ended"));
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_is_described_where_it_is_mounted() {
    let shop = Shop::open().await;
    let endpoints = Endpoints::new(shop.authority.clone());
    let described: Value = serde_json::from_str(&endpoints.openapi()).unwrap();
    assert!(described["paths"]["/auth/adopt"]["post"].is_object());
    let moved = Endpoints::builder(shop.authority.clone()).path(Endpoint::Adopt, "/move");
    assert!(moved.build().unwrap().serves("/move"));
    let without = Endpoints::builder(shop.authority.clone()).without(Endpoint::Adopt);
    assert!(!without.build().unwrap().serves("/auth/adopt"));
}
