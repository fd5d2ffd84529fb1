//! Serves the application on `LISTEN`, by default `127.0.0.1:3000`.

#![expect(
    clippy::print_stdout,
    reason = "the program tells the terminal where it listens"
)]

use std::{env::var, error::Error, net::SocketAddr};

use gatepass::{MasterSecret, SystemClock};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    tracing_subscriber::fmt::init();
    let secret = MasterSecret::from_bytes(var("SECRET")?.as_bytes())?;
    let app = example_conduit::app(&var("DATABASE_URL")?, secret, SystemClock).await?;
    let address = var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    // In production, cut off clients that send half a request, as the docs of gatepass-axum show.
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, service).await?)
}
