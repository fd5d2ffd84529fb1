use gatepass::wire::Endpoints;
use gatepass_warp::{Auth, gate, guarded, routes};
use tokio::net::TcpListener;
use warp::Filter;

async fn me(Auth(pass): Auth) -> String {
    format!("you are {}", pass.subject())
}

async fn serve(
    listener: TcpListener,
    authority: gatepass::Authority,
) -> Result<(), Box<dyn std::error::Error>> {
    let gate = gate(authority.verifier().clone());
    let me = guarded(warp::path!("me").and(warp::get()), gate, me); // refuses, and never rejects
    let app = me.or(routes(Endpoints::builder(authority).build()?));
    warp::serve(app).incoming(listener).run().await;
    Ok(())
}
