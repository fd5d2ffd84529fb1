//! The real servers that `cargo xtask test` starts, and unique names.

use std::{
    env,
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};

use gatepass::store::{Random, SystemRandom};
use gatepass_testkit::proxy::Proxy;

/// How long a test waits for a server on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The URL in the environment variable `name`.
pub fn server(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run `cargo xtask test`, or run `cargo xtask servers` in another \
             terminal and set what it prints"
        )
    })
}

/// The host and port in `url`.
fn host_of(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap();
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap()
}

/// The address of the server at `url`.
pub fn address_of(url: &str) -> SocketAddr {
    host_of(url).to_socket_addrs().unwrap().next().unwrap()
}

/// A proxy in front of the server at `url`.
pub async fn proxy_before(url: &str) -> Proxy {
    Proxy::before(address_of(url)).await.unwrap()
}

/// The same URL, through `proxy`.
pub fn through(url: &str, proxy: &Proxy) -> String {
    url.replace(host_of(url), &proxy.address().to_string())
}

/// A name that no other test uses. A process id would not be enough, because it may come again
/// while the servers run.
pub fn unique(what: &str) -> String {
    let mut random = [0; 8];
    SystemRandom.fill(&mut random).unwrap();
    format!("{what}_{:016x}", u64::from_be_bytes(random))
}

/// Checks the kind of `$error`, and that its message contains a text.
#[macro_export]
macro_rules! assert_error {
    ($error:expr, $kind:pat, $says:expr) => {
        let error = $error;
        assert!(matches!(error, $kind), "{error:?}");
        let said = error.to_string();
        assert!(said.contains($says), "{said}");
    };
}
