//! Reading the revocation log.
//!
//! A pull asks each server once, in one pipeline: whether it is a primary, and for the last entry
//! of the log of each of its partitions (the head). If the head of a partition hasn't moved, the
//! reader has all of its entries, and the pull sends no other command for it. So the data is as
//! recent as the beginning of the pull.
//!
//! The pull asks for the role first. A primary has everything that was committed before the pull
//! began. A server that is demoted while it answers may return heads of another history. Its
//! `master_replid` is a part of the reader's place, and no primary ever has it again. So the next
//! pull reads those logs from their start.

use std::sync::Arc;

use futures_util::future::try_join_all;
use gatepass::{
    SessionId,
    store::{GrantVersion, Revocation, RevocationTarget, TokenId, TokenStatus},
};
use redis::{Pipeline, RedisResult, Value};
use tokio::time::Instant;

use crate::{
    cursor::{Mark, Place},
    error::{Failure, Unreadable},
    node::Node,
    partition::{LAYOUT, Partition, hex, unhex},
    route::Servers,
    row::{account_id, array, cutoff, grant_of, instant, session_id, text},
    script::{PULL, STATUS},
};

/// The most entries of each partition that one pull returns.
const BATCH: usize = 1000;

/// The answer to a pull.
pub(crate) enum Pulled {
    Entries {
        entries: Vec<Revocation>,
        place: Place,
        more: bool,
    },
    /// The place isn't in any existing log.
    Reset,
}

/// A question about one partition.
struct Question {
    partition: Partition,
    /// The place up to which the reader has seen everything, or `None` at its start.
    after: Option<Mark>,
    /// Whether to ask for the entries after that place, and not only for the head.
    entries: bool,
}

/// The part of one partition's log that a server has returned.
struct Read {
    partition: Partition,
    /// The log, and the entry up to which it has been read.
    mark: Mark,
    /// The last entry of the log.
    head: u64,
    /// Whether the reader's place is in this log.
    fits: bool,
    entries: Vec<Revocation>,
    /// The version of its layout, or `None` if it was never written.
    version: Option<String>,
}

impl Read {
    fn has_more(&self) -> bool {
        self.mark.number < self.head
    }
}

/// Reads the entries after `place`, or from the start. `likely` says which partitions probably have
/// more: the first question also asks for their entries.
pub(crate) async fn pull(
    servers: &Arc<Servers>,
    place: Option<&Place>,
    likely: impl Fn(Partition, &Mark) -> bool,
) -> Result<Pulled, Failure> {
    let deadline = Instant::now() + servers.timeout;
    let questions = Partition::all().map(|partition| {
        let after = place.and_then(|place| place.mark(partition)).cloned();
        Question {
            partition,
            entries: after.as_ref().is_none_or(|mark| likely(partition, mark)),
            after,
        }
    });
    let questions: Vec<_> = questions.collect();
    let mut reads = read(servers, &questions, deadline).await?;
    let known = LAYOUT.to_string();
    if reads.iter().any(|read| {
        read.version
            .as_ref()
            .is_some_and(|version| *version != known)
    }) {
        return Err(Unreadable("the layout of this namespace").into());
    }
    let others = reads.iter().filter(|read| !read.fits).count();
    if others == reads.len() {
        return Ok(Pulled::Reset);
    }
    if others > 0 {
        tracing::info!(target: "gatepass", partitions = others, "denylist.reset");
    }
    let moved = reads.iter().zip(&questions);
    let moved = moved.filter(|(read, asked)| read.has_more() && !(asked.entries && read.fits));
    let moved = moved.map(|(read, _)| Question {
        partition: read.partition,
        after: Some(read.mark.clone()),
        entries: true,
    });
    let moved: Vec<_> = moved.collect();
    for found in read(servers, &moved, deadline).await? {
        if let Some(read) = reads.get_mut(found.partition.index()) {
            *read = found;
        }
    }
    let more = reads.iter().any(Read::has_more);
    let mut entries = Vec::new();
    let marks = reads.into_iter().map(|read| {
        entries.extend(read.entries);
        read.mark
    });
    Ok(Pulled::Entries {
        place: Place::new(marks.collect()),
        entries,
        more,
    })
}

