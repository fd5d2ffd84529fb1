//! The description of a service as a protected resource, for services without endpoints.

use std::sync::Arc;

use crate::{
    config::BuildError,
    http::{head::RequestHead, reply::Reply},
    verifier::{protected_resource::PublishedResource, verifier::Verifier},
};

/// Answers requests for the [description](crate::ProtectedResource) of a service that has no
/// [`Endpoints`](crate::wire::Endpoints), such as an MCP server that accepts the tokens of others.
///
/// Each adapter has a function `resource_metadata` that mounts it. Mount it beside the guarded
/// routes, since clients ask for it without a token. It is cheap to clone.
///
/// ```
/// use gatepass::{BuildError, Verifier, wire::{Reply, RequestHead, ResourceMetadata}};
///
/// fn answer(verifier: &Verifier, head: &RequestHead<'_>) -> Result<Reply, BuildError> {
///     let metadata = ResourceMetadata::new(verifier)?;
///     Ok(metadata.handle(head))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct ResourceMetadata {
    verifier: Verifier,
    resource: Arc<PublishedResource>,
}

impl ResourceMetadata {
    /// The description that `verifier` was built with. Give it the [`Verifier`], or the
    /// [`Authority`](crate::Authority) that has one.
    ///
    /// # Errors
    ///
    /// [`BuildError::NoProtectedResource`] if it was built with none.
    pub fn new(verifier: impl Into<Verifier>) -> Result<Self, BuildError> {
        let verifier = verifier.into();
        let resource = verifier.policy().resource.clone();
        let resource = resource.ok_or(BuildError::NoProtectedResource)?;
        Ok(Self { verifier, resource })
    }

    /// The path of the description, for a framework's router. For example,
    /// `/.well-known/oauth-protected-resource/mcp`. Send requests of all methods to
    /// [`handle`](Self::handle), which knows those that are allowed.
    #[must_use]
    pub fn path(&self) -> &str {
        self.resource.metadata_path()
    }

    /// Answers one request. It has no body that matters.
    #[must_use]
    pub fn handle(&self, head: &RequestHead<'_>) -> Reply {
        let reply = match head.method() {
            _ if head.path() != self.path() => Reply::not_found(),
            "GET" | "HEAD" => {
                let document = self.resource.document(None);
                Reply::document(document, head.field("if-none-match"))
            }
            _ => Reply::method_not_allowed("GET, HEAD"),
        };
        let reply = self.verifier.in_own_format(head, reply);
        reply.for_method(head.method())
    }
}
