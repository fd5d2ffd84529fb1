//! Attempts to log in: how many reach the application's password check, and whom they delay.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use gatepass::{
    AuthenticationError, Authenticator, Authority, Credentials, Device, Error, Identity, Issued,
    LoginThrottle, MemoryStore, Refusal, StoreError, TrustedProxies, async_trait,
    store::StoreErrorKind,
};
use gatepass_testkit::{ManualClock, Op, StoreFault, TestStore};
use test_support::world::{MINUTE, SECOND, World, builder, refusal};
use tokio::{sync::Semaphore, task::JoinSet};

test_support::on_both_stores! {
    a_guesser_waits_and_no_password_is_checked_meanwhile
    parallel_guesses_on_two_nodes_check_no_more_passwords_than_are_free
    strangers_delay_no_user_who_logs_in_from_a_known_address
    a_thief_with_an_account_gets_no_more_guesses
    spellings_of_a_name_count_together
    a_password_that_is_asked_for_again_counts
    an_attempt_of_a_client_that_hangs_up_counts
    a_login_of_the_applications_own_counts
    the_bounds_are_off_by_one_line
}

/// Users whose passwords are their names. It counts the passwords that it checks.
#[derive(Clone, Default)]
struct Users {
    checked: Arc<AtomicU32>,
    down: bool,
    /// Checks wait for permits of it.
    turns: Option<Arc<Semaphore>>,
}

impl Users {
    fn checked(&self) -> u32 {
        self.checked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(
        &self,
        credentials: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        self.checked.fetch_add(1, Ordering::SeqCst);
        if let Some(turns) = &self.turns {
            turns.acquire().await.unwrap().forget();
        }
        if self.down {
            let error = StoreError::new(StoreErrorKind::Unavailable);
            return Err(AuthenticationError::Unavailable(error));
        }
        let name = credentials.username().replace('.', "");
        if credentials.password() != Some(&*name) {
            return Err(AuthenticationError::BadCredentials);
        }
        Ok(Identity::new(name)?)
    }

    fn throttle_key<'n>(&self, username: &'n str) -> Cow<'n, str> {
        username.to_lowercase().replace('.', "").into()
    }
}

async fn node(world: &World, users: &Users) -> Authority {
    let node = builder(Arc::clone(&world.store), &world.clock).authenticator(users.clone());
    node.build().await.unwrap()
}

fn from(address: &str) -> Device {
    let mut device = Device::default();
    device.address = Some(address.parse().unwrap());
    device
}

async fn log_in(node: &Authority, name: &str, password: &str, at: &str) -> Result<Issued, Error> {
    node.login(&Credentials::new(name, password), from(at))
        .await
}

fn too_many(result: Result<Issued, Error>) -> Duration {
    match refusal(result) {
        Refusal::TooManyAttempts { retry_after } => retry_after,
        other => panic!("{other:?}"),
    }
}

async fn guess(node: &Authority, name: &str, at: &str) -> Option<Duration> {
    match refusal(log_in(node, name, "a guess", at).await) {
        Refusal::BadCredentials => None,
        Refusal::TooManyAttempts { retry_after } => Some(retry_after),
        other => panic!("{other:?}"),
    }
}

async fn a_guesser_waits_and_no_password_is_checked_meanwhile(world: World) {
    let users = Users::default();
    let node = node(&world, &users).await;
    for _ in 0..5 {
        assert_eq!(guess(&node, "alice", "192.0.2.1").await, None);
    }
    for _ in 0..100 {
        assert_eq!(guess(&node, "alice", "192.0.2.1").await, Some(SECOND));
    }
    // Not the right one either.
    assert_eq!(
        too_many(log_in(&node, "alice", "alice", "192.0.2.1").await),
        SECOND
    );
    assert_eq!(users.checked(), 5);
    world.clock.advance(SECOND);
    assert_eq!(guess(&node, "alice", "192.0.2.1").await, None);
    assert_eq!(guess(&node, "alice", "192.0.2.1").await, Some(2 * SECOND));
    // The network of an IPv6 client counts, and not each of its addresses.
    for last in 1..=5 {
        let address = format!("2001:db8::{last}");
        assert_eq!(guess(&node, "bob", &address).await, None);
    }
    assert_eq!(guess(&node, "bob", "2001:db8::ffff").await, Some(SECOND));
    assert_eq!(guess(&node, "bob", "2001:db8:0:1::1").await, None);
    world.clock.advance(2 * SECOND);
    log_in(&node, "alice", "alice", "192.0.2.1").await.unwrap();
    for _ in 0..5 {
        assert_eq!(guess(&node, "alice", "192.0.2.1").await, None);
    }
}

