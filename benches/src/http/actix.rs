//! The application in actix-web.

use std::{
    net::{SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use actix_web::{
    App, HttpRequest, HttpServer, error::ErrorUnauthorized, http::header::AUTHORIZATION,
    rt::System, web,
};
use gatepass_actix::{Auth, Gate};

use super::{
    Route,
    answers::{HELLO, cpu, is_good},
};

pub(super) fn serve(route: Route) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let app = move || {
        let route = match route.clone() {
            Route::Bare => web::get().to(async || HELLO),
            Route::Verifying(verifier) => web::get().to(move |request: HttpRequest| {
                let verifier = verifier.clone();
                async move {
                    match is_good(request.headers().get(AUTHORIZATION), &verifier).await {
                        true => Ok(HELLO),
                        false => Err(ErrorUnauthorized("")),
                    }
                }
            }),
            Route::Guarded(verifier) => {
                let gate = Gate::new(verifier);
                web::get().to(async |Auth(_): Auth| HELLO).wrap(gate)
            }
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
