//! The scenarios with warp's own server, and further claims about warp.

mod composition;
mod hosts;

mod by_warps_own_server {
    gatepass_testkit::conformance!(gatepass_tests::frameworks::warp::by_warps_own_server, except: {
        a_page_of_another_origin_can_read_refusals: "CORS is around the routes in the example, not in them",
        a_browser_may_ask_before_it_sends_credentials: "CORS is around the routes in the example, not in them",
    });
}
