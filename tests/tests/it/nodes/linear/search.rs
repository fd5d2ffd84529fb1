//! Searches for an order of simultaneous operations in which each answer is right.
//!
//! The algorithm is by Wing and Gong (1993). It takes one of the operations that may have been
//! first, applies it to the model, and continues with the rest. If an answer doesn't fit, it steps
//! back. As Lowe (2017) proposes, it remembers each state that it has tried: the set of finished
//! operations, and the model. That keeps the search short.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
};

use super::model::{Model, Op, Outcome, Policy, Step, Ticks, Which, reloads};

/// One operation, from before its call until after its return, in an order that all clients share.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) node: usize,
    pub(crate) op: Op,
    pub(crate) outcome: Outcome,
    /// The version of the rights in the access token of a refresh.
    pub(crate) rights: Option<u32>,
    pub(crate) ticks: Ticks,
    pub(crate) called: u64,
    pub(crate) returned: u64,
}

/// All operations on the sessions of one subject.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) calls: Vec<Call>,
    pub(crate) rules: Policy,
}

/// How often a run reached the interesting answers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Refreshes that rotated a session.
    pub(crate) advanced: usize,
    /// Refreshes that were answered with the token of another refresh.
    pub(crate) replayed: usize,
    /// Refreshes that were answered with the presented token.
    pub(crate) kept: usize,
    pub(crate) reused: usize,
    /// Changes of rights. `changed_meanwhile` counts those with another change or a refresh at the
    /// same time.
    pub(crate) changed: usize,
    pub(crate) changed_meanwhile: usize,
    /// Refused tokens from before a change.
    pub(crate) stale: usize,
    /// Logouts everywhere, or everywhere else, with a login or a refresh at the same time.
    pub(crate) ended_meanwhile: usize,
    pub(crate) lost: usize,
}

/// A step that needs a place in the order.
struct Pending {
    step: Step,
    ticks: Ticks,
    called: u64,
    /// The time by which it has happened. `None` if it was lost.
    returned: Option<u64>,
    /// Whether it follows the previous step in the list, because both belong to one call.
    continues: bool,
}

/// Sets of steps, as bits.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Done(Vec<u64>);

impl History {
    /// If there is no such order. The error is a part of the history that has none, as small as the
    /// search could find.
    pub(crate) fn check(&self) -> Result<(), Self> {
        match self.has_order() {
            true => Ok(()),
            false => Err(self.smallest_wrong()),
        }
    }

    fn has_order(&self) -> bool {
        let mut steps = Vec::new();
        let mut calls = Vec::from_iter(&self.calls);
        calls.sort_by_key(|call| call.called);
        for call in calls {
            for (number, step) in self.steps(call).into_iter().enumerate() {
                steps.push(Pending {
                    step,
                    ticks: call.ticks,
                    called: call.called,
                    returned: (call.outcome != Outcome::Lost).then_some(call.returned),
                    continues: number > 0,
                });
            }
        }
        let mut refreshes = vec![Vec::new(); self.sessions()];
        for (number, pending) in steps.iter().enumerate() {
            if let Some(session) = pending.step.refreshes() {
                refreshes[session].push(number);
            }
        }
        let begun = self.calls.iter().filter_map(|call| match call.outcome {
            Outcome::Began(session) => Some(session),
            _ => None,
        });
        let announced: BTreeSet<Which> = begun.collect();
        let mut tried = HashSet::new();
        let mut stack = vec![(
            Done(vec![0; steps.len().div_ceil(64)]),
            Model::new(self.sessions()),
        )];
        while let Some((done, model)) = stack.pop() {
            let open = || (0..steps.len()).filter(|step| !done.contains(*step));
            let Some(first_return) = open().filter_map(|step| steps[step].returned).min() else {
                // The other operations were lost, and may never have happened.
                return true;
            };
            let mut candidates: Vec<usize> = open()
                .take_while(|step| steps[*step].called < first_return)
                .filter(|step| !steps[*step].continues || done.contains(*step - 1))
                .collect();
            // The search tries the top of the stack first: the operation that returned first. The
            // lost operations come last.
            candidates
                .sort_by_key(|step| std::cmp::Reverse(steps[*step].returned.unwrap_or(u64::MAX)));
            let after = |step: usize| {
                let Pending {
                    step: doing, ticks, ..
                } = &steps[step];
                let mut after = model.after(doing, *ticks, &announced, self.rules);
                // A lost operation that changes nothing here need not happen.
                if steps[step].returned.is_none()
                    && !steps.get(step + 1).is_some_and(|next| next.continues)
                {
                    after.retain(|after| *after != model);
                }
                let open = |other: &usize| *other != step && !done.contains(*other);
                for after in &mut after {
                    after.forget_rotations(|session| {
                        let next = refreshes[session].iter().find(|other| open(other));
                        next.map(|next| steps[*next].ticks.0)
                    });
                }
                after
            };
            let mut next: Vec<_> = candidates
                .iter()
                .map(|step| (*step, after(*step)))
                .collect();
            // A step that changes nothing, and is right here, can be next in every order. So the
            // search needs no other step here.
            let looks = |(step, after): &(usize, Vec<Model>)| {
                steps[*step].step.only_looks() && !after.is_empty()
            };
            if let Some(at) = next.iter().position(looks) {
                next = vec![next.swap_remove(at)];
            }
            for (step, after) in next {
                for after in after {
                    let next = (done.with(step), after);
                    if !tried.contains(&next) {
                        tried.insert(next.clone());
                        stack.push(next);
                    }
                }
            }
        }
        false
    }

