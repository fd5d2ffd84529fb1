//! The proxies in front of the service, and the address of a client behind them.

use std::{fmt, net::IpAddr};

use crate::model::network::{InvalidNetwork, Network};

/// The reverse proxies whose word gatepass takes for the addresses of clients, and the header that
/// they write.
///
/// A client can send any header itself. So gatepass reads the header from its end, where the
/// nearest proxy has written. It skips the addresses of trusted proxies, and takes the first other
/// address to the left of them. For example, with `10.0.0.0/8` trusted, a connection from 10.0.0.2
/// with `X-Forwarded-For: 1.1.1.1, 203.0.113.7, 10.0.0.5` comes from 203.0.113.7. The client wrote
/// 1.1.1.1 itself.
///
/// If the header is missing or malformed, gatepass takes the last address that a trusted proxy or
/// the connection has told. It ignores the header of a connection that doesn't come from a trusted
/// proxy.
///
/// ```
/// use gatepass::{Authority, MasterSecret, MemoryStore, TrustedProxies};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let secret = MasterSecret::generate()?;
/// let proxies = TrustedProxies::x_forwarded_for(["10.0.0.0/8", "::1"])?;
/// let authority = Authority::builder("https://shop.example", "shop-api", secret, MemoryStore::new())
///     .trusted_proxies(proxies);
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<Network>,
    header: Header,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Header {
    Forwarded,
    XForwardedFor,
}

/// A network that can't be a trusted proxy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidProxies {
    /// The text is not a network.
    #[error(transparent)]
    Network(#[from] InvalidNetwork),
    /// The network contains all addresses, so every client could choose its own address.
    #[error(
        "{0} contains all addresses: name only the networks of your proxies, such as 10.0.0.0/8"
    )]
    AllAddresses(Network),
}

impl TrustedProxies {
    /// The proxies of these networks, which write `Forwarded` (RFC 7239).
    ///
    /// # Errors
    ///
    /// [`InvalidProxies`] if one is neither an address nor a network in CIDR notation, or if it
    /// contains all addresses.
    pub fn forwarded(
        networks: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, InvalidProxies> {
        Self::new(Header::Forwarded, networks)
    }

    /// The proxies of these networks, which write `X-Forwarded-For`, as most do.
    ///
    /// # Errors
    ///
    /// As [`forwarded`](Self::forwarded).
    pub fn x_forwarded_for(
        networks: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, InvalidProxies> {
        Self::new(Header::XForwardedFor, networks)
    }

    /// No proxies: each connection comes from a client, even if its address is private. Use it, for
    /// example, for a service inside a company network.
    #[must_use]
    pub fn none() -> Self {
        Self {
            networks: Vec::new(),
            header: Header::Forwarded,
        }
    }

    fn new(
        header: Header,
        networks: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, InvalidProxies> {
        let networks = networks.into_iter().map(|text| network(text.as_ref()));
        Ok(Self {
            networks: networks.collect::<Result<_, _>>()?,
            header,
        })
    }

    /// The lower-case names of the headers that proxies write.
    pub(crate) const HEADERS: [&str; 2] = ["forwarded", "x-forwarded-for"];

    /// The lower-case name of the header.
    pub(crate) fn header(&self) -> &'static str {
        let [forwarded, x_forwarded_for] = Self::HEADERS;
        match self.header {
            Header::Forwarded => forwarded,
            Header::XForwardedFor => x_forwarded_for,
        }
    }

    /// The client's address, for a request from `peer` with these values of the header.
    pub(crate) fn client(&self, peer: IpAddr, values: &[&[u8]]) -> IpAddr {
        let mut last = peer.to_canonical();
        // From the end, where the nearest proxy has written. Each field is a list of its own.
        let mut hops = values.iter().rev().flat_map(|value| from_the_end(value));
        while self.trusts(last) {
            let Some(address) = hops.next().and_then(|hop| self.address(hop)) else {
                break;
            };
            last = address;
        }
        last
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(address))
    }

    fn address(&self, hop: &[u8]) -> Option<IpAddr> {
        let hop = str::from_utf8(hop).ok()?;
        let node = match self.header {
            Header::XForwardedFor => hop.trim(),
            Header::Forwarded => node(hop)?,
        };
        Some(parsed(node)?.to_canonical())
    }
}

/// Whether operators give this address to machines of their own: it is private, loopback,
/// link-local, or behind a carrier's NAT.
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            address.is_private() || address.is_loopback() || address.is_link_local() || is_shared
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

fn network(text: &str) -> Result<Network, InvalidProxies> {
    let network: Network = text.parse()?;
    if network.contains_all() {
        return Err(InvalidProxies::AllAddresses(network));
    }
    Ok(network)
}

/// The elements of a list, from its end. A comma within quotes doesn't separate elements.
///
/// Reading from the end means that a quote that the client left open can't hide the elements that
/// proxies added after it.
fn from_the_end(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    value.rsplit(move |byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    })
}

