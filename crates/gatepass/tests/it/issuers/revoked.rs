//! Their tokens can be revoked here, one by one and all of a subject, on all nodes.

use gatepass::{
    Clock, Device, Ended, Identity, Staleness, Subject,
    issuers::ForeignTokens,
    store::{Issuer, RevokeForeign},
};
use test_support::log::Log;
use tracing::Level;

use super::*;

/// Two nodes over one store, and the clock of all.
struct Nodes {
    clock: ManualClock,
    one: Authority,
    other: Authority,
}

impl Nodes {
    async fn start() -> Self {
        let (web, clock) = (Web::default(), ManualClock::new());
        web.publish(METADATA, metadata(LOGIN));
        web.publish(JWKS, jwks(&[&key()]));
        let store = TestStore::new(MemoryStore::with_clock(clock.clone())).durable();
        let node = async || {
            let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
            let issuers = Issuers::new(web.clone()).trust(TrustedIssuer::new(LOGIN, API));
            Authority::builder("https://shop.example", API, secret, store.clone())
                .clock(clock.clone())
                .issuers(issuers)
                .build()
                .await
                .unwrap()
        };
        Self {
            one: node().await,
            other: node().await,
            clock,
        }
    }

    /// A token of another issuer with these members changed.
    fn token(&self, members: &[(&str, &str)]) -> String {
        let mut claims = claims(&self.clock);
        for (name, raw) in members {
            claims = match *raw {
                "" => claims.without(name),
                raw => claims.with(name, raw),
            };
        }
        signed(&key(), &claims)
    }

    async fn pass(&self, token: &str) -> Pass {
        let requirements = Requirements::new();
        let verified = self.one.verifier().verify(token, &requirements);
        verified.await.unwrap()
    }

    /// Whether a token is good, as both nodes say.
    async fn is_good(&self, token: &str) -> bool {
        for node in [&self.one, &self.other] {
            node.verifier().catch_up().await.unwrap();
        }
        let mut good = Vec::new();
        for node in [&self.one, &self.other] {
            for staleness in [Staleness::Bounded, Staleness::Strict] {
                let requirements = Requirements::new().staleness(staleness);
                match node.verifier().verify(token, &requirements).await {
                    Ok(_) => good.push(true),
                    Err(Error::Refused(Refusal::Revoked)) => good.push(false),
                    Err(error) => panic!("{error}"),
                }
            }
        }
        assert!(good.iter().all(|one| *one == good[0]), "{good:?}");
        good[0]
    }
}

fn login() -> Issuer {
    Issuer::new(LOGIN).unwrap()
}

fn alice() -> Subject {
    Subject::new("alice").unwrap()
}

