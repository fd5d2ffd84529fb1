//! The service.

use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use gatepass::{Demand, Verifier};
use http::{Request, Response};
use tower_service::Service;

use crate::{
    convert::{head, response, set_cache_control},
    refuse::{JsonRefusal, Refuse},
};

/// A service that lets only admitted requests through to another. Made by [`GateLayer`](crate::GateLayer).
#[derive(Clone)]
pub struct Gate<S, R = JsonRefusal> {
    inner: S,
    verifier: Verifier,
    demand: Arc<Demand>,
    refusal: R,
}

impl<S, R> Gate<S, R> {
    pub(crate) fn new(inner: S, verifier: Verifier, demand: Arc<Demand>, refusal: R) -> Self {
        Self {
            inner,
            verifier,
            demand,
            refusal,
        }
    }
}

impl<S, R, ReqBody, ResBody> Service<Request<ReqBody>> for Gate<S, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    R: Refuse<ResBody> + Clone + Send + 'static,
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
        let (verifier, demand) = (self.verifier.clone(), Arc::clone(&self.demand));
        let refusal = self.refusal.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let admitted = verifier.guard(&head(&parts), &demand).await;
            match admitted {
                Ok(admission) => {
                    let cache_control = admission.cache_control();
                    parts.extensions.insert(admission);
                    let mut response = inner.call(Request::from_parts(parts, body)).await?;
                    set_cache_control(response.headers_mut(), cache_control);
                    Ok(response)
                }
                Err(error) => {
                    let mut reply = verifier.refusal(&error);
                    if refusal.keeps_body() {
                        reply = reply.for_method(parts.method.as_str());
                    }
                    Ok(refusal.refuse(&error, response(reply)))
                }
            }
        })
    }
}

impl<S: fmt::Debug, R> fmt::Debug for Gate<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("inner", &self.inner)
            .field("verifier", &self.verifier)
            .field("demand", &self.demand)
            .finish_non_exhaustive()
    }
}
