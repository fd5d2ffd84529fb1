//! For those who already run tower-http's authorization layer.

use std::{pin::Pin, sync::Arc};

use gatepass::{Demand, Verifier};
use http::{Request, Response};
use tower_http::auth::AsyncAuthorizeRequest;

use crate::convert::{head, response};

/// Admits requests for tower-http's
/// [`AsyncRequireAuthorizationLayer`](tower_http::auth::AsyncRequireAuthorizationLayer), exactly as
/// [`GateLayer`](crate::GateLayer) does.
///
/// tower-http's layer doesn't show it the responses of the service. So it can't add `Cache-Control: private`
/// where tokens travel in cookies, as `GateLayer` does: your service says itself who may keep a response.
///
/// ```
/// use axum::body::Body;
/// use gatepass::Demand;
/// use gatepass_tower::Authorize;
/// use tower_http::auth::AsyncRequireAuthorizationLayer;
///
/// # fn example(verifier: gatepass::Verifier) {
/// let layer = AsyncRequireAuthorizationLayer::new(Authorize::<Body>::new(verifier, Demand::new()));
/// # let _ = layer;
/// # }
/// ```
#[derive(Debug)]
pub struct Authorize<ResBody> {
    verifier: Verifier,
    demand: Arc<Demand>,
    body: std::marker::PhantomData<fn() -> ResBody>,
}

impl<ResBody> Authorize<ResBody> {
    /// Admits what `verifier` verifies and what satisfies `demand`.
    #[must_use]
    pub fn new(verifier: Verifier, demand: Demand) -> Self {
        Self {
            verifier,
            demand: Arc::new(demand),
            body: std::marker::PhantomData,
        }
    }
}

impl<ResBody> Clone for Authorize<ResBody> {
    fn clone(&self) -> Self {
        let (verifier, demand) = (self.verifier.clone(), Arc::clone(&self.demand));
        Self {
            verifier,
            demand,
            body: self.body,
        }
    }
}

impl<B, ResBody> AsyncAuthorizeRequest<B> for Authorize<ResBody>
where
    B: Send + 'static,
    ResBody: From<Vec<u8>> + 'static,
{
    type RequestBody = B;
    type ResponseBody = ResBody;
    type Future = Pin<Box<dyn Future<Output = Result<Request<B>, Response<ResBody>>> + Send>>;

    fn authorize(&mut self, request: Request<B>) -> Self::Future {
        let (verifier, demand) = (self.verifier.clone(), Arc::clone(&self.demand));
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let admitted = verifier.guard(&head(&parts), &demand).await;
            match admitted {
                Ok(admission) => {
                    parts.extensions.insert(admission);
                    Ok(Request::from_parts(parts, body))
                }
                Err(error) => {
                    let reply = verifier.refusal(&error);
                    Err(response(reply.for_method(parts.method.as_str())).map(ResBody::from))
                }
            }
        })
    }
}
