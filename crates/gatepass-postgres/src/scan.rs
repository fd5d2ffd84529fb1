//! Listing the sessions of all accounts, in parts.

use gatepass::{SessionCursor, SessionFilter, store::ScannedPart};

use crate::{
    error::Failure,
    link::{Link, now},
    row::{cell, columns, covered, millis, on_the_primary, session},
    sql::Statement,
};

/// A part of the sessions `s` that match `$condition`, in an order. `$1` is the time, and `$2` is
/// the most sessions.
macro_rules! part {
    ($condition:literal, $order:literal) => {
        concat!(
            "SELECT ",
            now!("1"),
            " AS now, pg_catalog.pg_is_in_recovery() AS standby, part.id IS NOT NULL AS found, part.*
             FROM (SELECT) AS always LEFT JOIN (SELECT s.subject, ",
            columns!(),
            " FROM @sessions AS s LEFT JOIN @accounts AS a ON a.id {=} s.account
              WHERE ",
            $condition,
            " ORDER BY ",
            $order,
            " LIMIT $2) AS part ON true"
        )
    };
}

/// Reads the next `limit` sessions after `after` in an index, and returns those that match the
/// filter. They come newest first, or by subject if the filter names subjects.
pub(crate) async fn scan(
    mut link: Link<'_>,
    filter: &SessionFilter,
    after: Option<&SessionCursor>,
    limit: usize,
) -> Result<ScannedPart, Failure> {
    let begin = |text| {
        Statement::new(text)
            .int(link.dialect().time())
            .int(i64::try_from(limit).unwrap_or(i64::MAX))
    };
    let asked = match filter.subject_range(after) {
        None => {
            let (first, (before, id)) = filter.begun_range(after);
            begin(concat!(
                part!(
                    "(s.created_at, s.id) {<} ($3, $4) AND s.created_at {>=} $5",
                    "s.created_at DESC, s.id DESC"
                ),
                " ORDER BY part.created_at DESC, part.id DESC"
            ))
            .int(before.unix_millis())
            .bytes(id)
            .int(first.unix_millis())
        }
        Some((first, (subject, (before, id)))) => begin(concat!(
            part!(
                "(s.subject, s.created_at, s.id) {<} ($3, $4, $5) AND s.subject {>=} $6",
                "s.subject DESC, s.created_at DESC, s.id DESC"
            ),
            " ORDER BY part.subject DESC, part.created_at DESC, part.id DESC"
        ))
        .text(subject)
        .int(before.unix_millis())
        .bytes(id)
        .text(first),
    };
    let (mut sessions, mut looked_at, mut next) = (Vec::new(), 0, None);
    for row in link.rows(asked).await? {
        let row = on_the_primary(row)?;
        if cell(&row, "found")? {
            let (session, now) = (session(&row)?, millis(&row, "now")?);
            looked_at += 1;
            next = Some(filter.cursor_behind(&session));
            sessions.extend(Some(session).filter(|session| filter.matches(session, now)));
        }
    }
    Ok(ScannedPart::new(
        sessions,
        next.filter(|_| looked_at >= limit),
    ))
}
