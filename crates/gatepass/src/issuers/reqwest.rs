//! The fetcher that uses reqwest.

use async_trait::async_trait;
use reqwest::{
    Client, StatusCode,
    header::{ACCEPT, ETAG, IF_NONE_MATCH},
    redirect::Policy,
};

use crate::issuers::{
    fetcher::{FetchError, FetchRequest, Fetched, Fetcher},
    several::Issuers,
};

impl Issuers {
    /// Starts with no issuer. reqwest fetches the documents, over rustls with the certificates of
    /// the operating system. It follows no redirect, and ignores the environment's proxy settings.
    ///
    /// ```no_run
    /// use gatepass::issuers::{Issuers, TrustedIssuer};
    ///
    /// let issuers = Issuers::with_reqwest()?
    ///     .trust(TrustedIssuer::new("https://sso.example/realms/shop", "shop-api"));
    /// # Ok::<(), gatepass::issuers::FetchError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`FetchError`] if the machine has no certificates or no way to encrypt.
    pub fn with_reqwest() -> Result<Self, FetchError> {
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .user_agent(concat!("gatepass/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| failed(&error))?;
        Ok(Self::new(ByReqwest { client }))
    }
}

struct ByReqwest {
    client: Client,
}

#[async_trait]
impl Fetcher for ByReqwest {
    async fn fetch(&self, request: FetchRequest) -> Result<Fetched, FetchError> {
        let mut asked = self.client.get(&request.url);
        asked = asked.header(ACCEPT, "application/json");
        if let Some(etag) = &request.etag {
            asked = asked.header(IF_NONE_MATCH, etag);
        }
        let mut response = asked.send().await.map_err(|error| failed(&error))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED => return Ok(Fetched::NotModified),
            status => {
                return Err(FetchError::new(format_args!(
                    "the server answered {status}"
                )));
            }
        }
        let etag = response.headers().get(ETAG);
        let etag = etag.and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > request.max_bytes {
                return Err(FetchError::new("the document is too large"));
            }
        }
        Ok(Fetched::document(body, etag))
    }
}

/// The error with its sources, which say more than reqwest itself.
fn failed(error: &reqwest::Error) -> FetchError {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        reason.push_str(": ");
        reason.push_str(&cause.to_string());
        source = cause.source();
    }
    FetchError::new(reason)
}
