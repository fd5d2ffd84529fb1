//! All sessions, read in parts.

use std::sync::Arc;

use gatepass::{
    StoreError,
    store::{Cursor, ScannedPart, StoreErrorKind},
};
use redis::Value;

use crate::{
    error::{Failure, Unreadable},
    partition::{PARTITIONS, Partition},
    route::Servers,
    row::{array, instant, session, session_id, text},
    script::SCAN,
    sessions::timed,
};

/// A place among the sessions of all partitions.
struct Place<'c> {
    partition: usize,
    /// The history of the server that the number below is of.
    history: &'c str,
    /// The server's own number of the place within the partition.
    within: &'c str,
}

impl<'c> Place<'c> {
    const START: Self = Self {
        partition: 0,
        history: "",
        within: "0",
    };

    fn parse(cursor: &'c Cursor) -> Option<Self> {
        let mut parts = cursor.as_str().split(':');
        let place = Self {
            partition: parts.next()?.parse().ok()?,
            history: parts.next()?,
            within: parts.next()?,
        };
        let fits = place.partition < PARTITIONS && parts.next().is_none();
        fits.then_some(place)
    }
}

/// The usable ones of some sessions behind `after`.
pub(crate) async fn scan(
    servers: &Arc<Servers>,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<ScannedPart, StoreError> {
    let place = match after {
        Some(after) => Place::parse(after).ok_or(StoreError::new(StoreErrorKind::Corrupt))?,
        None => Place::START,
    };
    let partition = Partition::all_from(place.partition).next();
    let partition = partition.unwrap_or(Partition::first());
    let call = timed(servers, &SCAN, partition, None)
        .text(place.within)
        .text(place.history)
        .int(i64::try_from(limit).unwrap_or(i64::MAX));
    let answer = servers.call(partition, call).await?;
    Ok(part(&answer, place.partition).map_err(Failure::from)?)
}

fn part(answer: &Value, partition: usize) -> Result<ScannedPart, Unreadable> {
    let [now, history, within, rows @ ..] = array(answer, "answer")? else {
        return Err(Unreadable("answer"));
    };
    let now = instant(now, "time")?;
    let mut sessions = Vec::new();
    for found in rows.chunks(3) {
        let [id, row, account] = found else {
            return Err(Unreadable("answer"));
        };
        let session = session(session_id(id)?, row, account)?;
        sessions.extend(session.filter(|session| session.is_usable(now)));
    }
    let next = match text(within, "place")? {
        // It has seen the whole partition.
        "0" if partition + 1 == PARTITIONS => None,
        "0" => Some(format!("{}::0", partition + 1)),
        within => Some(format!(
            "{partition}:{}:{within}",
            text(history, "history")?
        )),
    };
    Ok(ScannedPart::new(sessions, next.map(Cursor::new)))
}
