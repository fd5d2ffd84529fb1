//! A place in the log: the transactions that a reader has seen.
//!
//! A last number would not be enough. PostgreSQL numbers a transaction when it writes a row, and
//! shows the row when the transaction commits. For example, a reader that has seen 8 may get 7
//! later. So a place is a snapshot in PostgreSQL's sense. The reader has seen all transactions that
//! were over in it, and no others.
//!
//! The snapshot ends with the last transaction that has a row. Later transactions have no row to
//! see, and the server may use their numbers again. For example, a transaction that is rolled back
//! doesn't wait for the disk. If the server then crashes, it gives that number to another
//! transaction, whose row must not count as seen.
//!
//! # Restored rows
//!
//! A dump and logical replication copy the numbers of another cluster's transactions. In the new
//! cluster such a number can lie in the future, or belong to a transaction that still runs. No
//! snapshot of the new cluster has seen such a row. So a reader gets restored rows once, when it
//! loads the log from the start, in the order of their numbers. The next store that opens the
//! schema for writing gives them numbers of this cluster. Every reader then gets them like any
//! other row.

use std::fmt;

use gatepass::store::Cursor;

/// A place in the log of one incarnation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The log: its own id, the id of the cluster, and the cluster's timeline.
    pub(crate) incarnation: String,
    /// The transactions of which the reader has seen all rows.
    pub(crate) seen: Snapshot,
    /// In addition, the first part of a further pull.
    pub(crate) part: Option<Part>,
    /// The last restored row that the reader has seen, while it loads the log from the start.
    pub(crate) restored: Option<Row>,
}

/// The rows of a pull that returned only a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The transactions that were over during that pull.
    pub(crate) of: Snapshot,
    /// The reader has seen all of their rows up to this one.
    pub(crate) last: Row,
}

/// A row, named by its transaction and its number. Pulls return rows in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) xid: u64,
    pub(crate) seq: i64,
}

/// The rows that a place has not seen, as conditions on an index: the rows after one row, and all
/// rows of some transactions.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unseen {
    /// All rows after this one...
    pub(crate) after: Row,
    /// ...and the rows of these transactions, which have lower numbers and were still running...
    pub(crate) late: Vec<u64>,
    /// ...except the rows of this row's transaction up to it.
    pub(crate) but: Row,
}

/// A snapshot, which PostgreSQL writes as `xmin:xmax:xip,xip`. All transactions below `xmin` are
/// over. Those from `xmax` on are not. Between them, all are over except the listed ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    xmin: u64,
    xmax: u64,
    running: Vec<u64>,
}

impl Row {
    /// A row before all others: no transaction has this number.
    pub(crate) const FIRST: Self = Self { xid: 0, seq: 0 };
}

impl Snapshot {
    /// The snapshot in which nothing has happened yet.
    pub(crate) fn empty() -> Self {
        Self {
            xmin: 1,
            xmax: 1,
            running: Vec::new(),
        }
    }

    /// Reads PostgreSQL's format as strictly as PostgreSQL does.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (xmin, xmax) = (number(parts.next()?)?, number(parts.next()?)?);
        let running = parts.next()?;
        if parts.next().is_some() || xmin == 0 || xmin > xmax {
            return None;
        }
        let listed = Some(running).filter(|running| !running.is_empty());
        let listed = listed.iter().flat_map(|xids| xids.split(','));
        let running: Vec<u64> = listed.map(number).collect::<Option<_>>()?;
        let inside = running.iter().all(|xid| (xmin..xmax).contains(xid));
        let ascends = running.is_sorted_by(|one, next| one < next);
        (inside && ascends).then_some(Self {
            xmin,
            xmax,
            running,
        })
    }

    /// Whether the transaction is over in this snapshot.
    fn has(&self, xid: u64) -> bool {
        xid < self.xmax && self.running.binary_search(&xid).is_err()
    }

    /// The part of this snapshot that nothing can undo: the transactions in `before`, which was cut
    /// off in the same way, and those up to `last`. The transaction `last` has a row, so it is on
    /// disk.
    pub(crate) fn certain(mut self, before: &Self, last: Option<u64>) -> Self {
        let end = last.map_or(before.xmax, |last| before.xmax.max(last.saturating_add(1)));
        if end < self.xmax {
            self.xmin = self.xmin.min(end);
            self.xmax = end;
            self.running.retain(|xid| *xid < end);
        }
        self
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.xmin, self.xmax, listed(&self.running))
    }
}

