//! A range of IP addresses.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::{IpNet, Ipv4Net};

/// A range of IP addresses, or a single one: `192.0.2.0/24`, `2001:db8::/32` or `192.0.2.7`.
///
/// An IPv4-mapped IPv6 address (`::ffff:192.0.2.7`) counts as the IPv4 address.
///
/// ```
/// use gatepass::Network;
///
/// let office: Network = "192.0.2.0/24".parse()?;
/// assert!(office.contains("192.0.2.7".parse()?));
/// assert!(!office.contains("198.51.100.7".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpNet);

/// Text that is not a range of IP addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a network: write an address such as 192.0.2.7, or a range such as 10.0.0.0/8"
)]
pub struct InvalidNetwork(String);

impl Network {
    /// Whether `address` is in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether all addresses of its kind are in the range.
    pub(crate) fn contains_all(&self) -> bool {
        self.0.prefix_len() == 0
    }
}

/// The range that contains only this address.
impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(address.to_canonical().into())
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let network = match text.parse() {
            Ok(network) => canonical(network),
            Err(_) => text
                .parse()
                .ok()
                .map(|address: IpAddr| Self::from(address).0),
        };
        network
            .map(Self)
            .ok_or_else(|| InvalidNetwork(text.to_owned()))
    }
}

/// The IPv4 network for a network of IPv4-mapped addresses like `::ffff:10.0.0.1`. `None` if the
/// network also contains other addresses.
fn canonical(network: IpNet) -> Option<IpNet> {
    /// The length of the prefix of IPv4-mapped addresses.
    const MAPPED: u8 = 96;
    match (network, network.addr().to_canonical()) {
        (IpNet::V6(network), IpAddr::V4(address)) => {
            let length = network.prefix_len().checked_sub(MAPPED)?;
            Ipv4Net::new(address, length).ok().map(IpNet::V4)
        }
        (network, _) => Some(network),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        let network: Network = network.parse().unwrap();
        network.contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_contains_the_addresses_that_begin_like_it() {
        for (network, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            // The bits after the prefix don't count.
            ("192.0.2.77/24", "192.0.2.1", "192.0.1.77"),
            ("192.0.2.128/25", "192.0.2.128", "192.0.2.127"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.7/32", "192.0.2.7", "192.0.2.6"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
            ("::ffff:192.0.2.0/120", "192.0.2.9", "192.0.3.9"),
            ("192.0.2.0/24", "::ffff:192.0.2.9", "::ffff:192.0.3.9"),
            ("0.0.0.0/0", "255.255.255.255", "2001:db8::1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
        ] {
            assert!(contains(network, inside), "{network} {inside}");
            assert!(!contains(network, outside), "{network} {outside}");
        }
    }

    #[test]
    fn text_that_is_no_network_is_refused() {
        for bad in [
            "",
            "/",
            "192.0.2",
            "192.0.2.0/",
            "192.0.2.0/33",
            "192.0.2.0/+8",
            "192.0.2.0/-1",
            "192.0.2.0/8/8",
            " 192.0.2.0/8",
            "2001:db8::/129",
            "::ffff:192.0.2.0/24",
            "localhost",
        ] {
            assert_eq!(
                bad.parse::<Network>(),
                Err(InvalidNetwork(bad.to_owned())),
                "{bad:?}"
            );
        }
    }
}
