//! `gatepass sessions`: lists, shows, counts and ends the sessions in a store.

mod args;
mod report;
mod store;

use std::{
    io::{self, BufRead, Write},
    num::NonZeroU32,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, ensure};
use gatepass::{SessionCursor, SessionFilter, SessionId};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

pub(crate) use self::args::{Command, ids_last};

use self::{
    args::{End, List},
    report::{Report, Sessions, session_json, session_text},
    store::{Reader, writer},
};
use crate::place::Place;

/// Sessions per call of the store.
const PART: usize = 500;

/// Runs `command`, and writes its result to `out`.
pub(crate) fn run(
    place: &Place,
    name: Option<&str>,
    command: &Command,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    runtime.block_on(async {
        let reader = Reader::open(place, name).await?;
        match command {
            Command::List(list) => self::list(&reader, list, out).await,
            Command::Show { id, json } => show(&reader, *id, *json, out).await,
            Command::Count { filter, json } => {
                let count = count(&reader, &filter.filter()).await?;
                match json {
                    true => writeln!(out, "{:#}", json!({ "count": count }))?,
                    false => writeln!(out, "{count}")?,
                }
                Ok(ExitCode::SUCCESS)
            }
            Command::End(end) => self::end(&reader, place, name, end, out).await,
        }
    })
}

async fn list(reader: &Reader, list: &List, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let filter = list.filter.filter();
    let (now, mut next) = (reader.now().await?, list.after.clone());
    let mut sessions = Vec::new();
    loop {
        let part = reader.scan(&filter, next.as_ref(), PART).await?;
        sessions.extend(part.sessions);
        next = part.next;
        if sessions.len() > list.limit {
            sessions.truncate(list.limit);
            next = sessions.last().map(|last| filter.cursor_behind(last));
        }
        if sessions.len() >= list.limit || next.is_none() {
            break;
        }
    }
    let report = Report::new(sessions, next, now);
    match list.json {
        true => writeln!(out, "{:#}", report.json())?,
        false => write!(out, "{report}")?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(
    reader: &Reader,
    id: SessionId,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let (session, now) = reader.load(id).await?;
    let session = session.with_context(|| {
        format!("there is no session {id}: it never was, or it was removed after its end")
    })?;
    match json {
        true => writeln!(out, "{:#}", session_json(&session, now))?,
        false => write!(out, "{}", session_text(&session, now))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn count(reader: &Reader, filter: &SessionFilter) -> anyhow::Result<u64> {
    let (mut count, mut next) = (0, None);
    loop {
        let part = reader.scan(filter, next.as_ref(), PART).await?;
        count += part.sessions.len() as u64;
        next = part.next;
        if next.is_none() {
            return Ok(count);
        }
    }
}

/// The sessions to end, part by part.
enum Ends<'a> {
    Named(&'a [SessionId]),
    Matching {
        filter: Box<SessionFilter>,
        after: Option<Box<SessionCursor>>,
    },
    Over,
}

impl Ends<'_> {
    /// The next part; `None` after the last one.
    async fn next(&mut self, reader: &Reader) -> anyhow::Result<Option<Vec<SessionId>>> {
        match self {
            Self::Over => Ok(None),
            Self::Named(ids) => {
                let ids = ids.to_vec();
                *self = Self::Over;
                Ok(Some(ids))
            }
            Self::Matching { filter, after } => {
                let part = reader.scan(filter, after.as_deref(), PART).await?;
                let ids = part.sessions.iter().map(|session| session.id).collect();
                match part.next {
                    Some(next) => *after = Some(Box::new(next)),
                    None => *self = Self::Over,
                }
                Ok(Some(ids))
            }
        }
    }
}

async fn end(
    reader: &Reader,
    place: &Place,
    name: Option<&str>,
    end: &End,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let mut ends = match end.sessions.as_slice() {
        [] => Ends::Matching {
            filter: Box::new(end.filter.filter()),
            after: None,
        },
        named => Ends::Named(named),
    };
    // Opens the store before it asks, so that a user without the right gets that error first.
    let store = writer(place, name).await?;
    if !end.yes {
        let count = match &ends {
            Ends::Matching { filter, .. } => count(reader, filter).await?,
            Ends::Named(named) => named.len() as u64,
            Ends::Over => 0,
        };
        if count > 0 && !confirmed(count, place)? {
            let _ = writeln!(io::stderr(), "nothing was ended");
            return Ok(ExitCode::FAILURE);
        }
    }
    let mut ended = 0_u64;
    let result = async {
        let mut pace = interval(pause(end.per_second));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Some(part) = ends.next(reader).await? {
            for id in part {
                pace.tick().await;
                ended += u64::from(store::end(&*store, id).await?);
            }
        }
        anyhow::Ok(())
    };
    let result = result.await;
    match end.json {
        true => writeln!(out, "{:#}", json!({ "ended": ended }))?,
        false => writeln!(out, "{} ended", Sessions(ended))?,
    }
    out.flush()?;
    result.context("not all sessions were ended: run it again")?;
    Ok(ExitCode::SUCCESS)
}

fn pause(per_second: NonZeroU32) -> Duration {
    Duration::from_secs(1) / per_second.get()
}

/// Asks the person at the terminal to confirm.
fn confirmed(count: u64, place: &Place) -> anyhow::Result<bool> {
    let mut error = io::stderr();
    let _ = write!(error, "end {} in {}? [y/N] ", Sessions(count), place.kind());
    let _ = error.flush();
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .context("cannot read an answer: confirm by --yes")?;
    ensure!(
        !answer.is_empty(),
        "standard input ends without an answer: confirm by --yes"
    );
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