/// Asks each server once about all of its partitions. Returns the answers in the order of the
/// partitions.
async fn read(
    servers: &Arc<Servers>,
    questions: &[Question],
    deadline: Instant,
) -> Result<Vec<Read>, Failure> {
    let mut groups: Vec<(Arc<Node>, Vec<&Question>)> = Vec::new();
    for question in questions {
        let (_, owner) = servers.owner(question.partition)?;
        match groups
            .iter_mut()
            .find(|(node, _)| Arc::ptr_eq(node, &owner))
        {
            Some((_, group)) => group.push(question),
            None => groups.push((owner, vec![question])),
        }
    }
    let groups = groups
        .iter()
        .map(|(node, group)| read_together(servers, node, group, deadline));
    let mut reads: Vec<_> = try_join_all(groups).await?.into_iter().flatten().collect();
    reads.sort_by_key(|read| read.partition.index());
    Ok(reads)
}

/// Asks `node` about several of its partitions. If that fails for a partition, for example while
/// the cluster moves its slot, asks about that partition alone.
async fn read_together(
    servers: &Arc<Servers>,
    node: &Arc<Node>,
    questions: &[&Question],
    deadline: Instant,
) -> Result<Vec<Read>, Failure> {
    let mut commands = Pipeline::new();
    commands.cmd("INFO").arg("replication");
    for question in questions {
        let meta = servers.keys.meta(question.partition);
        let head = commands.cmd("HMGET").arg(meta);
        head.arg("version").arg("incarnation").arg("number");
        if question.entries {
            let from = question.after.as_ref().map_or(0, |mark| mark.number);
            let entries = commands
                .cmd("XRANGE")
                .arg(servers.keys.log(question.partition));
            entries.arg(format!("({from}-0")).arg("+");
            entries.arg("COUNT").arg(BATCH);
        }
    }
    let answers = match node.send_all(&commands, deadline).await {
        Ok(answers) => answers,
        Err(Failure::TimedOut) => return Err(Failure::TimedOut),
        Err(failure @ Failure::Unconnected(_)) if !servers.is_cluster() => return Err(failure),
        Err(_) => Vec::new(),
    };
    let mut answers = answers.into_iter();
    let history = answers.next().and_then(Result::ok);
    let history = history.and_then(|replication| history_of(&replication));
    let reads = questions.iter().map(|question| {
        let meta = answers.next();
        let entries = question.entries.then(|| answers.next()).flatten();
        let read = answered(question, history.as_deref(), meta, entries);
        async move {
            match read {
                Some(read) => read,
                None => read_alone(servers, question, deadline).await,
            }
        }
    });
    try_join_all(reads).await
}

/// Reads a server's answer about one partition. `None` if the answer lacks a part, or if the server
/// isn't a primary.
fn answered(
    question: &Question,
    history: Option<&str>,
    meta: Option<RedisResult<Value>>,
    entries: Option<RedisResult<Value>>,
) -> Option<Result<Read, Failure>> {
    let meta = meta?.ok()?;
    let entries = entries.transpose().ok()?;
    Some(Read::of(question, history?, &meta, entries.as_ref()).map_err(Failure::from))
}

/// Asks about one partition, at the server that has it now.
async fn read_alone(
    servers: &Arc<Servers>,
    question: &Question,
    deadline: Instant,
) -> Result<Read, Failure> {
    let partition = question.partition;
    let number = question.after.as_ref().map_or(0, |mark| mark.number);
    let limit = if question.entries { BATCH } else { 0 };
    let call = PULL
        .on([servers.keys.meta(partition), servers.keys.log(partition)])
        .text(number.to_string())
        .text(limit.to_string());
    let answer = servers.call_by(partition, &call, deadline).await?;
    let [replication, meta, entries] = array(&answer, "log")? else {
        return Err(Unreadable("log").into());
    };
    let history = history_of(replication).ok_or(Unreadable("role"))?;
    let entries = question.entries.then_some(entries);
    Ok(Read::of(question, &history, meta, entries)?)
}

/// The id of a server's history of writes, from its answer to `INFO replication`. `None` if it
/// isn't a primary.
fn history_of(replication: &Value) -> Option<String> {
    let mut lines = text(replication, "replication").ok()?.lines();
    let is_primary = lines.any(|line| line == "role:master");
    let id = lines.find_map(|line| line.strip_prefix("master_replid:"));
    id.filter(|_| is_primary).map(ToOwned::to_owned)
}

