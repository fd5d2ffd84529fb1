//! A WebSocket that ends when its user logs out, on this device or on another one. `cargo run -p
//! example-recipes --bin websocket`.

use std::error::Error;

use axum::{
    Router,
    extract::ws::{Message, WebSocket, WebSocketUpgrade},
    response::Response,
    routing::get,
};
use gatepass_axum::{
    AuthenticationError, Authority, Connection, Credentials, Endpoints, GateLayer, Identity,
    MasterSecret, MemoryStore, routes,
};

fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    match (credentials.username(), credentials.password()) {
        ("alice", Some("wonderland")) => Ok(Identity::new("alice")?),
        _ => Err(AuthenticationError::BadCredentials),
    }
}

/// Sends each text back, for as long as the session lives. gatepass closes the socket then, also
/// while this handler waits.
async fn echo(connection: Connection, upgrade: WebSocketUpgrade) -> Response {
    let connection = connection.follow_session();
    upgrade.on_upgrade(async move |socket| {
        let talk = async |socket: &mut WebSocket| {
            while let Some(Ok(Message::Text(text))) = socket.recv().await {
                if socket.send(Message::Text(text)).await.is_err() {
                    break;
                }
            }
        };
        connection.websocket(socket, talk).await;
    })
}

fn app(authority: &Authority) -> Router {
    let echo = get(echo).route_layer(GateLayer::new(authority));
    routes(Endpoints::new(authority.clone())).route("/echo", echo)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = MasterSecret::generate()?;
    let authority = Authority::builder("https://shop.example", "shop", secret, MemoryStore::new());
    let authority = authority.authenticator(login).build().await?;
    example_recipes::serve(app(&authority)).await
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use gatepass_testkit::{TestServer, TestService};
    use tokio_tungstenite::{
        connect_async,
        tungstenite::{Message, client::IntoClientRequest},
    };

    use super::*;

    #[tokio::test]
    async fn a_logout_closes_the_socket() {
        let service = TestService::start().await;
        let app = app(service.authority());
        let server = TestServer::start(|listener| async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
        let alice = service.logged_in("alice").await;
        let url = server.url().replace("http", "ws") + "/echo";
        let mut request = url.into_client_request().unwrap();
        let bearer = alice.bearer().parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        let (mut socket, _) = connect_async(request).await.unwrap();
        socket.send(Message::text("hello")).await.unwrap();
        assert_eq!(
            socket.next().await.unwrap().unwrap(),
            Message::text("hello")
        );

        service
            .authority()
            .logout(alice.access_token())
            .await
            .unwrap();
        let Some(Ok(Message::Close(Some(frame)))) = socket.next().await else {
            panic!("the server closes the socket");
        };
        assert_eq!(&*frame.reason, "revoked");
    }
}