/// The issuer has used it twice, or let Mallory choose it.
#[tokio::test(start_paused = true)]
async fn a_logout_spares_a_token_of_another_user_with_the_same_jti() {
    let nodes = Nodes::start().await;
    let alice = nodes.token(&[]);
    let mallory = nodes.token(&[("sub", r#""mallory""#)]);
    let pass = nodes.pass(&mallory).await;
    nodes.one.revoke_token(&pass).await.unwrap();
    assert!(!nodes.is_good(&mallory).await);
    assert!(nodes.is_good(&alice).await);
}

#[tokio::test(start_paused = true)]
async fn one_token_is_revoked_by_its_jti_on_all_nodes() {
    let nodes = Nodes::start().await;
    let token = nodes.token(&[]);
    // The issuer may sign the same token again, in another text.
    let twin = nodes.token(&[("more", "1")]);
    let other = nodes.token(&[("jti", r#""another""#)]);
    assert!(nodes.is_good(&token).await);
    let pass = nodes.pass(&token).await;
    nodes.one.revoke_token(&pass).await.unwrap();
    assert!(!nodes.is_good(&token).await);
    assert!(!nodes.is_good(&twin).await);
    assert!(nodes.is_good(&other).await);
    // Again is no mistake.
    nodes.other.revoke_token(&pass).await.unwrap();

    let by_jti = ForeignTokens::of(login(), alice()).jti("another");
    nodes.other.revoke_foreign(&by_jti).await.unwrap();
    assert!(!nodes.is_good(&other).await);
}

#[tokio::test(start_paused = true)]
async fn a_token_without_a_jti_is_revoked_by_its_text() {
    let nodes = Nodes::start().await;
    let (token, other) = (
        nodes.token(&[("jti", "")]),
        nodes.token(&[("jti", ""), ("more", "1")]),
    );
    let empty = nodes.token(&[("jti", r#""""#)]);
    let pass = nodes.pass(&token).await;
    nodes.one.revoke_token(&pass).await.unwrap();
    assert!(!nodes.is_good(&token).await);
    for other in [other, empty] {
        assert!(nodes.is_good(&other).await);
    }
    // The other signature of an ECDSA token is of the same token.
    let twin = test_support::attacks::malleated(&token);
    assert!(!nodes.is_good(&twin).await);

    let of_entra = nodes.token(&[("jti", ""), ("uti", r#""u""#)]);
    assert!(nodes.is_good(&of_entra).await);
    let by_uti = ForeignTokens::of(login(), alice()).jti("u");
    nodes.one.revoke_foreign(&by_uti).await.unwrap();
    assert!(!nodes.is_good(&of_entra).await);
}

#[tokio::test(start_paused = true)]
async fn all_tokens_that_a_subject_got_up_to_now_are_revoked_and_no_others() {
    let nodes = Nodes::start().await;
    let identity = Identity::new("alice").unwrap();
    let ours = nodes.one.issue(identity, Device::default()).await.unwrap();
    let ours = ours.access_token.as_str();
    let (first, bob) = (nodes.token(&[]), nodes.token(&[("sub", r#""bob""#)]));
    nodes.clock.advance(10 * SECOND);
    let second = nodes.token(&[("jti", "")]);
    nodes.clock.advance(Duration::from_millis(500));
    let all = ForeignTokens::of(login(), alice());
    nodes.one.revoke_foreign(&all).await.unwrap();
    nodes.clock.advance(Duration::from_millis(499));
    let within_the_second = nodes.token(&[("jti", r#""within""#)]);
    nodes.clock.advance(Duration::from_millis(1));
    let later = nodes.token(&[("jti", r#""later""#)]);
    for (token, expected) in [
        (first.as_str(), false),
        (&second, false),
        (&within_the_second, false),
        (&later, true),
        (&bob, true),
        (ours, true),
    ] {
        assert_eq!(nodes.is_good(token).await, expected, "{token}");
    }
    // A logout of our own user concerns theirs of the same name as little.
    nodes.one.logout_all(&alice()).await.unwrap();
    assert!(!nodes.is_good(ours).await);
    assert!(nodes.is_good(&later).await);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_starts_later_knows_what_was_revoked() {
    let (web, clock) = (Web::default(), ManualClock::new());
    web.publish(METADATA, metadata(LOGIN));
    web.publish(JWKS, jwks(&[&key()]));
    let store = TestStore::new(MemoryStore::with_clock(clock.clone())).durable();
    let node = async || {
        let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
        let issuers = Issuers::new(web.clone()).trust(TrustedIssuer::new(LOGIN, API));
        let builder = Authority::builder("https://shop.example", API, secret, store.clone());
        let builder = builder.clock(clock.clone()).issuers(issuers);
        builder.build().await.unwrap()
    };
    let all = ForeignTokens::of(login(), alice());
    let token = signed(
        &key(),
        &claims(&clock).with("exp", clock.now().unix_secs() + 86_400),
    );
    node().await.revoke_foreign(&all).await.unwrap();
    // As late as the token could be good.
    clock.advance(Duration::from_secs(86_399));
    let verified = node()
        .await
        .verifier()
        .verify(&token, &Requirements::new())
        .await;
    assert!(matches!(verified, Err(Error::Refused(Refusal::Revoked))));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_revokes_many_tokens_leaves_a_bounded_number_of_entries() {
    let nodes = Nodes::start().await;
    let before = nodes.one.verifier().health().entries;
    let last = nodes.token(&[("jti", r#""the last""#)]);
    for number in 0..RevokeForeign::MAX_PER_SUBJECT + 50 {
        let token = nodes.token(&[("jti", &format!(r#""{number}""#))]);
        let Ok(pass) = nodes
            .one
            .verifier()
            .verify(&token, &Requirements::new())
            .await
        else {
            continue;
        };
        nodes.one.revoke_token(&pass).await.unwrap();
    }
    assert!(!nodes.is_good(&last).await, "all are revoked");
    nodes.other.verifier().catch_up().await.unwrap();
    let entries = nodes.other.verifier().health().entries - before;
    let most = RevokeForeign::MAX_PER_SUBJECT as u64 + 1;
    assert!(entries <= most, "{entries}");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_not_trusted_has_no_tokens_to_revoke() {
    let nodes = Nodes::start().await;
    for issuer in ["https://evil.example", "https://shop.example"] {
        let tokens = ForeignTokens::of(Issuer::new(issuer).unwrap(), alice());
        let revoked = nodes.one.revoke_foreign(&tokens).await;
        assert!(matches!(revoked, Err(Error::Refused(Refusal::WrongIssuer))));
    }
    assert_eq!(nodes.one.verifier().health().entries, 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_when_its_token_or_its_subject_is_revoked() {
    for by_subject in [false, true] {
        let nodes = Nodes::start().await;
        let pass = nodes.pass(&nodes.token(&[])).await;
        let verifier = nodes.other.verifier().clone();
        let connection = verifier.connection(&pass);
        let ended = tokio::spawn(async move { connection.ended().await });
        tokio::time::sleep(SECOND).await;
        if by_subject {
            let all = ForeignTokens::of(login(), alice());
            nodes.one.revoke_foreign(&all).await.unwrap();
        } else {
            nodes.one.revoke_token(&pass).await.unwrap();
        }
        let ended = tokio::time::timeout(2 * SECOND, ended).await;
        assert_eq!(ended.unwrap().unwrap(), Ended::Revoked);
    }
}

#[tokio::test(start_paused = true)]
async fn revocations_of_their_tokens_are_told() {
    let (log, _listening) = Log::listen();
    let nodes = Nodes::start().await;
    let pass = nodes.pass(&nodes.token(&[])).await;
    nodes.one.revoke_token(&pass).await.unwrap();
    let of_alice = [("subject", "alice"), ("issuer", LOGIN)];
    let with_jti = |jti| [&of_alice[..], &[("jti", jti)]].concat();
    log.has(Level::INFO, "token.revoked", &with_jti("*"));
    let tokens = ForeignTokens::of(login(), alice());
    nodes
        .one
        .revoke_foreign(&tokens.clone().jti("x"))
        .await
        .unwrap();
    log.has(Level::INFO, "foreign.revoked", &with_jti("x"));
    nodes.one.revoke_foreign(&tokens).await.unwrap();
    log.has(Level::INFO, "foreign.revoked", &of_alice);
}
