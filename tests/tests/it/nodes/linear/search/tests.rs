//! Histories with a known answer: some have an order, and some have none.

use super::*;

/// A call: its tick, the times of call and return, the operation, the outcome.
type Entry = (i64, u64, u64, Op, Outcome);

fn history(calls: &[Entry], rules: Policy) -> History {
    let call = |(tick, called, returned, op, outcome): &Entry| Call {
        node: 0,
        op: *op,
        outcome: outcome.clone(),
        rights: None,
        ticks: (*tick, *tick),
        called: *called,
        returned: *returned,
    };
    History {
        calls: calls.iter().map(call).collect(),
        rules,
    }
}

const fn refresh(generation: u32) -> Op {
    Op::Refresh {
        session: 0,
        generation,
    }
}

const OUT: Op = Op::Logout { session: 0 };
const CHECK: Op = check(0);
const CHANGE: Op = Op::Change { session: 0 };

/// A check of a token of the first session.
const fn check(version: u32) -> Op {
    Op::Check {
        session: 0,
        version,
    }
}

/// A check of the second session.
const OTHER: Op = Op::Check {
    session: 1,
    version: 0,
};

const fn all_but(session: Which) -> Op {
    Op::LogoutOthers { session }
}

fn listed(sessions: &[Which]) -> Outcome {
    Outcome::Listed(sessions.to_vec())
}

fn began() -> Entry {
    (0, 0, 1, Op::Login, Outcome::Began(0))
}

#[track_caller]
fn has_order(name: &str, rules: Policy, calls: &[Entry]) {
    let calls = [&[began()], calls].concat();
    let checked = history(&calls, rules).check();
    assert!(checked.is_ok(), "{name}:\n{}", checked.unwrap_err());
}

#[track_caller]
fn has_none(name: &str, rules: Policy, least: usize, calls: &[Entry]) {
    let calls = [&[began()], calls].concat();
    let smallest = history(&calls, rules).check().unwrap_err();
    assert!(smallest.check().is_err(), "{name}");
    assert_eq!(smallest.calls.len(), least, "{name}:\n{smallest}");
}

