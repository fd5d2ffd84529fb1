//! A stream that ends with the connection that it belongs to.

use std::{
    fmt,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use futures_core::Stream;

use crate::verifier::{connection::Connection, ended::Ended};

/// A stream that ends with its connection: [`Connection::guard`] makes it.
///
/// It yields the items of the stream within. When the connection must end, it drops that stream at
/// once, yields the [`Ended`] as its last item, and ends.
#[must_use = "a stream does nothing unless it is polled"]
pub struct Guarded<S> {
    /// `None` once it is over.
    guarded: Option<(Pin<Box<S>>, Mutex<EndedFuture>)>,
}

/// The future is in a mutex that no code locks, so that the stream is `Sync`: warp wants that.
type EndedFuture = Pin<Box<dyn Future<Output = Ended> + Send>>;

impl Connection {
    /// Ends a stream with this connection. Each item comes as `Ok`; the last one is `Err` if the
    /// connection ended, and is missing if the stream within ended by itself.
    ///
    /// The stream looks for the end before each item, so that no item follows it. A server doesn't
    /// poll the stream of a client that doesn't read: [`docs::connections`] explains when such a
    /// stream ends.
    ///
    /// [`docs::connections`]: crate::docs::connections
    ///
    /// ```
    /// use gatepass::{Connection, Ended};
    /// use futures_util::{Stream, StreamExt, stream};
    ///
    /// fn lines(connection: &Connection) -> impl Stream<Item = String> {
    ///     let ticks = stream::repeat("tick").map(str::to_owned);
    ///     connection.guard(ticks).map(|item| item.unwrap_or_else(|ended| ended.reason().to_owned()))
    /// }
    /// ```
    pub fn guard<S: Stream>(&self, stream: S) -> Guarded<S> {
        let connection = self.clone();
        let ended: EndedFuture = Box::pin(async move { connection.ended().await });
        Guarded {
            guarded: Some((Box::pin(stream), Mutex::new(ended))),
        }
    }
}

impl<S: Stream> Stream for Guarded<S> {
    type Item = Result<S::Item, Ended>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let guarded = &mut self.get_mut().guarded;
        let Some((stream, ended)) = guarded else {
            return Poll::Ready(None);
        };
        let ended = ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Poll::Ready(ended) = ended.as_mut().poll(cx) {
            *guarded = None;
            return Poll::Ready(Some(Err(ended)));
        }
        let item = std::task::ready!(stream.as_mut().poll_next(cx));
        if item.is_none() {
            *guarded = None;
        }
        Poll::Ready(item.map(Ok))
    }
}

impl<S> fmt::Debug for Guarded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").finish_non_exhaustive()
    }
}