/// Numbers in PostgreSQL's format for snapshots and arrays, without braces.
pub(crate) fn listed(xids: &[u64]) -> String {
    let digits: Vec<_> = xids.iter().map(u64::to_string).collect();
    digits.join(",")
}

/// Accepts only digits: `parse` would also accept a sign.
fn number(digits: &str) -> Option<u64> {
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // PostgreSQL's own range also ends there.
    let number: u64 = digits.parse().ok()?;
    (all && i64::try_from(number).is_ok()).then_some(number)
}

impl Place {
    /// The place before all rows, to load the log from the start.
    pub(crate) fn start() -> Self {
        Self {
            incarnation: String::new(),
            seen: Snapshot::empty(),
            part: None,
            restored: Some(Row::FIRST),
        }
    }

    /// The place that `cursor` names, if it names one.
    pub(crate) fn parse(cursor: &Cursor) -> Option<Self> {
        let mut parts = cursor.as_str().split('/').peekable();
        let incarnation = parts.next().filter(|name| !name.is_empty())?.to_owned();
        let seen = Snapshot::parse(parts.next()?)?;
        let part = match parts.next_if(|part| *part != RESTORED) {
            None => None,
            Some(of) => Some(Part {
                of: Snapshot::parse(of)?,
                last: Row::parse(&mut parts)?,
            }),
        };
        let restored = match parts.next_if_eq(&RESTORED) {
            None => None,
            Some(_) => Some(Row::parse(&mut parts)?),
        };
        parts.next().is_none().then_some(Self {
            incarnation,
            seen,
            part,
            restored,
        })
    }

    /// Whether this place has seen transactions that are not in `now`. Then the database was put
    /// back to an earlier state, and uses the numbers of transactions again.
    pub(crate) fn is_ahead_of(&self, now: &Snapshot) -> bool {
        let part = self.part.as_ref().map(|part| part.of.xmax);
        self.seen.xmax.max(part.unwrap_or(0)) > now.xmax
    }

    /// Whether a pull has returned `row`, if it isn't a restored row.
    pub(crate) fn has_seen(&self, row: Row) -> bool {
        let part = self.part.as_ref();
        self.seen.has(row.xid) || part.is_some_and(|part| part.of.has(row.xid) && row <= part.last)
    }

    /// The rows to ask for next.
    pub(crate) fn unseen(&self) -> Unseen {
        let after = Row {
            xid: self.seen.xmax - 1,
            seq: i64::MAX,
        };
        let Some(Part { of, last }) = &self.part else {
            return Unseen {
                after,
                late: self.seen.running.clone(),
                but: Row::FIRST,
            };
        };
        let (after, last) = (after.max(*last), *last);
        // The transaction of `last` may have more rows than one pull returns.
        let is_whole = |xid: u64| xid != last.xid && self.has_seen(Row { xid, seq: 0 });
        let mut late: Vec<u64> = [&self.seen.running[..], &of.running].concat();
        let is_before = |xid: u64| (Row { xid, seq: i64::MAX }) <= after;
        late.retain(|xid| is_before(*xid) && !self.seen.has(*xid) && !is_whole(*xid));
        late.sort_unstable();
        late.dedup();
        Unseen {
            after,
            late,
            but: last,
        }
    }
}

/// The sign before the last restored row in a cursor.
const RESTORED: &str = "+";

impl Row {
    fn parse<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
        Some(Self {
            xid: number(parts.next()?)?,
            seq: number(parts.next()?)?.try_into().ok()?,
        })
    }
}

