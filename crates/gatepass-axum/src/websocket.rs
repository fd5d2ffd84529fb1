//! WebSockets that end with their session.

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use gatepass::Ended;
use tokio::time::timeout;

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
    /// use axum::{extract::ws::{Message, WebSocket, WebSocketUpgrade}, response::Response};
    /// use gatepass_axum::Connection;
    ///
    /// async fn echo(connection: Connection, upgrade: WebSocketUpgrade) -> Response {
    ///     upgrade.on_upgrade(async move |socket| {
    ///         let talk = async |socket: &mut WebSocket| {
    ///             while let Some(Ok(Message::Text(text))) = socket.recv().await {
    ///                 // A client renews the connection by a message of your choice.
    ///                 let answer = match text.strip_prefix("renew ") {
    ///                     Some(token) if connection.renew(token).await.is_ok() => "renewed".into(),
    ///                     _ => text,
    ///                 };
    ///                 if socket.send(Message::Text(answer)).await.is_err() {
    ///                     break;
    ///                 }
    ///             }
    ///         };
    ///         connection.websocket(socket, talk).await;
    ///     })
    /// }
    /// # axum::Router::<()>::new().route("/echo", axum::routing::get(echo));
    /// ```
    pub async fn websocket<H>(&self, mut socket: WebSocket, handler: H)
    where
        H: AsyncFnOnce(&mut WebSocket),
    {
        if let Err(ended) = self.until_ended(handler(&mut socket)).await {
            let _ = timeout(
                gatepass::Connection::CLOSE_TIMEOUT,
                close(&mut socket, ended),
            )
            .await;
        }
    }
}

async fn close(socket: &mut WebSocket, ended: Ended) {
    let frame = CloseFrame {
        code: ended.close_code(),
        reason: ended.reason().into(),
    };
    if socket.send(Message::Close(Some(frame))).await.is_ok() {
        // Waits for the client's own Close. If a socket is closed with unread bytes, the system
        // resets the connection, and the client may lose the frame.
        while let Some(Ok(_)) = socket.recv().await {}
    }
}
