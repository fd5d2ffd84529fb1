//! The tokens of an old system: accepted, exchanged once, and revoked.

mod attacks;
mod config;
mod ending;
mod endpoints;
mod faults;
mod gates;
mod report;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use gatepass::{
    Adopt, AuthenticationError, Authority, AuthorityBuilder, Clock, Device, Error, Identity,
    Issued, MasterSecret, MemoryStore, OldToken, OldTokens, Pass, Refusal, Requirements, Scopes,
    Session, Staleness, StoreError, Subject, Timestamp, Transport, async_trait,
    store::StoreErrorKind,
    wire::{AuthRejection, AuthState, Endpoints, Gate, Reply, RequestBody, RequestHead},
};
use gatepass_testkit::{ManualClock, Op, StoreFault, TestStore};
use serde_json::{Value, json};

const SHOP: &str = "https://shop.example";
const OLD: &str = "old:shop";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// How long after the start of a test old tokens are good.
const MOVE: Duration = Duration::from_secs(30 * 86_400);

/// The old system: its sessions, by their keys.
#[derive(Clone, Default)]
struct OldShop(Arc<OldState>);

#[derive(Default)]
struct OldState {
    sessions: Mutex<HashMap<String, OldToken>>,
    is_down: AtomicBool,
    asked: AtomicU32,
}

impl OldShop {
    fn put(&self, key: &str, token: OldToken) {
        let mut sessions = self.0.sessions.lock().unwrap();
        sessions.insert(key.to_owned(), token);
    }

    fn remove(&self, key: &str) {
        drop(self.0.sessions.lock().unwrap().remove(key).unwrap());
    }

    fn is_down(&self, is_down: bool) {
        self.0.is_down.store(is_down, Ordering::Relaxed);
    }

    fn asked(&self) -> u32 {
        self.0.asked.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl OldTokens for OldShop {
    async fn identify(&self, token: &str) -> Result<Option<OldToken>, AuthenticationError> {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        if self.0.is_down.load(Ordering::Relaxed) {
            let error = StoreError::new(StoreErrorKind::Unavailable);
            return Err(AuthenticationError::Unavailable(error));
        }
        Ok(self.0.sessions.lock().unwrap().get(token).cloned())
    }
}

/// The new service, on any number of nodes over one store.
struct Shop {
    old: OldShop,
    store: TestStore,
    clock: ManualClock,
    authority: Authority,
}

impl Shop {
    async fn open() -> Self {
        Self::open_with(|builder| builder).await
    }

    async fn open_with(configure: impl FnOnce(AuthorityBuilder) -> AuthorityBuilder) -> Self {
        let (old, clock) = (OldShop::default(), ManualClock::new());
        let store = TestStore::new(MemoryStore::with_clock(clock.clone())).durable();
        let until = clock.now() + MOVE;
        let adopt = Adopt::new(OLD, until, old.clone()).cookie("sessionid");
        let builder = builder(&store, &clock, 1).adopt(adopt);
        let authority = configure(builder).build().await.unwrap();
        old.put("a-key", OldToken::new(alice()));
        Self {
            old,
            store,
            clock,
            authority,
        }
    }

    /// Another node, until this date.
    async fn node(&self, until: Timestamp) -> Authority {
        let adopt = Adopt::new(OLD, until, self.old.clone()).cookie("sessionid");
        let builder = builder(&self.store, &self.clock, 1).adopt(adopt);
        builder.build().await.unwrap()
    }

    fn until(&self) -> Timestamp {
        self.authority.health().adoption.unwrap().until
    }

    async fn adopt(&self, token: &str) -> Result<Issued, Error> {
        self.authority.adopt(token, Device::default()).await
    }

    async fn refresh(&self, issued: &Issued) -> Result<Issued, Error> {
        self.authority.refresh(issued.refresh_token.as_str()).await
    }

    fn gate(&self) -> Gate {
        Gate::new(&self.authority).adopt(&self.authority)
    }

    /// A request with the token in a header.
    async fn with_header(&self, token: &str) -> Result<Pass, &'static str> {
        let headers = [("authorization", &*format!("Bearer {token}"))];
        let judged = judge(&self.gate(), "GET", &headers).await;
        pass_of(judged)
    }

    async fn sessions(&self) -> Vec<Session> {
        let subject = alice();
        let listed = self.authority.sessions(subject.subject(), None).await;
        listed.unwrap().sessions
    }
}

fn builder(store: &TestStore, clock: &ManualClock, secret: u8) -> AuthorityBuilder {
    let secret = MasterSecret::from_bytes(&[secret; 32]).unwrap();
    Authority::builder(SHOP, "shop-api", secret, store.clone())
        .clock(clock.clone())
        .transport(Transport::Both)
}

fn alice() -> Identity {
    let scopes = Scopes::parse("orders").unwrap();
    Identity::new("alice").unwrap().scopes(scopes)
}

fn subject(name: &str) -> Subject {
    Subject::new(name).unwrap()
}

fn head<'h>(
    method: &'h str,
    path: &'h str,
    headers: &'h [(&'static str, &'h str)],
) -> RequestHead<'h> {
    RequestHead::new(method, path, move |name| {
        let values = headers.iter().filter(move |(own, _)| *own == name);
        values.map(|(_, value)| value.as_bytes())
    })
}

