//! Responses that stay open until their session ends.

use std::convert::Infallible;

use example_app::TICK;
use futures_util::{SinkExt, StreamExt};
use gatepass_warp::{Connection, Gate, gated};
use warp::{
    Filter, Rejection, Reply,
    sse::{self, Event},
    ws::{Message, WebSocket, Ws},
};

pub(crate) fn routes(
    gate: &Gate,
) -> impl Filter<Extract = (impl Reply + use<>,), Error = Rejection>
+ Clone
+ Send
+ Sync
+ 'static
+ use<> {
    let web_socket_path = warp::path!("ws").and(warp::get()).and(warp::ws());
    let events_path = warp::path!("events").and(warp::get().or(warp::head()).unify());
    gated(web_socket_path, gate.clone(), web_socket).or(gated(events_path, gate.clone(), events))
}

async fn web_socket(upgrade: Ws, connection: Connection) -> impl Reply {
    upgrade.on_upgrade(async move |socket| {
        let talk = async |socket: &mut WebSocket| {
            // The task ends when the client is gone.
            let _ = talk(&connection, socket).await;
        };
        connection.websocket(socket, talk).await;
    })
}

async fn talk(connection: &Connection, socket: &mut WebSocket) -> Result<(), warp::Error> {
    let mut clock = example_app::clock();
    loop {
        let text = tokio::select! {
            _ = clock.tick() => TICK.to_owned(),
            message = socket.next() => match message.transpose()? {
                Some(message) if message.is_close() => return Ok(()),
                Some(message) => match message.to_str() {
                    Ok(text) => example_app::talk(connection, text).await,
                    Err(()) => continue,
                },
                None => return Ok(()),
            },
        };
        socket.send(Message::text(text)).await?;
    }
}

async fn events(connection: Connection) -> impl Reply {
    // warp writes no space after the colon, unlike the other frameworks.
    let ticks = example_app::ticks()
        .map(|tick| Ok::<_, Infallible>(Event::default().data(format!(" {tick}"))));
    sse::reply(connection.events(ticks))
}
