//! The service.

use std::{
    fmt, mem,
    task::{Context, Poll},
};

use gatepass::{
    Error,
    wire::{self, AuthState},
};
use http::{Request, Response, request::Parts};
use tower_service::Service;

use crate::{
    convert::{head, response, set_cache_control},
    error_response::{ErrorResponse, JsonErrors},
    future::{Answer, ResponseFuture},
};

/// A service that lets only authorized requests through to another. Made by
/// [`GateLayer`](crate::GateLayer).
#[derive(Clone)]
pub struct Gate<S, R = JsonErrors> {
    inner: S,
    gate: wire::Gate,
    errors: R,
}

impl<S, R> Gate<S, R> {
    pub(crate) fn new(inner: S, gate: wire::Gate, errors: R) -> Self {
        Self {
            inner,
            gate,
            errors,
        }
    }
}

impl<S, R, ReqBody, ResBody> Service<Request<ReqBody>> for Gate<S, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    R: ErrorResponse<ResBody> + Clone + Send + 'static,
    ReqBody: Send + 'static,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, ResBody, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let Some(judged) = self.gate.try_judge(&head(&parts)) else {
            return ResponseFuture::waiting(self.wait(Request::from_parts(parts, body)));
        };
        match judged {
            Ok(state) => {
                let (answer, cache_control) = let_through(&mut self.inner, parts, body, state);
                ResponseFuture::through(answer, cache_control)
            }
            Err(error) => {
                // Dropping the service frees what it has reserved for this request. Otherwise a
                // stranger would keep a permit of a concurrency limit.
                let clone = self.inner.clone();
                self.inner = clone;
                ResponseFuture::refused(refuse(&self.gate, &self.errors, &error, &parts))
            }
        }
    }
}

impl<S, R> Gate<S, R> {
    /// Judges a request that cannot be judged at once.
    fn wait<ReqBody, ResBody>(&mut self, request: Request<ReqBody>) -> Answer<ResBody, S::Error>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
        S::Future: Send,
        R: ErrorResponse<ResBody> + Clone + Send + 'static,
        ReqBody: Send + 'static,
    {
        // The one that was polled ready must be the one that is called; its clone may not be ready.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let (gate, errors) = (self.gate.clone(), self.errors.clone());
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let judged = gate.judge(&head(&parts)).await;
            match judged {
                Ok(state) => {
                    let (answer, cache_control) = let_through(&mut inner, parts, body, state);
                    let mut response = answer.await?;
                    set_cache_control(response.headers_mut(), cache_control);
                    Ok(response)
                }
                Err(error) => Ok(refuse(&gate, &errors, &error, &parts)),
            }
        })
    }
}

/// Gives a request with what the gate knows of it to the service, and says which `Cache-Control`
/// the response gets.
fn let_through<S: Service<Request<B>>, B>(
    inner: &mut S,
    mut parts: Parts,
    body: B,
    state: AuthState,
) -> (S::Future, Option<&'static str>) {
    let cache_control = state.cache_control();
    parts.extensions.insert(state);
    (inner.call(Request::from_parts(parts, body)), cache_control)
}

/// The response to a request that the gate does not let through.
fn refuse<R: ErrorResponse<B>, B>(
    gate: &wire::Gate,
    errors: &R,
    error: &Error,
    parts: &Parts,
) -> Response<B> {
    let mut reply = gate.verifier().error_reply(error);
    if errors.keeps_body() {
        reply = reply.for_method(parts.method.as_str());
    }
    errors.respond(error, response(reply))
}

impl<S: fmt::Debug, R> fmt::Debug for Gate<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("inner", &self.inner)
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}
