//! Small sites for one test.

use std::{io, net::SocketAddr, sync::Arc};

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinHandle};

/// A site, which stops when this is dropped.
#[derive(Debug)]
pub struct Site {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

/// The answer to a request. An error closes the connection.
pub type Answer = Result<Response<Full<Bytes>>, io::Error>;

impl Site {
    /// Serves on a free port.
    ///
    /// Each connection carries one request. A browser repeats a request by itself if a connection
    /// breaks that it has used before, and a test must see each lost request.
    pub async fn serve<F>(answer: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = Arc::clone(&answer);
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(request));
                    let mut server = http1::Builder::new();
                    server.keep_alive(false);
                    // The connection ends with an error if the test drops an answer.
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, serving }
    }

    /// Serves one page at every path.
    pub async fn page(html: String) -> Self {
        Self::serve(move |_| {
            let answer = Response::builder()
                .header("content-type", "text/html; charset=utf-8")
                .body(Full::from(html.clone()));
            async move { Ok(answer.unwrap()) }
        })
        .await
    }

    /// The site's port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