impl From<&Place> for Cursor {
    fn from(place: &Place) -> Self {
        let (incarnation, seen) = (&place.incarnation, &place.seen);
        let mut text = format!("{incarnation}/{seen}");
        if let Some(Part { of, last }) = &place.part {
            text += &format!("/{of}/{}/{}", last.xid, last.seq);
        }
        if let Some(last) = &place.restored {
            text += &format!("/{RESTORED}/{}/{}", last.xid, last.seq);
        }
        Self::new(text)
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
            restored: None,
        };
        let part = Place {
            part: Some(Part {
                of: Snapshot::parse("103:110:").unwrap(),
                last: Row { xid: 102, seq: 7 },
            }),
            ..whole.clone()
        };
        let restored = Some(Row { xid: 900, seq: 8 });
        let loading = [&whole, &part].map(|place| Place {
            restored,
            ..place.clone()
        });
        for place in [vec![whole, part], loading.into()].concat() {
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
            "a/1:1:/+",
            "a/1:1:/+/1",
            "a/1:1:/+/1/1/1",
            "a/1:1:/+/1/1/+/1/1",
            "a/+/1/1",
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
    fn what_is_asked_for_is_what_was_not_seen() {
        const END: i64 = i64::MAX;
        for (cursor, after, late, but) in [
            ("a/5:9:7", (8, END), &[7][..], (0, 0)),
            ("a/5:9:8", (8, END), &[8], (0, 0)),
            ("a/1:1:", (0, END), &[], (0, 0)),
            // All rows up to (20, 3) were seen, and no transaction below 30 was still running.
            ("a/5:9:7/30:31:/20/3", (20, 3), &[], (20, 3)),
            // Transactions were running before that row, and after it.
            ("a/5:9:7/12:31:12,25/20/3", (20, 3), &[12], (20, 3)),
            ("a/15:16:/12:31:12/20/3", (20, 3), &[], (20, 3)),
            // The part ended among the rows of a late transaction.
            ("a/5:9:5,6,7,8/5:31:5/6/3", (8, END), &[5, 6, 7, 8], (6, 3)),
            ("a/5:9:5,6,7,8/12:31:/7/3", (8, END), &[7, 8], (7, 3)),
        ] {
            let place = Place::parse(&Cursor::new(cursor)).unwrap();
            let row = |(xid, seq)| Row { xid, seq };
            let expected = Unseen {
                after: row(after),
                late: late.to_vec(),
                but: row(but),
            };
            assert_eq!(place.unseen(), expected, "{cursor}");
        }
    }

    /// For all orders of transactions and pulls: a reader asks for each row until it has seen the
    /// row, and then no more.
    #[test]
    fn what_is_asked_for_and_what_has_been_seen_are_each_others_opposite() {
        let snapshots = ["5:9:", "5:9:5", "5:9:6,8", "7:7:", "9:9:", "5:12:5,8,10"];
        let rows = || (4..14).flat_map(|xid| (1..4).map(move |seq| Row { xid, seq }));
        let mut places = 0;
        for (seen, of) in snapshots
            .iter()
            .flat_map(|seen| snapshots.map(|of| (seen, of)))
        {
            for last in rows() {
                let (seen, of) = (Snapshot::parse(seen), Snapshot::parse(of));
                let (seen, of) = (seen.unwrap(), of.unwrap());
                // A pull returns only transactions that were over when it read, and they stay over.
                let later =
                    seen.xmax <= of.xmax && (1..14).all(|xid| of.has(xid) || !seen.has(xid));
                if !later || !of.has(last.xid) || seen.has(last.xid) {
                    continue;
                }
                places += 1;
                let place = Place {
                    incarnation: "a".to_owned(),
                    seen,
                    part: Some(Part { of, last }),
                    restored: None,
                };
                let Unseen { after, late, but } = place.unseen();
                for row in rows() {
                    let is_late = late.contains(&row.xid) && (row.xid != but.xid || row > but);
                    let asked = row > after || is_late;
                    assert_ne!(asked, place.has_seen(row), "{row:?} {place:?}");
                }
            }
        }
        assert!(places >= 30, "{places}");
    }
}
