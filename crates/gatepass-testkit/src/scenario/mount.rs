//! All scenarios, and one test for each.

use super::Scenario;

/// All scenarios.
#[must_use]
pub fn all() -> Vec<Scenario> {
    macro_rules! made {
        ($($name:ident)*) => { vec![$( super::$name() ),*] };
    }
    crate::with_scenarios!([made])
}

/// Calls the macro in brackets with the arguments that follow it and with the names of all
/// scenarios.
///
/// Each name is a function in [`scenario`](crate::scenario). Use this if
/// [`conformance!`](crate::conformance!) doesn't suit you.
///
/// ```
/// macro_rules! count {
///     ($($name:ident)*) => { [$( stringify!($name) ),*].len() };
/// }
///
/// assert_eq!(gatepass_testkit::with_scenarios!([count]), gatepass_testkit::scenario::all().len());
/// ```
#[macro_export]
macro_rules! with_scenarios {
    ([$($callback:tt)*] $($before:tt)*) => {
        $($callback)*! {
            $($before)*

        a_login_gives_tokens_that_work
        token_bodies_say_when_the_tokens_expire
        a_wrong_password_and_an_unknown_user_get_the_same_answer
        a_login_that_is_not_understood_changes_nothing
        credentials_without_a_password_are_for_the_authenticator_to_judge
        a_password_is_not_accepted_from_anywhere_but_the_body

        a_trusted_proxy_tells_the_address_of_a_client

        too_many_attempts_are_told_when_to_try_again
        a_delay_grows_with_each_attempt_and_is_over_with_a_login
        attempts_at_all_endpoints_count_together
        strangers_delay_no_user_at_a_known_address
        an_address_that_tries_many_names_has_to_wait

        a_refresh_gives_a_new_pair
        a_refresh_sent_twice_gets_the_same_successor
        quick_refreshes_raise_no_false_alarm
        sixty_four_refreshes_at_once_get_the_same_successor
        a_lost_answer_is_recovered_from_once
        a_stolen_refresh_token_ends_the_session_for_both
        a_refresh_token_expires_when_it_is_not_used
        a_session_ends_at_its_absolute_end
        a_deleted_user_is_refused_at_the_next_refresh
        changed_scopes_take_effect_at_the_next_refresh
        an_access_token_does_not_refresh
        a_forged_refresh_token_changes_nothing
        a_refresh_that_is_not_understood_spends_nothing

        a_right_that_is_taken_away_is_refused_at_once_and_the_session_goes_on
        a_stale_token_resumes_renews_and_ends_its_session
        a_right_that_is_added_is_offered
        a_gate_refreshes_a_browser_whose_rights_have_changed

        a_new_password_ends_all_other_sessions_of_the_user
        a_new_password_needs_the_current_one
        a_new_password_by_cookie_comes_from_the_services_own_pages
        a_user_is_deleted_with_all_sessions
        a_deletion_needs_a_recent_login

        a_logout_by_access_token_ends_the_session
        a_logout_by_refresh_token_ends_the_session
        a_logout_by_a_spent_refresh_token_ends_the_session
        a_logout_by_an_expired_access_token_ends_the_session
        a_logout_can_be_repeated
        a_logout_needs_a_token_of_ours
        a_logout_leaves_other_devices_alone
        a_logout_everywhere_ends_every_session_and_later_logins_live
        a_logout_everywhere_can_be_waited_for
        sessions_are_listed_with_the_current_one_marked
        a_session_is_ended_from_another_device
        a_foreign_session_is_not_found
        all_sessions_but_the_current_one_are_ended
        an_ended_session_cannot_end_others
        a_logout_among_refreshes_ends_the_session

        a_gate_wants_a_token
        the_scheme_of_an_authorization_knows_no_case
        two_authorizations_are_refused
        an_authorization_that_is_not_one_token_is_refused
        a_token_in_the_query_is_not_read
        a_token_in_a_cookie_is_not_read
        an_expired_token_is_refused
        a_token_that_is_no_token_is_refused
        a_refresh_token_gives_no_access
        a_scope_that_is_missing_is_named
        an_old_authentication_does_not_transfer
        a_strict_route_works_and_refuses_ended_sessions
        a_strict_route_asks_the_store
        an_optional_gate_refuses_bad_tokens
        a_missing_gate_is_a_loud_500
        a_path_and_a_method_come_before_the_gate
        a_guarded_route_answers_head_as_get
        a_guarded_route_answers_options_as_a_method_that_it_does_not_have
        an_endpoint_answers_options_as_a_method_that_it_does_not_have
        a_refused_connection_can_be_used_again

        wrong_methods_are_told_the_right_ones
        an_unknown_endpoint_is_not_found
        a_head_request_gets_the_head_of_a_get
        media_types_are_checked
        bodies_that_are_not_one_json_object_are_refused
        bodies_that_are_too_long_are_refused
        authentication_is_judged_before_the_body
        answers_with_tokens_or_sessions_are_not_kept

        a_password_grant_gives_tokens_that_work
        a_refresh_at_the_token_endpoint_gives_a_new_pair
        a_refused_refresh_is_400_at_the_token_endpoint
        bad_credentials_are_400_at_the_token_endpoint
        a_grant_type_that_is_not_offered_is_unsupported
        scopes_that_were_not_granted_spend_and_begin_nothing
        a_narrowed_refresh_narrows_that_access_token_alone
        a_renewed_token_is_no_wider_than_the_one_it_replaces
        a_password_grant_with_scopes_limits_its_session_for_good
        parameters_are_there_once_and_not_empty
        parameters_are_read_from_the_form_alone
        a_form_has_its_media_type_and_size
        oauth_endpoints_tell_the_right_methods
        oauth_endpoints_never_touch_cookies

        a_public_client_names_itself
        a_client_that_names_nobody_is_the_applications_own
        a_confidential_client_shows_its_secret_by_basic_or_in_the_body
        a_client_that_does_not_prove_itself_is_refused
        an_authorization_that_is_no_clients_is_refused
        a_client_that_authenticates_twice_is_refused
        tokens_of_a_client_are_refused_to_others
        tokens_of_a_client_are_refused_by_the_applications_own_endpoints

        revoking_an_access_token_leaves_its_session_alone
        revoking_a_refresh_token_ends_its_session
        revoking_a_spent_refresh_token_ends_its_session
        what_is_unknown_or_dead_is_revoked_already

        introspection_says_what_an_access_token_is
        introspection_says_what_a_refresh_token_is
        introspection_of_what_is_no_good_says_nothing_more
        introspection_changes_nothing
        introspection_is_for_confidential_clients

        an_event_stream_ends_with_a_logout
        a_logout_everywhere_ends_event_streams
        an_event_stream_ends_with_its_token
        an_event_stream_by_cookie_ends_with_its_token
        an_event_stream_is_behind_a_gate

        secret_keys_are_not_published
        the_metadata_lists_what_there_is
        public_documents_are_kept_and_asked_for_again

        a_login_by_cookie_gives_no_tokens_to_scripts
        where_both_are_on_a_login_gets_what_it_asks_for
        where_cookies_are_off_none_is_read_or_set
        every_endpoint_takes_cookies
        what_came_by_cookie_is_answered_by_cookie_alone
        a_bearer_outranks_cookies
        other_credentials_do_not_disturb_cookies
        a_cookie_is_found_among_others
        a_cookie_that_is_no_good_is_refused
        an_optional_gate_takes_a_bad_cookie_for_none
        tabs_that_refresh_at_once_get_the_same_cookie
        a_refresh_by_cookie_recovers_once_and_finds_a_thief
        a_logout_by_cookie_ends_the_session_and_clears
        a_logout_by_expired_or_ended_cookies_clears
        a_logout_by_forged_cookies_clears_nothing
        one_good_cookie_is_enough_to_log_out
        cookies_of_two_sessions_are_both_logged_out
        a_logout_by_a_token_leaves_cookies_alone
        nothing_but_a_logout_clears_cookies
        shared_caches_keep_no_guarded_answer
        an_answer_to_a_bearer_says_nothing_of_caches

        an_expired_access_cookie_is_refreshed_in_one_round_trip
        a_missing_access_cookie_is_refreshed_in_one_round_trip
        a_good_access_cookie_is_not_refreshed
        a_request_that_changes_something_is_refreshed
        a_head_request_is_refreshed
        twenty_requests_of_a_page_that_wakes_up_end_one_generation_later
        a_gate_and_the_endpoint_bring_the_same_refresh_cookie
        a_refreshed_answer_is_kept_by_no_cache
        cookies_of_the_handler_stay
        a_handler_that_sets_a_cookie_of_the_session_decides_alone
        a_streamed_answer_is_refreshed
        an_optional_gate_refreshes
        an_optional_gate_takes_a_refused_refresh_for_none
        an_optional_gate_judges_where_a_request_comes_from_before_it_refreshes
        a_strict_gate_refreshes
        an_automatic_refresh_makes_no_authentication_recent
        a_refreshed_request_that_lacks_a_scope_brings_cookies
        a_cross_site_request_is_refused_before_it_is_refreshed
        a_link_from_another_site_arrives_logged_in
        a_bearer_is_not_refreshed_by_a_gate
        where_cookies_are_off_no_gate_refreshes
        a_gate_that_was_not_told_to_refreshes_nothing
        a_browser_that_has_logged_out_is_not_refreshed
        a_session_that_was_ended_elsewhere_is_not_refreshed
        an_idle_session_is_not_refreshed
        a_gate_keeps_no_session_beyond_its_absolute_end
        a_deleted_user_is_not_refreshed_by_a_gate
        changed_scopes_come_with_an_automatic_refresh
        a_gate_finds_a_stolen_refresh_cookie
        a_lost_answer_of_a_gate_is_recovered_from
        a_refresh_cookie_that_is_no_good_is_refused_by_a_gate
        a_session_that_the_store_has_lost_is_not_refreshed

        a_page_request_is_sent_to_the_login_page
        the_way_back_has_the_query
        a_browser_without_fetch_metadata_is_sent_to_the_login_page
        the_head_of_a_page_is_sent_to_the_login_page
        a_form_is_sent_to_the_login_page_without_a_way_back
        a_fetch_of_a_script_gets_its_401
        programs_get_their_401
        a_gate_without_a_login_page_sends_no_browser_away
        the_redirect_says_why
        a_page_that_can_be_refreshed_is_shown
        an_old_authentication_is_sent_to_the_login_page
        a_redirect_after_a_refresh_brings_cookies
        a_missing_scope_sends_no_browser_away
        a_form_of_another_site_is_not_sent_to_the_login_page
        ambiguous_credentials_send_no_browser_away
        an_optional_page_is_shown_to_strangers

        a_cross_site_login_is_refused
        a_cross_site_refresh_is_refused
        a_cross_site_logout_is_refused
        a_cross_site_call_is_refused
        a_web_socket_of_a_page_elsewhere_is_refused
        a_request_that_changes_nothing_may_come_from_anywhere
        bearer_requests_may_come_from_anywhere

        a_page_of_another_origin_can_read_refusals
        a_browser_may_ask_before_it_sends_credentials

        an_old_authentication_is_renewed_by_the_password
        a_wrong_password_renews_nothing
        nobody_reauthenticates_as_somebody_else
        an_ended_session_is_not_reauthenticated
        a_reauthentication_spends_the_refresh_token_as_a_refresh_does
        a_reauthentication_reads_the_user_again
        a_weak_authentication_is_made_strong_by_a_passkey
        a_step_up_by_cookie_is_answered_by_cookies
        a_step_up_as_another_user_is_refused

        a_login_that_is_not_remembered_lasts_a_day_at_most
        cookies_of_a_login_that_is_not_remembered_go_with_the_browser
        a_session_without_a_refresh_token_ends_with_its_access_token
        a_session_without_a_refresh_token_has_one_cookie
        a_token_in_use_is_renewed_in_a_response_header
        a_token_in_use_is_renewed_in_its_cookie

        a_good_access_token_is_resumed_with_nothing_new
        an_expired_access_token_is_resumed_by_the_refresh_token
        an_idle_session_is_resumed_by_both_of_its_tokens
        tokens_of_two_sessions_do_not_resume
        forged_tokens_do_not_resume
        an_ended_session_is_not_resumed
        sixty_four_resumes_at_once_get_the_same_successor
        a_bad_access_token_outranks_a_bad_body_at_a_resume
        a_renewed_token_is_of_the_same_session_and_brings_no_refresh_token
        a_renewal_does_not_keep_an_unused_session
        only_a_good_access_token_is_renewed
        a_renewal_reads_the_user_again

        seed_expiry_and_logging
        seed_session_renewal
        seed_auto_login
        seed_token_endpoint
        seed_logout_allow_list

        an_access_token_may_be_where_the_clients_of_an_application_have_it
        tokens_in_two_headers_are_ambiguous
        a_place_that_is_not_configured_has_no_token
        a_cookie_of_the_applications_own_is_judged_as_others_are
        errors_have_the_format_of_the_application
        oauth_endpoints_keep_their_format_of_errors
        endpoints_are_where_the_application_wants_them
        a_form_logs_in_and_out
        a_form_that_is_refused_shows_the_login_page
        a_form_of_another_site_is_refused
        a_form_is_refused_where_none_are_taken
        a_login_of_the_applications_own_sets_cookies_in_its_response
        a_handler_gets_the_applications_own_record_of_the_user
        a_user_without_a_record_is_refused_at_once

        an_old_token_is_accepted_until_it_is_exchanged
        a_browser_with_the_old_cookie_gets_those_of_a_session
        an_old_token_that_is_none_changes_nothing
        an_api_key_works_beside_sessions

        a_client_finds_out_who_issues_tokens_for_a_resource
        a_token_of_a_trusted_issuer_passes_the_gate
        scopes_of_a_trusted_issuer_are_judged
        tokens_of_others_are_refused
        a_token_of_a_trusted_issuer_expires
        a_logout_revokes_the_token_of_a_trusted_issuer

        a_logout_at_the_provider_ends_sessions_and_access_tokens_of_the_user
        a_logout_of_one_session_at_the_provider_leaves_the_others_alone
        a_logout_token_that_is_sent_again_ends_nothing_more
        a_logout_token_that_is_not_good_ends_nothing
        a_logout_token_gives_no_access
        a_logout_token_expires
        a_provider_learns_whether_a_logout_is_done
        a_logout_comes_in_a_form_of_one_token

        the_endpoints_are_described
        }
    };
}

