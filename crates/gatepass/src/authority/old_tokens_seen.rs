//! The old tokens that this node has seen, for the report on a move.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    env::clock::Timestamp,
    model::{health::AdoptionHealth, ids::TokenId},
};

/// The most old tokens that a node remembers. It doesn't count any more than these.
const REMEMBERED: usize = 10_000;
/// How long after its last request a token counts as in use.
const IN_USE: Duration = Duration::from_secs(86_400);
/// How long the node must have seen no old token before it reports that the move is over.
const QUIET: Duration = Duration::from_secs(30 * 86_400);

/// The old tokens that this node has accepted, and those that it has exchanged.
pub(super) struct OldTokensSeen {
    started_at: Timestamp,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    exchanged: u64,
    /// When each token that was not exchanged yet was last accepted.
    accepted: HashMap<TokenId, Timestamp>,
    last_seen_at: Option<Timestamp>,
}

impl OldTokensSeen {
    pub(super) fn new(started_at: Timestamp) -> Self {
        Self {
            started_at,
            state: Mutex::default(),
        }
    }

    /// Notes a token that was accepted, and not exchanged.
    pub(super) fn accepted(&self, token: TokenId, now: Timestamp) {
        let mut state = self.state();
        state.last_seen_at = state.last_seen_at.max(Some(now));
        if state.accepted.len() >= REMEMBERED {
            state.accepted.retain(|_, at| is_in_use(*at, now));
        }
        if state.accepted.len() < REMEMBERED || state.accepted.contains_key(&token) {
            state.accepted.insert(token, now);
        }
    }

    /// Notes a token that no longer counts: it was exchanged, here or by another node, or revoked.
    pub(super) fn is_over(&self, token: TokenId) {
        self.state().accepted.remove(&token);
    }

    /// Notes a token that this node has exchanged for a new session.
    pub(super) fn exchanged(&self, token: TokenId, now: Timestamp) {
        let mut state = self.state();
        state.exchanged += 1;
        state.last_seen_at = state.last_seen_at.max(Some(now));
        state.accepted.remove(&token);
    }

    /// The report on a move that ends at `until`.
    pub(super) fn health(&self, until: Timestamp, now: Timestamp) -> AdoptionHealth {
        let state = self.state();
        let in_use = state.accepted.values().filter(|at| is_in_use(**at, now));
        let quiet_since = state.last_seen_at.unwrap_or(self.started_at);
        AdoptionHealth {
            until,
            exchanged: state.exchanged,
            in_use: in_use.count() as u64,
            last_seen_at: state.last_seen_at,
            can_be_removed: until <= now || now.since(quiet_since) >= QUIET,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_in_use(at: Timestamp, now: Timestamp) -> bool {
    now.since(at) < IN_USE
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_secs(1_800_000_000);
    const UNTIL: Timestamp = Timestamp::from_unix_secs(1_900_000_000);

    fn token(number: u128) -> TokenId {
        TokenId::from_bytes(number.to_be_bytes())
    }

    #[test]
    fn a_token_counts_for_a_day_after_its_last_request_until_it_is_exchanged() {
        let seen = OldTokensSeen::new(NOW);
        for number in [1, 2, 3, 1] {
            seen.accepted(token(number), NOW);
        }
        assert_eq!(seen.health(UNTIL, NOW).in_use, 3);
        seen.exchanged(token(1), NOW);
        seen.is_over(token(3));
        let health = seen.health(UNTIL, NOW + (IN_USE - Duration::from_secs(1)));
        assert_eq!((health.in_use, health.exchanged), (1, 1));
        assert_eq!(seen.health(UNTIL, NOW + IN_USE).in_use, 0);
    }

    #[test]
    fn a_move_is_over_at_its_date_or_when_no_token_was_seen_for_long() {
        let seen = OldTokensSeen::new(NOW);
        let over = |now| seen.health(UNTIL, now).can_be_removed;
        assert!(!over(NOW) && !over(NOW + (QUIET - Duration::from_secs(1))));
        assert!(over(NOW + QUIET) && over(UNTIL));
        seen.accepted(token(1), NOW + QUIET);
        assert!(!over(NOW + QUIET) && over(NOW + 2 * QUIET));
    }

    #[test]
    fn a_node_remembers_a_bounded_number_of_tokens() {
        let seen = OldTokensSeen::new(NOW);
        for number in 0..10_100 {
            seen.accepted(token(number), NOW);
        }
        assert_eq!(seen.health(UNTIL, NOW).in_use, 10_000);
        seen.accepted(token(20_000), NOW + IN_USE);
        assert_eq!(seen.health(UNTIL, NOW + IN_USE).in_use, 1);
    }
}
