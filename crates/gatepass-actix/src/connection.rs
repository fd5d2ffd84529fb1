//! Connections that stay open until their session ends.

use std::{future::Ready, ops::Deref, time::Duration};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web::Bytes};
use futures_util::{Stream, StreamExt};

use crate::{extract::ask, rejection::AuthRejection};

/// The connection of the user who is logged in, for a response that stays open: a WebSocket or
/// server-sent events. It ends when its session ends, or when its access token expires without a
/// renewal. The rules are documented in [`docs::connections`](gatepass::docs::connections).
///
/// ```
/// use std::convert::Infallible;
///
/// use actix_web::{HttpResponse, web::Bytes};
/// use futures_util::{StreamExt, stream};
/// use gatepass_actix::Connection;
///
/// async fn news(connection: Connection) -> HttpResponse {
///     let hello: Result<_, Infallible> = Ok(Bytes::from_static(b"data: hello\n\n"));
///     let news = stream::iter([hello]).chain(stream::pending());
///     HttpResponse::Ok().content_type("text/event-stream").streaming(connection.events(news))
/// }
/// # let _ = actix_web::App::new().route("/news", actix_web::web::get().to(news));
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

    /// Ends a streaming body of server-sent events when the connection ends. The last event is
    /// `session_ended`, or `unavailable` if the client should connect again with the same tokens.
    ///
    /// Each item must be a whole event, such as `data: hello` and an empty line.
    pub fn events<S, E>(&self, events: S) -> impl Stream<Item = Result<Bytes, E>> + use<S, E>
    where
        S: Stream<Item = Result<Bytes, E>>,
    {
        self.guard(events)
            .map(|item| item.unwrap_or_else(|ended| Ok(Bytes::from(ended.event().to_string()))))
    }
}

impl FromRequest for Connection {
    type Error = AuthRejection;
    type Future = Ready<Result<Self, AuthRejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ask(request, |judged| Ok(Self(judged.connection()?)))
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