/// Expands to one test for each scenario. The given function starts a
/// [`Driver`](crate::scenario::Driver).
///
/// Each test calls the function once with a [`ManualClock`](crate::ManualClock) and a
/// [`Setup`](crate::scenario::Setup). The function must return a driver of a new application that
/// has this setup and takes its time from this clock. Your crate needs `tokio` with the features
/// `macros` and `rt-multi-thread`.
///
/// Declare each scenario that your framework can't play, with the reason. It then has no test:
///
/// ```no_run
/// # mod tests { use gatepass_testkit::{*, scenario::*}; async fn start(_: ManualClock, _: Setup) -> Never { Never }
/// # struct Never;
/// # #[async_trait::async_trait] impl Driver for Never {
/// #     async fn exchange(&self, _: Request, _: Opened) -> Response { unreachable!() }
/// #     async fn pass_time(&self, _: std::time::Duration) {}
/// #     async fn change_user(&self, _: &str, _: UserChange) {}
/// #     async fn lose_sessions(&self) {}
/// # }
/// gatepass_testkit::conformance!(start, except: {
///     a_head_request_gets_the_head_of_a_get: "the framework knows no HEAD",
/// });
/// # }
/// ```
///
/// A name without a scenario doesn't compile, and neither does an empty reason:
///
/// ```compile_fail,E0425
/// # mod tests { use gatepass_testkit::{*, scenario::*}; async fn start(_: ManualClock, _: Setup) -> Never { Never }
/// # struct Never;
/// # #[async_trait::async_trait] impl Driver for Never {
/// #     async fn exchange(&self, _: Request, _: Opened) -> Response { unreachable!() }
/// #     async fn pass_time(&self, _: std::time::Duration) {}
/// #     async fn change_user(&self, _: &str, _: UserChange) {}
/// #     async fn lose_sessions(&self) {}
/// # }
/// gatepass_testkit::conformance!(start, except: {
///     a_scenario_that_there_is_not: "the framework knows no HEAD",
/// });
/// # }
/// ```
#[macro_export]
macro_rules! conformance {
    ($start:expr) => {
        $crate::conformance!($start, except: {});
    };
    ($start:expr, except: { $($except:ident: $reason:literal),* $(,)? }) => {
        $(
            const _: fn() -> $crate::scenario::Scenario = $crate::scenario::$except;
            const _: () = assert!(!$reason.is_empty(), "an exception has a reason");
        )*
        $crate::with_scenarios!([$crate::conformance] @tests [$] $start, [$($except)*] =>);
    };
    // The names of exceptions become patterns of another macro, since only patterns compare names.
    // `$d` is a dollar sign for that macro.
    (@tests [$d:tt] $start:expr, [$($except:ident)*] => $($name:ident)*) => {
        macro_rules! scenario {
            $( ($except) => {}; )*
            ($d name:ident) => {
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $d name() {
                    let scenario = $crate::scenario::$d name();
                    let driver = ($start)($crate::ManualClock::new(), scenario.setup()).await;
                    if let Err(mismatch) = $crate::scenario::run(&scenario, &driver).await {
                        panic!("{mismatch}");
                    }
                }
            };
        }
        $( scenario!($name); )*
    };
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::all;

    #[test]
    fn no_scenario_is_forgotten_or_goes_by_another_name() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/scenario");
        let sources = fs::read_dir(folder).unwrap();
        let sources = sources.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
        let written: BTreeSet<_> = sources
            .flat_map(|source| {
                let functions = source.lines().filter_map(|line| {
                    let line = line.strip_prefix("pub fn ")?;
                    line.strip_suffix("() -> Scenario {").map(str::to_owned)
                });
                functions.collect::<Vec<_>>()
            })
            .collect();
        let mounted: Vec<_> = all()
            .iter()
            .map(|scenario| scenario.name().to_owned())
            .collect();
        assert_eq!(written, mounted.iter().cloned().collect());
        assert_eq!(written.len(), mounted.len());
    }
}
