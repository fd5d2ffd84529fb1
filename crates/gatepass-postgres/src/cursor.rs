//! A place in the log: which transactions a reader has seen.
//!
//! A number up to which it has read would not do. Numbers are given when a row is written, and rows are
//! seen when their transactions commit: a reader that has seen 8 may get 7 later. So a place is a snapshot,
//! in PostgreSQL's own sense: all transactions that it says were over have been seen, and no other.
//!
//! It ends with the last transaction of which there is a row. Those after it have no row to be seen, and their numbers
//! may come again: what was rolled back waits for no disk, and a server that crashes before it got there gives
//! the number to somebody else, whose row must not count as seen.

use gatepass::Cursor;

/// A place in the log of one incarnation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which log: its own id, the cluster's, and the cluster's timeline.
    pub(crate) incarnation: String,
    /// What was seen whole.
    pub(crate) seen: Snapshot,
    /// And the first part of a further pull.
    pub(crate) part: Option<Part>,
}

/// What a pull that brought only a part has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Of what was over then...
    pub(crate) of: Snapshot,
    /// ...all rows up to this one, by transaction and number.
    pub(crate) xid: u64,
    pub(crate) seq: i64,
}

/// A snapshot as PostgreSQL writes it: `xmin:xmax:xip,xip`. All transactions below `xmin` are over, none from
/// `xmax` on is, and of those between them the listed ones are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    text: String,
    pub(crate) xmin: u64,
    xmax: u64,
}

impl Snapshot {
    /// The one in which nothing has happened yet.
    pub(crate) fn empty() -> Self {
        Self {
            text: "1:1:".to_owned(),
            xmin: 1,
            xmax: 1,
        }
    }