/// The node of the parameter `for` (RFC 7239 §4), without its quotes.
fn node(element: &str) -> Option<&str> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let mut nodes = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    let (Some((_, node)), None) = (nodes.next(), nodes.next()) else {
        return None;
    };
    let node = node.trim();
    match node.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"'),
        None => Some(node),
    }
}

/// An address, with or without brackets and a port, which may be obfuscated (RFC 7239 §6).
fn parsed(node: &str) -> Option<IpAddr> {
    if let Ok(address) = node.parse() {
        return Some(address);
    }
    let (host, port) = match node.strip_suffix(']') {
        Some(_) => (node, "0"),
        None => node.rsplit_once(':')?,
    };
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let known = match port.strip_prefix('_') {
        Some(obfuscated) => !obfuscated.is_empty() && obfuscated.bytes().all(token),
        None => port.parse::<u16>().is_ok(),
    };
    let host = match host.strip_prefix('[') {
        Some(rest) => IpAddr::V6(rest.strip_suffix(']')?.parse().ok()?),
        None => IpAddr::V4(host.parse().ok()?),
    };
    known.then_some(host)
}

impl fmt::Debug for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedProxies")
            .field("networks", &self.networks)
            .field("header", &self.header())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn client(proxies: &TrustedProxies, peer: &str, values: &[&str]) -> String {
        let values: Vec<_> = values.iter().map(|value| value.as_bytes()).collect();
        proxies.client(address(peer), &values).to_string()
    }

    #[test]
    fn the_client_is_the_first_address_from_the_end_that_is_no_trusted_proxy() {
        let proxies = TrustedProxies::x_forwarded_for(["10.0.0.0/8", "::1"]).unwrap();
        for (peer, values, expected) in [
            ("10.0.0.2", &["203.0.113.7"][..], "203.0.113.7"),
            ("10.0.0.2", &["1.1.1.1, 203.0.113.7"], "203.0.113.7"),
            (
                "10.0.0.2",
                &["1.1.1.1,203.0.113.7 ,\t10.0.0.5"],
                "203.0.113.7",
            ),
            // Several fields are one list.
            (
                "10.0.0.2",
                &["1.1.1.1", "203.0.113.7", "10.0.0.5"],
                "203.0.113.7",
            ),
            ("::1", &["2001:db8::7"], "2001:db8::7"),
            ("::1", &["[2001:db8::7]:443"], "2001:db8::7"),
            ("::1", &["[2001:db8::7]"], "2001:db8::7"),
            ("::1", &["203.0.113.7:50123"], "203.0.113.7"),
            // The same address, written in two ways.
            ("::ffff:10.0.0.2", &["::ffff:203.0.113.7"], "203.0.113.7"),
            // All are proxies: the first one made the request itself.
            ("10.0.0.2", &["10.0.0.9, 10.0.0.5"], "10.0.0.9"),
        ] {
            assert_eq!(client(&proxies, peer, values), expected, "{values:?}");
        }
    }

    #[test]
    fn a_header_that_is_missing_or_malformed_leaves_the_last_address_that_is_known() {
        let proxies = TrustedProxies::x_forwarded_for(["10.0.0.0/8"]).unwrap();
        for (values, expected) in [
            (&[][..], "10.0.0.2"),
            (&[""], "10.0.0.2"),
            (&["unknown"], "10.0.0.2"),
            (&["203.0.113.7, "], "10.0.0.2"),
            (&["203.0.113.7, evil, 10.0.0.5"], "10.0.0.5"),
            (&["203.0.113.7:http"], "10.0.0.2"),
            (&["203.0.113.7:99999"], "10.0.0.2"),
            (&["2001:db8::7]:1"], "10.0.0.2"),
            (&["[203.0.113.7]"], "10.0.0.2"),
            (&["203.0.113"], "10.0.0.2"),
        ] {
            assert_eq!(client(&proxies, "10.0.0.2", values), expected, "{values:?}");
        }
    }

    #[test]
    fn a_connection_from_elsewhere_is_not_believed() {
        let proxies = TrustedProxies::x_forwarded_for(["10.0.0.0/8"]).unwrap();
        assert_eq!(client(&proxies, "192.0.2.9", &["1.1.1.1"]), "192.0.2.9");
        let none = TrustedProxies::none();
        assert_eq!(client(&none, "10.0.0.2", &["for=1.1.1.1"]), "10.0.0.2");
    }

    #[test]
    fn forwarded_is_read_as_its_rfc_says() {
        let proxies = TrustedProxies::forwarded(["10.0.0.0/8"]).unwrap();
        for (value, expected) in [
            ("for=203.0.113.7", "203.0.113.7"),
            ("For=203.0.113.7;proto=https;by=10.0.0.2", "203.0.113.7"),
            (r#"proto=https; for="203.0.113.7:4711""#, "203.0.113.7"),
            (r#"for="[2001:db8::7]""#, "2001:db8::7"),
            (r#"for="[2001:db8::7]:4711""#, "2001:db8::7"),
            (r#"for="[2001:db8::7]:_a-1""#, "2001:db8::7"),
            ("for=1.1.1.1, for=203.0.113.7, for=10.0.0.5", "203.0.113.7"),
            // A quote that the client left open hides nothing that proxies added after it.
            (r#"for="1.1.1.1, for=203.0.113.7"#, "203.0.113.7"),
            (r#"for="a,b";x="c,d", for=203.0.113.7"#, "203.0.113.7"),
            // Hidden or malformed: the last known address is the proxy itself.
            ("for=unknown", "10.0.0.2"),
            ("for=_hidden", "10.0.0.2"),
            ("proto=https", "10.0.0.2"),
            ("for=203.0.113.7;for=1.1.1.1", "10.0.0.2"),
            ("for=2001:db8::7:_", "10.0.0.2"),
            ("for=203.0.113.7:_", "10.0.0.2"),
            (r#"for="203.0.113.7"#, "10.0.0.2"),
            ("for", "10.0.0.2"),
        ] {
            assert_eq!(client(&proxies, "10.0.0.2", &[value]), expected, "{value}");
        }
    }

    #[test]
    fn a_network_is_an_address_or_in_cidr_notation_and_not_everything() {
        for text in [
            "10.0.0.0/8",
            "10.1.2.3",
            "::1",
            "fd00::/8",
            "::ffff:10.0.0.0/104",
        ] {
            assert!(TrustedProxies::forwarded([text]).is_ok(), "{text}");
        }
        for text in [
            "",
            "10.0.0.0/33",
            "proxy",
            "10.0.0.0/",
            "0.0.0.0/0",
            "::/0",
            "10.0.0.1:80",
        ] {
            let refused = TrustedProxies::forwarded([text]).unwrap_err();
            assert!(refused.to_string().contains(text), "{text}: {refused}");
        }
        let mapped = TrustedProxies::x_forwarded_for(["::ffff:10.0.0.0/104"]).unwrap();
        assert_eq!(client(&mapped, "10.9.9.9", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(client(&mapped, "11.9.9.9", &["203.0.113.7"]), "11.9.9.9");
    }

    #[test]
    fn private_addresses_are_those_that_the_internet_does_not_route() {
        for text in [
            "10.0.0.1",
            "127.0.0.1",
            "100.64.0.1",
            "169.254.1.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_private(address(text)), "{text}");
        }
        for text in ["203.0.113.7", "100.128.0.1", "2001:db8::1", "11.0.0.1"] {
            assert!(!is_private(address(text)), "{text}");
        }
    }

    proptest! {
        /// The answer is the peer, or an address to the right of all that a client could have
        /// written before a proxy added its own.
        #[test]
        fn no_header_panics_and_none_moves_the_address_that_a_proxy_has_added(
            sent in prop::collection::vec(any::<u8>(), 0..80),
            quoted in "[ -~]{0,40}",
        ) {
            for proxies in [
                TrustedProxies::forwarded(["10.0.0.0/8"]).unwrap(),
                TrustedProxies::x_forwarded_for(["10.0.0.0/8"]).unwrap(),
            ] {
                let peer = address("10.0.0.2");
                proxies.client(peer, &[&sent, quoted.as_bytes()]);
                let added = match proxies.header {
                    Header::Forwarded => r#"for="203.0.113.7:1""#,
                    Header::XForwardedFor => "203.0.113.7",
                };
                let value = format!("{quoted}, {added}");
                let client = proxies.client(peer, &[&sent, value.as_bytes()]);
                prop_assert_eq!(client, address("203.0.113.7"));
            }
        }
    }
}
