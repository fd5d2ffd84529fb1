//! Serves the warehouse on `LISTEN`, by default `127.0.0.1:3000`, over the file `parts.db`.

#![expect(
    clippy::print_stdout,
    reason = "the program tells the terminal where it listens"
)]

use std::{env::var, error::Error};

use example_parts::Service;
use gatepass::{MasterSecret, SystemClock};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    tracing_subscriber::fmt::init();
    let secret = MasterSecret::from_bytes(var("SECRET")?.as_bytes())?;
    let service = Service::start("parts.db".as_ref(), secret, SystemClock).await?;
    if let Ok(password) = var("ADMIN_PASSWORD") {
        let scopes = "parts:read parts:write";
        service.set_user("admin", &password, scopes).await?;
    }
    let address = var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    service.serve(listener).await;
    Ok(())
}