#[test]
fn histories_that_one_store_could_have_had_have_an_order() {
    use Outcome::*;
    let cases = [
        (
            "two refreshes of one token, and its replay",
            vec![
                (0, 2, 5, refresh(0), Refreshed(1)),
                (0, 3, 4, refresh(0), Refreshed(1)),
                (1, 6, 7, refresh(0), Refreshed(1)),
            ],
        ),
        (
            "a session that rotates once per overlap",
            vec![
                (0, 2, 3, refresh(0), Refreshed(1)),
                (0, 4, 5, refresh(1), Refreshed(1)),
                (1, 6, 7, refresh(1), Refreshed(1)),
                (2, 8, 9, refresh(1), Refreshed(2)),
                (3, 10, 11, refresh(1), Refreshed(2)),
            ],
        ),
        (
            "a lost answer, and the same token once more",
            vec![
                (0, 2, 3, refresh(0), Refreshed(1)),
                (5, 4, 5, refresh(0), Refreshed(1)),
                (9, 6, 7, refresh(0), Refreshed(1)),
            ],
        ),
        (
            "a token that came back after it was recovered and spent",
            vec![
                (0, 2, 3, refresh(0), Refreshed(1)),
                (5, 4, 5, refresh(0), Refreshed(1)),
                (5, 6, 7, refresh(1), Refreshed(2)),
                (9, 8, 9, refresh(1), Reused),
                (9, 10, 11, refresh(2), SessionEnded),
            ],
        ),
        (
            "an end during a refresh, before or after it",
            vec![
                (0, 2, 9, OUT, LoggedOut),
                (0, 3, 4, refresh(0), Refreshed(1)),
                (0, 5, 6, refresh(1), SessionEnded),
                (0, 7, 8, Op::List, listed(&[])),
            ],
        ),
        (
            "a lost refresh that was done, much later",
            vec![
                (0, 2, 3, refresh(0), Lost),
                (0, 4, 5, CHECK, Live),
                (0, 6, 9, refresh(0), Refreshed(1)),
                (2, 10, 11, refresh(1), Refreshed(2)),
            ],
        ),
        (
            "a lost logout that was never done, and one that was",
            vec![
                (0, 2, 3, OUT, Lost),
                (0, 4, 5, CHECK, Live),
                (0, 6, 7, Op::LogoutAll, Lost),
                (0, 8, 9, Op::List, listed(&[0])),
                (0, 10, 11, Op::List, listed(&[])),
            ],
        ),
        (
            "lost logins, of which one is heard of and one never done",
            vec![
                (0, 2, 3, Op::Login, Lost),
                (0, 4, 5, Op::Login, Lost),
                (0, 6, 7, Op::List, listed(&[1, 0])),
                (0, 8, 9, Op::LogoutAll, LoggedOut),
                (0, 10, 11, Op::List, listed(&[])),
            ],
        ),
        (
            "logins at once, the first of which is answered last, and the newest first",
            vec![
                (0, 2, 5, Op::Login, Began(1)),
                (0, 3, 4, Op::Login, Began(2)),
                (0, 6, 7, Op::List, listed(&[2, 1, 0])),
            ],
        ),
        (
            "a login during a logout everywhere, which began after it",
            vec![
                (0, 2, 7, Op::LogoutAll, LoggedOut),
                (0, 3, 6, Op::Login, Began(1)),
                (0, 4, 5, CHECK, Live),
                (0, 8, 9, Op::List, listed(&[1])),
            ],
        ),
        (
            "a login during a logout everywhere, which began before it",
            vec![
                (0, 2, 7, Op::LogoutAll, LoggedOut),
                (0, 3, 6, Op::Login, Began(1)),
                (0, 8, 9, Op::List, listed(&[])),
            ],
        ),
        (
            "a refresh during a logout everywhere, before it",
            vec![
                (0, 2, 7, Op::LogoutAll, LoggedOut),
                (0, 3, 6, refresh(0), Refreshed(1)),
                (0, 4, 5, CHECK, Revoked),
                (0, 8, 9, refresh(1), SessionEnded),
            ],
        ),
        (
            "a logout everywhere else keeps a live session and brings none back",
            vec![
                (0, 2, 3, Op::Login, Began(1)),
                (0, 4, 5, all_but(0), LoggedOut),
                (0, 6, 7, Op::List, listed(&[0])),
                (0, 8, 9, all_but(1), LoggedOut),
                (0, 10, 11, Op::List, listed(&[])),
            ],
        ),
        (
            "changes, and tokens from before them",
            vec![
                (0, 2, 3, CHANGE, Changed),
                (0, 4, 5, check(0), Stale),
                (0, 6, 13, CHANGE, Changed),
                (0, 7, 8, check(1), Live),
                (0, 9, 10, check(1), Stale),
                (0, 11, 12, check(2), Live),
                (0, 14, 15, OUT, LoggedOut),
                (0, 16, 17, CHANGE, SessionEnded),
                (0, 18, 19, check(1), Revoked),
            ],
        ),
        (
            "a lost change that was done, much later",
            vec![
                (0, 2, 3, CHANGE, Lost),
                (0, 4, 5, check(0), Live),
                (0, 6, 7, CHANGE, Changed),
                (0, 8, 9, check(1), Live),
                (0, 10, 11, check(2), Live),
            ],
        ),
        (
            "a reuse during which the session is refreshed once more",
            vec![
                (0, 2, 3, refresh(0), Refreshed(1)),
                (2, 4, 5, refresh(1), Refreshed(2)),
                (4, 12, 17, refresh(0), Reused),
                (4, 13, 14, refresh(2), Refreshed(3)),
                (4, 15, 16, OUT, LoggedOut),
                (4, 18, 19, refresh(3), SessionEnded),
            ],
        ),
    ];
    for (name, calls) in cases {
        has_order(name, Policy::Overlap, &calls);
    }
    let calls = [
        (0, 2, 3, refresh(0), Refreshed(1)),
        (0, 4, 5, refresh(0), Refreshed(1)),
        (0, 6, 7, refresh(1), Refreshed(2)),
        (0, 8, 9, refresh(0), Reused),
        (0, 10, 11, refresh(2), Refreshed(3)),
    ];
    has_order("every refresh rotates", Policy::NoOverlap, &calls);
}

