use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::ws::{Message, WebSocket, WebSocketUpgrade},
    response::{Response, Sse, sse::Event},
    routing::get,
};
use futures_util::{Stream, stream};
use gatepass_axum::{
    AuthenticationError, Authority, Connection, Credentials, Endpoints, GateLayer, Identity,
    MasterSecret, MemoryStore, routes,
};
use tokio::{net::TcpListener, time::sleep};

/// Sends each text back. The text `renew TOKEN` renews the connection by a newer access token.
async fn echo(connection: Connection, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async move |socket| {
        let talk = async |socket: &mut WebSocket| {
            while let Some(Ok(Message::Text(text))) = socket.recv().await {
                let answer = match text.strip_prefix("renew ") {
                    None => text,
                    Some(token) => match connection.renew(token).await {
                        Ok(()) => "renewed".into(),
                        Err(error) => error.reason().into(),
                    },
                };
                if socket.send(Message::Text(answer)).await.is_err() {
                    break; // the client is gone
                }
            }
        };
        connection.websocket(socket, talk).await; // 4401 revoked, after a logout
    })
}

/// Sends an event each second. It goes on when the access token expires, while the session lives.
async fn news(connection: Connection) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let news = stream::unfold(0, async |number: u64| {
        sleep(Duration::from_secs(1)).await;
        Some((Ok(Event::default().data(number.to_string())), number + 1))
    });
    Sse::new(connection.follow_session().events(news)) // the last event is session_ended
}

fn app(authority: Authority) -> Router {
    Router::new()
        .route("/echo", get(echo))
        .route("/news", get(news))
        .route_layer(GateLayer::new(&authority))
        .merge(routes(Endpoints::new(authority)))
}

fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    match (credentials.username(), credentials.password()) {
        ("alice", Some("wonderland")) => Ok(Identity::new("alice")?),
        _ => Err(AuthenticationError::BadCredentials),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (secret, store) = (MasterSecret::generate()?, MemoryStore::new());
    let authority = Authority::builder("https://shop.example", "shop-api", secret, store);
    let authority = authority.authenticator(login).build().await?;
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    let app = app(authority).into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, app).await?)
}
