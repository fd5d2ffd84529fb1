//! Request targets of every form, over raw sockets. Every framework answers each of them.

use std::{any::Any, future::pending, net::SocketAddr};

use actix_web::HttpServer;
use gatepass::Transport;
use gatepass_testkit::{ManualClock, scenario::Setup};
use gatepass_tests::{
    application::Application,
    frameworks::{tonic, warp},
    sockets::exchange,
};
use gatepass_warp::{Auth, gate, gated};
use test_support::actix;
use tokio::{net::TcpListener, task::JoinSet};

/// The forms of RFC 9112 §3.2, well-formed and malformed, as method and target.
const TARGETS: [(&str, &[u8]); 32] = [
    // The authority form, without a path.
    ("CONNECT", b"a:1"),
    ("GET", b"a:1"),
    ("POST", b"a:1"),
    ("DELETE", b"a"),
    ("OPTIONS", b"a:1"),
    ("HEAD", b"[::1]:1"),
    ("CONNECT", b"/me"),
    ("CONNECT", b"http://a/auth/login"),
    // The asterisk form.
    ("OPTIONS", b"*"),
    ("GET", b"*"),
    // The absolute form.
    ("GET", b"http://a"),
    ("POST", b"http://a"),
    ("GET", b"http://a?b"),
    ("GET", b"http://b/me"),
    ("POST", b"http://[::1]:1/auth/login"),
    ("GET", b"http://user:password@a/me"),
    ("GET", b"http:///me"),
    ("GET", b"http://a:99999/me"),
    ("GET", b"ftp://a/me"),
    ("POST", b"http://\xc3\xa4/auth/refresh"),
    // The origin form.
    ("GET", b"//me"),
    ("GET", b"//a/me"),
    ("GET", b"?me"),
    ("GET", b"me"),
    ("GET", b"/me%"),
    ("GET", b"/me%ff"),
    ("GET", b"/m\xc3\xa4"),
    ("GET", b"/me\xff"),
    ("DELETE", b"/auth/sessions/%ff"),
    ("DELETE", b"/auth/sessions/\xff"),
    ("DELETE", b"/auth/sessions/%2f%00"),
    ("GET", b"/.well-known/jwks.json%00"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_target_is_answered_and_the_server_goes_on() {
    let servers = Servers::start().await;
    for (server, address) in &servers.addresses {
        for (method, target) in TARGETS {
            for host in ["host: a:1\r\n", "host: ä b\r\n", ""] {
                let mut request = format!("{method} ").into_bytes();
                request.extend(target);
                request.extend(b" HTTP/1.1\r\norigin: http://a\r\ncookie: __Host-gatepass=x\r\n");
                request.extend(host.as_bytes());
                request.extend(b"content-length: 0\r\nconnection: close\r\n\r\n");
                let answer = exchange(*address, &request).await;
                let asked = String::from_utf8_lossy(&request).into_owned();
                let status = answer.get(9..12).unwrap_or_default();
                assert!(
                    matches!(status.as_bytes(), [b'2' | b'4', _, _]),
                    "{server} answers {answer:?} to {asked}"
                );
            }
        }
        let me = "GET /me HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let me = exchange(*address, me.as_bytes()).await;
        let expected = if *server == "tonic" { "404" } else { "401" };
        assert_eq!(&me[9..12], expected, "{server}");
    }
}

/// The example in each framework, and also with warp's own server. In addition, a gate of warp in
/// front of all routes.
struct Servers {
    addresses: [(&'static str, SocketAddr); 6],
    _running: (JoinSet<()>, Box<dyn Any>, Application),
}

impl Servers {
    async fn start() -> Self {
        let mut setup = Setup::default();
        setup.transport = Transport::Both;
        let application = Application::start(ManualClock::new(), setup).await;
        let app = application.app.clone();
        let mut tasks = JoinSet::new();

        let (axum, axum_at) = listener().await;
        let router = example_axum::router(&app);
        let served = example_axum::serve(router, axum, pending());
        tasks.spawn(async move { served.await.unwrap() });

        let (own, own_at) = listener().await;
        tasks.spawn(::warp::serve(warp::routes(&app)).incoming(own).run());

        let (listening, gated_at) = listener().await;
        let gate = gate(&app.authority);
        let all = gated(::warp::any(), gate, async |_: Auth| "let through");
        tasks.spawn(::warp::serve(all).incoming(listening).run());

        let (warp, warp_at) = listener().await;
        let service = example_warp::service(&app, example_warp::routes(&app));
        let served = example_warp::serve(warp, service, pending());
        tasks.spawn(async move { served.await.unwrap() });

        let (tonic, tonic_at) = listener().await;
        let served = example_tonic::serve(tonic::router(&app), tonic, pending());
        tasks.spawn(async move { served.await.unwrap() });

        let (listener, actix_at) = actix::listener();
        let server = HttpServer::new(move || example_actix::application(&app));
        let server = server.workers(1).disable_signals();
        let actix = actix::Served::new(server.listen(listener).unwrap().run());
        Self {
            addresses: [
                ("axum", axum_at),
                ("warp alone", own_at),
                ("a gate of warp's", gated_at),
                ("warp", warp_at),
                ("tonic", tonic_at),
                ("actix-web", actix_at),
            ],
            _running: (tasks, Box::new(actix), application),
        }
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}
