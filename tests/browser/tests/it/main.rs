//! The claims about browsers, each in Chromium against the example of every framework.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod client;
mod cookies;
mod cross_site;
mod devices;
mod live;
mod login_page;
mod outage;
mod page;
mod refresh;
mod rights;
mod tabs;
mod theft;
