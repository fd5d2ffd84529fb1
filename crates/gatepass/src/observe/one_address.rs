//! Whether all logins come from one private address, which is then that of a proxy.

use std::{
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use crate::model::trusted_proxies::is_private;

/// How many logins must have the same private address before it is taken for a proxy's. A
/// developer, or the office that tries a service first, makes fewer in a short time.
pub(super) const LOGINS: u32 = 50;

/// The addresses of the logins since the process began.
#[derive(Default)]
pub(super) struct OneAddress(Mutex<Seen>);

#[derive(Default)]
enum Seen {
    #[default]
    None,
    /// So many logins from this private address, and none from another.
    One(IpAddr, u32),
    /// Nothing more is to be told.
    Settled,
}

impl OneAddress {
    /// Counts a login. Returns the address, once, if all of many logins had this one.
    pub(super) fn login(&self, address: IpAddr) -> Option<IpAddr> {
        // Each change is complete when it is made, so that a panic elsewhere leaves nothing half
        // done.
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let logins = match *seen {
            Seen::Settled => return None,
            Seen::None if is_private(address) => 1,
            Seen::One(one, logins) if one == address => logins + 1,
            Seen::None | Seen::One(..) => {
                *seen = Seen::Settled;
                return None;
            }
        };
        if logins < LOGINS {
            *seen = Seen::One(address, logins);
            return None;
        }
        *seen = Seen::Settled;
        Some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(addresses: impl IntoIterator<Item = &'static str>) -> Vec<String> {
        let seen = OneAddress::default();
        let logins = addresses.into_iter();
        let told = logins.filter_map(|address| seen.login(address.parse().unwrap()));
        told.map(|address| address.to_string()).collect()
    }

    #[test]
    fn many_logins_from_one_private_address_are_told_once() {
        let many = usize::try_from(LOGINS).unwrap();
        let proxy = |times| std::iter::repeat_n("10.0.0.2", times);
        assert_eq!(told(proxy(many - 1)), Vec::<String>::new());
        assert_eq!(told(proxy(3 * many)), ["10.0.0.2"]);
        assert_eq!(told(proxy(3 * many).chain(["10.0.0.3"])), ["10.0.0.2"]);
    }

    #[test]
    fn another_address_or_a_public_one_settles_it() {
        let many = usize::try_from(LOGINS).unwrap();
        let proxy = || std::iter::repeat_n("10.0.0.2", 2 * many);
        for first in ["10.0.0.3", "203.0.113.7", "::1"] {
            assert!(
                told([first].into_iter().chain(proxy())).is_empty(),
                "{first}"
            );
        }
        assert!(told(std::iter::repeat_n("203.0.113.7", 2 * many)).is_empty());
    }
}
