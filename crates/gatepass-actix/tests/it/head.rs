//! gatepass learns from actix-web which host a request asked and which peer sent it.

use actix_web::{
    App, HttpRequest, Responder,
    test::{TestRequest, call_service, init_service},
    web::{self, Data, resource},
};
use gatepass::{
    Device, Identity, Subject, Transport,
    wire::{Delivery, Endpoints},
};
use gatepass_actix::Auth;

use crate::rig::{authority_over, endpoints, gate};

async fn name(Auth(pass): Auth) -> String {
    pass.subject().to_string()
}

fn alice() -> Identity {
    Identity::new("alice").unwrap()
}

/// HTTP/2 sends the host only in the target.
#[tokio::test]
async fn the_host_is_that_of_the_target_where_it_has_one() {
    let authority = authority_over(Transport::Cookie).await;
    let app = App::new().service(resource("/").wrap(gate(&authority)).post(name));
    let app = init_service(app).await;
    let issued = authority.issue(alice(), Device::default()).await.unwrap();
    let cookie = format!("__Host-gatepass={}", issued.access_token.as_str());
    for (target, host, status) in [
        ("https://service.test/", None, 200),
        ("https://service.test/", Some("other.test"), 200),
        ("https://other.test/", Some("service.test"), 403),
        ("/", Some("service.test"), 200),
        ("/", Some("other.test"), 403),
        ("/", None, 403),
    ] {
        let request = TestRequest::post()
            .uri(target)
            .insert_header(("cookie", cookie.as_str()))
            .insert_header(("origin", "https://service.test"));
        let request = match host {
            Some(host) => request.insert_header(("host", host)),
            None => request,
        };
        let response = call_service(&app, request.to_request()).await;
        assert_eq!(response.status(), status, "{target}, {host:?}");
    }
}

#[tokio::test]
async fn a_login_of_the_applications_own_is_answered_with_both_cookies_and_knows_the_peer() {
    async fn callback(endpoints: Data<Endpoints>, request: HttpRequest) -> impl Responder {
        gatepass_actix::issue(&endpoints, alice(), &request, Delivery::Cookies).await
    }

    let authority = authority_over(Transport::Cookie).await;
    let app = App::new()
        .app_data(Data::new(endpoints(&authority)))
        .route("/callback", web::get().to(callback));
    let app = init_service(app).await;
    // Any client can send this field, so the server does not believe it.
    let request = TestRequest::with_uri("/callback")
        .peer_addr("192.0.2.1:4711".parse().unwrap())
        .insert_header(("forwarded", "for=198.51.100.7"))
        .insert_header(("x-forwarded-for", "198.51.100.7"));
    let response = call_service(&app, request.to_request()).await;
    assert_eq!(response.status(), 200);
    let cookies: Vec<_> = response.headers().get_all("set-cookie").collect();
    assert_eq!(cookies.len(), 2);
    assert!(cookies.iter().all(|cookie| cookie.is_sensitive()));

    let alice = Subject::new("alice").unwrap();
    let sessions = authority.sessions(&alice, None).await.unwrap();
    let addresses: Vec<_> = sessions
        .sessions
        .iter()
        .map(|session| session.device.address)
        .collect();
    assert_eq!(addresses, [Some("192.0.2.1".parse().unwrap())]);
}
