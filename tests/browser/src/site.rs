//! Small sites of a test's own.

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

/// A site, until this is dropped.
#[derive(Debug)]
pub struct Site {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

/// The answer to a request. An error is none: the connection is cut.
pub type Answer = Result<Response<Full<Bytes>>, io::Error>;

impl Site {
    /// Serves on a free port.
    ///
    /// Each connection has one request. A browser sends a request again by itself if a connection
    /// breaks that it has used before, and a test wants to see every request that is lost.
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
                    // It ends with an error where an answer is dropped.
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

    /// Its port.
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
