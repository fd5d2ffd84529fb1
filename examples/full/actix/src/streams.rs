//! Responses that stay open until their session ends.

use std::convert::Infallible;

use actix_web::{
    Error, HttpRequest, HttpResponse, rt,
    web::{Bytes, Payload},
};
use actix_ws::{Closed, Message, MessageStream, Session};
use example_app::TICK;
use futures_util::StreamExt;
use gatepass_actix::Connection;

pub(crate) async fn web_socket(
    connection: Connection,
    request: HttpRequest,
    body: Payload,
) -> Result<HttpResponse, Error> {
    let (response, session, messages) = actix_ws::handle(&request, body)?;
    rt::spawn(async move {
        let talk = async |session: &mut Session, messages: &mut MessageStream| {
            // The task ends when the client is gone.
            let _ = talk(&connection, session, messages).await;
        };
        connection.websocket(session, messages, talk).await;
    });
    Ok(response)
}

async fn talk(
    connection: &Connection,
    session: &mut Session,
    messages: &mut MessageStream,
) -> Result<(), Closed> {
    let mut clock = example_app::clock();
    loop {
        let text = tokio::select! {
            _ = clock.tick() => TICK.to_owned(),
            message = messages.recv() => match message {
                Some(Ok(Message::Text(text))) => example_app::talk(connection, &text).await,
                Some(Ok(Message::Ping(bytes))) => {
                    session.pong(&bytes).await?;
                    continue;
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                Some(Ok(_)) => continue,
            },
        };
        session.text(text).await?;
    }
}

pub(crate) async fn events(connection: Connection) -> HttpResponse {
    let ticks = example_app::ticks().map(|tick| {
        let event = format!("data: {tick}\n\n");
        Ok::<_, Infallible>(Bytes::from(event))
    });
    HttpResponse::Ok()
        .insert_header(("cache-control", "no-cache"))
        .content_type("text/event-stream")
        .streaming(connection.events(ticks))
}
