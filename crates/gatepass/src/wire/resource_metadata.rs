//! The description of a service as a protected resource, for services without endpoints.

use std::sync::Arc;

use crate::{
    config::BuildError,
    http::{head::RequestHead, reply::Reply},
    verifier::{protected_resource::PublishedResource, verifier::Verifier},
};

/// Answers requests for the [description](crate::ProtectedResource) of a service that has no
/// [`Endpoints`](crate::wire::Endpoints), such as an MCP server that accepts another issuer's
/// tokens.
///
/// Each adapter has a function `resource_metadata` that mounts it. Mount it outside of the gate,
/// because clients ask for it without a token. It is cheap to clone.
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
    /// The description that you configured for `verifier`. Pass a [`Verifier`], or an
    /// [`Authority`](crate::Authority), which has one.
    ///
    /// # Errors
    ///
    /// [`BuildError::NoProtectedResource`] if you configured none.
    pub fn new(verifier: impl Into<Verifier>) -> Result<Self, BuildError> {
        let verifier = verifier.into();
        let resource = verifier.policy().resource.clone();
        let resource = resource.ok_or(BuildError::NoProtectedResource)?;
        Ok(Self { verifier, resource })
    }

    /// The path of the description, for a framework's router. For example,
    /// `/.well-known/oauth-protected-resource/mcp`. Send requests of all methods to
    /// [`handle`](Self::handle), which knows the allowed ones.
    #[must_use]
    pub fn path(&self) -> &str {
        self.resource.metadata_path()
    }

    /// Answers one request. You need not read its body.
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