async fn parallel_guesses_on_two_nodes_check_no_more_passwords_than_are_free(world: World) {
    let users = Users::default();
    let nodes = [node(&world, &users).await, node(&world, &users).await];
    let mut guesses = JoinSet::new();
    for number in 0..60 {
        let node = nodes[number % 2].clone();
        guesses.spawn(async move { guess(&node, "alice", "192.0.2.1").await });
    }
    let free = guesses.join_all().await.into_iter().filter(Option::is_none);
    assert_eq!(free.count(), 5);
    assert_eq!(users.checked(), 5);
    // From as many addresses as there are.
    let mut guesses = JoinSet::new();
    for number in 0..60 {
        let node = nodes[number % 2].clone();
        let address = format!("198.51.100.{number}");
        guesses.spawn(async move { guess(&node, "alice", &address).await });
    }
    let free = guesses.join_all().await.into_iter().filter(Option::is_none);
    assert_eq!(free.count(), 15);
    assert_eq!(users.checked(), 20);
}

async fn strangers_delay_no_user_who_logs_in_from_a_known_address(world: World) {
    let users = Users::default();
    let node = node(&world, &users).await;
    log_in(&node, "alice", "alice", "192.0.2.1").await.unwrap();
    for number in 0..20 {
        assert_eq!(
            guess(&node, "alice", &format!("198.51.100.{number}")).await,
            None
        );
    }
    assert!(guess(&node, "alice", "198.51.100.99").await.is_some());
    // At home and with one typing error.
    assert_eq!(guess(&node, "alice", "192.0.2.1").await, None);
    log_in(&node, "alice", "alice", "192.0.2.1").await.unwrap();
    // Elsewhere the user waits, and never for longer than five minutes.
    let mut longest = Duration::ZERO;
    for number in 0..40 {
        let away = log_in(&node, "alice", "wrong", &format!("203.0.113.{number}")).await;
        if let Refusal::TooManyAttempts { retry_after } = refusal(away) {
            longest = longest.max(retry_after);
            world.clock.advance(retry_after);
        }
    }
    assert!((4 * MINUTE..=5 * MINUTE).contains(&longest), "{longest:?}");
    world.clock.advance(5 * MINUTE);
    log_in(&node, "alice", "alice", "203.0.113.77")
        .await
        .unwrap();
}

async fn a_thief_with_an_account_gets_no_more_guesses(world: World) {
    let users = Users::default();
    let node = node(&world, &users).await;
    let mut guesses = 0;
    for number in 0..100 {
        log_in(&node, "mallory", "mallory", "192.0.2.1")
            .await
            .unwrap();
        if guess(&node, &format!("user {number}"), "192.0.2.1")
            .await
            .is_none()
        {
            guesses += 1;
        }
    }
    assert_eq!(guesses, 50);
}

async fn spellings_of_a_name_count_together(world: World) {
    let users = Users::default();
    let node = node(&world, &users).await;
    let spellings = ["alice", "ALICE", "al.ice", "a.l.i.c.e", "Alice."];
    for spelling in spellings {
        assert_eq!(guess(&node, spelling, "192.0.2.1").await, None);
    }
    assert_eq!(guess(&node, "aLice", "192.0.2.1").await, Some(SECOND));
}

async fn a_password_that_is_asked_for_again_counts(world: World) {
    let users = Users::default();
    let node = node(&world, &users).await;
    let issued = log_in(&node, "alice", "alice", "192.0.2.1").await.unwrap();
    let token = issued.access_token.as_str();
    let requirements = gatepass::Requirements::new();
    let pass = node.verifier().verify(token, &requirements).await.unwrap();
    let again = async |password: &str| {
        let credentials = Credentials::new("alice", password);
        let device = from("192.0.2.1");
        node.reauthenticate(&pass, &credentials, &device).await
    };
    for _ in 0..5 {
        assert_eq!(refusal(again("a guess").await), Refusal::BadCredentials);
    }
    assert_eq!(too_many(again("alice").await), SECOND);
    assert_eq!(guess(&node, "alice", "192.0.2.1").await, Some(SECOND));
    world.clock.advance(SECOND);
    again("alice").await.unwrap();
    assert_eq!(guess(&node, "alice", "192.0.2.1").await, None);
}

async fn an_attempt_of_a_client_that_hangs_up_counts(world: World) {
    let turns = Arc::new(Semaphore::new(0));
    let users = Users {
        turns: Some(Arc::clone(&turns)),
        ..Users::default()
    };
    let node = node(&world, &users).await;
    for number in 1..=5 {
        let node = node.clone();
        let login = tokio::spawn(async move { guess(&node, "alice", "192.0.2.1").await });
        while users.checked() < number {
            tokio::task::yield_now().await;
        }
        login.abort();
        assert!(login.await.unwrap_err().is_cancelled());
    }
    turns.add_permits(9);
    assert_eq!(guess(&node, "alice", "192.0.2.1").await, Some(SECOND));
}

