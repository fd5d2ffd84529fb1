//! The address of a client behind a proxy, wherever gatepass keeps or shows it.

use gatepass::{TrustedProxies, Verifier, wire::Delivery};
use test_support::log::Log;
use tracing::Level;

use super::*;

const PROXY: &str = "10.0.0.2";
const CLIENT: &str = "203.0.113.7";

async fn shop(proxies: Option<TrustedProxies>) -> (Authority, Endpoints) {
    let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
    let mut builder = Authority::builder(REALM, "shop-api", secret, MemoryStore::new());
    if let Some(proxies) = proxies {
        builder = builder.trusted_proxies(proxies);
    }
    let authority = builder.build().await.unwrap();
    (authority.clone(), Endpoints::new(authority))
}

fn head(forwarded: &'static str) -> RequestHead<'static> {
    let head = RequestHead::new("POST", "/auth/refresh", move |name| {
        let value = (name == "x-forwarded-for").then_some(forwarded.as_bytes());
        value.into_iter()
    });
    head.address(Some(PROXY.parse().unwrap()))
}

async fn address_of_session(authority: &Authority) -> String {
    let alice = Subject::new("alice").unwrap();
    let page = authority.sessions(&alice, None).await.unwrap();
    page.sessions[0].device.address.unwrap().to_string()
}

#[tokio::test]
async fn a_session_and_a_refusal_have_the_address_of_the_client() {
    let (log, _listening) = Log::listen();
    let trusted = TrustedProxies::x_forwarded_for([PROXY]).unwrap();
    let (authority, endpoints) = shop(Some(trusted)).await;
    let head = head("198.51.100.1, 203.0.113.7");
    let identity = Identity::new("alice").unwrap();
    let issued = endpoints.issue(identity, &head, Delivery::Body).await;
    assert_eq!(issued.unwrap().into_reply().status(), 200);
    assert_eq!(address_of_session(&authority).await, CLIENT);

    let bad = RequestBody::Complete(br#"{"refresh_token":"gpr_nonsense"}"#);
    let json = RequestHead::new("POST", "/auth/refresh", |name| {
        let value: Option<&[u8]> = match name {
            "x-forwarded-for" => Some(b"203.0.113.7"),
            "content-type" => Some(b"application/json"),
            _ => None,
        };
        value.into_iter()
    });
    let json = json.address(Some(PROXY.parse().unwrap()));
    assert_eq!(endpoints.handle(&json, bad).await.status(), 401);
    let fields = [("reason", "malformed"), ("address", CLIENT)];
    log.has(Level::INFO, "refresh.refused", &fields);
}

#[tokio::test]
async fn a_handler_of_the_application_asks_the_verifier_for_the_device() {
    let seen = |verifier: &Verifier| verifier.device(&head(CLIENT)).address.unwrap().to_string();
    let (untrusting, _) = shop(None).await;
    assert_eq!(seen(untrusting.verifier()), PROXY);
    let trusted = TrustedProxies::x_forwarded_for([PROXY]).unwrap();
    let (trusting, _) = shop(Some(trusted)).await;
    assert_eq!(seen(trusting.verifier()), CLIENT);
    // Without the address of the connection, nothing says that a proxy wrote the header.
    let unknown = head(CLIENT).address(None);
    assert_eq!(trusting.verifier().device(&unknown).address, None);
}

#[tokio::test]
async fn a_request_that_a_proxy_has_forwarded_is_told_once_if_no_proxy_is_named() {
    let (log, _listening) = Log::listen();
    let trusted = TrustedProxies::x_forwarded_for(["10.0.0.3"]).unwrap();
    let named = [Some(trusted), Some(TrustedProxies::none())];
    let ask = async |endpoints: &Endpoints, head: RequestHead<'_>| {
        endpoints.handle(&head, RequestBody::Complete(b"{}")).await;
    };
    for proxies in named {
        ask(&shop(proxies).await.1, head(CLIENT)).await;
    }
    let (authority, endpoints) = shop(None).await;
    let public = head(CLIENT).address(Some(CLIENT.parse().unwrap()));
    ask(&endpoints, public).await;
    ask(&endpoints, head(CLIENT).address(None)).await;
    let peer = Some(PROXY.parse().unwrap());
    let direct = RequestHead::new("POST", "/auth/refresh", |_| std::iter::empty());
    ask(&endpoints, direct.address(peer)).await;
    assert_eq!(log.count("addresses.hidden"), 0);

    let told = [("address", PROXY), ("header", "x-forwarded-for")];
    for _ in 0..2 {
        ask(&endpoints, head(CLIENT)).await;
        assert_eq!(authority.verifier().device(&head(CLIENT)).address, peer);
        log.has(Level::WARN, "addresses.hidden", &told);
    }
    assert_eq!(log.count("addresses.hidden"), 1);
    let (authority, _) = shop(None).await;
    let forwarded = RequestHead::new("GET", "/me", |name| {
        let value = (name == "forwarded").then_some(b"for=203.0.113.7".as_slice());
        value.into_iter()
    });
    let _ = authority.verifier().device(&forwarded.address(peer));
    assert_eq!(log.count("addresses.hidden"), 2);
}

#[tokio::test]
async fn logins_that_all_come_from_a_proxy_that_is_not_named_are_told_once() {
    let (log, _listening) = Log::listen();
    let login = async |authority: &Authority, address: &str| {
        let mut device = Device::default();
        device.address = Some(address.parse().unwrap());
        let identity = Identity::new("alice").unwrap();
        authority.issue(identity, device).await.unwrap();
    };
    let trusted = TrustedProxies::x_forwarded_for(["10.0.0.3"]).unwrap();
    let ((named, _), (unnamed, _)) = (shop(Some(trusted)).await, shop(None).await);
    for _ in 0..49 {
        login(&named, PROXY).await;
        login(&unnamed, PROXY).await;
    }
    login(&named, PROXY).await;
    assert_eq!(log.count("addresses.hidden"), 0);
    for _ in 0..51 {
        login(&unnamed, PROXY).await;
    }
    assert_eq!(log.count("addresses.hidden"), 1);
    log.has(Level::WARN, "addresses.hidden", &[("address", PROXY)]);
}
