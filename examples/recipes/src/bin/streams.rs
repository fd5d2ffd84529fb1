//! Server-sent events that end when their user logs out, on this device or on another one. `cargo
//! run -p example-recipes --bin streams`, then `curl -N localhost:3000/news -H "Authorization:
//! Bearer $access_token"`. The recipe `websocket` does the same for WebSockets.

use std::{convert::Infallible, error::Error};

use axum::{
    Router,
    extract::State,
    response::{
        Sse,
        sse::{Event, KeepAlive},
    },
    routing::get,
};
use futures_util::{Stream, stream};
use gatepass_axum::{
    AuthenticationError, Authority, Connection, Credentials, Endpoints, GateLayer, Identity,
    MasterSecret, MemoryStore, routes,
};
use tokio::sync::broadcast::Sender;

fn login(credentials: &Credentials) -> Result<Identity, AuthenticationError> {
    match (credentials.username(), credentials.password()) {
        ("alice", Some("wonderland")) => Ok(Identity::new("alice")?),
        _ => Err(AuthenticationError::BadCredentials),
    }
}

/// Sends the news for as long as the session lives. gatepass then sends the last event,
/// `session_ended`. A client that gets `unavailable` connects again with the same token.
async fn news(
    connection: Connection,
    State(news): State<Sender<String>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = stream::unfold(news.subscribe(), async |mut news| {
        // The stream of a client that reads too slowly ends, and the client connects again.
        let text = news.recv().await.ok()?;
        Some((Ok(Event::default().data(text)), news))
    });
    // Not only for the 15 minutes of the access token.
    let connection = connection.follow_session();
    // Comments keep proxies from closing a stream that is silent.
    Sse::new(connection.events(events)).keep_alive(KeepAlive::default())
}

async fn publish(State(news): State<Sender<String>>, text: String) {
    // Fails if there are no readers.
    let _ = news.send(text);
}

fn app(authority: &Authority) -> Router {
    Router::new()
        .route("/news", get(news).post(publish))
        .route_layer(GateLayer::new(authority))
        .with_state(Sender::new(16))
        .merge(routes(Endpoints::new(authority.clone())))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = MasterSecret::generate()?;
    let authority = Authority::builder("https://news.example", "news", secret, MemoryStore::new());
    let authority = authority.authenticator(login).build().await?;
    example_recipes::serve(app(&authority)).await
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use gatepass_testkit::TestService;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn next(body: &mut Body) -> Option<String> {
        let frame = body.frame().await?.unwrap().into_data().unwrap();
        Some(String::from_utf8(frame.to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_logout_ends_the_stream() {
        let service = TestService::start().await;
        let app = app(service.authority());
        let alice = service.logged_in("alice").await;
        let send = async |method: &str, body: &'static str| {
            let request = Request::builder().method(method).uri("/news");
            let request = request.header("authorization", alice.bearer());
            let request = request.body(Body::from(body)).unwrap();
            app.clone().oneshot(request).await.unwrap()
        };
        let mut stream = send("GET", "").await.into_body();
        assert_eq!(send("POST", "tea is ready").await.status(), 200);
        assert_eq!(next(&mut stream).await.unwrap(), "data: tea is ready\n\n");

        let token = alice.access_token();
        service.authority().logout(token).await.unwrap();
        let last = next(&mut stream).await.unwrap();
        assert!(last.contains("event: session_ended"), "{last}");
        assert!(last.contains(r#"{"reason":"revoked"}"#), "{last}");
        assert_eq!(next(&mut stream).await, None);
    }
}
