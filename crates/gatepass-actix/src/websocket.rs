//! WebSockets that end with their session.

use actix_web::rt::time::timeout;
use actix_ws::{CloseCode, CloseReason, Message, MessageStream, Session};
use gatepass::Ended;

use crate::connection::Connection;

impl Connection {
    /// Runs `handler` on a WebSocket until the connection must end.
    ///
    /// Then gatepass drops the handler's future wherever it is, even in a write that waits for a
    /// slow client. It sends the client a Close frame with the code and the reason, waits up to
    /// [`CLOSE_TIMEOUT`](gatepass::Connection::CLOSE_TIMEOUT) for the answer, and ends the
    /// response.
    ///
    /// If the client doesn't read, actix-web keeps its socket until it reads or disconnects. The
    /// client may then get up to 32 messages that the handler had sent before, and nothing more.
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
        // Waits for the client's own Close. If a socket is closed with unread bytes, the system
        // resets the connection, and the client may lose the frame.
        while let Some(Ok(message)) = messages.recv().await {
            if matches!(message, Message::Close(_)) {
                break;
            }
        }
    }
}
