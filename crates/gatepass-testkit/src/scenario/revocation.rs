//! Scenarios of revocation by OAuth clients (RFC 7009).

use std::time::Duration;

use super::{
    Request, Scenario,
    wording::{me, refresh, refreshing, revoke, token},
};

const MINUTE: Duration = Duration::from_secs(60);

/// The server revokes this token alone, and neither the session's next token nor its refresh token.
#[must_use]
pub fn revoking_an_access_token_leaves_its_session_alone() -> Scenario {
    let revoked = "the token has been revoked";
    Scenario::new("revoking_an_access_token_leaves_its_session_alone")
        .logged_in("alice")
        .send(refresh("{refresh}"), 200)
        .keep("/access_token", "second_access")
        .keep("/refresh_token", "second")
        .send(revoke("{access}"), 200)
        .empty()
        .header("cache-control", "no-store")
        .send_bad_token(me("{access}"), revoked, "revoked")
        .send(revoke("{access}"), 200)
        .lives("{second_access}", "{second}")
}

/// The session ends at once with all its access tokens. Other sessions continue.
#[must_use]
pub fn revoking_a_refresh_token_ends_its_session() -> Scenario {
    Scenario::new("revoking_a_refresh_token_ends_its_session")
        .logged_in("alice")
        .logged_in_as("alice", "other_access", "other")
        .logged_in_by_gateway("gateway_access", "gateway_refresh")
        .send(revoke("{refresh}"), 200)
        .empty()
        .has_ended("{access}", "{refresh}")
        .send(revoke("{refresh}"), 200)
        .send(revoke("{gateway_refresh}").by_gateway(), 200)
        .send_bad_token(
            me("{gateway_access}"),
            "the token has been revoked",
            "revoked",
        )
        .send_refused(
            token(&refreshing("{gateway_refresh}")).by_gateway(),
            "invalid_grant",
            "session_ended",
        )
        .lives("{other_access}", "{other}")
}

/// A token of any generation ends the session, even long after it was spent. The server suspects no
/// theft, because the owner meant to revoke it.
#[must_use]
pub fn revoking_a_spent_refresh_token_ends_its_session() -> Scenario {
    Scenario::new("revoking_a_spent_refresh_token_ends_its_session")
        .logged_in("alice")
        .send(refresh("{refresh}"), 200)
        .keep("/refresh_token", "second")
        .pass(2 * MINUTE)
        .send(refresh("{second}"), 200)
        .keep("/access_token", "third_access")
        .keep("/refresh_token", "third")
        .pass(2 * MINUTE)
        .send(revoke("{refresh}"), 200)
        .has_ended("{third_access}", "{third}")
}

/// The client wants a dead token, and it is dead (RFC 7009 §2.2). A wrong hint changes nothing.
#[must_use]
pub fn what_is_unknown_or_dead_is_revoked_already() -> Scenario {
    let hinted = |token: &str, hint| {
        Request::post("/auth/revoke").form(&[("token", token), ("token_type_hint", hint)])
    };
    let unknown = ["x", "gpr_", "a.b.c", "{refresh}A", "{access}AAAA"];
    unknown
        .into_iter()
        .fold(
            Scenario::new("what_is_unknown_or_dead_is_revoked_already").logged_in("alice"),
            |scenario, token| {
                scenario
                    .send(revoke(token), 200)
                    .empty()
                    .send(revoke(token).by_gateway(), 200)
                    .empty()
            },
        )
        .send(hinted("x", "no_such_type"), 200)
        .send(me("{access}"), 200)
        .pass(16 * MINUTE)
        .send(revoke("{access}"), 200)
        .send(refresh("{refresh}"), 200)
        .keep("/access_token", "access")
        .keep("/refresh_token", "refresh")
        .send(hinted("{refresh}", "access_token"), 200)
        .has_ended("{access}", "{refresh}")
        .send(revoke("{access}"), 200)
}
