//! Recipes: one small program for each question that an application asks about gatepass, with its
//! tests. `examples/README.md` is their index.

#![expect(
    clippy::print_stdout,
    reason = "the recipes tell the terminal where they listen"
)]

use std::{error::Error, net::SocketAddr};

use axum::Router;
use tokio::net::TcpListener;

/// Serves `app` on 127.0.0.1:3000, and writes its log. In production, limit how long a client may
/// take to send a request, as the README of `gatepass-axum` shows.
///
/// # Errors
///
/// The error of the server.
pub async fn serve(app: Router) -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt::init();
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    // So that gatepass limits attempts to log in by address.
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, app).await?)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn the_index_names_each_program() {
        let index = include_str!("../../README.md");
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
        for program in fs::read_dir(programs).unwrap() {
            let path = program.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let row = format!("| [{name}](recipes/src/bin/{name}");
            assert_eq!(
                index.matches(&row).count(),
                1,
                "no row for {name}, or several"
            );
        }
    }
}
