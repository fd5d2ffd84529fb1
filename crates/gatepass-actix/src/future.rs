//! The future of the gate.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::{
    Error,
    body::{BoxBody, EitherBody, MessageBody},
    dev::ServiceResponse,
};
use gatepass::wire::Outgoing;
use pin_project_lite::pin_project;

use crate::convert::Headers;

pin_project! {
    /// The response of a gate, or of the service behind it.
    pub struct GateFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<F, B> {
        /// The gate has let the request through, and the service answers.
        Through {
            #[pin]
            answer: F,
            outgoing: Outgoing,
        },
        /// The gate's own response; `None` once it is taken.
        Refused { response: Option<ServiceResponse> },
        /// The gate asks the store first.
        Waiting { answer: Answer<B> },
    }
}

/// The future of a gate that waits for its store, and then of the service behind it.
type Answer<B> = Pin<Box<dyn Future<Output = Guarded<B>>>>;

/// The response of a service behind a gate.
type Guarded<B> = Result<ServiceResponse<EitherBody<B>>, Error>;

impl<F, B> GateFuture<F, B> {
    pub(crate) fn through(answer: F, outgoing: Outgoing) -> Self {
        let state = State::Through { answer, outgoing };
        Self { state }
    }

    pub(crate) fn refused(response: ServiceResponse<BoxBody>) -> Self {
        let response = Some(response);
        let state = State::Refused { response };
        Self { state }
    }

    pub(crate) fn waiting(answer: Answer<B>) -> Self {
        let state = State::Waiting { answer };
        Self { state }
    }
}

impl<F, B> GateFuture<F, B>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
    B: MessageBody,
{
    /// The response, after the gate has asked the store once more if it must.
    pub(crate) async fn settled(self) -> Guarded<B> {
        match self.state {
            State::Through {
                answer,
                mut outgoing,
            } => {
                let answer = answer.await;
                outgoing.settle().await;
                passed(answer, outgoing)
            }
            state => Self { state }.await,
        }
    }
}

impl<F, B> Future for GateFuture<F, B>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
    B: MessageBody,
{
    type Output = Guarded<B>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Guarded<B>> {
        match self.project().state.project() {
            Projected::Through { answer, outgoing } => {
                Poll::Ready(passed(ready!(answer.poll(context)), outgoing.clone()))
            }
            // Like every future, this one must not be polled again once it is ready.
            Projected::Refused { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response.map_into_right_body())),
                None => Poll::Pending,
            },
            Projected::Waiting { answer } => answer.as_mut().poll(context),
        }
    }
}

fn passed<B: MessageBody>(
    answer: Result<ServiceResponse<B>, Error>,
    outgoing: Outgoing,
) -> Guarded<B> {
    match answer {
        Ok(mut response) => {
            outgoing.apply(&mut Headers(response.headers_mut()));
            Ok(response.map_into_left_body())
        }
        Err(mut error) => {
            error.add_response_mapper(move |mut response| {
                outgoing.apply(&mut Headers(response.headers_mut()));
                response
            });
            Err(error)
        }
    }
}

impl<F, B> fmt::Debug for GateFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateFuture").finish_non_exhaustive()
    }
}
