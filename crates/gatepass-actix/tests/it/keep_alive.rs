//! One request after another on one connection.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use actix_web::{App, HttpServer, web};
use gatepass::Requirements;
use gatepass_actix::MaybeAuth;
use test_support::actix::{Served, listener};

use crate::rig::{authority, bearer, endpoints, gate};

async fn name(MaybeAuth(pass): MaybeAuth) -> String {
    pass.map_or("nobody".to_owned(), |pass| pass.subject().to_string())
}

/// An answer.
struct Answer {
    status: u16,
    body: String,
    /// Whether the server said that it closes the connection.
    is_last: bool,
}

struct Connection(BufReader<TcpStream>);

impl Connection {
    fn exchange(&mut self, head: &str, body: &str) -> Answer {
        let length = body.len();
        let request =
            format!("{head}\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}");
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert_ne!(
                self.0.read_line(&mut line).unwrap(),
                0,
                "it was closed after {lines:?}"
            );
            if line == "\r\n" {
                break;
            }
            lines.push(line.trim_end().to_lowercase());
        }
        let status = lines.first().unwrap().split(' ').nth(1).unwrap();
        let length = lines
            .iter()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).unwrap();
        Answer {
            status: status.parse().unwrap(),
            body: String::from_utf8(body).unwrap(),
            is_last: lines.iter().any(|line| line == "connection: close"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_outlives_refusals_and_keeps_nothing_of_a_request_for_the_next() {
    let authority = authority().await;
    let (gate, endpoints) = (gate(&authority), endpoints(&authority));
    let (listener, address) = listener();
    let server = HttpServer::new(move || {
        App::new()
            .service(web::resource("/guarded").wrap(gate.clone()).to(name))
            .service(
                web::resource("/optional")
                    .wrap(gate.clone().require(Requirements::new().optional()))
                    .to(name),
            )
            .route("/unguarded", web::to(name))
            .configure(gatepass_actix::configure(endpoints.clone()))
    });
    let server = server.workers(1).listen(listener).unwrap();
    let _served = Served::new(server.disable_signals().run());
    let (header, value) = bearer(&authority).await;
    let with_bearer = |line: &str| format!("{line}\r\n{header}: {value}");

    let exchanges = tokio::task::spawn_blocking({
        let get = "GET /guarded HTTP/1.1";
        let requests = [
            (get.to_owned(), "", 401),
            (with_bearer(get), "", 200),
            ("GET /optional HTTP/1.1".to_owned(), "", 200),
            ("GET /unguarded HTTP/1.1".to_owned(), "", 500),
            ("POST /auth/refresh HTTP/1.1".to_owned(), "{}", 415),
            ("GET /auth/sessions HTTP/1.1".to_owned(), "", 401),
            (with_bearer("GET /auth/sessions HTTP/1.1"), "", 200),
            // If no handler reads a body, actix-web reads no more requests after it, and says so.
            ("POST /guarded HTTP/1.1".to_owned(), "a body", 401),
        ];
        move || {
            let stream = TcpStream::connect(address).unwrap();
            let mut connection = Connection(BufReader::new(stream));
            for (head, body, status) in requests {
                let answer = connection.exchange(&head, body);
                let line = head.lines().next().unwrap();
                assert_eq!(answer.status, status, "{line}: {}", answer.body);
                assert_eq!(answer.is_last, body == "a body", "{line}");
                if line.contains("/optional") {
                    assert_eq!(answer.body, "nobody");
                }
            }
        }
    });
    exchanges.await.unwrap();
}
