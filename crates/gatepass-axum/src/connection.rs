//! Connections that stay open until their session ends.

use std::{ops::Deref, time::Duration};

use axum::{extract::FromRequestParts, http::request::Parts, response::sse::Event};
use futures_util::{Stream, StreamExt};
use gatepass::wire::LastEvent;

use crate::{extract::auth_request, rejection::AuthRejection};

/// The connection of the user who is logged in, for a response that stays open: a WebSocket or
/// server-sent events. It ends when its session ends, or when its access token expires without a
/// renewal. The rules are documented in [`docs::connections`](gatepass::docs::connections).
///
/// ```
/// use std::convert::Infallible;
///
/// use axum::response::{Sse, sse::Event};
/// use futures_util::{Stream, StreamExt, stream};
/// use gatepass_axum::Connection;
///
/// async fn news(connection: Connection) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
///     let news = stream::iter([Ok(Event::default().data("hello"))]).chain(stream::pending());
///     Sse::new(connection.events(news))
/// }
/// # axum::Router::<()>::new().route("/news", axum::routing::get(news));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Connection(gatepass::Connection);

impl Connection {
    /// Keeps the connection open after its access token expires, until its session ends. See
    /// [`gatepass::Connection::follow_session`].
    pub fn follow_session(self) -> Self {
        Self(self.0.follow_session())
    }

    /// Sets how much longer than `max_staleness` the connection stays open while the node can't
    /// reach its store. See [`gatepass::Connection::patience`].
    pub fn patience(self, patience: Duration) -> Self {
        Self(self.0.patience(patience))
    }

    /// Ends a stream of server-sent events when the connection ends. The last event is
    /// `session_ended`, or `unavailable` if the client should connect again with the same tokens.
    pub fn events<S, E>(&self, events: S) -> impl Stream<Item = Result<Event, E>> + use<S, E>
    where
        S: Stream<Item = Result<Event, E>>,
    {
        self.guard(events)
            .map(|item| item.unwrap_or_else(|ended| Ok(event(&ended.event()))))
    }
}

fn event(last: &LastEvent) -> Event {
    let event = Event::default().event(last.name()).data(last.data());
    match last.retry() {
        Some(retry) => event.retry(retry),
        None => event,
    }
}

impl<S: Sync> FromRequestParts<S> for Connection {
    type Rejection = AuthRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthRejection> {
        Ok(Self(auth_request(parts)?.connection()?))
    }
}

/// The methods of the core's connection, such as [`renew`](gatepass::Connection::renew) and
/// [`ended`](gatepass::Connection::ended).
impl Deref for Connection {
    type Target = gatepass::Connection;

    fn deref(&self) -> &gatepass::Connection {
        &self.0
    }
}
