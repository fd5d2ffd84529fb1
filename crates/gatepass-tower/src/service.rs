//! The service.

use std::{
    fmt, mem,
    task::{Context, Poll},
};

use gatepass::wire::{self, AuthRejection, AuthState, Outgoing};
use http::{Request, Response, request::Parts};
use tower_service::Service;

use crate::{
    convert::{ReadsHead, apply, response},
    error_response::{ErrorResponse, JsonErrors},
    future::{Answer, ResponseFuture},
};

/// A service that lets only authorized requests through to the one behind it. Made by
/// [`GateLayer`](crate::GateLayer).
#[derive(Clone)]
pub struct Gate<S, R = JsonErrors> {
    inner: S,
    gate: wire::Gate,
    errors: R,
    reads: ReadsHead,
}

impl<S, R> Gate<S, R> {
    pub(crate) fn new(inner: S, gate: wire::Gate, errors: R, reads: ReadsHead) -> Self {
        Self {
            inner,
            gate,
            errors,
            reads,
        }
    }
}

impl<S, R, ReqBody, ResBody> Service<Request<ReqBody>> for Gate<S, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    R: ErrorResponse<ResBody> + Clone + Send + 'static,
    ReqBody: Send + 'static,
    ResBody: Send,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, ResBody, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let Some(judged) = self.gate.try_judge(&(self.reads)(&parts)) else {
            return ResponseFuture::waiting(self.wait(Request::from_parts(parts, body)));
        };
        match judged {
            Ok(state) => {
                let (answer, mut outgoing) = let_through(&mut self.inner, parts, body, state);
                if !outgoing.waits() {
                    return ResponseFuture::through(answer, outgoing);
                }
                ResponseFuture::waiting(Box::pin(async move {
                    let mut response = answer.await?;
                    outgoing.settle().await;
                    apply(&outgoing, response.headers_mut());
                    Ok(response)
                }))
            }
            Err(rejection) => {
                // Dropping the service frees what it has reserved for this request. Otherwise a
                // stranger would keep, for example, a permit of a concurrency limit.
                let clone = self.inner.clone();
                self.inner = clone;
                ResponseFuture::refused(refuse(&self.errors, rejection, &parts))
            }
        }
    }
}

impl<S, R> Gate<S, R> {
    /// Judges a request for which the gate must ask the store first.
    fn wait<ReqBody, ResBody>(&mut self, request: Request<ReqBody>) -> Answer<ResBody, S::Error>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
        S::Future: Send,
        R: ErrorResponse<ResBody> + Clone + Send + 'static,
        ReqBody: Send + 'static,
        ResBody: Send,
    {
        // Calls the service that was polled ready: its clone may not be ready.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let (gate, errors, reads) = (self.gate.clone(), self.errors.clone(), self.reads);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let judged = gate.judge(&reads(&parts)).await;
            match judged {
                Ok(state) => {
                    let (answer, mut outgoing) = let_through(&mut inner, parts, body, state);
                    let mut response = answer.await?;
                    outgoing.settle().await;
                    apply(&outgoing, response.headers_mut());
                    Ok(response)
                }
                Err(rejection) => Ok(refuse(&errors, rejection, &parts)),
            }
        })
    }
}

/// Calls the service with the request and the gate's verdict. Returns how the gate changes the
/// response.
fn let_through<S: Service<Request<B>>, B>(
    inner: &mut S,
    mut parts: Parts,
    body: B,
    state: AuthState,
) -> (S::Future, Outgoing) {
    let outgoing = state.outgoing();
    parts.extensions.insert(state);
    (inner.call(Request::from_parts(parts, body)), outgoing)
}

/// The response to a request that the gate does not let through.
fn refuse<R: ErrorResponse<B>, B>(
    errors: &R,
    mut rejection: AuthRejection,
    parts: &Parts,
) -> Response<B> {
    if errors.keeps_body() {
        rejection = rejection.for_method(parts.method.as_str());
    }
    let (error, reply) = rejection.into_parts();
    errors.respond(&error, response(reply))
}

impl<S: fmt::Debug, R> fmt::Debug for Gate<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("inner", &self.inner)
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}
