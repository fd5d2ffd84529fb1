//! Clients that cost little.

use std::{net::SocketAddr, time::Instant};

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use super::answers::HELLO;

/// The connections to one application.
pub(super) struct Clients {
    clients: Vec<Client>,
    cpu: Connection,
    /// The wall seconds of each request, after the batches got their size.
    pub(super) waits: Vec<f64>,
    /// The CPU seconds of the application for a request, batch by batch.
    pub(super) computed: Vec<f64>,
}

/// Requests of a client in the first batch, which finds the application cold.
const FIRST: u32 = 1;

impl Clients {
    /// Opens a connection for each token.
    pub(super) async fn connect(address: SocketAddr, tokens: &[String]) -> anyhow::Result<Self> {
        let mut clients = Vec::new();
        for token in tokens {
            let mut connection = Connection::open(address).await?;
            // Both routes get the same headers, so both servers parse them.
            let request = format!(
                "GET / HTTP/1.1\r\nhost: {address}\r\nuser-agent: gatepass-benches\r\n\
                 accept: */*\r\nauthorization: Bearer {token}\r\n\r\n"
            );
            let response = connection.exchange(&request).await?;
            anyhow::ensure!(response.ends_with(HELLO.as_bytes()), "another answer");
            clients.push(Client {
                connection,
                request,
                response,
            });
        }
        Ok(Self {
            clients,
            cpu: Connection::open(address).await?,
            waits: Vec::new(),
            computed: Vec::new(),
        })
    }

    /// Makes `times` requests on each connection, on all at once. Returns the seconds of the whole.
    pub(super) async fn requests(&mut self, times: u32) -> anyhow::Result<f64> {
        let before = self.computed_so_far().await?;
        let start = Instant::now();
        let mut running = JoinSet::new();
        for mut client in self.clients.drain(..) {
            running.spawn(async move {
                let mut waits = Vec::with_capacity(times as usize);
                for _ in 0..times {
                    let start = Instant::now();
                    client.request().await?;
                    waits.push(start.elapsed().as_secs_f64());
                }
                anyhow::Ok((client, waits))
            });
        }
        let mut waits = Vec::new();
        while let Some(done) = running.join_next().await {
            let (client, waited) = done??;
            self.clients.push(client);
            waits.extend(waited);
        }
        let took = start.elapsed().as_secs_f64();
        let computed = self.computed_so_far().await? - before;
        if times > FIRST {
            self.computed.push(computed / waits.len() as f64);
            self.waits.append(&mut waits);
        }
        Ok(took)
    }

    async fn computed_so_far(&mut self) -> anyhow::Result<f64> {
        let response = self
            .cpu
            .exchange("GET /cpu HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await?;
        let body = response.rsplit(|byte| *byte == b'\n').next();
        Ok(std::str::from_utf8(body.unwrap_or_default())?.parse()?)
    }
}

struct Client {
    connection: Connection,
    request: String,
    response: Vec<u8>,
}

impl Client {
    async fn request(&mut self) -> anyhow::Result<()> {
        let stream = &mut self.connection.0;
        stream.write_all(self.request.as_bytes()).await?;
        stream.read_exact(&mut self.response).await?;
        anyhow::ensure!(self.response.ends_with(HELLO.as_bytes()), "another answer");
        Ok(())
    }
}

/// A connection that is kept alive.
pub(super) struct Connection(TcpStream);

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Sends a request, and reads the whole answer.
    pub(super) async fn exchange(&mut self, request: &str) -> anyhow::Result<Vec<u8>> {
        self.0.write_all(request.as_bytes()).await?;
        let mut response = Vec::new();
        loop {
            anyhow::ensure!(self.0.read_buf(&mut response).await? > 0, "no answer");
            let end = b"\r\n\r\n";
            let head = response.windows(end.len()).position(|bytes| bytes == end);
            let Some(head) = head else { continue };
            let text = std::str::from_utf8(response.get(..head).unwrap_or_default())?;
            let length = text.to_ascii_lowercase().lines().find_map(|line| {
                let length = line.strip_prefix("content-length:")?;
                length.trim().parse::<usize>().ok()
            });
            let length = length.context("an answer without a length")?;
            if response.len() == head + end.len() + length {
                anyhow::ensure!(text.starts_with("HTTP/1.1 200"), "refused: {text}");
                return Ok(response);
            }
        }
    }
}
