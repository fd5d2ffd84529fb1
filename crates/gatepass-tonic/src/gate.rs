//! The gate, with refusals that gRPC clients understand.

use gatepass::Verifier;

use crate::rejection::GrpcErrors;

/// A [`gatepass_tower::GateLayer`] that refuses with gRPC statuses. Made by [`gate`].
pub type GateLayer = gatepass_tower::GateLayer<GrpcErrors>;

/// A layer that lets a call through if `verifier` accepts its access token. It refuses all other
/// calls with a gRPC status.
///
/// Its requirements apply to everything that you put it around: usually a service, or one method
/// that has a route of its own.
///
/// ```
/// use gatepass_tonic::gate;
/// use tonic::{server::NamedService, service::{LayerExt, Routes}};
/// # use tonic::{body::Body, codegen::{Service, http}};
/// # fn example<S>(verifier: gatepass::Verifier, accounts: S, payments: S, news: S) -> Routes
/// # where
/// #     S: Service<http::Request<Body>, Response = http::Response<Body>, Error = std::convert::Infallible>,
/// #     S: NamedService + Clone + Send + Sync + 'static,
/// #     S::Future: Send,
/// # {
/// use std::time::Duration;
///
/// use gatepass::Requirements;
///
/// let gate = gate(verifier);
/// let recently = gate.clone().require(Requirements::new().max_age(Duration::from_secs(300)));
///
/// Routes::new(gate.named_layer(accounts))
///     .add_service(recently.named_layer(payments))
///     .add_service(gate.require(Requirements::new().optional()).named_layer(news))
/// # }
/// ```
pub fn gate(verifier: impl Into<Verifier>) -> GateLayer {
    gatepass_tower::GateLayer::new(verifier).error_response(GrpcErrors)
}
