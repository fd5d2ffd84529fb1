//! The arguments of `gatepass sessions`.

use std::{ffi::OsString, num::NonZeroU32};

use clap::{Args, Subcommand};
use gatepass::{
    ClientId, Clock, InvalidName, Network, SessionCursor, SessionFilter, SessionId, SessionState,
    Subject, SystemClock, Timestamp,
    store::{Audience, Issuer},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List sessions, the newest first where the store can
    #[command(after_help = "\
Examples:
  gatepass sessions list --subject alice
  gatepass sessions list --begun-after 2h --network 192.0.2.0/24
  gatepass sessions list --subject-prefix tenant-7/ --json")]
    List(List),

    /// Show one session in full
    Show {
        /// The id of the session, from `list`, the log or the claim `sid`
        #[arg(value_name = "SESSION")]
        id: SessionId,

        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },

    /// Count sessions
    Count {
        #[command(flatten)]
        filter: AnyState,

        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },

    /// End sessions: log their users out of them
    ///
    /// It needs the rights of a node, which may write to the store; the other commands only read.
    /// It asks before it ends anything. All nodes enforce the end within their `max_staleness`
    /// (default: 2 s).
    #[command(after_help = "\
Examples:
  gatepass sessions end Qf0Yb2Zr9m3Kx1uT7wVhPq2e
  gatepass sessions end --client old-app --seen-before 30d
  gatepass sessions end --network 192.0.2.0/24 --begun-after 2026-11-30T02:00:00Z --yes")]
    End(End),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(super) filter: AnyState,

    /// The most sessions to list
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = SessionFilter::PAGE_SIZE,
        value_parser = limit
    )]
    pub(super) limit: usize,

    /// The cursor that the last page ended with
    #[arg(long, value_name = "CURSOR")]
    pub(super) after: Option<SessionCursor>,

    /// Print JSON, for programs
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct End {
    /// The ids of the sessions
    #[arg(
        value_name = "SESSION",
        required_unless_present_any = FILTERS,
        conflicts_with_all = FILTERS
    )]
    pub(super) sessions: Vec<SessionId>,

    #[command(flatten)]
    pub(super) filter: Filter,

    /// All live sessions in the store
    #[arg(long)]
    pub(super) all: bool,

    /// The most sessions to end per second. Their users log in again
    #[arg(long, value_name = "NUMBER", default_value = "1000")]
    pub(super) per_second: NonZeroU32,

    /// Do not ask
    #[arg(long)]
    pub(super) yes: bool,

    /// Print JSON, for programs
    #[arg(long)]
    pub(super) json: bool,
}

/// The arguments that choose the sessions to end.
const FILTERS: [&str; 12] = [
    "all",
    "subject",
    "subject_prefix",
    "client",
    "device",
    "network",
    "begun_after",
    "begun_before",
    "seen_after",
    "seen_before",
    "issuer",
    "audience",
];

#[derive(Debug, Args)]
pub(crate) struct AnyState {
    #[command(flatten)]
    filter: Filter,

    /// The state of the sessions: `live`, `ended` (or expired), or `any`. A store keeps ended ones
    /// for as long as an access token could be valid, and ten minutes longer
    #[arg(long, value_name = "STATE", default_value = "live", value_parser = state)]
    state: SessionState,
}

/// The conditions. A session must meet all of them.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// The user
    #[arg(long, value_parser = name::<Subject>)]
    subject: Option<Subject>,

    /// Users whose subjects begin with this text
    #[arg(long, value_name = "TEXT", value_parser = name::<Subject>, conflicts_with = "subject")]
    subject_prefix: Option<Subject>,

    /// The OAuth client
    #[arg(long, value_parser = name::<ClientId>)]
    client: Option<ClientId>,

    /// A part of the device's label or of the `User-Agent`, in any case
    #[arg(long, value_name = "TEXT")]
    device: Option<String>,

    /// The address or range of addresses of the login, such as 192.0.2.7 or 192.0.2.0/24
    #[arg(long)]
    network: Option<Network>,

    /// Sessions that began at this time or later: for example 2026-11-30T02:00:00Z, a date, or a
    /// time ago such as 2h or 7d
    #[arg(long, value_name = "TIME", value_parser = time)]
    begun_after: Option<Timestamp>,

    /// Sessions that began before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    begun_before: Option<Timestamp>,

    /// Sessions whose last refresh (or else login) was at this time or later
    #[arg(long, value_name = "TIME", value_parser = time)]
    seen_after: Option<Timestamp>,

    /// Sessions whose last refresh (or else login) was before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    seen_before: Option<Timestamp>,

    /// The issuer, where several services share the store
    #[arg(long, value_parser = name::<Issuer>)]
    issuer: Option<Issuer>,

    /// The audience, where several services share the store
    #[arg(long, value_parser = name::<Audience>)]
    audience: Option<Audience>,
}

