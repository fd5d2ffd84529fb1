//! A place in the log: a place in each partition's log.

use gatepass::store::Cursor;

use crate::partition::{PARTITIONS, Partition};

/// The part of the log that a reader has seen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    marks: Vec<Mark>,
}

/// The part of a partition's log that a reader has seen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mark {
    /// The log: the name that it got when it began, and the id of the server's history of writes. A
    /// server may reuse the numbers of lost entries, and then its history has another id.
    pub(crate) log: String,
    /// The last entry that the reader has seen.
    pub(crate) number: u64,
}

impl Place {
    /// The place with these marks, one for each partition.
    pub(crate) fn new(marks: Vec<Mark>) -> Self {
        Self { marks }
    }

    pub(crate) fn mark(&self, partition: Partition) -> Option<&Mark> {
        self.marks.get(partition.index())
    }

    /// The marks, in the order of the partitions.
    pub(crate) fn marks(&self) -> impl Iterator<Item = &Mark> {
        self.marks.iter()
    }

    /// The place that `cursor` names, if it names one.
    pub(crate) fn parse(cursor: &Cursor) -> Option<Self> {
        let marks = cursor.as_str().split(' ').map(|mark| {
            let (log, number) = mark.split_once('.')?;
            let named = log
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
            let digits = number.bytes().all(|byte| byte.is_ascii_digit());
            Some(Mark {
                log: Some(log).filter(|log| named && !log.is_empty())?.to_owned(),
                number: Some(number).filter(|_| digits)?.parse().ok()?,
            })
        });
        let marks: Vec<_> = marks.collect::<Option<_>>()?;
        (marks.len() == PARTITIONS).then_some(Self { marks })
    }
}

impl From<&Place> for Cursor {
    fn from(place: &Place) -> Self {
        let marks = place.marks.iter();
        let marks: Vec<_> = marks
            .map(|mark| format!("{}.{}", mark.log, mark.number))
            .collect();
        Self::new(marks.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let marks = (0..16).map(|number| Mark {
            log: format!("0123456789abcdef-{number:040x}"),
            number,
        });
        let place = Place::new(marks.collect());
        assert_eq!(Place::parse(&Cursor::from(&place)), Some(place));
    }

    #[test]
    fn what_is_no_place_is_not_read_as_one() {
        let all = |mark: &str| [mark; 16].join(" ");
        for bad in [
            String::new(),
            "nonsense".to_owned(),
            ["a-b.1"; 15].join(" "),
            ["a-b.1"; 17].join(" "),
            all("a-b"),
            all(".1"),
            all("a-b.-1"),
            all("a-b.+1"),
            all("a-b.1e3"),
            all("x.1"),
            all("a-b.99999999999999999999"),
        ] {
            assert_eq!(Place::parse(&Cursor::new(bad.clone())), None, "{bad}");
        }
    }
}
