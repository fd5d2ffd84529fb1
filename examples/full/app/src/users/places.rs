//! The queue of logins that wait for their turn. Its length is limited.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The places of logins that wait or are in progress. Cheap to clone.
///
/// A login without a place is refused at once, because it would wait longer than its client does.
/// Each address can take only some of the places, so that one client can't take them all.
#[derive(Clone)]
pub(super) struct Places(Arc<Inner>);

struct Inner {
    most: usize,
    most_each: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    /// Has no more entries than places.
    each: HashMap<IpAddr, usize>,
}

/// A place in the queue. It is free again when this is dropped.
pub(super) struct Place {
    places: Arc<Inner>,
    network: Option<IpAddr>,
}

/// The reason why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The client's address has taken its maximum.
    ForAddress,
    /// All places are taken.
    ForAll,
}

impl Places {
    /// A queue with `most` places. One address can take at most `most_each` of them.
    pub(super) fn new(most: usize, most_each: usize) -> Self {
        Self(Arc::new(Inner {
            most,
            most_each,
            taken: Mutex::default(),
        }))
    }

    /// Takes a place for a login from `address`, which may be unknown.
    pub(super) fn take(&self, address: Option<IpAddr>) -> Result<Place, Full> {
        let network = address.map(network);
        let mut taken = self.0.taken();
        let each = network.and_then(|network| taken.each.get(&network));
        if each.is_some_and(|each| *each >= self.0.most_each) {
            return Err(Full::ForAddress);
        }
        if taken.all >= self.0.most {
            return Err(Full::ForAll);
        }
        taken.all += 1;
        if let Some(network) = network {
            *taken.each.entry(network).or_default() += 1;
        }
        Ok(Place {
            places: Arc::clone(&self.0),
            network,
        })
    }
}

impl Inner {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        if let Some(network) = self.network
            && let Some(each) = taken.each.get_mut(&network)
        {
            *each -= 1;
            if *each == 0 {
                taken.each.remove(&network);
            }
        }
    }
}

/// The addresses that one client can have: in IPv6 a whole /64, the smallest network that a client
/// gets.
fn network(address: IpAddr) -> IpAddr {
    const PREFIX: u128 = !0 << 64;
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & PREFIX).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn one_address_never_has_all_places() {
        let places = Places::new(5, 2);
        let one = address("192.0.2.1");
        let mut held: Vec<_> = (0..2).map(|_| places.take(one).unwrap()).collect();
        assert_eq!(places.take(one).err(), Some(Full::ForAddress));

        held.push(places.take(address("192.0.2.2")).unwrap());
        held.extend((0..2).map(|_| places.take(None).unwrap()));
        assert_eq!(places.take(address("192.0.2.3")).err(), Some(Full::ForAll));
        assert_eq!(places.take(None).err(), Some(Full::ForAll));
        // The limit of the address is checked first: its client must learn that it asks too often.
        assert_eq!(places.take(one).err(), Some(Full::ForAddress));
    }

    #[test]
    fn a_place_that_is_given_back_is_free_for_any_address() {
        let places = Places::new(2, 1);
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let held = (places.take(one).unwrap(), places.take(other).unwrap());
        drop(held.0);
        drop(places.take(one).unwrap());
        let third = places.take(address("192.0.2.3")).unwrap();
        assert_eq!(places.take(one).err(), Some(Full::ForAll));
        drop((held.1, third));
        let taken = places.0.taken();
        assert_eq!((taken.all, taken.each.len()), (0, 0));
    }

    #[test]
    fn the_addresses_of_one_client_count_as_one() {
        for (one, other, same) in [
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
        ] {
            let places = Places::new(2, 1);
            let _held = places.take(address(one)).unwrap();
            assert_eq!(places.take(address(other)).is_err(), same, "{one} {other}");
        }
    }
}
