//! Whether there is an order of what was done at the same time in which each answer is right.
//!
//! The search is that of Wing and Gong (1993): take one of the operations that may have been first, apply it to the
//! model, go on with the rest, and step back where an answer does not fit. What was tried is remembered by the
//! operations that are done and the model they led to, as Lowe (2017) proposes, which keeps it short.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
};

use super::model::{Model, Op, Outcome, Step, Which};

/// One operation, from before it was called until after it returned, by a clock that all share.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) node: usize,
    pub(crate) op: Op,
    pub(crate) outcome: Outcome,
    pub(crate) called: u64,
    pub(crate) returned: u64,
}

/// All that was done to the sessions of one subject.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(pub(crate) Vec<Call>);

/// A step that has to be put in order.
struct Pending {
    step: Step,
    called: u64,
    /// Until when it has happened; never, if it was lost.
    returned: Option<u64>,
}

/// Sets of steps, as bits.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Done(Vec<u64>);

impl History {
    /// # Errors
    ///
    /// If there is no such order: a part of the history, as small as could be found, that has none.
    pub(crate) fn check(&self) -> Result<(), Self> {
        match self.has_order() {
            true => Ok(()),
            false => Err(self.smallest_wrong()),
        }
    }

    /// How many operations failed.
    pub(crate) fn lost(&self) -> usize {
        let lost = |call: &&Call| call.outcome == Outcome::Lost;
        self.0.iter().filter(lost).count()
    }

