//! The application's own record of a user: when a gate loads it, and when it shows it again.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use futures_util::{FutureExt, future::join_all};
use gatepass::{
    Change,
    wire::{AuthRejection, Users},
};
use tokio::sync::Semaphore;

use super::*;

/// The record of a user: how many were loaded before it.
struct Account(u32);

struct Shop {
    clock: ManualClock,
    authority: Authority,
    users: Users<Account>,
    token: String,
    loads: Arc<AtomicU32>,
}

impl Shop {
    async fn open() -> Self {
        let clock = ManualClock::new();
        let store = TestStore::new(MemoryStore::with_clock(clock.clone())).durable();
        let secret = MasterSecret::from_bytes(&[1; 32]).unwrap();
        let authority = Authority::builder(REALM, "shop-api", secret, store);
        let authority = authority.clock(clock.clone()).build().await.unwrap();
        let alice = Identity::new("alice").unwrap();
        let issued = authority.issue(alice, Device::default()).await.unwrap();
        let loads = Arc::<AtomicU32>::default();
        let counted = Arc::clone(&loads);
        let users = Users::new(move |_| {
            let before = counted.fetch_add(1, Ordering::SeqCst);
            async move { Ok(Some(Account(before))) }
        });
        Self {
            clock,
            authority,
            users,
            token: format!("Bearer {}", issued.access_token.as_str()),
            loads,
        }
    }

    async fn ask(&self, gate: &Gate) -> Result<u32, AuthRejection> {
        let state = gate.judge(&self.head()).await?;
        let user = state.of(self.head()).user::<Account>()?;
        Ok(user.0)
    }

    fn head(&self) -> RequestHead<'_> {
        RequestHead::new("GET", "/me", |name| {
            let token = (name == "authorization").then_some(self.token.as_bytes());
            token.into_iter()
        })
    }

    fn gate(&self) -> Gate {
        Gate::new(&self.authority).users(&self.users)
    }

    async fn assert_loaded(&self, number: u32) {
        assert_eq!(self.ask(&self.gate()).await.unwrap(), number);
        assert_eq!(self.loads.load(Ordering::SeqCst), number + 1);
    }
}

#[tokio::test]
async fn a_record_is_shown_again_for_half_a_minute() {
    let shop = Shop::open().await;
    shop.assert_loaded(0).await;
    shop.clock.advance(Duration::from_millis(29_999));
    shop.assert_loaded(0).await;
    shop.clock.advance(Duration::from_millis(1));
    shop.assert_loaded(1).await;
}

#[tokio::test]
async fn a_record_that_is_kept_makes_no_request_wait() {
    let shop = Shop::open().await;
    let gate = shop.gate();
    assert!(gate.try_judge(&shop.head()).is_none());
    assert_eq!(shop.ask(&gate).await.unwrap(), 0);
    let state = gate.try_judge(&shop.head()).unwrap().unwrap();
    assert_eq!(state.of(shop.head()).user::<Account>().unwrap().0, 0);
}

#[tokio::test]
async fn a_change_of_rights_loads_again() {
    let shop = Shop::open().await;
    shop.assert_loaded(0).await;
    let subject = Subject::new("alice").unwrap();
    for (number, scopes) in [(1, "read"), (2, "read write")] {
        let scopes = Scopes::parse(scopes).unwrap();
        let offer = Change::offered(move |identity| Ok(identity.scopes(scopes.clone())));
        assert_eq!(shop.authority.change(&subject, &offer).await.unwrap(), 1);
        shop.assert_loaded(number).await;
    }
}

#[tokio::test]
async fn a_user_who_is_forgotten_is_loaded_again_and_no_other_is() {
    let shop = Shop::open().await;
    shop.assert_loaded(0).await;
    shop.users.forget(&Subject::new("bob").unwrap());
    shop.assert_loaded(0).await;
    shop.users.forget(&Subject::new("alice").unwrap());
    shop.assert_loaded(1).await;
    shop.users.forget(&Subject::new("alice").unwrap());
    shop.assert_loaded(2).await;
}

#[tokio::test]
async fn a_load_that_began_before_a_user_was_forgotten_is_not_kept() {
    let shop = Shop::open().await;
    let (forgotten, loads) = (shop.users.clone(), Arc::clone(&shop.loads));
    let users = Users::new(move |pass| {
        let before = loads.fetch_add(1, Ordering::SeqCst);
        if before == 0 {
            // Another request changes the user while this one reads it.
            slow_users().forget(pass.subject());
        }
        async move { Ok(Some(Account(before))) }
    });
    SLOW.set(users.clone()).ok().unwrap();
    drop(forgotten);
    let gate = Gate::new(&shop.authority).users(&users);
    assert_eq!(shop.ask(&gate).await.unwrap(), 0);
    assert_eq!(shop.ask(&gate).await.unwrap(), 1);
    assert_eq!(shop.ask(&gate).await.unwrap(), 1);
}