impl Read {
    /// Reads a server's answer: the fields of a partition's `meta`, and the entries if the question
    /// asked for them.
    fn of(
        question: &Question,
        history: &str,
        meta: &Value,
        entries: Option<&Value>,
    ) -> Result<Self, Unreadable> {
        let [version, incarnation, number] = array(meta, "meta")? else {
            return Err(Unreadable("meta"));
        };
        let optional = |value, name| match value {
            &Value::Nil => Ok(None),
            value => text(value, name).map(Some),
        };
        let incarnation = optional(incarnation, "incarnation")?.unwrap_or_default();
        let number = optional(number, "number")?.unwrap_or("0");
        let log = format!("{incarnation}-{history}");
        let head = number.parse().map_err(|_| Unreadable("number"))?;
        // A server may reuse the numbers of lost entries, so a place after the end is in another
        // log.
        let fits = |mark: &Mark| mark.log == log && mark.number <= head;
        let fits = question.after.as_ref().is_none_or(fits);
        let mut read = Self {
            partition: question.partition,
            mark: Mark { log, number: 0 },
            head,
            fits,
            entries: Vec::new(),
            version: optional(version, "version")?.map(ToOwned::to_owned),
        };
        if !fits {
            return Ok(read);
        }
        read.mark.number = question.after.as_ref().map_or(0, |mark| mark.number);
        if let Some(entries) = entries {
            read.take(array(entries, "entries")?)?;
        }
        Ok(read)
    }

    fn take(&mut self, entries: &[Value]) -> Result<(), Unreadable> {
        for entry in entries {
            let (number, revocation) = parse(entry)?;
            self.entries.push(revocation);
            self.mark.number = number;
        }
        if entries.len() < BATCH {
            // The last entries may have been purged, or new ones may have come since the head was
            // read.
            self.mark.number = self.mark.number.max(self.head);
        }
        Ok(())
    }
}

/// The number and the revocation of an entry.
fn parse(entry: &Value) -> Result<(u64, Revocation), Unreadable> {
    let unreadable = Unreadable("entry");
    let [id, fields] = array(entry, "entry")? else {
        return Err(unreadable);
    };
    let number = number(id).ok_or(unreadable)?;
    // The format of append.lua.
    let [_, until, kind, of, rest @ ..] = array(fields, "entry")? else {
        return Err(unreadable);
    };
    let target = match (text(kind, "entry")?, rest) {
        ("session", []) => RevocationTarget::Session(session_id(of)?),
        ("session", [_, token, ..]) => {
            let token = unhex(text(token, "token")?.as_bytes()).ok_or(unreadable)?;
            RevocationTarget::Token(TokenId::try_from(token.as_slice()).map_err(|_| unreadable)?)
        }
        ("account", [_, up_to, _, except]) => {
            RevocationTarget::Sessions(account_id(of)?, cutoff(up_to, except)?)
        }
        ("grant", [_, newest, _, valid_from]) => {
            RevocationTarget::Grant(session_id(of)?, grant_of(newest, valid_from)?)
        }
        _ => return Err(unreadable),
    };
    let until = instant(until, "until")?;
    Ok((number, Revocation { target, until }))
}

/// The number of the entry with this id.
pub(crate) fn number(id: &Value) -> Option<u64> {
    let (number, _) = text(id, "entry").ok()?.split_once('-')?;
    number.parse().ok()
}

pub(crate) async fn status(
    servers: &Arc<Servers>,
    session: SessionId,
    token: TokenId,
    version: GrantVersion,
) -> Result<TokenStatus, Failure> {
    let call = STATUS
        .on([servers.keys.session(session), servers.keys.tokens(session)])
        .int_or_none(servers.time())
        .text(hex(token.as_bytes()))
        .int(version.get().into());
    let partition = Partition::of_session(session);
    let deadline = Instant::now() + servers.timeout;
    let answer = servers.call_by(partition, &call, deadline).await?;
    Ok(match text(&answer, "status")? {
        "live" => TokenStatus::Live,
        "revoked" => TokenStatus::Revoked,
        "stale" => TokenStatus::Stale,
        "unknown" => TokenStatus::Unknown,
        _ => return Err(Unreadable("status").into()),
    })
}