    fn has_order(&self) -> bool {
        let mut steps = Vec::new();
        for call in &self.0 {
            for step in call.op.steps(&call.outcome) {
                steps.push(Pending {
                    step,
                    called: call.called,
                    returned: (call.outcome != Outcome::Lost).then_some(call.returned),
                });
            }
        }
        steps.sort_by_key(|step| step.called);
        let begun = self.0.iter().filter_map(|call| match call.outcome {
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
                // What is left was lost, and may never happen.
                return true;
            };
            let mut candidates: Vec<usize> = open()
                .take_while(|step| steps[*step].called < first_return)
                .collect();
            // The last of the stack is tried first: of what has returned what did so first, then what was lost.
            candidates
                .sort_by_key(|step| std::cmp::Reverse(steps[*step].returned.unwrap_or(u64::MAX)));
            for step in candidates {
                for after in model.after(&steps[step].step, &announced) {
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

    /// One more than the greatest session that is mentioned.
    fn sessions(&self) -> usize {
        let of_call = |call: &Call| {
            let asked = match call.op {
                Op::Refresh { session, .. } | Op::Logout { session } | Op::Check { session } => {
                    Some(session)
                }
                _ => None,
            };
            let told = match &call.outcome {
                Outcome::Began(session) => Some(*session),
                Outcome::Listed(sessions) => sessions.last().copied(),
                _ => None,
            };
            asked.max(told).map_or(0, |session| session + 1)
        };
        self.0.iter().map(of_call).max().unwrap_or(0)
    }

    /// The shortest beginning that is wrong, of one session if that is wrong by itself, and nothing in it that is
    /// not needed.
    fn smallest_wrong(&self) -> Self {
        let mut wrong = self.clone();
        for session in 0..self.sessions() {
            let only = self.only(session);
            if !only.has_order() {
                wrong = only;
                break;
            }
        }
        let mut ends = Vec::from_iter(wrong.0.iter().map(|call| call.returned));
        ends.sort_unstable();
        // What is wrong stays so, whatever follows.
        let first = ends.partition_point(|end| wrong.until(*end).has_order());
        wrong = wrong.until(ends[first]);
        // Of these nobody was told anything, and they change nothing.
        wrong
            .0
            .retain(|call| !call.op.steps(&call.outcome).is_empty());
        let mut at = 0;
        while at < wrong.0.len() {
            let mut without = wrong.clone();
            let call = without.0.remove(at);
            // Without something that changes a session, others would be wrong for its lack.
            let looks_only = matches!(
                call.outcome,
                Outcome::SessionEnded | Outcome::Listed(_) | Outcome::Live | Outcome::Revoked
            );
            match looks_only && !without.has_order() {
                true => wrong = without,
                false => at += 1,
            }
        }
        wrong
    }

    /// What was known at this instant: what had not returned may not have happened.
    fn until(&self, end: u64) -> Self {
        let calls = self.0.iter().filter(|call| call.called <= end);
        Self(Vec::from_iter(calls.map(|call| {
            let mut call = call.clone();
            if call.returned > end {
                call.outcome = Outcome::Lost;
            }
            call
        })))
    }

    /// What concerns one session. It has an order if the whole has one.
    fn only(&self, session: Which) -> Self {
        let calls = self.0.iter().filter_map(|call| {
            let mut call = call.clone();
            let concerned = match (call.op, &mut call.outcome) {
                (_, Outcome::Began(began)) => *began == session,
                (_, Outcome::Listed(listed)) => {
                    listed.retain(|one| *one == session);
                    true
                }
                (_, Outcome::LoggedOutAll(count)) => {
                    *count = None;
                    true
                }
                // It may be of this session; if the session's own was answered, it is not.
                (Op::Login, Outcome::Lost) => !self.announces(session),
                (
                    Op::Refresh { session: of, .. }
                    | Op::Logout { session: of }
                    | Op::Check { session: of },
                    _,
                ) => of == session,
                _ => true,
            };
            concerned.then_some(call)
        });
        // One that was begun unheard would be in no list of this session alone.
        let calls = calls.filter(|call| call.op != Op::List || self.announces(session));
        Self(calls.collect())
    }

    fn announces(&self, session: Which) -> bool {
        let mut calls = self.0.iter();
        calls.any(|call| call.outcome == Outcome::Began(session))
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
        let mut calls = Vec::from_iter(&self.0);
        calls.sort_by_key(|call| call.called);
        for call in calls {
            let Call {
                node,
                op,
                outcome,
                called,
                returned,
            } = call;
            writeln!(
                f,
                "{called:>6}..{returned:<6} node {node}: {op} -> {outcome}"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each call: from, to, what, outcome.
    fn history(calls: &[(u64, u64, Op, Outcome)]) -> History {
        let call = |(called, returned, op, outcome): &(u64, u64, Op, Outcome)| Call {
            node: 0,
            op: *op,
            outcome: outcome.clone(),
            called: *called,
            returned: *returned,
        };
        History(calls.iter().map(call).collect())
    }

    const fn refresh(generation: u32) -> Op {
        Op::Refresh {
            session: 0,
            generation,
        }
    }

    const OUT: Op = Op::Logout { session: 0 };
    const CHECK: Op = Op::Check { session: 0 };

    fn listed(sessions: &[Which]) -> Outcome {
        Outcome::Listed(sessions.iter().copied().collect())
    }

    #[test]
    fn histories_that_one_store_could_have_had_have_an_order() {
        use Outcome::*;
        let began = (0, 1, Op::Login, Began(0));
        for (name, calls) in [
            (
                "two refreshes of one token, and its replay",
                vec![
                    (2, 5, refresh(0), Refreshed(1)),
                    (3, 4, refresh(0), Refreshed(1)),
                    (6, 7, refresh(0), Refreshed(1)),
                ],
            ),
            (
                "an end during a refresh, before or after it",
                vec![
                    (2, 9, OUT, LoggedOut),
                    (3, 4, refresh(0), Refreshed(1)),
                    (5, 6, refresh(1), SessionEnded),
                    (7, 8, Op::List, listed(&[])),
                ],
            ),
            (
                "a lost refresh that was done, much later",
                vec![
                    (2, 3, refresh(0), Lost),
                    (4, 5, CHECK, Live),
                    (6, 9, refresh(0), Refreshed(1)),
                    (10, 11, refresh(1), Refreshed(2)),
                ],
            ),
            (
                "a lost logout that was never done, and one that was",
                vec![
                    (2, 3, OUT, Lost),
                    (4, 5, CHECK, Live),
                    (6, 7, Op::LogoutAll, Lost),
                    (8, 9, Op::List, listed(&[0])),
                    (10, 11, Op::List, listed(&[])),
                ],
            ),
            (
                "lost logins, of which one is heard of and one counted",
                vec![
                    (2, 3, Op::Login, Lost),
                    (4, 5, Op::Login, Lost),
                    (6, 7, Op::List, listed(&[0, 1])),
                    (8, 9, Op::LogoutAll, LoggedOutAll(Some(3))),
                ],
            ),
            (
                "a reuse during which the session is refreshed once more",
                vec![
                    (2, 3, refresh(0), Refreshed(1)),
                    (4, 5, refresh(1), Refreshed(2)),
                    (6, 7, refresh(2), Refreshed(3)),
                    (8, 9, refresh(3), Refreshed(4)),
                    (10, 11, refresh(4), Refreshed(5)),
                    (12, 17, refresh(0), Reused),
                    (13, 14, refresh(5), Refreshed(6)),
                    (15, 16, OUT, LoggedOut),
                    (18, 19, refresh(6), SessionEnded),
                ],
            ),
        ] {
            let calls = [vec![began.clone()], calls].concat();
            assert!(history(&calls).check().is_ok(), "{name}");
        }
    }

    #[test]
    fn histories_that_no_store_could_have_had_have_none_and_are_shown_small() {
        use Outcome::*;
        let began = (0, 1, Op::Login, Began(0));
        for (name, least, calls) in [
            (
                "a forked session: two tokens are current",
                4,
                vec![
                    (2, 5, refresh(0), Refreshed(1)),
                    (6, 9, refresh(1), Refreshed(2)),
                    (10, 11, refresh(0), Refreshed(1)),
                    (12, 13, refresh(2), Refreshed(3)),
                ],
            ),
            (
                "a session that is resurrected by a refresh",
                3,
                vec![
                    (2, 3, OUT, LoggedOut),
                    (4, 5, Op::List, listed(&[])),
                    (6, 7, refresh(0), Refreshed(1)),
                ],
            ),
            (
                "one that is resurrected after somebody has seen its end",
                4,
                vec![
                    (2, 9, OUT, LoggedOut),
                    (3, 4, CHECK, Revoked),
                    (5, 6, CHECK, Live),
                ],
            ),
            (
                "a list that shows what had ended when it began",
                3,
                vec![
                    (2, 3, Op::LogoutAll, LoggedOutAll(Some(1))),
                    (4, 5, Op::List, listed(&[0])),
                ],
            ),
            (
                "a list that lacks what had begun when it began",
                2,
                vec![(2, 3, Op::List, listed(&[]))],
            ),
            (
                "a generation that is skipped",
                2,
                vec![(2, 3, refresh(0), Refreshed(2))],
            ),
            (
                "a session that ended of itself",
                2,
                vec![(2, 3, refresh(0), SessionEnded), (4, 5, CHECK, Live)],
            ),
            (
                "a theft that is none",
                3,
                vec![(2, 3, refresh(0), Refreshed(1)), (4, 5, refresh(0), Reused)],
            ),
            (
                "a logout that ended more than there was",
                2,
                vec![(2, 3, Op::LogoutAll, LoggedOutAll(Some(2)))],
            ),
            (
                "a session that is heard of without a login",
                2,
                vec![(2, 3, Op::List, listed(&[0, 1]))],
            ),
            (
                "a lost logout that was done and undone",
                4,
                vec![
                    (2, 3, OUT, Lost),
                    (4, 5, CHECK, Revoked),
                    (6, 7, CHECK, Live),
                ],
            ),
        ] {
            let calls = [vec![began.clone()], calls].concat();
            let smallest = history(&calls).check().unwrap_err();
            assert!(smallest.check().is_err(), "{name}");
            assert_eq!(smallest.0.len(), least, "{name}:\n{smallest}");
        }
    }

    #[test]
    fn what_is_wrong_in_a_long_history_is_shown_in_a_few_lines() {
        let mut calls = Vec::new();
        for session in 0..6 {
            let at = session as u64;
            calls.push((at, 10 + at, Op::Login, Outcome::Began(session)));
        }
        for generation in 0..60 {
            let at = 20 + 4 * u64::from(generation);
            let session = generation as usize % 6;
            let op = Op::Refresh {
                session,
                generation: generation / 6,
            };
            let outcome = Outcome::Refreshed(generation / 6 + 1);
            calls.push((at, at + 6, op, outcome));
            calls.push((at + 1, at + 2, Op::List, listed(&[0, 1, 2, 3, 4, 5])));
        }
        assert!(history(&calls).check().is_ok());
        // Twice the same advance.
        calls.insert(
            40,
            (130, 131, Op::Logout { session: 3 }, Outcome::LoggedOut),
        );
        let smallest = history(&calls).check().unwrap_err();
        assert!(smallest.0.len() < 12, "{smallest}");
    }
}
