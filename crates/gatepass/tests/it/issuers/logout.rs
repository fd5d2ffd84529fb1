//! A provider's logout tokens end the sessions that a login through it began.

mod races;
mod refused;
mod wire;

use gatepass::{
    Clock, Device, Identity, SessionId, StoreError, Subject, Timestamp,
    issuers::ProviderLogin,
    store::{EndReason, Issuer, StoreErrorKind},
};
use gatepass_testkit::{Op, StoreFault};
use test_support::log::Log;
use tracing::Level;

use super::*;

/// The client as which the service is registered at the provider.
const SHOP: &str = "shop-web";
const EVENTS: &str = r#"{"http://schemas.openid.net/event/backchannel-logout":{}}"#;

/// A service whose users log in through a provider, which calls `alice` `248289`.
struct Shop {
    clock: ManualClock,
    store: TestStore,
    web: Web,
    authority: Authority,
}

async fn subject_of(_: Issuer, user: Subject) -> Result<Option<Subject>, StoreError> {
    match user.as_str() {
        "248289" => Ok(Some(subject("alice"))),
        "fails" => Err(StoreError::new(StoreErrorKind::Unavailable)),
        "hangs" => std::future::pending().await,
        _ => Ok(None),
    }
}

fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

impl Shop {
    async fn open() -> Self {
        // Its access tokens are accepted as well.
        Self::trusting(TrustedIssuer::new(LOGIN, API).login_client(SHOP)).await
    }

    async fn trusting(provider: TrustedIssuer) -> Self {
        let (web, clock) = (Web::default(), ManualClock::new());
        web.publish(METADATA, metadata(LOGIN));
        web.publish(JWKS, jwks(&[&key()]));
        let store = TestStore::new(MemoryStore::with_clock(clock.clone())).durable();
        let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
        let issuers = Issuers::new(web.clone()).trust(provider);
        let authority = Authority::builder("https://shop.example", API, secret, store.clone())
            .clock(clock.clone())
            .max_staleness(Duration::from_secs(3600))
            .issuers(issuers)
            .backchannel_logout(subject_of)
            .build()
            .await
            .unwrap();
        Self {
            clock,
            store,
            web,
            authority,
        }
    }

    /// An ID token of now, as the application tells of it.
    fn login(&self, user: &str, sid: Option<&str>) -> ProviderLogin {
        let login = ProviderLogin::new(LOGIN, user, self.clock.now()).unwrap();
        match sid {
            Some(sid) => login.in_session(sid).unwrap(),
            None => login,
        }
    }

    async fn issue(&self, subject: &str, login: Option<ProviderLogin>) -> Result<SessionId, Error> {
        let mut identity = Identity::new(subject).unwrap();
        if let Some(login) = login {
            identity = identity.logged_in_by(login);
        }
        let issued = self.authority.issue(identity, Device::default()).await?;
        Ok(issued.session_id)
    }

    async fn log_in(&self, subject: &str, user: &str, sid: Option<&str>) -> SessionId {
        let login = self.login(user, sid);
        self.issue(subject, Some(login)).await.unwrap()
    }

