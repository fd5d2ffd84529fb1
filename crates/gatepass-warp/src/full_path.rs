//! The path of a request's target.

use std::{cell::Cell, convert::Infallible};

use warp::Filter;

thread_local! {
    /// The path on its way from the wrapper that sees it to the filter that extracts it.
    static SEEN: Cell<Option<String>> = const { Cell::new(None) };
}

/// Extracts the whole path of a request, without its query. The path is empty if the target has
/// none.
///
/// Use it instead of [`warp::path::full`], which panics on a target without a path (warp 0.4 with
/// http 1.5). Any client can send one, for example `GET a:1 HTTP/1.1` or `CONNECT a:1 HTTP/1.1`.
/// [`warp::path::tail`] and [`warp::path::peek`] panic as well: put them behind a filter that
/// matches a segment.
///
/// ```
/// use gatepass_warp::full_path;
/// use warp::Filter;
///
/// let not_found = full_path().map(|path: String| format!("there is nothing at {path}"));
/// # let _ = warp::path!("health").map(warp::reply).or(not_found);
/// ```
pub fn full_path()
-> impl Filter<Extract = (String,), Error = Infallible> + Copy + Send + Sync + 'static {
    // warp shows the path of such a target only to its log wrappers. The wrapped reply is ready at
    // once, so all three closures run in one poll, on one thread, and nothing runs between them.
    let look = warp::log::custom(|info| SEEN.set(Some(info.path().to_owned())));
    warp::any()
        .map(warp::reply)
        .with(look)
        .map(|_| SEEN.take().unwrap_or_default())
}