async fn a_login_of_the_applications_own_counts(world: World) {
    let node = builder(Arc::clone(&world.store), &world.clock);
    let node = node.build().await.unwrap();
    let device = from("192.0.2.1");
    for _ in 0..4 {
        let attempt = node.login_attempt(" Alice ", &device).await.unwrap();
        attempt.failed();
    }
    for _ in 0..9 {
        let attempt = node.login_attempt("alice", &device).await.unwrap();
        attempt.cancelled().await.unwrap();
    }
    drop(node.login_attempt("alice", &device).await.unwrap());
    let refused = node.login_attempt("alice", &device).await;
    let retry_after = SECOND;
    assert_eq!(refusal(refused), Refusal::TooManyAttempts { retry_after });
    world.clock.advance(SECOND);
    let attempt = node.login_attempt("alice", &device).await.unwrap();
    attempt.succeeded().await.unwrap();
    for _ in 0..5 {
        node.login_attempt("alice", &device).await.unwrap().failed();
    }
}

async fn the_bounds_are_off_by_one_line(world: World) {
    let users = Users::default();
    let node = builder(Arc::clone(&world.store), &world.clock)
        .authenticator(users.clone())
        .login_throttle(None);
    let node = node.build().await.unwrap();
    for _ in 0..100 {
        assert_eq!(guess(&node, "alice", "192.0.2.1").await, None);
    }
    log_in(&node, "alice", "alice", "192.0.2.1").await.unwrap();
}

#[tokio::test]
async fn without_an_address_the_name_alone_counts() {
    let world = World::memory();
    let node = node(&world, &Users::default()).await;
    let login = async |password: &str| {
        let credentials = Credentials::new("alice", password);
        node.login(&credentials, Device::default()).await
    };
    login("alice").await.unwrap();
    for _ in 0..20 {
        assert_eq!(refusal(login("a guess").await), Refusal::BadCredentials);
    }
    assert_eq!(too_many(login("alice").await), SECOND);
}

#[tokio::test]
async fn a_private_address_counts_once_the_proxies_are_known() {
    let world = World::memory();
    let unknown = node(&world, &Users::default()).await;
    for number in 0..100 {
        // All through one proxy that is not named.
        assert_eq!(
            guess(&unknown, &format!("user {number}"), "10.0.0.2").await,
            None
        );
    }
    let none = builder(Arc::clone(&world.store), &world.clock)
        .authenticator(Users::default())
        .trusted_proxies(TrustedProxies::none());
    let none = none.build().await.unwrap();
    for number in 0..50 {
        assert_eq!(
            guess(&none, &format!("other {number}"), "10.0.0.2").await,
            None
        );
    }
    assert!(guess(&none, "another", "10.0.0.2").await.is_some());
}

#[tokio::test]
async fn a_fault_of_the_store_is_a_503_and_checks_no_password() {
    let clock = ManualClock::new();
    let store = TestStore::new(MemoryStore::with_clock(clock.clone()));
    let (handle, users) = (store.clone(), Users::default());
    let node = builder(store, &clock).authenticator(users.clone());
    let node = node.build().await.unwrap();
    let down = StoreFault::Fail(StoreErrorKind::Unavailable);
    handle.inject(Op::CountAttempt, down);
    let failed = log_in(&node, "alice", "alice", "192.0.2.1").await;
    assert!(matches!(failed, Err(Error::Store(_))), "{failed:?}");
    assert_eq!(users.checked(), 0);

    handle.heal();
    handle.inject(Op::SettleAttempt, down);
    let failed = log_in(&node, "alice", "alice", "192.0.2.1").await;
    assert!(matches!(failed, Err(Error::Store(_))), "{failed:?}");
    assert_eq!(
        handle.calls_of(Op::Begin),
        0,
        "no session that its user doesn't get"
    );
    handle.heal();
    log_in(&node, "alice", "alice", "192.0.2.1").await.unwrap();
}

#[tokio::test]
async fn an_outage_of_the_users_counts_for_no_attempt() {
    let world = World::memory();
    let down = Users {
        down: true,
        ..Users::default()
    };
    let (down, up) = (
        node(&world, &down).await,
        node(&world, &Users::default()).await,
    );
    for _ in 0..30 {
        let failed = log_in(&down, "alice", "alice", "192.0.2.1").await;
        assert!(matches!(failed, Err(Error::Store(_))), "{failed:?}");
    }
    log_in(&up, "alice", "alice", "192.0.2.1").await.unwrap();
}

#[tokio::test]
async fn two_issuers_in_one_store_count_by_themselves() {
    let world = World::memory();
    let secret = || gatepass::MasterSecret::from_bytes(&[7; 32]).unwrap();
    let issuer = async |name: &str| {
        let store = Arc::clone(&world.store);
        let node = Authority::builder(name, "shop-api", secret(), store)
            .clock(world.clock.clone())
            .login_throttle(LoginThrottle {
                per_name: 2,
                ..LoginThrottle::default()
            })
            .share_store();
        node.build().await.unwrap()
    };
    let (one, other) = (
        issuer("https://one.example").await,
        issuer("https://other.example").await,
    );
    let device = Device::default();
    for _ in 0..2 {
        one.login_attempt("alice", &device).await.unwrap().failed();
    }
    assert!(one.login_attempt("alice", &device).await.is_err());
    other
        .login_attempt("alice", &device)
        .await
        .unwrap()
        .failed();
}
