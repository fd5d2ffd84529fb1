//! Tokens of another kind, or of another issuer's.

use gatepass::Refusal::{Malformed, UnknownKey, WrongAudience, WrongIssuer, WrongType};

use super::{Table, Victim, quoted};
use crate::forge::{Members, base64url};

pub(super) fn attacks(table: &mut Table, victim: &Victim) {
    let refresh = victim.refresh_token();
    let claims = victim.claims();
    let short = &refresh[4..];
    let texts = [
        (WrongType, "a refresh token", refresh.to_owned()),
        (WrongType, "the prefix of refresh tokens", "gpr_".into()),
        (
            WrongType,
            "an access token behind that prefix",
            format!("gpr_{}", victim.good()),
        ),
        (
            Malformed,
            "a refresh token without its prefix",
            short.into(),
        ),
        (
            Malformed,
            "a refresh token in capitals",
            refresh.to_uppercase(),
        ),
        (
            Malformed,
            "a refresh token behind a space",
            format!(" {refresh}"),
        ),
        (
            Malformed,
            "the session id",
            claims.raw("sid").trim_matches('"').into(),
        ),
        (
            Malformed,
            "the token id",
            claims.raw("jti").trim_matches('"').into(),
        ),
        (Malformed, "the key id", victim.forge.kid.clone()),
        (
            Malformed,
            "a refresh token for a payload",
            victim.forge.token(victim.header().to_string(), refresh),
        ),
    ];
    for (reason, name, token) in texts {
        table.refused(reason, name, token);
    }
    typed(table, victim);

    let theirs = claims.with("iss", quoted("https://evil.example"));
    table.refused(
        WrongIssuer,
        "another issuer's, by our key",
        victim.with_claims(&theirs),
    );
    let by_them = victim
        .stranger
        .token(victim.stranger.header().to_string(), theirs.to_string());
    table.refused(UnknownKey, "another issuer's, by its own key", by_them);
    let both = theirs.with("aud", quoted("other"));
    table.refused(
        WrongIssuer,
        "another issuer's, for another audience",
        victim.with_claims(&both),
    );
    let other = claims.with("aud", quoted("billing-api"));
    table.refused(
        WrongAudience,
        "for another audience",
        victim.with_claims(&other),
    );
    let client = claims.with("aud", claims.raw("client_id"));
    table.refused(WrongAudience, "for its client", victim.with_claims(&client));
    let issuer = claims.with("aud", claims.raw("iss"));
    table.refused(WrongAudience, "for its issuer", victim.with_claims(&issuer));
}

/// Other texts that the same key may sign, with and without the claims of an access token.
fn typed(table: &mut Table, victim: &Victim) {
    let event = r#"{"http://schemas.openid.net/event/backchannel-logout":{}}"#;
    let full = victim.claims();
    let kinds: [(&str, &str, Members); 9] = [
        (
            "an ID token",
            "JWT",
            full.and("nonce", quoted("n")).and("azp", quoted("app")),
        ),
        ("a logout token", "logout+jwt", full.and("events", event)),
        (
            "a security event",
            "secevent+jwt",
            full.and("events", event),
        ),
        (
            "a DPoP proof",
            "dpop+jwt",
            full.and("htm", quoted("GET"))
                .and("htu", quoted("https://shop.example")),
        ),
        (
            "an introspection",
            "token-introspection+jwt",
            full.and("token_introspection", r#"{"active":true}"#),
        ),
        (
            "a request object",
            "oauth-authz-req+jwt",
            full.and("response_type", quoted("code")),
        ),
        (
            "a client assertion",
            "client-authentication+jwt",
            full.with("sub", full.raw("client_id")),
        ),
        ("a refresh token as a JWT", "rt+jwt", full.clone()),
        (
            "user info",
            "JWT",
            full.and("email", quoted("alice@shop.example")),
        ),
    ];
    for (name, typ, claims) in kinds {
        let header = victim.header().with("typ", quoted(typ)).to_string();
        let token = victim.forge.token(&header, claims.to_string());
        table.refused(WrongType, name, token);
        let usual = claims.without("client_id").without("jti");
        let token = victim.forge.token(&header, usual.to_string());
        table.refused(Malformed, format!("{name}, with the usual claims"), token);
        let token = victim.with_claims(&usual);
        table.refused(
            Malformed,
            format!("{name}, under the type of access tokens"),
            token,
        );
    }
    let untyped = base64url(victim.header().without("typ").to_string());
    let token = victim.forge.sign(&untyped, victim.segments()[1]);
    table.refused(WrongType, "an ID token without a type", token);
}
