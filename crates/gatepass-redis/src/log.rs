//! The revocation log, read.

use std::sync::Arc;

use futures_util::future::try_join_all;
use gatepass::{Cursor, Pull, Revocation, Revoked, SessionId, Status, TokenId};
use redis::Value;
use tokio::time::Instant;

use crate::{
    LAYOUT,
    cursor::{Mark, Place},
    error::{Failure, Unreadable},
    partition::{Partition, hex, unhex},
    route::Servers,
    row::{array, instant, int, session_id, text},
    script::{PULL, STATUS},
};

/// Entries that one pull brings of each partition at most.
const BATCH: u32 = 1000;

/// What one partition's log has.
pub(crate) struct Read {
    pub(crate) mark: Mark,
    /// Whether the place that was asked about is one in this log.
    fits: bool,
    entries: Vec<Revocation>,
    more: bool,
    /// The version of its layout. None where nothing was ever written.
    pub(crate) version: Option<String>,
}

/// Reads at most `limit` entries of `partition`, behind `after` or from the start.
pub(crate) async fn read(
    servers: &Arc<Servers>,
    partition: Partition,
    after: Option<&Mark>,
    limit: u32,
    deadline: Instant,
) -> Result<Read, Failure> {
    let number = after.map_or(0, |mark| mark.number);
    let call = PULL
        .on([servers.keys.meta(partition), servers.keys.log(partition)])
        .text(after.map_or("", |mark| mark.log.as_str()))
        .text(number.to_string())
        .int(limit.into());
    let answer = servers.call_by(partition, &call, deadline).await?;
    let [version, log, last, fits, entries] = array(&answer, "log")? else {
        return Err(Unreadable("log").into());
    };
    let mut read = Read {
        mark: Mark {
            log: text(log, "log")?.to_owned(),
            number: u64::try_from(int(last, "number")?).map_err(|_| Unreadable("number"))?,
        },
        fits: int(fits, "place")? == 1,
        entries: Vec::new(),
        more: false,
        version: match version {
            Value::Nil => None,
            version => Some(text(version, "version")?.to_owned()),
        },
    };
    let entries = array(entries, "entries")?;
    for entry in entries {
        let (number, revocation) = parse(entry)?;
        read.entries.push(revocation);
        read.more = entries.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        if read.more {
            read.mark.number = number;
        }
    }
    Ok(read)
}

fn parse(entry: &Value) -> Result<(u64, Revocation), Unreadable> {
    let unreadable = Unreadable("entry");
    let [id, fields] = array(entry, "entry")? else {
        return Err(unreadable);
    };
    let number = number(id).ok_or(unreadable)?;
    // As they are written: session, until, and token where it is one.
    let (session, until, token) = match array(fields, "entry")? {
        [_, session, _, until] => (session, until, None),
        [_, session, _, until, _, token] => (session, until, Some(token)),
        _ => return Err(unreadable),
    };
    let target = match token {
        None => Revoked::Session(session_id(session)?),
        Some(token) => {
            let token = unhex(text(token, "token")?.as_bytes()).ok_or(unreadable)?;
            Revoked::Token(TokenId::try_from(token.as_slice()).map_err(|_| unreadable)?)
        }
    };
    let until = instant(until, "until")?;
    Ok((number, Revocation { target, until }))
}

/// The number of the entry with this id.
pub(crate) fn number(id: &Value) -> Option<u64> {
    let (number, _) = text(id, "entry").ok()?.split_once('-')?;
    number.parse().ok()
}

pub(crate) async fn pull(servers: &Arc<Servers>, after: Option<&Cursor>) -> Result<Pull, Failure> {
    let place = match after.map(Place::parse) {
        None => None,
        Some(Some(place)) => Some(place),
        Some(None) => return Ok(Pull::Reset),
    };
    let deadline = Instant::now() + servers.timeout;
    let reads = Partition::all().map(|partition| {
        let after = place.as_ref().and_then(|place| place.mark(partition));
        read(servers, partition, after, BATCH, deadline)
    });
    let reads = try_join_all(reads).await?;
    let mut entries = Vec::new();
    let (mut marks, mut more) = (Vec::new(), false);
    for read in reads {
        if read
            .version
            .is_some_and(|version| version != LAYOUT.to_string())
        {
            return Err(Unreadable("the layout of this namespace").into());
        }
        if !read.fits {
            return Ok(Pull::Reset);
        }
        entries.extend(read.entries);
        marks.push(read.mark);
        more |= read.more;
    }
    Ok(Pull::Entries {
        entries,
        next: Cursor::from(&Place::new(marks)),
        more,
    })
}

pub(crate) async fn status(
    servers: &Arc<Servers>,
    session: SessionId,
    token: TokenId,
) -> Result<Status, Failure> {
    let call = STATUS
        .on([servers.keys.session(session), servers.keys.tokens(session)])
        .text(hex(token.as_bytes()));
    let partition = Partition::of_session(session);
    let deadline = Instant::now() + servers.timeout;
    let answer = servers.call_by(partition, &call, deadline).await?;
    Ok(match text(&answer, "status")? {
        "live" => Status::Live,
        "revoked" => Status::Revoked,
        "unknown" => Status::Unknown,
        _ => return Err(Unreadable("status").into()),
    })
}
