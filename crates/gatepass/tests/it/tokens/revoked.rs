//! A revoked token is revoked in every text that it has.

use test_support::attacks::{Control, malleated};

use super::*;

/// Texts of the token of `claims` that are accepted as long as it is not revoked.
fn texts(rig: &Rig, token: &str) -> Vec<Control> {
    let claims = Members::parse(&unbase64url(segments(token)[1]));
    let header = rig.header();
    let forge = &rig.forge;
    let with =
        |header: &Members, claims: &Members| forge.token(header.to_string(), claims.to_string());
    let mut texts = vec![
        ("as issued", token.to_owned()),
        ("signed again", with(&header, &claims)),
        ("signed once more", with(&header, &claims)),
        (
            "by the neighbour",
            rig.neighbour
                .token(rig.neighbour.header().to_string(), claims.to_string()),
        ),
        (
            "with spaces",
            forge.token(format!(" {header} "), format!("{claims}\n")),
        ),
        (
            "in another order",
            with(&header.reversed(), &claims.reversed()),
        ),
        (
            "in capitals",
            with(&header.with("typ", r#""APPLICATION/AT+JWT""#), &claims),
        ),
        (
            "with a longer header",
            with(&header.and("jku", r#""x""#), &claims),
        ),
        (
            "for more audiences",
            with(&header, &claims.with("aud", r#"["x","shop-api"]"#)),
        ),
        (
            "with a later end",
            with(&header, &claims.with("exp", "253402300799")),
        ),
        ("from 1970", with(&header, &claims.with("iat", "0"))),
        (
            "for another client",
            with(&header, &claims.with("client_id", r#""other""#)),
        ),
        (
            "with an escaped jti",
            with(
                &header,
                &claims.without("jti").and(r"\u006ati", claims.raw("jti")),
            ),
        ),
        (
            "with a jti of escapes",
            with(
                &header,
                &claims.with(
                    "jti",
                    format!(
                        r#""\u{:04x}{}"#,
                        claims.raw("jti").as_bytes()[1],
                        &claims.raw("jti")[2..]
                    ),
                ),
            ),
        ),
    ];
    if matches!(rig.algorithm(), Algorithm::Es256 | Algorithm::Es384) {
        texts.push(("with n - s", malleated(token)));
        texts.push((
            "signed again, with n - s",
            malleated(&with(&header, &claims)),
        ));
    }
    let control = |(name, token): (&str, String)| Control {
        name: name.to_owned(),
        token,
    };
    texts.into_iter().map(control).collect()
}

async fn all_are_revoked(rig: &Rig, how: &str, texts: &[Control]) {
    for Control { name, token } in texts {
        let verified = rig.verify(token).await;
        assert!(
            matches!(verified, Err(Error::Refused(Refusal::Revoked))),
            "{}, {how}, {name}: {verified:?}",
            rig.algorithm()
        );
    }
}

async fn a_revoked_token_is_revoked_in_every_text(algorithm: Algorithm) {
    let rig = Rig::new(algorithm).await;
    let controls = Table::of(&rig).controls;
    let texts_of_first = [controls, texts(&rig, rig.good())].concat();
    let mut pass = None;
    for Control { name, token } in &texts_of_first {
        pass = Some(rig.accepts(name, token).await);
    }
    rig.authority.revoke_token(&pass.unwrap()).await.unwrap();
    all_are_revoked(&rig, "by its id", &texts_of_first).await;

    // The session goes on, until one of its tokens logs it out in a text that was never issued.
    let next = rig.authority.refresh(rig.refresh_token()).await.unwrap();
    let texts_of_next = texts(&rig, next.access_token.as_str());
    for Control { name, token } in &texts_of_next {
        rig.accepts(name, token).await;
    }
    let last = texts_of_next.last().unwrap();
    rig.authority.logout(&last.token).await.unwrap();
    all_are_revoked(&rig, "by logout", &texts_of_next).await;
    all_are_revoked(&rig, "by logout, too", &texts_of_first).await;
}

async fn a_revoked_session_is_revoked_in_every_text(algorithm: Algorithm) {
    for how in ["by its refresh token", "by its id", "with all others"] {
        let rig = Rig::new(algorithm).await;
        let texts = texts(&rig, rig.good());
        for Control { name, token } in &texts {
            rig.accepts(name, token).await;
        }
        let ended = match how {
            "by its refresh token" => rig.authority.logout(rig.refresh_token()).await,
            "by its id" => rig.authority.end_session(rig.issued.session_id).await,
            _ => {
                let pass = rig.accepts("the good token", rig.good()).await;
                rig.authority.logout_all(pass.subject()).await
            }
        };
        ended.unwrap();
        all_are_revoked(&rig, how, &texts).await;
        let refreshed = rig.authority.refresh(rig.refresh_token()).await;
        assert!(
            matches!(refreshed, Err(Error::Refused(_))),
            "{how}: {refreshed:?}"
        );
    }
}

test_support::by_each_family! {
    a_revoked_token_is_revoked_in_every_text
    a_revoked_session_is_revoked_in_every_text
}
