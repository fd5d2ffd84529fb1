//! WebSockets that end with their session.

use actix_web::rt::time::timeout;
use actix_ws::{CloseCode, CloseReason, Message, MessageStream, Session};
use gatepass::Ended;

use crate::connection::Connection;

impl Connection {
    /// Has `handler` serve a WebSocket until the connection must end.
    ///
    /// When it must, the handler's future is dropped wherever it is, also in a write that waits for
    /// a slow client. The client gets a Close frame with the code and the reason, has
    /// [`CLOSE_TIMEOUT`](gatepass::Connection::CLOSE_TIMEOUT) to answer, and the response ends.
    ///
    /// actix-web keeps the socket of a client that doesn't read until the client reads or goes. Up
    /// to 32 messages that the handler had sent before may arrive then, and nothing more.
    ///
    /// ```
    /// use actix_web::{Error, HttpRequest, HttpResponse, rt, web::Payload};
    /// use actix_ws::Message;
    /// use gatepass_actix::Connection;
    ///
    /// async fn echo(connection: Connection, request: HttpRequest, body: Payload) -> Result<HttpResponse, Error> {
    ///     let (response, session, messages) = actix_ws::handle(&request, body)?;
    ///     rt::spawn(async move {
    ///         let talk = async |session: &mut actix_ws::Session, messages: &mut actix_ws::MessageStream| {
    ///             while let Some(Ok(Message::Text(text))) = messages.recv().await {
    ///                 if session.text(text).await.is_err() {
    ///                     break;
    ///                 }
    ///             }
    ///         };
    ///         connection.websocket(session, messages, talk).await;
    ///     });
    ///     Ok(response)
    /// }
    /// # let _ = actix_web::App::new().route("/echo", actix_web::web::get().to(echo));
    /// ```
    pub async fn websocket<H>(&self, mut session: Session, mut messages: MessageStream, handler: H)
    where
        H: AsyncFnOnce(&mut Session, &mut MessageStream),
    {
        let work = handler(&mut session, &mut messages);
        if let Err(ended) = self.until_ended(work).await {
            let close = close(session, &mut messages, ended);
            let _ = timeout(gatepass::Connection::CLOSE_TIMEOUT, close).await;
        }
    }
}

async fn close(session: Session, messages: &mut MessageStream, ended: Ended) {
    let reason = CloseReason {
        code: CloseCode::from(ended.close_code()),
        description: Some(ended.reason().to_owned()),
    };
    if session.close(Some(reason)).await.is_ok() {
        // Until the client's own Close. A system that closes a socket with bytes that were not read
        // resets the connection, and the client may lose the frame.
        while let Some(Ok(message)) = messages.recv().await {
            if matches!(message, Message::Close(_)) {
                break;
            }
        }
    }
}
