//! The bound on refusals in the log, for a client that sends a flood of bad requests.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::env::clock::Timestamp;

/// The most refusals of one event and one reason that gatepass traces in a second. More of the same
/// tell an operator nothing, and a client must not be able to fill the disk of the log.
pub(super) const TRACED_PER_SECOND: u32 = 10;

/// The recently traced refusals, by event and reason. gatepass chooses these names, so no client
/// can raise their number.
#[derive(Default)]
pub(super) struct Sampling(Mutex<HashMap<(&'static str, &'static str), Window>>);

#[derive(Default)]
struct Window {
    second: i64,
    traced: u32,
    suppressed: u64,
}

/// A refusal to trace.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Traced {
    /// The number of refusals of the same event and reason that were suppressed since the last
    /// traced one. `None` if there were none.
    pub(super) suppressed: Option<u64>,
}

impl Sampling {
    /// Counts a refusal at `now`. Returns `None` if it exceeds the bound.
    pub(super) fn admit(
        &self,
        event: &'static str,
        reason: &'static str,
        now: Timestamp,
    ) -> Option<Traced> {
        // Each change is complete by itself, so a panic elsewhere leaves nothing half done.
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry((event, reason)).or_default();
        // An earlier second starts a new window as a later one does: a clock that was set back must
        // not silence the log.
        if window.second != now.unix_secs() {
            window.second = now.unix_secs();
            window.traced = 0;
        }
        if window.traced >= TRACED_PER_SECOND {
            window.suppressed = window.suppressed.saturating_add(1);
            return None;
        }
        window.traced += 1;
        let suppressed = std::mem::take(&mut window.suppressed);
        Some(Traced {
            suppressed: (suppressed > 0).then_some(suppressed),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_secs(1_800_000_000);

    fn traced(sampling: &Sampling, reason: &'static str, at: Timestamp, times: u32) -> u32 {
        let admitted = (0..times).filter_map(|_| sampling.admit("token.refused", reason, at));
        u32::try_from(admitted.count()).unwrap()
    }

    #[test]
    fn of_a_flood_ten_in_a_second_are_traced_and_the_next_says_how_many_were_not() {
        let sampling = Sampling::default();
        assert_eq!(traced(&sampling, "malformed", NOW, 1000), 10);
        let late = NOW + Duration::from_millis(999);
        assert_eq!(traced(&sampling, "malformed", late, 5), 0);
        let next = NOW + Duration::from_secs(1);
        let first = sampling.admit("token.refused", "malformed", next);
        assert_eq!(
            first,
            Some(Traced {
                suppressed: Some(995)
            })
        );
        let second = sampling.admit("token.refused", "malformed", next);
        assert_eq!(second, Some(Traced { suppressed: None }));
        assert_eq!(traced(&sampling, "malformed", next, 1000), 8);
    }

    #[test]
    fn a_flood_of_one_kind_hides_no_other() {
        let sampling = Sampling::default();
        traced(&sampling, "malformed", NOW, 1000);
        assert_eq!(traced(&sampling, "expired", NOW, 1), 1);
        let other = sampling.admit("login.refused", "malformed", NOW);
        assert_eq!(other, Some(Traced { suppressed: None }));
    }

    #[test]
    fn a_clock_that_is_set_back_silences_nothing() {
        let sampling = Sampling::default();
        traced(&sampling, "expired", NOW + Duration::from_secs(3600), 11);
        let admitted = sampling.admit("token.refused", "expired", NOW);
        assert_eq!(
            admitted,
            Some(Traced {
                suppressed: Some(1)
            })
        );
    }
}
