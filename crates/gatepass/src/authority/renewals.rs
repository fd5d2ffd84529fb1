//! The access tokens that this node has just renewed.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{env::clock::Timestamp, model::ids::TokenId};

/// The longest pause between two renewals of one token on one node.
pub(super) const PAUSE: Duration = Duration::from_secs(30);
/// The most renewals that a node remembers. If it has forgotten one, it asks the store once more.
const REMEMBERED: usize = 10_000;

/// The tokens that this node has renewed in the last seconds.
#[derive(Default)]
pub(super) struct Renewals(Mutex<HashMap<TokenId, Timestamp>>);

impl Renewals {
    /// Whether it is this request's turn to renew the token. For example, the first of twenty
    /// requests at once has the turn.
    pub(super) fn has_turn(&self, token: TokenId, pause: Duration, now: Timestamp) -> bool {
        let mut renewed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back holds nothing up.
        let is_recent = |at: &Timestamp, pause| *at <= now && now.since(*at) < pause;
        if renewed.get(&token).is_some_and(|at| is_recent(at, pause)) {
            return false;
        }
        if renewed.len() >= REMEMBERED {
            renewed.retain(|_, at| is_recent(at, PAUSE));
        }
        if renewed.len() >= REMEMBERED {
            renewed.clear();
        }
        renewed.insert(token, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_once_in_each_pause_and_after_a_clock_was_set_back() {
        let (one, two) = (TokenId::from_bytes([1; 16]), TokenId::from_bytes([2; 16]));
        let renewals = Renewals::default();
        let (second, start) = (Duration::from_secs(1), Timestamp::from_unix_secs(1_000));
        assert!(renewals.has_turn(one, PAUSE, start));
        assert!(renewals.has_turn(two, PAUSE, start));
        assert!(!renewals.has_turn(one, PAUSE, start + 29 * second));
        assert!(renewals.has_turn(one, PAUSE, start + 30 * second));
        assert!(!renewals.has_turn(one, PAUSE, start + 31 * second));
        assert!(renewals.has_turn(one, PAUSE, start));
        assert!(!renewals.has_turn(two, PAUSE, start));
    }

    #[test]
    fn a_node_remembers_a_bounded_number_of_renewals() {
        let renewals = Renewals::default();
        for number in 0..25_000_u128 {
            let token = TokenId::from_bytes(number.to_be_bytes());
            assert!(renewals.has_turn(token, PAUSE, Timestamp::EPOCH));
        }
        assert!(renewals.0.lock().unwrap().len() <= REMEMBERED);
    }
}
