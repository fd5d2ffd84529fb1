//! The parts of a request's head that the core reads.

use std::{
    cell::Cell,
    convert::Infallible,
    fmt,
    future::ready,
    iter,
    net::{IpAddr, SocketAddr},
};

use gatepass::wire::{self, AuthRejection, AuthState, RequestHead};
use gatepass_tower::PeerAddr;
use http::{HeaderMap, HeaderValue, Method, header::HOST};
use warp::{Filter, Rejection, filters::BoxedFilter, host::Authority, log::Info};

use crate::full_path::full_path;

/// The parts of a request's head that [`issue`](crate::issue) reads. The filter [`request_head`]
/// extracts them.
#[derive(Clone)]
pub struct OwnedRequestHead {
    method: Method,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    target_host: Result<Option<String>, ConflictingHosts>,
    address: Option<IpAddr>,
}

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

/// A request after a gate has looked at it.
pub(crate) enum Judged {
    /// The verdict of the gate.
    AtOnce(Result<AuthState, AuthRejection>, Seen),
    /// The gate must ask the store first.
    Waiting(OwnedRequestHead),
    /// warp has not shown the request to the gate.
    Unseen,
}

/// The part of a request that the filter copies for extractors and for the answer.
pub(crate) enum Seen {
    Method(Method),
    Head(OwnedRequestHead),
}

impl Seen {
    pub(crate) fn view(&self) -> RequestHead<'_> {
        match self {
            Self::Method(method) => RequestHead::new(method.as_str(), "", |_| iter::empty()),
            Self::Head(head) => head.view(),
        }
    }
}

/// Extracts the verdict of `gate`. `reads_head` says whether an extractor behind it reads the head.
pub(crate) fn judged(gate: wire::Gate, reads_head: bool) -> BoxedFilter<(Judged,)> {
    if reads_head || gate.reads_whole_head() {
        let judge = move |head: OwnedRequestHead| {
            let judged = gate.try_judge(&head.view());
            match judged {
                Some(judged) => Judged::AtOnce(judged, Seen::Head(head)),
                None => Judged::Waiting(head),
            }
        };
        request_head().map(judge).boxed()
    } else {
        judged_by_headers(gate).boxed()
    }
}

/// Extracts the verdict of `gate`, and copies the headers only if the gate must ask the store
/// first.
fn judged_by_headers(
    gate: wire::Gate,
) -> impl Filter<Extract = (Judged,), Error = Infallible> + Clone + Send + Sync + 'static {
    thread_local! {
        static NAMED: Cell<Option<Named>> = const { Cell::new(None) };
        static JUDGED: Cell<Option<Judged>> = const { Cell::new(None) };
    }
    // warp shows a whole head only to its log wrappers. The wrapped reply is ready at once, so all
    // closures run in one poll, on one thread, and nothing runs between them.
    let look = warp::log::custom(move |info| {
        let named = NAMED.take().unwrap_or(Err(ConflictingHosts));
        JUDGED.set(Some(judge(&gate, &info, named)));
    });
    named()
        .map(|named| {
            NAMED.set(Some(named));
            warp::reply()
        })
        .with(look)
        .map(|_| JUDGED.take().unwrap_or(Judged::Unseen))
}

fn judge(gate: &wire::Gate, info: &Info<'_>, named: Named) -> Judged {
    let (method, headers) = (info.method(), info.request_headers());
    let target_host = target_host(headers, named);
    let judged = gate.try_judge(&view(method, info.path(), headers, &target_host));
    match judged {
        Some(judged) => Judged::AtOnce(judged, Seen::Method(method.clone())),
        None => Judged::Waiting(OwnedRequestHead {
            method: method.clone(),
            path: info.path().to_owned(),
            // A gate that reads the query or the address gets the whole head instead.
            query: None,
            address: None,
            headers: headers.clone(),
            target_host,
        }),
    }
}

fn view<'a>(
    method: &'a Method,
    path: &'a str,
    headers: &'a HeaderMap,
    target_host: &'a Result<Option<String>, ConflictingHosts>,
) -> RequestHead<'a> {
    let head = RequestHead::new(method.as_str(), path, |name| {
        headers.get_all(name).iter().map(HeaderValue::as_bytes)
    });
    match target_host {
        Ok(host) => head.target_host(host.as_deref()),
        Err(ConflictingHosts) => head.conflicting_hosts(),
    }
}

impl OwnedRequestHead {
    /// The head as the core reads it.
    pub fn view(&self) -> RequestHead<'_> {
        view(&self.method, &self.path, &self.headers, &self.target_host)
            .query(self.query.as_deref())
            .address(self.address)
    }
}

/// Leaves out the headers, which hold credentials.
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

/// The request's target and its `Host` disagree, or its `Host` is not a valid host.
#[derive(Clone, Copy)]
struct ConflictingHosts;

/// The host that warp finds in the request's target or its `Host`.
type Named = Result<Option<Authority>, ConflictingHosts>;

fn named() -> impl Filter<Extract = (Named,), Error = Infallible> + Copy + Send + Sync + 'static {
    warp::host::optional()
        .map(Named::Ok)
        .or_else(|_: Rejection| ready(Ok::<_, Infallible>((Err(ConflictingHosts),))))
}

/// The host of the request's target. warp doesn't tell it from the one in `Host`.
fn target_host(headers: &HeaderMap, named: Named) -> Result<Option<String>, ConflictingHosts> {
    let named = named?;
    // If there is a `Host`, the target has no host or the same one, and the core reads the header.
    let target = named.filter(|_| !headers.contains_key(HOST));
    Ok(target.map(|target| target.to_string()))
}
