//! Sessions, for people and for programs.

use std::fmt::{self, Write};

use gatepass::{Session, SessionCursor, Timestamp};
use serde_json::{Value, json};

use crate::text::printable;

/// A page of sessions.
pub(super) struct Report {
    sessions: Vec<Session>,
    next: Option<SessionCursor>,
    now: Timestamp,
}

/// Longest text of a device in a table, in characters. A `User-Agent` can have 256.
const DEVICE: usize = 60;

impl Report {
    /// The page at the store's time `now`.
    pub(super) fn new(sessions: Vec<Session>, next: Option<SessionCursor>, now: Timestamp) -> Self {
        Self {
            sessions,
            next,
            now,
        }
    }

    /// The page as JSON, for programs.
    pub(super) fn json(&self) -> Value {
        let sessions = self.sessions.iter();
        let sessions = sessions.map(|session| session_json(session, self.now));
        json!({
            "sessions": Vec::from_iter(sessions),
            "next": self.next.as_ref().map(SessionCursor::to_string),
        })
    }

    /// Whether the sessions belong to more than one service.
    fn has_several_services(&self) -> bool {
        let services = self.sessions.iter().map(|one| (&one.issuer, &one.audience));
        let mut others = services.clone();
        let first = others.next();
        others.any(|service| Some(service) != first)
    }

    /// The cells of the table, row by row.
    fn rows(&self) -> Vec<Vec<String>> {
        let several = self.has_several_services();
        let mut titles = vec![
            "SESSION",
            "SUBJECT",
            "CLIENT",
            "STATE",
            "BEGUN",
            "LAST SEEN",
        ];
        if several {
            titles.extend(["ISSUER", "AUDIENCE"]);
        }
        titles.extend(["ADDRESS", "DEVICE"]);
        let mut rows = vec![Vec::from_iter(titles.into_iter().map(str::to_owned))];
        for session in &self.sessions {
            let mut row = vec![
                session.id.to_string(),
                printable(session.subject().as_str()),
                printable(session.client.as_str()),
                state(session, self.now).to_owned(),
                session.created_at.to_string(),
                session.last_seen_at.to_string(),
            ];
            if several {
                row.push(printable(session.issuer.as_str()));
                row.push(printable(session.audience.as_str()));
            }
            row.push(address(session).unwrap_or_else(|| "-".to_owned()));
            row.push(device(session).unwrap_or_else(|| "-".to_owned()));
            rows.push(row);
        }
        rows
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows();
        let columns = rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths = Vec::from_iter((0..columns).map(width));
        if !self.sessions.is_empty() {
            for row in &rows {
                let mut line = String::new();
                for (cell, width) in row.iter().zip(&widths) {
                    write!(line, "{cell:width$}  ")?;
                }
                writeln!(f, "{}", line.trim_end())?;
            }
        }
        let count = Sessions(self.sessions.len() as u64);
        match &self.next {
            None => writeln!(f, "{count}"),
            Some(next) => writeln!(f, "{count}; for more add --after {next}"),
        }
    }
}

/// The address of the login.
fn address(session: &Session) -> Option<String> {
    session.device.address.map(|address| address.to_string())
}

/// The label of the device and its `User-Agent`, as one line of a table.
fn device(session: &Session) -> Option<String> {
    let label = session.identity.device_label();
    let agent = session.device.user_agent.as_deref();
    let texts = label.into_iter().chain(agent);
    let texts = Vec::from_iter(texts.filter(|text| !text.is_empty()));
    if texts.is_empty() {
        return None;
    }
    let text = printable(&texts.join(", "));
    Some(match text.char_indices().nth(DEVICE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    })
}

/// The members of a session, in the order in which people read them.
fn members(session: &Session, now: Timestamp) -> [(&'static str, Value); 19] {
    let ended = session.ended;
    let time = |at: Timestamp| Value::from(at.to_string());
    let identity = &session.identity;
    [
        ("id", session.id.to_string().into()),
        ("state", state_json(session, now).into()),
        ("subject", session.subject().as_str().into()),
        ("actor", identity.actor().map(|actor| actor.as_str()).into()),
        ("client", session.client.as_str().into()),
        ("issuer", session.issuer.as_str().into()),
        ("audience", session.audience.as_str().into()),
        ("scopes", identity.granted_scopes().to_string().into()),
        ("device", identity.device_label().into()),
        ("user_agent", session.device.user_agent.clone().into()),
        ("address", address(session).into()),
        ("created_at", time(session.created_at)),
        ("authenticated_at", time(session.authenticated_at)),
        ("last_seen_at", time(session.last_seen_at)),
        ("idle_expires_at", time(session.idle_expires_at)),
        ("absolute_expires_at", time(session.absolute_expires_at)),
        ("access_until", time(session.access_until)),
        ("ended_at", ended.map(|ended| ended.at.to_string()).into()),
        (
            "ended_reason",
            ended.map(|ended| ended.reason.as_str()).into(),
        ),
    ]
}

/// The state for programs, for which the reason is a member of its own.
fn state_json(session: &Session, now: Timestamp) -> &'static str {
    match session.ended {
        Some(_) => "ended",
        None => state(session, now),
    }
}

/// The session as JSON, for programs.
pub(super) fn session_json(session: &Session, now: Timestamp) -> Value {
    let members = members(session, now);
    Value::from_iter(members.map(|(name, value)| (name.to_owned(), value)))
}

/// The session for people, with a line for each known fact.
pub(super) fn session_text(session: &Session, now: Timestamp) -> String {
    let mut text = String::new();
    for (name, value) in members(session, now) {
        let value = match value {
            Value::Null => continue,
            Value::String(value) => printable(&value),
            value => value.to_string(),
        };
        let name = name.replace('_', " ");
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:20}{value}");
    }
    text
}

/// A number of sessions, in words.
pub(super) struct Sessions(pub(super) u64);

impl fmt::Display for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 session"),
            number => write!(f, "{number} sessions"),
        }
    }
}

/// Whether the session is live at `now`, or why it isn't.
fn state(session: &Session, now: Timestamp) -> &'static str {
    match session.ended {
        Some(ended) => ended.reason.as_str(),
        None if session.is_live(now) => "live",
        None => "expired",
    }
}
