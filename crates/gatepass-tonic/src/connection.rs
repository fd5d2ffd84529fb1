//! Streams that stay open until their session ends.

use std::{ops::Deref, time::Duration};

use futures_core::Stream;
use futures_util::StreamExt;
use tonic::Status;

use crate::rejection;

/// The connection of the user who is logged in, for a long stream. It ends when its session ends,
/// or when its access token expires without a renewal. The rules are documented in
/// [`docs::connections`](gatepass::docs::connections).
///
/// [`RequestAuth::connection`](crate::RequestAuth::connection) makes one.
///
/// ```
/// use std::pin::Pin;
///
/// use futures_util::{Stream, stream};
/// use gatepass_tonic::RequestAuth;
/// use tonic::{Request, Response, Status, Streaming};
///
/// type Lines = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;
///
/// /// A stream of the server.
/// async fn news(request: Request<()>) -> Result<Response<Lines>, Status> {
///     let connection = request.connection()?;
///     let news = stream::repeat_with(|| Ok("hello".to_owned()));
///     Ok(Response::new(Box::pin(connection.stream(news))))
/// }
///
/// /// A stream in both directions: both end with the session.
/// async fn echo(request: Request<Streaming<String>>) -> Result<Response<Lines>, Status> {
///     let connection = request.connection()?;
///     let lines = connection.stream(request.into_inner());
///     Ok(Response::new(Box::pin(connection.stream(lines))))
/// }
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

    /// Ends a stream of messages, of a response or of a request, when the connection ends.
    ///
    /// The last item is the status that a new call with the same token would get:
    /// `UNAUTHENTICATED`, or `UNAVAILABLE` if the client should call again with the same token. Its
    /// metadata has the reason, like a [refusal](crate#refusals).
    pub fn stream<S, T>(&self, messages: S) -> impl Stream<Item = Result<T, Status>> + use<S, T>
    where
        S: Stream<Item = Result<T, Status>>,
    {
        let verifier = self.verifier().clone();
        self.guard(messages).map(move |item| {
            item.unwrap_or_else(|ended| Err(rejection::status(&verifier, &ended.error())))
        })
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
