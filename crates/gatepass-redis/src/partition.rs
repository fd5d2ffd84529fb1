//! The partitions: keys that stay on one node of a cluster.

use gatepass::{SessionId, store::AccountId};

/// The version of the keys and their values.
pub(crate) const LAYOUT: u32 = 4;

/// The number of partitions. It decides in which one a session is, so nodes must agree on it. The
/// `meta` of each partition has the number, and a node with another number can't open the
/// namespace. A release with another number must name the keys of the first partition in the same
/// way, or it would not find this number.
pub(crate) const PARTITIONS: usize = 16;

const SLOTS: u16 = 16_384;
/// Each partition's share of the slots.
const SHARE: u16 = SLOTS / 16;

/// A part of the sessions, with its own log. All sessions of an account are in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partition(usize);

impl Partition {
    pub(crate) fn all() -> impl Iterator<Item = Self> + Clone {
        (0..PARTITIONS).map(Self)
    }

    /// All partitions, from number `start` modulo their number on.
    pub(crate) fn all_from(start: usize) -> impl Iterator<Item = Self> + Clone {
        Self::all().map(move |Self(index)| Self((start % PARTITIONS + index) % PARTITIONS))
    }

    /// The partition that holds data that a store has only once.
    pub(crate) fn first() -> Self {
        Self(0)
    }

    pub(crate) fn of_session(id: SessionId) -> Self {
        Self::of_prefix(id.prefix())
    }

    pub(crate) fn of_account(id: AccountId) -> Self {
        Self::of_prefix(id.prefix())
    }

    fn of_prefix([first, _]: [u8; 2]) -> Self {
        Self(usize::from(first) % PARTITIONS)
    }

    pub(crate) fn index(self) -> usize {
        self.0
    }

    /// The next partition, if this isn't the last one.
    pub(crate) fn next(self) -> Option<Self> {
        Self::all().nth(self.0 + 1)
    }

    /// The greatest id that a session of this partition can have.
    pub(crate) fn last_id(self) -> SessionId {
        let mut id = [u8::MAX; 18];
        let [first, ..] = &mut id;
        *first = u8::try_from(256 - PARTITIONS + self.0).unwrap_or(u8::MAX);
        SessionId::from_bytes(id)
    }
}

/// The names of all keys of a namespace.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    places: Vec<Place>,
}

#[derive(Clone, Debug)]
struct Place {
    /// The beginning of all keys of the partition: the hash tag, in braces, which decides the slot.
    prefix: String,
    slot: u16,
}

impl Keys {
    /// The keys of `namespace`. Its partitions are spread evenly over the slots, and so over the
    /// nodes of a cluster.
    pub(crate) fn new(namespace: &str) -> Self {
        let place = |share: u16| {
            // About one tag in sixteen fits, so it's impossible that none of so many does.
            let tags = (0..u16::MAX).map(|try_| format!("{namespace}:{share}.{try_}"));
            let mut tags = tags.map(|tag| (slot(tag.as_bytes()), tag));
            let (slot, tag) = tags
                .find(|(slot, _)| slot / SHARE == share)
                .unwrap_or_default();
            Place {
                prefix: format!("{{{tag}}}"),
                slot,
            }
        };
        Self {
            places: (0..SLOTS / SHARE).map(place).collect(),
        }
    }

    fn place(&self, partition: Partition) -> (&str, u16) {
        let place = self.places.get(partition.0);
        place.map_or(("", 0), |place| (&place.prefix, place.slot))
    }

    pub(crate) fn slot(&self, partition: Partition) -> u16 {
        self.place(partition).1
    }

    pub(crate) fn meta(&self, partition: Partition) -> String {
        format!("{}meta", self.place(partition).0)
    }

    pub(crate) fn log(&self, partition: Partition) -> String {
        format!("{}log", self.place(partition).0)
    }

    /// The sessions, ordered by the time when a purge may remove them.
    pub(crate) fn purge(&self, partition: Partition) -> String {
        format!("{}purge", self.place(partition).0)
    }

    /// The log entries, ordered by that time.
    pub(crate) fn log_purge(&self, partition: Partition) -> String {
        format!("{}log:purge", self.place(partition).0)
    }

    /// The accounts, ordered by that time.
    pub(crate) fn accounts(&self, partition: Partition) -> String {
        format!("{}accounts", self.place(partition).0)
    }

    pub(crate) fn session(&self, id: SessionId) -> String {
        let (prefix, _) = self.place(Partition::of_session(id));
        format!("{prefix}session:{}", hex(id.as_bytes()))
    }

    pub(crate) fn account(&self, id: AccountId) -> String {
        let (prefix, _) = self.place(Partition::of_account(id));
        format!("{prefix}account:{}", hex(id.as_bytes()))
    }

    pub(crate) fn tokens(&self, id: SessionId) -> String {
        let (prefix, _) = self.place(Partition::of_session(id));
        format!("{prefix}tokens:{}", hex(id.as_bytes()))
    }
}

/// Whether `name` can be a part of keys and of patterns in an ACL.
pub(crate) fn is_namespace(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    (1..=40).contains(&name.len()) && name.chars().all(is_part)
}

/// The hexadecimal text of an id, for keys and members. It sorts like the bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
    let digits = bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    digits.collect()
}

/// The bytes of a hexadecimal text.
pub(crate) fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let pairs = text.chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    pairs.collect()
}

/// The cluster slot of keys with this tag: CRC-16/XMODEM.
fn slot(tag: &[u8]) -> u16 {
    let crc = tag.iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| match crc & 0x8000 {
            0 => crc << 1,
            _ => crc << 1 ^ 0x1021,
        })
    });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification_of_the_cluster() {
        // The check value of the algorithm, and an example of the specification.
        assert_eq!(slot(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12182);
    }

    #[test]
    fn the_partitions_of_any_namespace_are_spread_evenly() {
        for namespace in ["gatepass", "a", "shop_2", &"x".repeat(40)] {
            let keys = Keys::new(namespace);
            let shares: Vec<_> = Partition::all()
                .map(|part| keys.slot(part) / SHARE)
                .collect();
            assert_eq!(shares, (0..16).collect::<Vec<_>>());
            for partition in Partition::all() {
                assert!(keys.meta(partition).starts_with(&format!("{{{namespace}:")));
            }
        }
    }

    #[test]
    fn hexadecimal_digits_are_read_as_they_were_written() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(unhex(hex(&bytes).as_bytes()), Some(bytes));
        for bad in ["0", "zz", "0g", "+1"] {
            assert_eq!(unhex(bad.as_bytes()), None, "{bad}");
        }
    }
}