#[test]
fn histories_that_no_store_could_have_had_have_none_and_are_shown_small() {
    use Outcome::*;
    let cases = [
        (
            "a forked session: two tokens are current",
            4,
            vec![
                (0, 2, 5, refresh(0), Refreshed(1)),
                (2, 6, 9, refresh(1), Refreshed(2)),
                (4, 10, 11, refresh(0), Refreshed(1)),
                (4, 12, 13, refresh(2), Refreshed(3)),
            ],
        ),
        (
            "a session that rotates twice within the overlap",
            3,
            vec![
                (0, 2, 3, refresh(0), Refreshed(1)),
                (1, 4, 5, refresh(1), Refreshed(2)),
            ],
        ),
        (
            "a session that doesn't rotate after the overlap",
            3,
            vec![
                (0, 2, 3, refresh(0), Refreshed(1)),
                (2, 4, 5, refresh(1), Refreshed(1)),
            ],
        ),
        (
            "a token that was spent just now and is taken for stolen",
            3,
            vec![
                (0, 2, 3, refresh(0), Refreshed(1)),
                (1, 4, 5, refresh(0), Reused),
            ],
        ),
        (
            "a token that is recovered although it was recovered and spent",
            5,
            vec![
                (0, 2, 3, refresh(0), Refreshed(1)),
                (5, 4, 5, refresh(0), Refreshed(1)),
                (5, 6, 7, refresh(1), Refreshed(2)),
                (9, 8, 9, refresh(1), Refreshed(2)),
            ],
        ),
        (
            "a login that gets a lower number than one before it",
            3,
            vec![
                (0, 2, 3, Op::Login, Began(2)),
                (0, 4, 5, Op::Login, Began(1)),
            ],
        ),
        (
            "a session that is resurrected by a refresh",
            3,
            vec![
                (0, 2, 3, OUT, LoggedOut),
                (0, 4, 5, Op::List, listed(&[])),
                (0, 6, 7, refresh(0), Refreshed(1)),
            ],
        ),
        (
            "one that is resurrected after a client has seen its end",
            4,
            vec![
                (0, 2, 9, OUT, LoggedOut),
                (0, 3, 4, CHECK, Revoked),
                (0, 5, 6, CHECK, Live),
            ],
        ),
        (
            "a refresh that began after a logout everywhere",
            3,
            vec![
                (0, 2, 3, Op::LogoutAll, LoggedOut),
                (0, 4, 5, refresh(0), Refreshed(1)),
            ],
        ),
        (
            "a logout everywhere that ends one session later than another",
            5,
            vec![
                (0, 2, 3, Op::Login, Began(1)),
                (0, 4, 9, Op::LogoutAll, LoggedOut),
                (0, 5, 6, OTHER, Revoked),
                (0, 7, 8, CHECK, Live),
            ],
        ),
        (
            "a logout everywhere that spares a session which began before it",
            3,
            vec![
                (0, 2, 3, Op::Login, Began(1)),
                (0, 4, 5, Op::LogoutAll, LoggedOut),
                (0, 6, 7, OTHER, Live),
            ],
        ),
        (
            "a logout everywhere that ends a session which began after it",
            3,
            vec![
                (0, 2, 3, Op::LogoutAll, LoggedOut),
                (0, 4, 5, Op::Login, Began(1)),
                (0, 6, 7, OTHER, Revoked),
            ],
        ),
        (
            "a logout everywhere else that ends the session which it keeps",
            3,
            vec![
                (0, 2, 3, all_but(0), LoggedOut),
                (0, 4, 5, refresh(0), SessionEnded),
            ],
        ),
        (
            "a logout everywhere else that brings a session back",
            4,
            vec![
                (0, 2, 3, OUT, LoggedOut),
                (0, 4, 5, all_but(0), LoggedOut),
                (0, 6, 7, CHECK, Live),
            ],
        ),
        (
            "a list that shows a session which had ended when it began",
            3,
            vec![
                (0, 2, 3, Op::LogoutAll, LoggedOut),
                (0, 4, 5, Op::List, listed(&[0])),
            ],
        ),
        (
            "a list that lacks a session which had begun when it began",
            2,
            vec![(0, 2, 3, Op::List, listed(&[]))],
        ),
        (
            "a list with the oldest first",
            3,
            vec![
                (0, 2, 3, Op::Login, Began(1)),
                (0, 4, 5, Op::List, listed(&[0, 1])),
            ],
        ),
        (
            "a generation that is skipped",
            2,
            vec![(0, 2, 3, refresh(0), Refreshed(2))],
        ),
        (
            "a session that ended of itself",
            2,
            vec![(0, 2, 3, refresh(0), SessionEnded), (0, 4, 5, CHECK, Live)],
        ),
        (
            "a session that is heard of without a login",
            2,
            vec![(0, 2, 3, Op::List, listed(&[1, 0]))],
        ),
        (
            "a token from before a change that is good after it",
            3,
            vec![(0, 2, 3, CHANGE, Changed), (0, 4, 5, check(0), Live)],
        ),
        (
            "a token that is refused before any change",
            2,
            vec![(0, 2, 3, check(0), Stale)],
        ),
        (
            "two changes of which one undoes the other",
            4,
            vec![
                (0, 2, 5, CHANGE, Changed),
                (0, 3, 4, CHANGE, Changed),
                (0, 6, 7, check(1), Live),
            ],
        ),
        (
            "a change of a session that has ended",
            3,
            vec![(0, 2, 3, OUT, LoggedOut), (0, 4, 5, CHANGE, Changed)],
        ),
        (
            "a change that finds a live session over",
            2,
            vec![(0, 2, 3, CHANGE, SessionEnded)],
        ),
        (
            "a lost logout that was done and undone",
            4,
            vec![
                (0, 2, 3, OUT, Lost),
                (0, 4, 5, CHECK, Revoked),
                (0, 6, 7, CHECK, Live),
            ],
        ),
    ];
    for (name, least, calls) in cases {
        has_none(name, Policy::Overlap, least, &calls);
    }
    let calls = [
        (0, 2, 3, refresh(0), Refreshed(1)),
        (0, 4, 5, refresh(1), Refreshed(1)),
    ];
    has_none("a token that is not spent", Policy::NoOverlap, 3, &calls);
}