async fn judge(
    gate: &Gate,
    method: &str,
    headers: &[(&'static str, &str)],
) -> Result<AuthState, AuthRejection> {
    let head = head(method, "/orders", headers);
    match gate.try_judge(&head) {
        Some(judged) => judged,
        None => gate.judge(&head).await,
    }
}

/// The pass of a request, or the reason why it was refused.
fn pass_of(judged: Result<AuthState, AuthRejection>) -> Result<Pass, &'static str> {
    match judged {
        Ok(state) => Ok(state.optional_pass().unwrap().clone()),
        Err(rejection) => Err(rejection.error().reason()),
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_token_is_exchanged_for_the_session_that_a_login_would_begin() {
    let shop = Shop::open().await;
    let issued = shop.adopt("a-key").await.unwrap();
    let none = Requirements::new();
    let verifier = shop.authority.verifier();
    let pass = verifier.verify(issued.access_token.as_str(), &none).await;
    let pass = pass.unwrap();
    assert_eq!(pass.subject().as_str(), "alice");
    assert_eq!(pass.scopes(), &Scopes::parse("orders").unwrap());
    assert_eq!((pass.foreign_issuer(), pass.is_adopted()), (None, false));
    let sessions = shop.sessions().await;
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].id, issued.session_id);
    shop.clock.advance(13 * MINUTE);
    shop.refresh(&issued).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_session_counts_as_authenticated_when_the_old_token_was_issued() {
    let shop = Shop::open().await;
    let issued_at = shop.clock.now();
    let token = OldToken::new(alice()).issued_at(issued_at);
    shop.old.put("dated", token);
    shop.clock.advance(10 * MINUTE);
    let verifier = shop.authority.verifier();
    let recent = |age| Requirements::new().max_age(age);
    let dated = shop.adopt("dated").await.unwrap();
    let token = dated.access_token.as_str();
    verifier.verify(token, &recent(11 * MINUTE)).await.unwrap();
    let refusal = refused(verifier.verify(token, &recent(9 * MINUTE)).await);
    assert!(matches!(refusal, Refusal::AuthenticationTooOld { .. }));
    // A token of unknown age proves nothing.
    let undated = shop.adopt("a-key").await.unwrap();
    let ten_years = recent(3650 * DAY);
    let verified = verifier.verify(undated.access_token.as_str(), &ten_years);
    let refusal = refused(verified.await);
    assert!(matches!(refusal, Refusal::AuthenticationTooOld { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tabs_on_two_nodes_get_the_same_session_and_all_go_on() {
    for _ in 0..20 {
        let shop = Shop::open().await;
        let other = shop.node(shop.until()).await;
        let tabs = (0..16).map(|number| {
            let node = [&shop.authority, &other][number % 2].clone();
            tokio::spawn(async move { node.adopt("a-key", Device::default()).await })
        });
        let mut issued = Vec::new();
        for tab in Vec::from_iter(tabs) {
            issued.push(tab.await.unwrap().unwrap());
        }
        let sessions = shop.sessions().await;
        assert_eq!(sessions.len(), 1);
        for one in &issued {
            assert_eq!(one.session_id, sessions[0].id);
            assert_eq!(one.refresh_token, issued[0].refresh_token);
        }
        let exchanged = [&shop.authority, &other].map(|node| node.health().adoption.unwrap());
        assert_eq!(exchanged[0].exchanged + exchanged[1].exchanged, 1);
        // All refresh, one after the other.
        shop.clock.advance(13 * MINUTE);
        for one in &issued {
            shop.refresh(one).await.unwrap();
        }
    }
}

/// The second tab looks before the first one begins the session, and after that has revoked the
/// token.
#[tokio::test(start_paused = true)]
async fn a_tab_that_another_one_overtakes_gets_the_same_session() {
    for op in [Op::Load, Op::Begin] {
        let shop = Shop::open().await;
        let held = match op {
            Op::Load => shop.store.hold_after(op),
            _ => shop.store.hold_before(op),
        };
        let slow = tokio::spawn({
            let authority = shop.authority.clone();
            async move { authority.adopt("a-key", Device::default()).await }
        });
        held.reached().await;
        let quick = shop.adopt("a-key").await.unwrap();
        held.release();
        let slow = slow.await.unwrap().unwrap();
        assert_eq!(slow.session_id, quick.session_id, "{op:?}");
        assert_eq!(slow.refresh_token, quick.refresh_token, "{op:?}");
        assert_eq!(shop.authority.health().adoption.unwrap().exchanged, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_exchange_whose_answer_was_lost_can_be_repeated_until_the_session_is_refreshed() {
    let shop = Shop::open().await;
    let first = shop.adopt("a-key").await.unwrap();
    // Each request keeps the session from idling out.
    for _ in 0..3 {
        shop.clock.advance(9 * DAY);
        let again = shop.adopt("a-key").await.unwrap();
        assert_eq!(again.session_id, first.session_id);
        assert_eq!(again.refresh_token, first.refresh_token);
        let verifier = shop.authority.verifier();
        let none = Requirements::new();
        let token = again.access_token.as_str();
        shop.clock.advance(14 * MINUTE);
        verifier.verify(token, &none).await.unwrap();
    }
    let refreshed = shop.refresh(&first).await.unwrap();
    assert_ne!(refreshed.refresh_token, first.refresh_token);
    // From now on it is the refresh token that was just spent.
    shop.clock.advance(30 * SECOND);
    let again = shop.adopt("a-key").await.unwrap();
    assert_eq!(again.refresh_token, refreshed.refresh_token);
    shop.clock.advance(HOUR - 30 * SECOND);
    let again = shop.adopt("a-key").await.unwrap();
    assert_eq!(again.refresh_token, refreshed.refresh_token);
}

#[tokio::test(start_paused = true)]
async fn the_master_secret_can_be_replaced_between_two_exchanges() {
    use gatepass::keys::SecretSet;
    let shop = Shop::open().await;
    let first = shop.adopt("a-key").await.unwrap();
    let secret = |byte| MasterSecret::from_bytes(&[byte; 32]).unwrap();
    let until = shop.clock.now() + 14 * DAY;
    for secrets in [
        SecretSet::new(secret(1)).announce(secret(2)),
        SecretSet::new(secret(2)).retire(secret(1), until),
    ] {
        shop.authority.replace_secrets(&secrets).unwrap();
        let again = shop.adopt("a-key").await.unwrap();
        assert_eq!(again.session_id, first.session_id);
    }
    // By then the client has used its refresh token, or the session has idled out.
    shop.clock.advance(14 * DAY);
    assert_eq!(refused(shop.adopt("a-key").await), Refusal::Revoked);
}

#[tokio::test(start_paused = true)]
async fn the_users_of_a_deleted_account_are_refused_as_at_a_refresh() {
    struct Users(AtomicBool);

    #[async_trait]
    impl gatepass::Authenticator for Users {
        async fn authenticate(
            &self,
            _: &gatepass::Credentials,
            _: &Device,
        ) -> Result<Identity, AuthenticationError> {
            Err(AuthenticationError::BadCredentials)
        }

        async fn reload_user(
            &self,
            _: &Session,
        ) -> Result<gatepass::UserUpdate, AuthenticationError> {
            Ok(match self.0.swap(true, Ordering::Relaxed) {
                false => gatepass::UserUpdate::Unchanged,
                true => gatepass::UserUpdate::Deleted,
            })
        }
    }

    let shop = Shop::open_with(|builder| builder.authenticator(Users(AtomicBool::new(false))));
    let shop = shop.await;
    shop.adopt("a-key").await.unwrap();
    shop.adopt("a-key").await.unwrap();
    assert_eq!(refused(shop.adopt("a-key").await), Refusal::SessionEnded);
    assert_eq!(shop.sessions().await, []);
}
