//! Responses that stay open until their session ends.

use std::convert::Infallible;

use axum::{
    Router,
    extract::ws::{Message, WebSocket, WebSocketUpgrade},
    response::{Response, Sse, sse::Event},
    routing::get,
};
use example_app::TICK;
use futures_util::{Stream, StreamExt};
use gatepass_axum::Connection;

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/ws", get(web_socket))
        .route("/events", get(events))
}

async fn web_socket(connection: Connection, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async move |socket| {
        let talk = async |socket: &mut WebSocket| {
            // The task ends when the client is gone.
            let _ = talk(&connection, socket).await;
        };
        connection.websocket(socket, talk).await;
    })
}

async fn talk(connection: &Connection, socket: &mut WebSocket) -> Result<(), axum::Error> {
    let mut clock = example_app::clock();
    loop {
        let text = tokio::select! {
            _ = clock.tick() => TICK.to_owned(),
            message = socket.recv() => match message.transpose()? {
                Some(Message::Text(text)) => example_app::talk(connection, &text).await,
                Some(Message::Close(_)) | None => return Ok(()),
                Some(_) => continue,
            },
        };
        socket.send(Message::Text(text.into())).await?;
    }
}

async fn events(connection: Connection) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let ticks = example_app::ticks().map(|tick| Ok(Event::default().data(tick)));
    Sse::new(connection.events(ticks))
}
