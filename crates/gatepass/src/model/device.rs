//! The device of a session, and a hint at the origin of its requests.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The known facts about the device of a session, for the user's list of sessions. gatepass never
/// trusts them.
///
/// [`Verifier::device`](crate::Verifier::device) returns the facts of a request. Without a request,
/// start with `Device::default()`, an unknown device, and set the facts that you know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Device {
    /// The `User-Agent` that logged in, printable ASCII, cut to 256 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The address that logged in: the address of the connection, or the one that a [trusted
    /// proxy](crate::TrustedProxies) reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

/// A hint at the origin of a request: 24 bits of a hash of the `User-Agent`, and 24 bits of a hash
/// of the address. It tells whether two requests differ. It isn't a secret: a reader of the store
/// can guess an address and check whether it fits.
///
/// ```
/// use gatepass::{Device, store::SeenFrom};
///
/// let mut device = Device::default();
/// device.address = Some("192.0.2.1".parse()?);
/// let laptop = SeenFrom::of(&device);
/// device.address = Some("192.0.2.9".parse()?);
/// let phone = SeenFrom::of(&device);
/// assert!(laptop.differs_from(phone));
/// // A request about which nothing is known differs from no other.
/// assert!(!laptop.differs_from(SeenFrom::default()));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeenFrom(i64);

impl SeenFrom {
    const HALF: i64 = (1 << 24) - 1;

    /// The hint for the requests of `device`.
    #[must_use]
    pub fn of(device: &Device) -> Self {
        let agent = device
            .user_agent
            .as_deref()
            .map(|agent| hint(agent.as_bytes()));
        let address = device.address.map(|address| match address.to_canonical() {
            IpAddr::V4(address) => hint(&address.octets()),
            IpAddr::V6(address) => hint(&address.octets()),
        });
        Self(agent.unwrap_or(0) << 24 | address.unwrap_or(0))
    }

    /// The hint that a store has kept as a number of 48 bits.
    #[must_use]
    pub const fn from_bits(bits: i64) -> Self {
        Self(bits & (Self::HALF << 24 | Self::HALF))
    }

    /// The hint as a number of 48 bits, which a double holds exactly.
    #[must_use]
    pub const fn bits(self) -> i64 {
        self.0
    }

    /// Whether both user agents are known and differ, or both addresses are known and differ.
    #[must_use]
    pub const fn differs_from(self, other: Self) -> bool {
        const fn differ(one: i64, other: i64) -> bool {
            one != 0 && other != 0 && one != other
        }
        differ(self.0 >> 24, other.0 >> 24) || differ(self.0 & Self::HALF, other.0 & Self::HALF)
    }

    /// This hint. Each unknown half comes from `before`.
    #[must_use]
    pub const fn or(self, before: Self) -> Self {
        let agent = if self.0 >> 24 == 0 { before.0 } else { self.0 } & Self::HALF << 24;
        let address = if self.0 & Self::HALF == 0 {
            before.0
        } else {
            self.0
        } & Self::HALF;
        Self(agent | address)
    }
}

/// 24 bits of a hash, never zero.
fn hint(bytes: &[u8]) -> i64 {
    let [first, second, third, ..] = <[u8; 32]>::from(Sha256::digest(bytes));
    i64::from_be_bytes([0, 0, 0, 0, 0, first, second, third]).max(1)
}
