//! The HTTP client. It is cheap, since each route's figure includes its work.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// The body of each answer.
pub(crate) const BODY: &str = "hello";

/// A connection that is kept alive. It writes the same bytes again and again, and reads answers of
/// known length.
pub(crate) struct Connection {
    stream: TcpStream,
    request: String,
    response: Vec<u8>,
}

impl Connection {
    /// Connects, and learns the length of the answers by a first request. `header` has the
    /// credentials. The client sends it to a bare route as well, so both servers parse it.
    pub(crate) async fn open(
        address: SocketAddr,
        path: &str,
        header: &str,
    ) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nuser-agent: gatepass-peers\r\n\
             accept: */*\r\n{header}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut response = Vec::new();
        while !response.ends_with(b"\r\n\r\nhello") {
            let read = stream.read_buf(&mut response).await?;
            let so_far = || String::from_utf8_lossy(&response).into_owned();
            anyhow::ensure!(read > 0, "{path}: the answer ended: {}", so_far());
            let refused = response.len() > 12 && !response.starts_with(b"HTTP/1.1 200");
            anyhow::ensure!(!refused, "{path}: refused: {}", so_far());
        }
        Ok(Self {
            stream,
            request,
            response,
        })
    }

    async fn ask(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(self.request.as_bytes()).await?;
        self.stream.read_exact(&mut self.response).await?;
        anyhow::ensure!(self.response.ends_with(BODY.as_bytes()), "another answer");
        Ok(())
    }
}

/// Makes `times` requests on each connection, on all at once.
pub(crate) async fn requests(connections: &mut Vec<Connection>, times: u32) -> anyhow::Result<()> {
    let mut running = JoinSet::new();
    for mut connection in connections.drain(..) {
        running.spawn(async move {
            for _ in 0..times {
                connection.ask().await?;
            }
            anyhow::Ok(connection)
        });
    }
    while let Some(done) = running.join_next().await {
        connections.push(done??);
    }
    Ok(())
}

/// Logs in at a route that sets a cookie, and returns the header that sends it back.
pub(crate) async fn log_in(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    let cookie = response.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let pair = value.split(';').next()?;
        name.eq_ignore_ascii_case("set-cookie").then_some(pair)
    });
    let cookie = cookie.ok_or_else(|| anyhow::anyhow!("no cookie in {response}"))?;
    Ok(format!("cookie: {cookie}"))
}
