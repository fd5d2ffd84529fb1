//! The future of the service.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use gatepass::wire::Outgoing;
use http::Response;
use pin_project_lite::pin_project;

use crate::convert::apply;

pin_project! {
    /// The response of a [`Gate`](crate::Gate), or of the service behind it.
    pub struct ResponseFuture<F, B, E> {
        #[pin]
        state: State<F, B, E>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<F, B, E> {
        /// The gate has let the request through, and the service answers.
        Through {
            #[pin]
            answer: F,
            outgoing: Outgoing,
        },
        /// The gate's own response; `None` once it is taken.
        Refused { response: Option<Response<B>> },
        /// The gate asks the store, before or after the service answers.
        Waiting { answer: Answer<B, E> },
    }
}

/// The future of a gate that waits for its store, and then of the service behind it.
pub(crate) type Answer<B, E> = Pin<Box<dyn Future<Output = Result<Response<B>, E>> + Send>>;

impl<F, B, E> ResponseFuture<F, B, E> {
    pub(crate) fn through(answer: F, outgoing: Outgoing) -> Self {
        let state = State::Through { answer, outgoing };
        Self { state }
    }

    pub(crate) fn refused(response: Response<B>) -> Self {
        let response = Some(response);
        let state = State::Refused { response };
        Self { state }
    }

    pub(crate) fn waiting(answer: Answer<B, E>) -> Self {
        let state = State::Waiting { answer };
        Self { state }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B, E>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            Projected::Through { answer, outgoing } => {
                let mut response = ready!(answer.poll(context))?;
                apply(outgoing, response.headers_mut());
                Poll::Ready(Ok(response))
            }
            // Like every future, this one must not be polled again once it is ready.
            Projected::Refused { response } => response
                .take()
                .map_or(Poll::Pending, |response| Poll::Ready(Ok(response))),
            Projected::Waiting { answer } => answer.as_mut().poll(context),
        }
    }
}

impl<F, B, E> fmt::Debug for ResponseFuture<F, B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