#[test]
fn an_operation_may_have_read_the_clock_at_any_tick_of_its_time() {
    let mut calls = vec![
        (0, 2, 3, refresh(0), Outcome::Refreshed(1)),
        (1, 4, 5, refresh(1), Outcome::Refreshed(2)),
    ];
    calls.insert(0, began());
    let mut history = history(&calls, Policy::Overlap);
    assert!(history.check().is_err());
    history.calls[2].ticks = (1, 2);
    assert!(history.check().is_ok());
    // The store believes a time that is far in the past, and the session rotates by it.
    history.calls[1].ticks = (11, 11);
    history.calls[2].ticks = (1, 1);
    assert!(history.check().is_err());
    history.calls[2].ticks = (0, 0);
    assert!(history.check().is_ok());
}

#[test]
fn a_small_part_of_a_long_history_shows_that_it_is_wrong() {
    let mut calls = Vec::new();
    for session in 0..6 {
        let at = session as u64;
        calls.push((0, at, 10 + at, Op::Login, Outcome::Began(session)));
    }
    calls.push((0, 16, 17, Op::List, listed(&[5, 4, 3, 2, 1, 0])));
    for number in 0..60 {
        let at = 20 + 4 * u64::from(number);
        let (session, generation) = (number as usize % 6, number / 6);
        let op = Op::Refresh {
            session,
            generation,
        };
        let outcome = Outcome::Refreshed(generation + 1);
        calls.push((2 * i64::from(generation), at, at + 6, op, outcome));
        let outcome = listed(&[5, 4, 3, 2, 1, 0]);
        calls.push((0, at + 1, at + 2, Op::List, outcome));
    }
    assert!(history(&calls, Policy::Overlap).check().is_ok());
    let logout = Op::Logout { session: 3 };
    calls.insert(40, (0, 130, 131, logout, Outcome::LoggedOut));
    let smallest = history(&calls, Policy::Overlap).check().unwrap_err();
    assert!(smallest.calls.len() < 12, "{smallest}");
}

#[test]
fn only_a_node_that_reads_the_user_again_answers_with_a_token_that_is_newer_than_its_look() {
    let of = |node| {
        let mut history = history(
            &[
                began(),
                (0, 2, 3, refresh(0), Outcome::Refreshed(1)),
                (1, 4, 7, refresh(0), Outcome::Refreshed(2)),
                (2, 5, 6, refresh(1), Outcome::Refreshed(2)),
            ],
            Policy::Overlap,
        );
        history.calls[2].node = node;
        history
    };
    assert!(of(1).check().is_ok());
    assert!(of(0).check().is_err());
    // A token that was spent long before it arrived gets no answer. Later calls don't change that.
    let mut late = of(1);
    late.calls[2].ticks = (2, 2);
    assert!(late.check().is_err());
}

#[test]
fn the_token_of_a_refresh_has_the_rights_of_its_time() {
    let of = |rights, called, returned| {
        let mut history = history(
            &[
                began(),
                (0, 4, 5, CHANGE, Outcome::Changed),
                (0, called, returned, refresh(0), Outcome::Refreshed(1)),
            ],
            Policy::Overlap,
        );
        history.calls[2].rights = Some(rights);
        history.check().is_ok()
    };
    for (rights, called, returned, expected) in [
        (0, 2, 3, true),
        (1, 2, 3, false),
        (0, 6, 7, false),
        (1, 6, 7, true),
        (0, 3, 6, true),
        (1, 3, 6, true),
        (2, 3, 6, false),
    ] {
        let has_order = of(rights, called, returned);
        assert_eq!(has_order, expected, "{rights} at {called} to {returned}");
    }
}
