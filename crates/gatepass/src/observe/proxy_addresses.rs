//! Detects logins that all come from a few private addresses, which then belong to proxies.

use std::{
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use crate::model::trusted_proxies::is_private;

/// The number of such logins after which gatepass takes the addresses for those of proxies. A
/// developer, or an office that tries a service first, makes fewer in a short time.
pub(super) const LOGINS: u32 = 50;

/// The largest number of addresses that proxies have: a pair, and another pair that replaces it.
/// Clients in a private network have more.
const PROXIES: usize = 4;

/// The addresses of the logins since the process began.
#[derive(Default)]
pub(super) struct ProxyAddresses(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    /// The addresses of the logins so far.
    addresses: Vec<IpAddr>,
    logins: u32,
    /// Whether the question is settled, so that no warning follows.
    settled: bool,
}

impl ProxyAddresses {
    /// Counts a login. Returns its address, once, after many logins that came from a few private
    /// addresses.
    pub(super) fn login(&self, address: IpAddr) -> Option<IpAddr> {
        // Each change is complete by itself, so a panic elsewhere leaves nothing half done.
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.settled {
            return None;
        }
        if !seen.addresses.contains(&address) {
            seen.addresses.push(address);
        }
        seen.logins += 1;
        let are_proxies = is_private(address) && seen.addresses.len() <= PROXIES;
        seen.settled = !are_proxies || seen.logins >= LOGINS;
        (are_proxies && seen.settled).then_some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(addresses: impl IntoIterator<Item = &'static str>) -> Vec<String> {
        let seen = ProxyAddresses::default();
        let logins = addresses.into_iter();
        let told = logins.filter_map(|address| seen.login(address.parse().unwrap()));
        told.map(|address| address.to_string()).collect()
    }

    fn many() -> usize {
        usize::try_from(LOGINS).unwrap()
    }

    #[test]
    fn many_logins_from_one_private_address_are_told_once() {
        let proxy = |times| std::iter::repeat_n("10.0.0.2", times);
        assert_eq!(told(proxy(many() - 1)), Vec::<String>::new());
        assert_eq!(told(proxy(3 * many())), ["10.0.0.2"]);
        assert_eq!(told(proxy(3 * many()).chain(["10.0.0.3"])), ["10.0.0.2"]);
    }

    #[test]
    fn a_few_proxies_are_told_and_many_private_clients_are_not() {
        let addresses = ["10.0.0.2", "10.0.0.3", "::1", "192.168.0.1", "10.0.0.4"];
        let logins = |clients| {
            let addresses = addresses.into_iter().take(clients).cycle();
            told(addresses.take(3 * many())).len()
        };
        assert_eq!([1, 2, 3, 4, 5].map(logins), [1, 1, 1, 1, 0]);
    }

    #[test]
    fn a_public_address_settles_it() {
        let proxy = || std::iter::repeat_n("10.0.0.2", 2 * many());
        assert!(told(["203.0.113.7"].into_iter().chain(proxy())).is_empty());
        let later = proxy().take(many() - 1).chain(["203.0.113.7"]);
        assert!(told(later.chain(proxy())).is_empty());
        assert!(told(std::iter::repeat_n("203.0.113.7", 2 * many())).is_empty());
    }
}