/// Moves the ids of sessions that begin with a hyphen behind `--`, because clap takes them for
/// options. If clap allowed hyphens in ids, it would take the options after an id for ids.
pub(crate) fn ids_last(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut args = Vec::from_iter(args);
    let has_ids = |pair: &[OsString]| match pair {
        [one, two] => one == "sessions" && (two == "end" || two == "show"),
        _ => false,
    };
    if !args.windows(2).any(has_ids) {
        return args;
    }
    let end = args.iter().position(|arg| arg == "--");
    let after = args.split_off(end.unwrap_or(args.len()));
    let is_id = |text: &str| text.starts_with('-') && text.parse::<SessionId>().is_ok();
    let (ids, mut args): (Vec<_>, Vec<_>) = args
        .into_iter()
        .partition(|arg| arg.to_str().is_some_and(is_id));
    if end.is_some() || !ids.is_empty() {
        args.push("--".into());
    }
    args.extend(ids);
    args.extend(after.into_iter().skip(1));
    args
}

impl AnyState {
    pub(super) fn filter(&self) -> SessionFilter {
        self.filter.filter().state(self.state)
    }
}

impl Filter {
    pub(super) fn filter(&self) -> SessionFilter {
        let mut filter = SessionFilter::new();
        if let Some(subject) = &self.subject {
            filter = filter.subject(subject.clone());
        }
        if let Some(prefix) = &self.subject_prefix {
            filter = filter.subject_prefix(prefix.clone());
        }
        if let Some(client) = &self.client {
            filter = filter.client(client.clone());
        }
        if let Some(network) = self.network {
            filter = filter.network(network);
        }
        if let Some(at) = self.begun_after {
            filter = filter.begun_after(at);
        }
        if let Some(at) = self.begun_before {
            filter = filter.begun_before(at);
        }
        if let Some(at) = self.seen_after {
            filter = filter.seen_after(at);
        }
        if let Some(at) = self.seen_before {
            filter = filter.seen_before(at);
        }
        if let Some(issuer) = &self.issuer {
            filter = filter.issuer(issuer.clone());
        }
        if let Some(audience) = &self.audience {
            filter = filter.audience(audience.clone());
        }
        if let Some(text) = &self.device {
            filter = filter.device(text);
        }
        filter
    }
}

/// A subject, client id, issuer or audience.
fn name<T: for<'a> TryFrom<&'a str, Error = InvalidName>>(text: &str) -> Result<T, InvalidName> {
    T::try_from(text)
}

fn state(text: &str) -> Result<SessionState, String> {
    match text {
        "live" => Ok(SessionState::Live),
        "ended" => Ok(SessionState::Ended),
        "any" => Ok(SessionState::Any),
        _ => Err("write live, ended or any".to_owned()),
    }
}

fn limit(text: &str) -> Result<usize, String> {
    let most = SessionFilter::MAX_PAGE_SIZE;
    let limit = text.parse().ok().filter(|limit| (1..=most).contains(limit));
    limit.ok_or_else(|| format!("write a number from 1 to {most}"))
}

/// Parses a time, a date in UTC, or a time ago.
fn time(text: &str) -> Result<Timestamp, String> {
    let exact = humantime::parse_rfc3339(text);
    let date = || humantime::parse_rfc3339(&format!("{text}T00:00:00Z"));
    if let Ok(at) = exact.or_else(|_| date()) {
        return Ok(at.into());
    }
    let ago = humantime::parse_duration(text).map_err(
        |_| "write a time such as 2026-11-30T02:00:00Z, a date, or a time ago such as 2h or 7d",
    )?;
    let now = SystemClock.now().unix_millis();
    let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
    Ok(Timestamp::from_unix_millis(now.saturating_sub(ago)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_exact_a_date_or_some_time_ago() {
        for (text, secs) in [
            ("2026-11-18T11:06:40Z", 1_795_000_000),
            ("2026-11-18", 1_794_960_000),
            ("1970-01-01", 0),
            ("1000000d", 0),
        ] {
            assert_eq!(time(text), Ok(Timestamp::from_unix_secs(secs)), "{text}");
        }
        let ago = SystemClock.now().since(time("2h").unwrap()).as_secs();
        assert!((7200..7260).contains(&ago), "{ago}");
        for bad in ["", "yesterday", "2026-13-01", "-2h", "11:06"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