static SLOW: std::sync::OnceLock<Users<Account>> = std::sync::OnceLock::new();

fn slow_users() -> Users<Account> {
    SLOW.get().unwrap().clone()
}

/// A loader that answers when the test says so.
fn held(
    shop: &Shop,
    found: fn(u32) -> Result<Option<Account>, StoreError>,
) -> (Gate, Arc<Semaphore>) {
    let (answers, loads) = (Arc::new(Semaphore::new(0)), Arc::clone(&shop.loads));
    let held = Arc::clone(&answers);
    let users = Users::new(move |_| {
        let (before, held) = (loads.fetch_add(1, Ordering::SeqCst), Arc::clone(&held));
        async move {
            held.acquire().await.unwrap().forget();
            found(before)
        }
    });
    (Gate::new(&shop.authority).users(&users), answers)
}

#[tokio::test(start_paused = true)]
async fn requests_at_the_same_time_share_one_load() {
    let shop = Shop::open().await;
    let (gate, answers) = held(&shop, |before| Ok(Some(Account(before))));
    for number in [0, 1] {
        let asked = join_all((0..20).map(|_| shop.ask(&gate)));
        let answered = async { answers.add_permits(1) };
        let (asked, ()) = tokio::join!(asked, answered);
        for account in asked {
            assert_eq!(account.unwrap(), number);
        }
        assert_eq!(shop.loads.load(Ordering::SeqCst), number + 1);
        // The record is too old then.
        shop.clock.advance(Duration::from_secs(30));
    }
}

#[tokio::test(start_paused = true)]
async fn requests_at_the_same_time_share_a_failure_and_later_ones_load_again() {
    let shop = Shop::open().await;
    let (gate, answers) = held(&shop, |before| match before {
        0 => Err(StoreError::unavailable(std::io::Error::other(MARKER))),
        1 => Ok(None),
        before => Ok(Some(Account(before))),
    });
    for (number, status) in [(0, 503), (1, 401)] {
        let asked = join_all((0..20).map(|_| shop.ask(&gate)));
        let answered = async { answers.add_permits(1) };
        let (asked, ()) = tokio::join!(asked, answered);
        for refused in asked {
            assert_eq!(refused.unwrap_err().reply().status(), status);
        }
        assert_eq!(shop.loads.load(Ordering::SeqCst), number + 1);
    }
    answers.add_permits(1);
    assert_eq!(shop.ask(&gate).await.unwrap(), 2);
    assert_eq!(shop.ask(&gate).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_up_leaves_the_load_to_the_next_one() {
    let shop = Shop::open().await;
    let (gate, answers) = held(&shop, |before| Ok(Some(Account(before))));
    let mut first = Box::pin(shop.ask(&gate));
    assert!((&mut first).now_or_never().is_none());
    let mut second = Box::pin(shop.ask(&gate));
    assert!((&mut second).now_or_never().is_none());
    assert_eq!(shop.loads.load(Ordering::SeqCst), 1);
    drop(first);
    answers.add_permits(1);
    assert_eq!(second.await.unwrap(), 1);
}

#[tokio::test]
async fn with_a_time_of_zero_each_request_loads() {
    let shop = Shop::open().await;
    let users = shop.users.clone().keep(Duration::ZERO, 100);
    let gate = Gate::new(&shop.authority).users(&users);
    for number in 0..3 {
        assert_eq!(shop.ask(&gate).await.unwrap(), number);
    }
}

#[tokio::test]
async fn a_user_who_is_not_found_is_refused_and_a_failure_is_ours() {
    let shop = Shop::open().await;
    let gone = Users::<Account>::new(|_| async { Ok(None) });
    for requirements in [Requirements::new(), Requirements::new().optional()] {
        let gate = Gate::new(&shop.authority)
            .users(&gone)
            .require(requirements);
        let refused = shop.ask(&gate).await.unwrap_err();
        assert_eq!(refused.refusal(), Some(&Refusal::Revoked));
        assert_eq!(refused.reply().status(), 401);
    }

    let failing = Users::<Account>::new(|_| async {
        let source = std::io::Error::other(MARKER);
        Err(StoreError::unavailable(source))
    });
    let gate = Gate::new(&shop.authority).users(&failing);
    let failed = shop.ask(&gate).await.unwrap_err();
    assert_eq!(failed.reply().status(), 503);
    assert!(!String::from_utf8_lossy(failed.reply().body()).contains("hunter2"));
}

#[tokio::test]
async fn a_handler_that_wants_a_user_whom_the_gate_does_not_load_never_runs() {
    let shop = Shop::open().await;
    let gate = Gate::new(&shop.authority);
    let refused = shop.ask(&gate).await.unwrap_err();
    assert_eq!((refused.reply().status(), refused.refusal()), (500, None));
    let others = Users::new(|_| async { Ok(Some("another type")) });
    let refused = shop.ask(&gate.users(&others)).await.unwrap_err();
    assert_eq!((refused.reply().status(), refused.refusal()), (500, None));
}
