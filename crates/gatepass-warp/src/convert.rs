//! The parts of a request's head that the core looks at.

use std::{
    convert::Infallible,
    fmt,
    future::ready,
    net::{IpAddr, SocketAddr},
};

use gatepass::wire::RequestHead;
use http::{HeaderMap, HeaderValue, Method, header::HOST};
use warp::{Filter, Rejection, host::Authority};

use crate::full_path::full_path;

/// The head of a request, as far as [`issued`](crate::issued) looks at it. From [`request_head`].
#[derive(Clone)]
pub struct OwnedRequestHead {
    method: Method,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    target_host: Option<String>,
    address: Option<IpAddr>,
}

/// The address that a request came from. Servers other than `warp::serve` put it into a request's
/// extensions. With its own server, warp knows the address by itself.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "servers make it")]
pub struct PeerAddr(pub SocketAddr);

/// Extracts a request's head.
pub fn request_head()
-> impl Filter<Extract = (OwnedRequestHead,), Error = Infallible> + Copy + Send + Sync + 'static {
    warp::method()
        .and(full_path())
        .and(query())
        .and(warp::header::headers_cloned())
        .and(named())
        .and(address())
        .map(
            |method, path, query, headers: HeaderMap, named, address| OwnedRequestHead {
                method,
                path,
                query,
                target_host: target_host(&headers, named),
                headers,
                address,
            },
        )
}

impl OwnedRequestHead {
    pub(crate) fn view(&self) -> RequestHead<'_> {
        RequestHead::collect(self.method.as_str(), &self.path, |name| {
            self.headers.get_all(name).iter().map(HeaderValue::as_bytes)
        })
        .query(self.query.as_deref())
        .target_host(self.target_host.as_deref())
        .address(self.address)
    }
}

/// Headers hold credentials.
impl fmt::Debug for OwnedRequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedRequestHead")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

fn query()
-> impl Filter<Extract = (Option<String>,), Error = Infallible> + Copy + Send + Sync + 'static {
    // warp rejects a request without a query.
    let none = |_: Rejection| ready(Ok::<_, Infallible>((None,)));
    warp::query::raw().map(Some).or_else(none)
}

fn address()
-> impl Filter<Extract = (Option<IpAddr>,), Error = Infallible> + Copy + Send + Sync + 'static {
    warp::addr::remote()
        .and(warp::ext::optional::<PeerAddr>())
        .map(|remote: Option<SocketAddr>, peer: Option<PeerAddr>| {
            let other = || peer.map(|PeerAddr(address)| address);
            remote.or_else(other).map(|address| address.ip())
        })
}

/// The host by the request's target or its `Host`, in warp's reading: an error where they disagree,
/// or where `Host` is none.
type Named = Result<Option<Authority>, ()>;

fn named() -> impl Filter<Extract = (Named,), Error = Infallible> + Copy + Send + Sync + 'static {
    warp::host::optional()
        .map(Named::Ok)
        .or_else(|_: Rejection| ready(Ok::<_, Infallible>((Err(()),))))
}

/// The host in the request's target, which warp does not show by itself.
fn target_host(headers: &HeaderMap, named: Named) -> Option<String> {
    match named {
        // The target has none, or the same: the core reads the header.
        Ok(_) if headers.contains_key(HOST) => None,
        Ok(target) => target.map(|target| target.to_string()),
        // We cannot know which of the two a proxy has looked at. No origin is that of no host.
        Err(()) => Some(String::new()),
    }
}
