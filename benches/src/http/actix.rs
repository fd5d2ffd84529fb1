//! The application in actix-web.

use std::{
    net::{SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use actix_web::{App, HttpServer, rt::System, web};
use gatepass::Verifier;
use gatepass_actix::{Auth, Gate};

use super::answers::{HELLO, cpu};

pub(super) fn serve(verifier: Option<Verifier>) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let gate = verifier.map(Gate::new);
    let app = move || {
        let route = match gate.clone() {
            Some(gate) => web::get().to(async |Auth(_): Auth| HELLO).wrap(gate),
            None => web::get().to(async || HELLO),
        };
        App::new()
            .route("/", route)
            .route("/cpu", web::get().to(async || cpu()))
    };
    thread::spawn(move || {
        System::new().block_on(async {
            HttpServer::new(app)
                .workers(1)
                .keep_alive(Duration::from_secs(600))
                .disable_signals()
                .listen(listener)?
                .run()
                .await
        })
    });
    Ok(address)
}
