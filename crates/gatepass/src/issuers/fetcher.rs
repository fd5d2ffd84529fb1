//! The fetch of a document, which the core leaves to an HTTP client.

use std::fmt;

use async_trait::async_trait;

/// Fetches the documents in which issuers publish their keys. With the feature `reqwest`, gatepass
/// has a fetcher that uses reqwest. Implement the trait if you have another HTTP client.
///
/// The URLs come from your configuration, and from the metadata of an issuer that you have
/// configured. No token can name one. gatepass asks for one document of an issuer at a time, checks
/// its size again, and stops waiting by itself. A fetcher must keep these rules:
///
/// * It sends a `GET`, with `Accept: application/json` and, if there is one, the
///   [`etag`](FetchRequest::etag) as `If-None-Match`.
/// * It verifies the certificate of an `https` server.
/// * It follows no redirect. A redirect could lead to a server inside of your network.
/// * It returns the body of a 200, and [`Fetched::NotModified`] for a 304. Any other status is an
///   error.
/// * It stops reading at [`max_bytes`](FetchRequest::max_bytes).
///
/// For example, a test answers from memory:
///
/// ```
/// use gatepass::issuers::{FetchError, FetchRequest, Fetched, Fetcher};
///
/// struct Fixed;
///
/// #[gatepass::async_trait]
/// impl Fetcher for Fixed {
///     async fn fetch(&self, request: FetchRequest) -> Result<Fetched, FetchError> {
///         match request.url.as_str() {
///             "https://login.example/jwks" => Ok(Fetched::document(r#"{"keys":[]}"#, None)),
///             _ => Err(FetchError::new("not found")),
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Fetcher: Send + Sync + 'static {
    /// Fetches a document.
    ///
    /// # Errors
    ///
    /// [`FetchError`] if there is no such document, or if the server can't be reached.
    async fn fetch(&self, request: FetchRequest) -> Result<Fetched, FetchError>;
}

/// A request for a document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FetchRequest {
    /// The URL: `https`, or `http` on this machine.
    pub url: String,
    /// The `ETag` of the document that gatepass already has.
    pub etag: Option<String>,
    /// The most bytes that the body may have.
    pub max_bytes: usize,
}

impl FetchRequest {
    pub(super) fn new(url: String, etag: Option<String>) -> Self {
        Self {
            url,
            etag,
            max_bytes: MAX_BYTES,
        }
    }
}

/// The most bytes of a document. Microsoft's key set, which is one of the largest, has 20 KiB.
pub(super) const MAX_BYTES: usize = 256 * 1024;

/// The answer of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "gatepass must know what to do with every answer"
)]
pub enum Fetched {
    /// The document still has the [`etag`](FetchRequest::etag) of the request (304).
    NotModified,
    /// A document (200). Make it by [`Fetched::document`].
    #[non_exhaustive]
    Document {
        /// Its text.
        body: Vec<u8>,
        /// Its `ETag`, if the server has sent one.
        etag: Option<String>,
    },
}

impl Fetched {
    /// A document with this body.
    #[must_use]
    pub fn document(body: impl Into<Vec<u8>>, etag: Option<String>) -> Self {
        let body = body.into();
        Self::Document { body, etag }
    }
}

/// The reason why a fetch failed. gatepass reports it to the operator, and to no client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchError(String);

impl FetchError {
    /// The error for this reason, in words for the operator.
    #[must_use]
    pub fn new(reason: impl fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FetchError {}
