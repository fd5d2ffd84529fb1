//! Bodies that stop on their way, on real connections.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{
    App, Error, HttpServer,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::KeepAlive,
    middleware::{Next, from_fn},
    web::{Data, resource},
};
use gatepass::wire::Endpoints;
use test_support::actix::{Served, listener};
use tokio::time::{Instant, pause};

use crate::rig::{Runs, authority, endpoints, gate};

/// How long the answers took, in whole seconds, because timers are not exact.
#[derive(Clone, Default)]
struct Waits(Arc<Mutex<Vec<u64>>>);

async fn timed(
    waits: Data<Waits>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let began = Instant::now();
    let response = next.call(request).await;
    waits.0.lock().unwrap().push(began.elapsed().as_secs());
    response
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_cut_off_and_those_of_refused_requests_are_not_waited_for() {
    async fn never(runs: Data<Runs>) -> &'static str {
        runs.count();
        "this handler must never run"
    }

    let authority = authority().await;
    let (waits, runs) = (Waits::default(), Runs::default());
    let app = {
        let (gate, endpoints) = (gate(&authority), endpoints(&authority));
        let (waits, runs) = (Data::new(waits.clone()), Data::new(runs.clone()));
        move || {
            // Pauses the clock of the worker that calls this. When all tasks of the worker wait,
            // its clock jumps to the end of the shortest wait.
            pause();
            App::new()
                .app_data(waits.clone())
                .app_data(runs.clone())
                .service(resource("/guarded").wrap(gate.clone()).to(never))
                .configure(gatepass_actix::configure(endpoints.clone()))
                .wrap(from_fn(timed))
        }
    };
    let (listener, address) = listener();
    // Turns off actix-web's own time-outs: the clock would jump to them before a request arrives.
    let server = HttpServer::new(app)
        .workers(1)
        .client_request_timeout(Duration::ZERO)
        .keep_alive(KeepAlive::Os);
    let server = server.listen(listener).unwrap().disable_signals();
    let _served = Served::new(server.run());

    for (path, status, reason, waited) in [
        (
            "/auth/refresh",
            408,
            "body_stalled",
            Endpoints::BODY_TIMEOUT,
        ),
        ("/guarded", 401, "missing", Duration::ZERO),
    ] {
        let sent = tokio::task::spawn_blocking(move || send_a_part(address, path));
        let answer = sent.await.unwrap();
        let line = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&line), "{path}: {answer}");
        let reason = format!(r#""reason":"{reason}""#);
        assert!(answer.contains(&reason), "{path}: {answer}");
        assert_eq!(
            std::mem::take(&mut *waits.0.lock().unwrap()),
            [waited.as_secs()]
        );
    }
    assert_eq!(runs.so_far(), 0);
}

/// Sends a request that lacks one byte. Returns all that the server answers until it closes the
/// connection.
fn send_a_part(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 3\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