    /// A good logout token of `248289`.
    fn claims(&self) -> Members {
        let now = self.clock.now().unix_secs();
        Members::parse(b"{}")
            .and("iss", format!("{LOGIN:?}"))
            .and("sub", r#""248289""#)
            .and("aud", format!("{SHOP:?}"))
            .and("iat", now)
            .and("exp", now + 120)
            .and("jti", r#""a-logout""#)
            .and("events", EVENTS)
    }

    /// A logout token of this user or session.
    fn token(&self, user: Option<&str>, sid: Option<&str>) -> String {
        let mut claims = self.claims().without("sub");
        for (name, value) in [("sub", user), ("sid", sid)] {
            if let Some(value) = value {
                claims = claims.and(name, format!("{value:?}"));
            }
        }
        sign(&claims)
    }

    async fn log_out(&self, token: &str) -> u64 {
        let ended = self.authority.backchannel_logout(token).await;
        ended.unwrap().count
    }

    async fn lives(&self, id: SessionId) -> bool {
        let session = self.authority.session(id).await.unwrap().unwrap();
        match session.ended {
            None => true,
            Some(ended) => {
                assert_eq!(ended.reason, EndReason::BackchannelLogout);
                false
            }
        }
    }
}

fn sign(claims: &Members) -> String {
    let header = key().header().with("typ", r#""logout+jwt""#);
    key().token(header.to_string(), claims.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_logout_ends_the_sessions_of_the_user_or_the_session_at_the_provider() {
    for (user, sid, expected) in [
        (
            Some("248289"),
            None,
            [false, false, false, true, true, true],
        ),
        (
            Some("248289"),
            Some("one"),
            // The third may be of that session.
            [false, true, false, true, true, true],
        ),
        (None, Some("one"), [false, true, true, true, true, true]),
        (None, Some("three"), [true, true, true, true, false, true]),
        (Some("unknown"), None, [true; 6]),
        // The session is of another user.
        (Some("unknown"), Some("one"), [true; 6]),
        (None, Some("unknown"), [true; 6]),
    ] {
        let shop = Shop::open().await;
        let sessions = [
            shop.log_in("alice", "248289", Some("one")).await,
            shop.log_in("alice", "248289", Some("two")).await,
            shop.log_in("alice", "248289", None).await,
            shop.issue("alice", None).await.unwrap(),
            shop.log_in("bob", "bob", Some("three")).await,
            shop.issue("248289", None).await.unwrap(),
        ];
        let token = shop.token(user, sid);
        let ended = expected.iter().filter(|lives| !**lives).count();
        assert_eq!(shop.log_out(&token).await, ended as u64, "{user:?} {sid:?}");
        let mut live = Vec::new();
        for id in sessions {
            live.push(shop.lives(id).await);
        }
        assert_eq!(live, expected, "{user:?} {sid:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_logout_ends_no_login_of_another_provider_or_service() {
    let shop = Shop::open().await;
    let login = ProviderLogin::new("https://other.example", "248289", shop.clock.now()).unwrap();
    let of_another = shop.issue("alice", Some(login)).await.unwrap();
    let secret = MasterSecret::from_bytes(&[2; 32]).unwrap();
    let bank = Authority::builder("https://bank.example", API, secret, shop.store.clone())
        .clock(shop.clock.clone())
        .share_store()
        .build()
        .await
        .unwrap();
    let identity = Identity::new("alice").unwrap();
    let identity = identity.logged_in_by(shop.login("248289", Some("one")));
    let at_the_bank = bank.issue(identity, Device::default()).await.unwrap();
    shop.log_out(&shop.token(Some("248289"), None)).await;
    shop.log_out(&shop.token(None, Some("one"))).await;
    assert!(shop.lives(of_another).await);
    let session = bank.session(at_the_bank.session_id).await.unwrap();
    assert_eq!(session.unwrap().ended, None);
}

#[tokio::test(start_paused = true)]
async fn a_logout_token_that_is_sent_again_ends_no_later_login() {
    let shop = Shop::open().await;
    let before = shop.log_in("alice", "248289", Some("one")).await;
    let logouts = [
        shop.token(Some("248289"), None),
        shop.token(None, Some("one")),
    ];
    for token in &logouts {
        shop.log_out(token).await;
    }
    assert!(!shop.lives(before).await);
    shop.clock.advance(SECOND);
    let after = shop.log_in("alice", "248289", Some("one")).await;
    for token in &logouts {
        assert_eq!(shop.log_out(token).await, 0);
    }
    assert!(shop.lives(after).await);
}

#[tokio::test(start_paused = true)]
async fn a_logout_token_that_is_sent_again_refuses_nothing_that_came_since() {
    for (user, sid) in [
        (Some("248289"), None),
        (Some("248289"), Some("one")),
        (None, Some("one")),
    ] {
        let shop = Shop::open().await;
        let token = shop.token(user, sid);
        shop.log_out(&token).await;
        shop.clock.advance(SECOND);
        let under_way = [
            shop.login("248289", Some("one")),
            shop.login("248289", None),
        ];
        let access = signed(&key(), &claims(&shop.clock).with("sub", r#""248289""#));
        shop.clock.advance(SECOND);
        shop.log_out(&token).await;
        for login in under_way {
            shop.issue("alice", Some(login)).await.unwrap();
        }
        let verifier = shop.authority.verifier();
        verifier
            .verify(&access, &Requirements::new())
            .await
            .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_logout_token_that_comes_late_ends_no_later_session_also_if_its_user_is_asked_again() {
    let shop = Shop::open().await;
    let late = shop.token(Some("248289"), None);
    shop.clock.advance(SECOND);
    let identity = Identity::new("alice").unwrap();
    let through_provider = identity.clone().logged_in_by(shop.login("248289", None));
    let issued = shop.authority.issue(through_provider, Device::default());
    let issued = issued.await.unwrap();
    shop.clock.advance(SECOND);
    assert_eq!(shop.log_out(&late).await, 0);
    let token = issued.access_token.as_str();
    let verifier = shop.authority.verifier();
    let pass = verifier.verify(token, &Requirements::new()).await.unwrap();
    let device = Device::default();
    let again = shop.authority.reauthenticated(&pass, identity, &device);
    again.await.unwrap();
    assert!(shop.lives(issued.session_id).await);
}

#[tokio::test(start_paused = true)]
async fn a_session_keeps_its_login_until_another_authentication_replaces_it() {
    let shop = Shop::open().await;
    let issue = async |login| {
        let identity = Identity::new("alice").unwrap().logged_in_by(login);
        let issued = shop.authority.issue(identity, Device::default()).await;
        issued.unwrap()
    };
    let first = issue(shop.login("248289", Some("one"))).await;
    let second = issue(shop.login("248289", Some("two"))).await;
    let refresh = first.refresh_token.as_str();
    shop.authority.refresh(refresh).await.unwrap();
    let verifier = shop.authority.verifier();
    // A passkey, and another login through the provider.
    for (issued, login) in [
        (&first, None),
        (&second, Some(shop.login("248289", Some("three")))),
    ] {
        let token = issued.access_token.as_str();
        let pass = verifier.verify(token, &Requirements::new()).await.unwrap();
        let mut identity = Identity::new("alice").unwrap();
        if let Some(login) = login {
            identity = identity.logged_in_by(login);
        }
        let device = Device::default();
        let again = shop.authority.reauthenticated(&pass, identity, &device);
        again.await.unwrap();
    }
    for (sid, ended) in [("two", 0), ("one", 1), ("three", 1)] {
        let token = shop.token(Some("248289"), Some(sid));
        assert_eq!(shop.log_out(&token).await, ended, "{sid}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_logout_of_the_user_revokes_the_providers_access_tokens() {
    for (user, sid, is_revoked) in [
        (Some("248289"), None, true),
        (Some("248289"), Some("one"), true),
        // Which of them are of the session is not known.
        (None, Some("one"), false),
    ] {
        let shop = Shop::open().await;
        let access = signed(&key(), &claims(&shop.clock).with("sub", r#""248289""#));
        let other = signed(&key(), &claims(&shop.clock));
        let verify = async |token: &str| {
            let verifier = shop.authority.verifier();
            verifier.verify(token, &Requirements::new()).await
        };
        verify(&access).await.unwrap();
        shop.log_out(&shop.token(user, sid)).await;
        match verify(&access).await {
            Ok(_) if !is_revoked => {}
            Err(Error::Refused(Refusal::Revoked)) if is_revoked => {}
            verified => panic!("{user:?} {sid:?}: {verified:?}"),
        }
        verify(&other).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_logout_is_told() {
    let (log, _listening) = Log::listen();
    let shop = Shop::open().await;
    shop.log_in("alice", "248289", Some("one")).await;
    shop.log_out(&shop.token(Some("248289"), Some("one"))).await;
    let name = "backchannel_logout.accepted";
    let fields = [
        ("issuer", LOGIN),
        ("subject", "248289"),
        ("sid", "one"),
        ("sessions", "1"),
    ];
    log.has(Level::INFO, name, &fields);
    let ended = [
        ("session", "*"),
        ("subject", "alice"),
        ("reason", "backchannel_logout"),
    ];
    log.has(Level::INFO, "session.ended", &ended);
    let refused = shop.authority.backchannel_logout("no token").await;
    assert!(refused.is_err());
    let name = "backchannel_logout.refused";
    log.has(Level::INFO, name, &[("reason", "malformed")]);
}

#[tokio::test(start_paused = true)]
async fn a_login_through_a_provider_is_as_old_as_its_authentication_there() {
    let shop = Shop::open().await;
    let now = shop.clock.now();
    let login = || shop.login("248289", None);
    let ago = |past: Duration| Timestamp::from_unix_secs(now.unix_secs() - past.as_secs() as i64);
    let recent = Requirements::new().max_age(MINUTE);
    for (login, refused) in [
        (login(), false),
        (login().authenticated_at(ago(MINUTE)), false),
        (login().authenticated_at(ago(MINUTE + SECOND)), true),
        // A provider whose clock is ahead makes no authentication younger than now.
        (login().authenticated_at(now + MINUTE), false),
    ] {
        let shown = format!("{login:?}");
        let identity = Identity::new("alice").unwrap().logged_in_by(login);
        let issued = shop.authority.issue(identity, Device::default()).await;
        let issued = issued.unwrap();
        let token = issued.access_token.as_str();
        let judged = shop.authority.verifier().verify(token, &recent).await;
        let reason = judged.as_ref().err().map(|error| error.reason().to_owned());
        let expected = refused.then(|| "authentication_too_old".to_owned());
        assert_eq!(reason, expected, "{shown}");
        if let Ok(pass) = judged {
            assert!(pass.authenticated_at() <= Some(now), "{shown}");
        }
    }
}
