//! Listing the sessions of all accounts, in parts.

use gatepass::{SessionCursor, SessionFilter, Timestamp, store::ScannedPart};
use rusqlite::{Connection, Params, params};

use crate::{
    error::Failure,
    log,
    row::{Millis, Stored, columns},
};

/// Reads the next `limit` sessions after `after` in an index, and returns those that match the
/// filter. They come newest first, or by subject if the filter names subjects.
pub(crate) fn scan(
    conn: &Connection,
    filter: &SessionFilter,
    after: Option<&SessionCursor>,
    limit: usize,
    now: Timestamp,
) -> Result<ScannedPart, Failure> {
    let most = log::as_limit(limit);
    let found = match filter.subject_range(after) {
        None => {
            let (first, (before, id)) = filter.begun_range(after);
            select(
                conn,
                concat!(
                    "SELECT ",
                    columns!(),
                    " FROM gatepass_sessions s INDEXED BY gatepass_sessions_begun
                      LEFT JOIN gatepass_accounts a ON a.id = s.account
                      WHERE (s.created_at, s.id) < (?1, ?2) AND s.created_at >= ?3
                      ORDER BY s.created_at DESC, s.id DESC LIMIT ?4"
                ),
                params![Millis(before), id, Millis(first), most],
            )
        }
        Some((first, (subject, (before, id)))) => select(
            conn,
            concat!(
                "SELECT ",
                columns!(),
                " FROM gatepass_sessions s INDEXED BY gatepass_sessions_subject
                      LEFT JOIN gatepass_accounts a ON a.id = s.account
                      WHERE (s.subject, s.created_at, s.id) < (?1, ?2, ?3) AND s.subject >= ?4
                      ORDER BY s.subject DESC, s.created_at DESC, s.id DESC LIMIT ?5"
            ),
            params![subject, Millis(before), id, first, most],
        ),
    }?;
    let last = found.last().filter(|_| found.len() >= limit);
    let next = last.map(|stored| filter.cursor_behind(&stored.session));
    let sessions = found.into_iter().map(|stored| stored.session);
    let sessions = sessions.filter(|session| filter.matches(session, now));
    Ok(ScannedPart::new(sessions.collect(), next))
}

fn select(conn: &Connection, sql: &str, params: impl Params) -> Result<Vec<Stored>, Failure> {
    conn.prepare_cached(sql)?
        .query_and_then(params, Stored::read)?
        .collect()
}
