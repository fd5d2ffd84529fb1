use std::net::TcpListener;

use actix_web::{App, HttpServer, web};
use gatepass_actix::{Auth, Endpoints, Gate, configure};

async fn me(Auth(pass): Auth) -> String {
    format!("you are {}", pass.subject())
}

async fn serve(
    listener: TcpListener,
    authority: gatepass_actix::Authority,
) -> Result<(), Box<dyn std::error::Error>> {
    let gate = Gate::new(&authority);
    let endpoints = Endpoints::new(authority);
    let server = HttpServer::new(move || {
        App::new()
            .route("/me", web::get().to(me).wrap(gate.clone()))
            .configure(configure(endpoints.clone()))
    });
    let server = server.h1_allow_half_closed(false); // ends the requests of clients that hang up
    Ok(server.listen(listener)?.run().await?)
}
