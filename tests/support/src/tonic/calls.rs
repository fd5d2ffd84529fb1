//! A client that knows only paths and message types. It can send calls that no generated
//! client can.

use ::http::{HeaderMap, HeaderName, HeaderValue, uri::PathAndQuery};
use ::tonic::{
    Request, Response, Status,
    body::Body,
    client::{Grpc, GrpcService},
    codegen::{Body as HttpBody, Bytes, StdError},
    metadata::MetadataMap,
};
use ::tonic_prost::ProstCodec;
use prost::Message;

/// Calls the method at `path` with an empty message and `metadata`.
pub async fn unary<S, M>(service: S, path: &str, metadata: HeaderMap) -> Result<Response<M>, Status>
where
    S: GrpcService<Body>,
    S::Error: Into<StdError>,
    S::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <S::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
    M: Message + Default + Send + 'static,
{
    let mut client = Grpc::new(service);
    client
        .ready()
        .await
        .map_err(|_| Status::unknown("not ready"))?;
    let mut request = Request::new(());
    *request.metadata_mut() = MetadataMap::from_headers(metadata);
    let path: PathAndQuery = path.parse().unwrap();
    client
        .unary(request, path, ProstCodec::<(), M>::default())
        .await
}

/// The metadata with this access token.
pub fn bearer(token: &str) -> HeaderMap {
    let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    HeaderMap::from_iter([(HeaderName::from_static("authorization"), value)])
}

/// gatepass's reason in a status. Clients decide by it.
pub fn reason(status: &Status) -> Option<&str> {
    let reason = status.metadata().get(gatepass_tonic::REASON)?;
    Some(reason.to_str().unwrap())
}
