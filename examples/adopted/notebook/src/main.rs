//! Serves the site on <http://localhost:3000>, over the file `notebook.db`.

#![expect(
    clippy::print_stdout,
    reason = "the program tells the terminal where it listens"
)]

use std::{env::var, error::Error, net::TcpListener};

use example_notebook::Site;
use gatepass::{MasterSecret, SystemClock};

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    tracing_subscriber::fmt::init();
    let secret = MasterSecret::from_bytes(var("SECRET")?.as_bytes())?;
    let url = "http://localhost:3000";
    let site = Site::open("notebook.db".as_ref(), url, secret, SystemClock).await?;
    let listener = TcpListener::bind("127.0.0.1:3000")?;
    println!("open {url}");
    Ok(site.serve(listener)?.await?)
}