    fn steps(&self, call: &Call) -> Vec<Step> {
        let mut steps = call.op.steps(&call.outcome, reloads(call.node), self.rules);
        if let (Op::Refresh { session, .. }, Some(version)) = (call.op, call.rights) {
            steps.push(Step::SeeRights { session, version });
        }
        steps
    }

    /// One more than the highest session number in the history.
    fn sessions(&self) -> usize {
        let of_call = |call: &Call| {
            let asked = match call.op {
                Op::Refresh { session, .. }
                | Op::Logout { session }
                | Op::LogoutOthers { session }
                | Op::Change { session }
                | Op::Check { session, .. } => Some(session),
                Op::Login | Op::LogoutAll | Op::List => None,
            };
            let told = match &call.outcome {
                Outcome::Began(session) => Some(*session),
                Outcome::Listed(sessions) => sessions.iter().max().copied(),
                _ => None,
            };
            asked.max(told).map_or(0, |session| session + 1)
        };
        self.calls.iter().map(of_call).max().unwrap_or(0)
    }

    /// The shortest wrong beginning, without calls that it doesn't need. If the calls of one
    /// session are wrong by themselves, only these.
    fn smallest_wrong(&self) -> Self {
        let mut wrong = self.clone();
        for session in 0..self.sessions() {
            let only = self.only(session);
            if !only.has_order() {
                wrong = only;
                break;
            }
        }
        let mut ends = Vec::from_iter(wrong.calls.iter().map(|call| call.returned));
        ends.sort_unstable();
        // A wrong beginning stays wrong with any calls after it.
        let first = ends.partition_point(|end| wrong.until(*end).has_order());
        wrong = wrong.until(ends[first]);
        // The client got no answer to the others, and they change nothing.
        wrong.calls.retain(|call| !self.steps(call).is_empty());
        let mut at = 0;
        while at < wrong.calls.len() {
            let mut without = wrong.clone();
            let call = without.calls.remove(at);
            // Keep the operations that change a session. Without them, others would be wrong.
            let looks_only = matches!(
                call.outcome,
                Outcome::SessionEnded
                    | Outcome::Listed(_)
                    | Outcome::Live
                    | Outcome::Stale
                    | Outcome::Revoked
            );
            match looks_only && !without.has_order() {
                true => wrong = without,
                false => at += 1,
            }
        }
        wrong
    }

    /// The history up to this moment. Operations without a return by then may not have happened.
    fn until(&self, end: u64) -> Self {
        let calls = self.calls.iter().filter(|call| call.called <= end);
        let calls = calls.map(|call| {
            let mut call = call.clone();
            if call.returned > end {
                call.outcome = Outcome::Lost;
                call.rights = None;
            }
            call
        });
        self.of(calls)
    }

