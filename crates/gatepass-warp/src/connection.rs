//! Connections that stay open until their session ends.

use std::{ops::Deref, time::Duration};

use futures_util::{Stream, StreamExt};
use gatepass::wire::LastEvent;
use warp::sse::Event;

/// The connection of the user who is logged in, for a response that stays open: a WebSocket or
/// server-sent events. It ends when its session ends, or when its access token expires without a
/// renewal. The rules are documented in [`docs::connections`](gatepass::docs::connections).
///
/// ```
/// use std::convert::Infallible;
///
/// use futures_util::{StreamExt, stream};
/// use gatepass_warp::{Connection, gate, gated};
/// use warp::{Filter, Reply, sse::{self, Event}};
///
/// async fn news(connection: Connection) -> impl Reply {
///     let hello: Result<_, Infallible> = Ok(Event::default().data("hello"));
///     sse::reply(connection.events(stream::iter([hello]).chain(stream::pending())))
/// }
///
/// # fn example(verifier: gatepass::Verifier) {
/// let route = gated(warp::path!("news").and(warp::get()), gate(verifier), news);
/// # let _ = route;
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Connection(pub(crate) gatepass::Connection);

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

/// Starts each value with a space, so that the event is the same in every framework. Other
/// frameworks write one after the colon, and warp doesn't.
fn event(last: &LastEvent) -> Event {
    let event = Event::default()
        .event(format!(" {}", last.name()))
        .data(format!(" {}", last.data()));
    match last.retry() {
        Some(retry) => event.retry(retry),
        None => event,
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