    /// Reads what PostgreSQL wrote, as strictly as it would itself.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (xmin, xmax) = (number(parts.next()?)?, number(parts.next()?)?);
        let running = parts.next()?;
        if parts.next().is_some() || xmin == 0 || xmin > xmax {
            return None;
        }
        let mut last = xmin;
        let running = Some(running).filter(|running| !running.is_empty());
        for (place, xid) in running.iter().flat_map(|xids| xids.split(',')).enumerate() {
            let xid = number(xid)?;
            if xid < last || (place > 0 && xid == last) || xid >= xmax {
                return None;
            }
            last = xid;
        }
        Some(Self {
            text: text.to_owned(),
            xmin,
            xmax,
        })
    }

    /// The part of this that nothing can undo: what `before` has seen, which was cut off in the same way, and the
    /// transactions up to `last`, which has left a row and is therefore on disk.
    pub(crate) fn certain(&self, before: &Self, last: Option<u64>) -> Self {
        let end = last.map_or(before.xmax, |last| before.xmax.max(last.saturating_add(1)));
        if end >= self.xmax {
            return self.clone();
        }
        let xmin = self.xmin.min(end);
        let running = self.text.rsplit(':').next().unwrap_or_default();
        let running = running
            .split(',')
            .filter(|xid| number(xid).is_some_and(|xid| xid < end));
        let running = running.collect::<Vec<_>>().join(",");
        Self {
            text: format!("{xmin}:{end}:{running}"),
            xmin,
            xmax: end,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// Digits alone: `parse` would take a sign, too.
fn number(digits: &str) -> Option<u64> {
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // PostgreSQL's own range ends there, too.
    let number: u64 = digits.parse().ok()?;
    (all && i64::try_from(number).is_ok()).then_some(number)
}

impl Place {
    /// The place that `cursor` names, if it names one.
    pub(crate) fn parse(cursor: &Cursor) -> Option<Self> {
        let mut parts = cursor.as_str().split('/');
        let incarnation = parts.next().filter(|name| !name.is_empty())?.to_owned();
        let seen = Snapshot::parse(parts.next()?)?;
        let part = match parts.next() {
            None => None,
            Some(of) => Some(Part {
                of: Snapshot::parse(of)?,
                xid: number(parts.next()?)?,
                seq: number(parts.next()?)?.try_into().ok()?,
            }),
        };
        parts.next().is_none().then_some(Self {
            incarnation,
            seen,
            part,
        })
    }

    /// Whether it has seen what has not happened when all of `now` has: the database was put back to an earlier state,
    /// and gives the numbers of its transactions again.
    pub(crate) fn is_ahead_of(&self, now: &Snapshot) -> bool {
        let part = self.part.as_ref().map(|part| part.of.xmax);
        self.seen.xmax.max(part.unwrap_or(0)) > now.xmax
    }

    /// The transaction before which there is nothing new.
    pub(crate) fn lowest(&self) -> u64 {
        match &self.part {
            // What the part has not seen either comes after its last row, or was not over then.
            Some(part) => self.seen.xmin.max(part.xid.min(part.of.xmin)),
            None => self.seen.xmin,
        }
    }
}

impl From<&Place> for Cursor {
    fn from(place: &Place) -> Self {
        let (incarnation, seen) = (&place.incarnation, place.seen.as_str());
        Self::new(match &place.part {
            None => format!("{incarnation}/{seen}"),
            Some(Part { of, xid, seq }) => {
                format!("{incarnation}/{seen}/{}/{xid}/{seq}", of.as_str())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_being_a_cursor() {
        let whole = Place {
            incarnation: "a".to_owned(),
            seen: Snapshot::parse("100:104:100,102").unwrap(),
            part: None,
        };
        let part = Place {
            part: Some(Part {
                of: Snapshot::parse("103:110:").unwrap(),
                xid: 102,
                seq: 7,
            }),
            ..whole.clone()
        };
        for place in [whole, part] {
            assert_eq!(Place::parse(&Cursor::from(&place)), Some(place));
        }
    }

    #[test]
    fn what_may_come_again_does_not_count_as_seen() {
        for (now, before, last, certain) in [
            ("5:5:", "1:1:", None, "1:1:"),
            ("5:5:", "1:1:", Some(3), "4:4:"),
            ("5:5:", "1:1:", Some(4), "5:5:"),
            ("5:9:6,8", "1:1:", Some(7), "5:8:6"),
            ("5:9:6,8", "1:1:", Some(5), "5:6:"),
            ("5:9:5,8", "1:1:", Some(3), "4:4:"),
            // The last row has been purged since.
            ("9:9:", "4:8:6", Some(3), "8:8:"),
            ("9:9:", "4:8:6", None, "8:8:"),
        ] {
            let read = |text| Snapshot::parse(text).unwrap();
            let is = read(now).certain(&read(before), last);
            assert_eq!(is, read(certain), "{now} {before} {last:?}");
        }
    }

    #[test]
    fn what_is_no_place_is_none() {
        for text in [
            "",
            "a",
            "/1:1:",
            "a/",
            "a/1:1",
            "a/0:1:",
            "a/2:1:",
            "a/1:1:/",
            "a/1:3:1,1",
            "a/1:3:2,1",
            "a/1:3:3",
            "a/1:3:,",
            "a/+1:3:",
            "a/1:99999999999999999999:",
            "a/1:1:/1:1:/1",
            "a/1:1:/1:1:/1/-1",
            "a/1:1:/1:1:/1/1/1",
            "a/1:1:'); --",
        ] {
            assert_eq!(Place::parse(&Cursor::new(text)), None, "{text:?}");
        }
    }

    #[test]
    fn a_place_is_ahead_of_what_is_older_than_it_or_than_its_part() {
        let now = Snapshot::parse("8:9:").unwrap();
        for (cursor, ahead) in [
            ("a/5:8:7", false),
            ("a/9:9:", false),
            ("a/5:10:7", true),
            ("a/5:8:/9:9:/7/1", false),
            ("a/5:8:/10:10:/7/1", true),
        ] {
            let place = Place::parse(&Cursor::new(cursor)).unwrap();
            assert_eq!(place.is_ahead_of(&now), ahead, "{cursor}");
        }
    }

    #[test]
    fn what_is_read_again_begins_no_later_than_what_was_not_seen() {
        for (cursor, lowest) in [
            ("a/5:9:7", 5),
            // All up to row (20, 3) was seen, and nothing below 30 was still under way.
            ("a/5:9:7/30:31:/20/3", 20),
            // One transaction was under way before that row.
            ("a/5:9:7/12:31:12/20/3", 12),
            ("a/15:16:/12:31:12/20/3", 15),
        ] {
            let place = Place::parse(&Cursor::new(cursor)).unwrap();
            assert_eq!(place.lowest(), lowest, "{cursor}");
        }
    }
}