    fn of(&self, calls: impl Iterator<Item = Call>) -> Self {
        Self {
            calls: calls.collect(),
            rules: self.rules,
        }
    }

    /// The part about one session. If the whole history has an order, this part has one.
    fn only(&self, session: Which) -> Self {
        let calls = self.calls.iter().filter_map(|call| {
            let mut call = call.clone();
            let concerned = match (call.op, &mut call.outcome) {
                (_, Outcome::Began(began)) => *began == session,
                (_, Outcome::Listed(listed)) => {
                    listed.retain(|one| *one == session);
                    true
                }
                // It may be of this session, unless that session's own login was answered.
                (Op::Login, Outcome::Lost) => !self.announces(session),
                (
                    Op::Refresh { session: of, .. }
                    | Op::Logout { session: of }
                    | Op::Change { session: of }
                    | Op::Check { session: of, .. },
                    _,
                ) => of == session,
                _ => true,
            };
            concerned.then_some(call)
        });
        // A session from a lost login isn't in any list of this session alone.
        let calls = calls.filter(|call| call.op != Op::List || self.announces(session));
        self.of(calls)
    }

    fn announces(&self, session: Which) -> bool {
        let mut calls = self.calls.iter();
        calls.any(|call| call.outcome == Outcome::Began(session))
    }
}

impl Seen {
    pub(crate) fn add(&mut self, history: &History) {
        let mut rotations = HashSet::new();
        for call in &history.calls {
            match (call.op, &call.outcome) {
                (
                    Op::Refresh {
                        session,
                        generation,
                    },
                    Outcome::Refreshed(to),
                ) => {
                    if generation == *to {
                        self.kept += 1;
                    } else if rotations.insert((session, *to)) {
                        self.advanced += 1;
                    } else {
                        self.replayed += 1;
                    }
                }
                (_, Outcome::Reused) => self.reused += 1,
                (_, Outcome::Stale) => self.stale += 1,
                (Op::Change { session }, Outcome::Changed) => {
                    self.changed += 1;
                    let mut others = history.calls.iter().filter(|other| {
                        other.called < call.returned && call.called < other.returned
                    });
                    let meanwhile = others.any(|other| {
                        let of = match (other.op, &other.outcome) {
                            (Op::Refresh { session, .. }, Outcome::Refreshed(_)) => Some(session),
                            (Op::Change { session }, Outcome::Changed) => {
                                (other.called != call.called).then_some(session)
                            }
                            _ => None,
                        };
                        of == Some(session)
                    });
                    self.changed_meanwhile += usize::from(meanwhile);
                }
                (_, Outcome::Lost) => self.lost += 1,
                (Op::LogoutAll | Op::LogoutOthers { .. }, Outcome::LoggedOut) => {
                    let mut others = history.calls.iter().filter(|other| {
                        other.called < call.returned && call.called < other.returned
                    });
                    let meanwhile = others.any(|other| {
                        matches!(other.outcome, Outcome::Began(_) | Outcome::Refreshed(_))
                    });
                    self.ended_meanwhile += usize::from(meanwhile);
                }
                _ => {}
            }
        }
    }
}

impl Done {
    fn contains(&self, step: usize) -> bool {
        self.0[step / 64] & (1 << (step % 64)) != 0
    }

    fn with(&self, step: usize) -> Self {
        let mut with = self.clone();
        with.0[step / 64] |= 1 << (step % 64);
        with
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut calls = Vec::from_iter(&self.calls);
        calls.sort_by_key(|call| call.called);
        for call in calls {
            let Call {
                node,
                op,
                outcome,
                rights,
                ticks: (from, to),
                called,
                returned,
            } = call;
            writeln!(
                f,
                "{called:>6}..{returned:<6} {from:>4}..{to:<4} node {node}: {op} -> {outcome}{}",
                rights.map_or_else(String::new, |version| format!(", version {version}"))
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
