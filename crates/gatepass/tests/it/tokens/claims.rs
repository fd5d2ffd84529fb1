//! The meaning of the claims of a good token.

use super::*;

#[tokio::test]
async fn a_token_without_scopes_has_none() {
    for rig in Rig::both().await {
        let claims = rig.claims();
        for (case, claims) in [
            ("no scope", claims.without("scope")),
            ("an empty scope", claims.with("scope", r#""""#)),
        ] {
            let pass = rig.accepts(case, &rig.with_claims(&claims)).await;
            assert!(pass.scopes().is_empty(), "{case}");
        }
    }
}

#[tokio::test]
async fn a_token_lives_from_its_beginning_to_its_end_by_the_millisecond() {
    const LEEWAY: Duration = Duration::from_secs(30);
    const MILLI: Duration = Duration::from_millis(1);
    for rig in Rig::both().await {
        let start = rig.clock.now();
        let in_an_hour = (start + Duration::from_secs(3600)).unix_secs();
        for name in ["nbf", "iat"] {
            let claims = rig.claims().with("exp", in_an_hour + 3600);
            let token = rig.with_claims(&claims.with(name, in_an_hour));
            rig.clock.set_wall(start);
            rig.refuses(name, &token, &Refusal::NotYetValid).await;
            rig.clock
                .set_wall(start + (Duration::from_secs(3600) - LEEWAY - MILLI));
            rig.refuses(name, &token, &Refusal::NotYetValid).await;
            rig.clock.advance(MILLI);
            rig.accepts(name, &token).await;
        }
        let token = rig.with_claims(&rig.claims().with("exp", in_an_hour));
        rig.clock.set_wall(start);
        rig.clock
            .advance(Duration::from_secs(3600) + LEEWAY - MILLI);
        rig.accepts("the last millisecond", &token).await;
        rig.clock.advance(MILLI);
        rig.refuses("a millisecond later", &token, &Refusal::Expired)
            .await;
    }
}
