//! Listing all sessions, in parts.

use std::sync::Arc;

use gatepass::{
    SessionCursor, SessionFilter, SessionId, StoreError, Timestamp,
    store::{ScannedPart, SessionNumber},
};
use redis::Value;

use crate::{
    error::{Failure, Unreadable},
    partition::{Partition, hex, unhex},
    route::Servers,
    row::{array, instant, session, session_id, text},
    script::SCAN,
    sessions::timed,
};

/// The digits of an instant in a member of `begun`, as in `common.lua`.
const INSTANT: usize = 15;

/// Reads the next `limit` sessions after `after`, and returns those that match the filter. They are
/// the sessions of one account, newest first, or of one partition after the other, newest first in
/// each.
pub(crate) async fn scan(
    servers: &Arc<Servers>,
    filter: &SessionFilter,
    after: Option<&SessionCursor>,
    limit: usize,
) -> Result<ScannedPart, StoreError> {
    let (first, (before, id)) = filter.begun_range(after);
    let account = filter.account();
    let partition = match (account, after) {
        (Some(account), _) => Partition::of_account(account),
        (None, Some(after)) => Partition::of_session(after.id),
        (None, None) => Partition::first(),
    };
    let call = timed(servers, &SCAN, partition, None);
    // The number of a session is at least the time when it began.
    let call = match (account, after) {
        (Some(account), Some(after)) => call
            .text(hex(account.as_bytes()))
            .text(format!("({}", after.number))
            .int(first.unix_millis()),
        (Some(account), None) => call
            .text(hex(account.as_bytes()))
            .text("+inf")
            .int(first.unix_millis()),
        (None, _) => call
            .text("")
            .text(format!("({}{}", digits(before), hex(id)))
            .text(format!("[{}", digits(first))),
    };
    let call = call.int(i64::try_from(limit).unwrap_or(i64::MAX));
    let answer = servers.call(partition, call).await?;
    Ok(part(&answer, filter, partition).map_err(Failure::from)?)
}

fn part(
    answer: &Value,
    filter: &SessionFilter,
    partition: Partition,
) -> Result<ScannedPart, Unreadable> {
    let [now, place, rows @ ..] = array(answer, "answer")? else {
        return Err(Unreadable("answer"));
    };
    let now = instant(now, "time")?;
    let mut sessions = Vec::new();
    for found in rows.chunks(3) {
        let [id, row, account] = found else {
            return Err(Unreadable("answer"));
        };
        let session = session(session_id(id)?, row, account)?;
        sessions.extend(session.filter(|session| filter.matches(session, now)));
    }
    let next = match (place, filter.account()) {
        (Value::Nil, Some(_)) => None,
        // The scan has seen the whole partition.
        (Value::Nil, None) => partition
            .next()
            .map(|next| SessionCursor::new(Timestamp::MAX, SessionNumber::MAX, next.last_id())),
        (place, Some(_)) => {
            let number = text(place, "place")?.parse();
            let number = number.map_err(|_| Unreadable("place"))?;
            Some(SessionCursor::new(
                Timestamp::MAX,
                number,
                partition.last_id(),
            ))
        }
        (place, None) => Some(member(text(place, "place")?)?),
    };
    Ok(ScannedPart::new(sessions, next))
}

/// The place of a member of `begun`.
fn member(text: &str) -> Result<SessionCursor, Unreadable> {
    let (at, id) = text.split_at_checked(INSTANT).ok_or(Unreadable("place"))?;
    let at = at.parse().map_err(|_| Unreadable("place"))?;
    let id = unhex(id.as_bytes()).ok_or(Unreadable("place"))?;
    let id = SessionId::try_from(id.as_slice()).map_err(|_| Unreadable("place"))?;
    let at = Timestamp::from_unix_millis(at);
    Ok(SessionCursor::new(at, SessionNumber::MAX, id))
}

fn digits(instant: Timestamp) -> String {
    format!("{:0INSTANT$}", instant.unix_millis())
}
