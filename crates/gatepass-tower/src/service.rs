//! The service.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll},
};

use gatepass::wire;
use http::{Request, Response};
use tower_service::Service;

use crate::{
    convert::{head, response, set_cache_control},
    error_response::{ErrorResponse, JsonErrors},
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
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        // The one that was polled ready must be the one that is called; its clone may not be ready.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let (gate, errors) = (self.gate.clone(), self.errors.clone());
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match gate.judge(&head(&parts)).await {
                Ok(state) => {
                    let cache_control = state.cache_control();
                    parts.extensions.insert(state);
                    let mut response = inner.call(Request::from_parts(parts, body)).await?;
                    set_cache_control(response.headers_mut(), cache_control);
                    Ok(response)
                }
                Err(error) => {
                    let mut reply = gate.verifier().error_reply(&error);
                    if errors.keeps_body() {
                        reply = reply.for_method(parts.method.as_str());
                    }
                    Ok(errors.respond(&error, response(reply)))
                }
            }
        })
    }
}

impl<S: fmt::Debug, R> fmt::Debug for Gate<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("inner", &self.inner)
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}
