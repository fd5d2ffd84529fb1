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
    target_host: Result<Option<String>, ConflictingHosts>,
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
        let head = RequestHead::collect(self.method.as_str(), &self.path, |name| {
            self.headers.get_all(name).iter().map(HeaderValue::as_bytes)
        })
        .query(self.query.as_deref())
        .address(self.address);
        match &self.target_host {
            Ok(host) => head.target_host(host.as_deref()),
            Err(ConflictingHosts) => head.conflicting_hosts(),
        }
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

/// The request's target and its `Host` disagree, or its `Host` is not a host.
#[derive(Clone, Copy)]
struct ConflictingHosts;

/// The host by the request's target or its `Host`, in warp's reading.
type Named = Result<Option<Authority>, ConflictingHosts>;

fn named() -> impl Filter<Extract = (Named,), Error = Infallible> + Copy + Send + Sync + 'static {
    warp::host::optional()
        .map(Named::Ok)
        .or_else(|_: Rejection| ready(Ok::<_, Infallible>((Err(ConflictingHosts),))))
}

/// The host of the request's target, which warp does not show by itself.
fn target_host(headers: &HeaderMap, named: Named) -> Result<Option<String>, ConflictingHosts> {
    let named = named?;
    // Beside a `Host`, the target has none, or the same: the core reads the header.
    let target = named.filter(|_| !headers.contains_key(HOST));
    Ok(target.map(|target| target.to_string()))
}
