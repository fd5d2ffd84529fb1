//! WebSockets that end with their session.

use futures_util::{SinkExt, StreamExt};
use gatepass::Ended;
use tokio::time::timeout;
use warp::ws::{Message, WebSocket};

use crate::connection::Connection;

impl Connection {
    /// Runs `handler` on a WebSocket until the connection must end.
    ///
    /// Then gatepass drops the handler's future wherever it is, even in a write that waits for a
    /// slow client. It sends the client a Close frame with the code and the reason, waits up to
    /// [`CLOSE_TIMEOUT`](gatepass::Connection::CLOSE_TIMEOUT) for the answer, and closes the
    /// socket.
    ///
    /// ```
    /// use futures_util::{SinkExt, StreamExt};
    /// use gatepass_warp::{Connection, gate, gated};
    /// use warp::{Filter, Reply, ws::{WebSocket, Ws}};
    ///
    /// async fn echo(upgrade: Ws, connection: Connection) -> impl Reply {
    ///     upgrade.on_upgrade(async move |socket| {
    ///         let talk = async |socket: &mut WebSocket| {
    ///             while let Some(Ok(message)) = socket.next().await {
    ///                 if socket.send(message).await.is_err() {
    ///                     break;
    ///                 }
    ///             }
    ///         };
    ///         connection.websocket(socket, talk).await;
    ///     })
    /// }
    ///
    /// # fn example(verifier: gatepass::Verifier) {
    /// let path = warp::path!("echo").and(warp::get()).and(warp::ws());
    /// let route = gated(path, gate(verifier), echo);
    /// # let _ = route;
    /// # }
    /// ```
    pub async fn websocket<H>(&self, mut socket: WebSocket, handler: H)
    where
        H: AsyncFnOnce(&mut WebSocket),
    {
        if let Err(ended) = self.until_ended(handler(&mut socket)).await {
            let close = close(&mut socket, ended);
            let _ = timeout(gatepass::Connection::CLOSE_TIMEOUT, close).await;
        }
    }
}

async fn close(socket: &mut WebSocket, ended: Ended) {
    let frame = Message::close_with(ended.close_code(), ended.reason());
    if socket.send(frame).await.is_ok() {
        // Waits for the client's own Close. If a socket is closed with unread bytes, the system
        // resets the connection, and the client may lose the frame.
        while let Some(Ok(_)) = socket.next().await {}
    }
}
