//! The contract of a store as tests: one function for each promise of
//! [`SessionStore`](gatepass::store::SessionStore) and
//! [`RevocationLog`](gatepass::store::RevocationLog).
//!
//! [`store_contract!`](crate::store_contract!) mounts all of them. A function panics if the store
//! breaks its promise.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a claim that does not hold is a test that panics"
)]

mod agreeing;
mod beating;
mod beginning;
mod changing;
mod continuing;
mod ending;
mod foreign;
mod given;
mod granting;
mod logging;
mod purging;
mod refreshing;
mod scanning;
mod throttling;

#[cfg(test)]
pub(crate) use self::given::{begin_one, ended};
pub use self::{
    agreeing::*, beating::*, beginning::*, changing::*, continuing::*, ending::*, foreign::*,
    granting::*, logging::*, purging::*, refreshing::*, scanning::*, throttling::*,
};

/// Expands to one test for each claim of the contract. The given function makes the stores.
///
/// Each test calls the function once or twice with a [`ManualClock`](crate::ManualClock). The
/// function must return a new, empty store that takes its time from this clock. Your crate needs
/// `tokio` with the features `macros` and `rt-multi-thread`.
///
/// ```
/// use gatepass::MemoryStore;
/// use gatepass_testkit::{ManualClock, store_contract};
///
/// async fn fresh(clock: ManualClock) -> MemoryStore {
///     MemoryStore::with_clock(clock)
/// }
///
/// store_contract!(fresh);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! store_contract {
    ($fresh:expr) => {
        $crate::store_contract! {
            @tests $fresh =>
            a_session_is_loaded_as_it_was_begun
            a_session_that_was_never_begun_is_not_loaded
            one_session_too_many_ends_exactly_the_oldest
            only_live_sessions_count_against_the_maximum
            a_session_that_nobody_can_use_does_not_count_against_the_maximum
            simultaneous_logins_do_not_exceed_the_maximum
            a_spared_session_counts_against_the_maximum
            sessions_are_numbered_in_the_order_in_which_they_begin
            sessions_are_listed_newest_first
            sessions_are_listed_in_pages
            only_usable_sessions_of_the_subject_are_listed
            identities_are_remembered
            a_session_that_is_there_is_not_begun_again
            of_many_beginnings_of_one_session_one_succeeds
            a_session_may_begin_after_the_authentication

            an_advance_changes_what_it_should_and_nothing_else
            an_idle_lifetime_of_the_identity_comes_first
            of_many_advances_from_one_generation_one_succeeds
            an_advance_that_does_not_fit_changes_nothing
            a_session_can_be_refreshed_until_the_instant_it_expires
            an_advance_may_jump_over_lost_generations
            the_last_rotation_is_remembered
            an_advance_too_soon_after_the_last_changes_nothing
            an_authentication_need_not_rotate
            an_advance_remembers_from_where_it_came
            access_until_never_decreases
            nothing_outlives_the_absolute_end
            a_clock_that_jitters_makes_no_session_younger
            a_clock_that_was_ahead_is_believed_no_more
            a_recovery_is_remembered_until_the_next_advance_and_after
            a_recovery_is_idempotent
            a_recovery_that_does_not_fit_changes_nothing

            a_session_that_idled_too_long_is_resumed
            a_new_authentication_is_remembered
            nothing_goes_on_with_a_session_that_is_over
            a_renewal_changes_access_and_nothing_else
            a_renewal_postpones_the_purge
            no_renewal_succeeds_after_an_end_returned

            a_change_is_written_and_logged_in_the_same_act
            an_offered_change_refuses_no_token
            a_change_that_no_token_shows_is_not_logged
            the_last_change_of_a_session_is_its_one_entry
            a_change_that_does_not_fit_changes_nothing
            of_many_changes_from_one_version_one_succeeds
            refreshes_and_changes_undo_nothing_of_each_other
            no_change_succeeds_after_an_end_returned
            the_lifetime_of_a_changed_identity_counts_from_the_next_refresh
            a_change_is_kept_for_the_retention
            an_entry_that_comes_after_all_tokens_have_expired_is_kept_for_the_retention
            a_session_that_nothing_needs_is_unknown_before_its_purge

            all_but_a_change_leave_the_rights_of_a_session_alone
            an_entry_stays_through_a_change_that_no_token_shows
            a_cursor_before_or_behind_a_replaced_entry_goes_on
            a_replaced_entry_is_kept_as_long_as_the_last_change_says
            the_entry_of_a_session_that_ended_goes_in_its_time
            changed_resolves_after_a_change_of_rights
            a_long_log_whose_entries_are_replaced_is_pulled_in_parts

            a_scan_brings_all_live_sessions_in_parts
            a_scan_brings_each_session_once_while_others_begin_and_end
            a_scan_goes_on_behind_sessions_that_are_over
            a_scan_goes_on_behind_each_session_of_a_part
            a_scan_goes_on_behind_a_session_that_is_gone
            a_scan_brings_the_sessions_for_which_all_conditions_hold
            a_scan_compares_subjects_byte_by_byte
            a_scan_brings_sessions_that_are_over_until_they_are_purged
            a_scan_shows_a_session_as_it_is_loaded

            an_end_is_logged_in_the_same_act
            every_reason_is_kept
            the_first_end_counts
            of_many_ends_of_one_session_one_reports_it
            nothing_refreshes_an_ended_session
            a_session_of_another_subject_is_not_ended
            all_sessions_of_an_account_end_together
            all_sessions_of_an_account_but_one_end_together
            the_same_subject_of_another_issuer_is_not_concerned
            logins_come_before_or_after_the_end_of_all
            the_end_of_an_unknown_session_changes_nothing
            no_advance_succeeds_after_an_end_returned

            a_revoked_token_is_logged_once
            a_token_of_an_ended_session_is_not_logged
            one_token_too_many_ends_the_session
            one_token_too_many_of_an_account_ends_a_session
            a_token_of_an_unknown_session_is_revoked_beyond_the_limits
            forgotten_tokens_do_not_count_against_the_session
            a_status_is_live_revoked_or_unknown
            a_pull_without_a_cursor_brings_everything
            a_pull_brings_what_its_cursor_has_not_seen
            a_long_log_is_pulled_in_parts
            nothing_is_missed_among_concurrent_writers
            a_cursor_of_another_log_is_reset
            changed_resolves_after_an_append
            changed_resolves_at_once_for_a_cursor_that_is_behind

            a_foreign_token_is_revoked_once
            all_tokens_of_a_foreign_subject_are_one_entry
            a_clock_that_goes_back_takes_no_foreign_revocation_back
            one_foreign_token_too_many_revokes_all_of_the_subject
            foreign_tokens_are_counted_by_one_revocation_after_the_other
            foreign_revocations_are_kept_until_their_retention_is_over

            a_session_is_purged_once_nothing_needs_it
            an_advance_postpones_the_purge
            sessions_in_use_do_not_hold_up_the_purge_of_others
            an_ended_session_and_its_entry_are_kept_for_the_retention
            a_revoked_token_is_kept_for_the_retention
            sessions_that_ended_together_are_purged_once_their_tokens_are_dead
            the_entry_of_a_logout_everywhere_is_kept_for_ten_minutes
            many_sessions_that_ended_together_go_before_their_entry
            an_account_is_forgotten_with_the_last_of_its_sessions
            a_purge_stops_at_its_limit
            a_purge_goes_no_further_than_its_horizon
            a_purge_goes_no_further_than_the_time_of_the_store
            a_cursor_survives_a_purge
            a_purge_is_remembered

            a_heartbeat_takes_the_place_of_the_last_one_of_its_node
            an_old_heartbeat_is_forgotten_by_the_next_one
            a_heartbeat_that_has_returned_is_in_every_later_answer
            heartbeats_and_sessions_do_not_touch_each_other

            attempts_are_free_up_to_the_bound_and_wait_longer_each_time
            an_attempt_that_is_refused_changes_nothing
            attempts_are_forgotten_one_after_the_other
            of_many_attempts_at_once_as_many_count_as_are_free
            a_login_clears_its_pair_and_takes_its_attempt_back
            a_known_pair_is_bound_by_its_own_attempts_alone
            an_attempt_that_is_taken_back_never_was
            the_bound_with_the_longest_wait_is_told
            a_record_of_attempts_outlives_a_purge_until_nothing_needs_it
            a_clock_that_is_set_back_delays_no_attempt_for_longer
            attempts_and_sessions_do_not_touch_each_other
            it_throttles_as_the_store_in_memory_does

            it_answers_as_the_store_in_memory_does
        }
    };
    (@tests $fresh:expr => $($claim:ident)*) => {
        $(
            #[::tokio::test(flavor = "multi_thread")]
            async fn $claim() {
                $crate::store_contract::$claim($fresh).await;
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_claim_is_mounted() {
        let mounted = include_str!("store_contract.rs");
        let sources = [
            include_str!("store_contract/agreeing.rs"),
            include_str!("store_contract/beating.rs"),
            include_str!("store_contract/beginning.rs"),
            include_str!("store_contract/changing.rs"),
            include_str!("store_contract/continuing.rs"),
            include_str!("store_contract/ending.rs"),
            include_str!("store_contract/granting.rs"),
            include_str!("store_contract/logging.rs"),
            include_str!("store_contract/purging.rs"),
            include_str!("store_contract/refreshing.rs"),
            include_str!("store_contract/scanning.rs"),
            include_str!("store_contract/throttling.rs"),
        ];
        let claims = sources
            .iter()
            .flat_map(|source| source.split("\npub async fn ").skip(1))
            .map(|claim| claim.split('<').next().unwrap());
        for claim in claims {
            let line = format!("            {claim}\n");
            assert!(mounted.contains(&line), "{claim} is not mounted");
        }
    }
}
