//! The application's own record of the user who makes a request.

use std::{
    any::Any,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use moka::sync::Cache;
use tokio::{sync::Mutex, time::timeout};

use crate::{
    error::Error,
    model::{
        ids::{GrantVersion, SessionId, Subject, TokenId},
        refusal::Refusal,
    },
    observe,
    store::error::{StoreError, StoreErrorKind},
    token::pass::Pass,
};

/// A loader for the application's own record of a user. Gates use it to read the user who makes a
/// request from your database, and keep the record for a short time.
///
/// A gate with a loader ([`Gate::users`](crate::wire::Gate::users)) loads the user of each request
/// that it lets through. A handler gets the record with the extractor `User<T>` of its adapter.
///
/// If the loader finds no user, the gate refuses the request like a revoked token (401). If the
/// loader fails, or takes longer than 10 s, the answer is 503. Concurrent requests of one session
/// share one load, and also its failure.
///
/// gatepass keeps a record for 30 seconds. It loads the record earlier in these cases:
///
/// * at once if the session's rights have changed, on each node within `max_staleness`
///   ([`Authority::change`](crate::Authority::change)),
/// * at once if your code calls [`forget`](Self::forget), on this node,
/// * for each new session.
///
/// If you end the sessions of a user, gates refuse the user's tokens, and don't load or show the
/// record again. So if you delete a user, also end the user's sessions, for example [in one
/// transaction](crate::docs::transactions). If you delete only the row, handlers may still see the
/// record for up to 30 seconds.
///
/// A gate with a loader refuses tokens of [another issuer](crate::issuers), unless you call
/// [`also_foreign`](Self::also_foreign). The user of a token that you [adopt](crate::Adopt) is your
/// own user, so the gate loads it.
///
/// `Users` is cheap to clone, and the clones share the records.
///
/// ```
/// use gatepass::{Authority, StoreError, wire::{Gate, Users}};
///
/// struct Account { name: String }
///
/// # #[derive(Clone)] struct Database;
/// # impl Database { async fn find(&self, id: &str) -> Result<Option<Account>, std::io::Error> { Ok(None) } }
/// fn gate(authority: &Authority, database: Database) -> Gate {
///     let users = Users::new(move |pass| {
///         let database = database.clone();
///         async move {
///             let found = database.find(pass.subject().as_str()).await;
///             found.map_err(StoreError::unavailable)
///         }
///     });
///     Gate::new(authority).users(&users)
/// }
/// ```
pub struct Users<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    load: Box<Load<T>>,
    /// Whether the loader also loads users of other issuers.
    foreign: bool,
    keep_for: Duration,
    records: Cache<Key, Arc<Slot<T>>>,
    /// For each user, a number that changes when the user is forgotten. An entry lives longer than
    /// every record that it invalidates.
    forgotten: Cache<Subject, u64>,
    forgettings: AtomicU64,
}

/// How long a load may take. It is the same as the default for the authenticator.
const LOAD_TIMEOUT: Duration = Duration::from_secs(10);

type Load<T> = dyn Fn(Pass) -> Pin<Box<dyn Future<Output = Result<Option<T>, StoreError>> + Send>>
    + Send
    + Sync;

/// The session, and its rights, for which a record was loaded. A change of rights makes another
/// key, so the gate loads again.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    /// The session, or the token of another issuer.
    credential: Credential,
    grant: GrantVersion,
    forgotten: u64,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Credential {
    Session(SessionId),
    Token(Subject, TokenId),
}

/// The place of a record.
struct Slot<T> {
    last: ArcSwapOption<Loaded<T>>,
    /// Requests take turns to load, so that a request that has waited finds a result.
    turn: Mutex<()>,
}

/// The result of a load.
struct Loaded<T> {
    user: Result<Arc<T>, Error>,
    /// When the load began, by the gate's clock.
    at: Duration,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            last: ArcSwapOption::empty(),
            turn: Mutex::new(()),
        }
    }
}

impl<T: Send + Sync + 'static> Users<T> {
    /// How long gatepass keeps a record.
    const KEEP_FOR: Duration = Duration::from_secs(30);
    /// How many records gatepass keeps.
    const CAPACITY: u64 = 10_000;

    /// A loader that calls `load`. The function returns `None` for a user who doesn't exist any
    /// more.
    pub fn new<F>(load: impl Fn(Pass) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Option<T>, StoreError>> + Send + 'static,
    {
        let load: Box<Load<T>> = Box::new(move |pass| Box::pin(load(pass)));
        Self::with(load, false, Self::KEEP_FOR, Self::CAPACITY)
    }

    /// Also loads the users of [other issuers](crate::issuers). Your function must then look at
    /// [`Pass::foreign_issuer`](crate::Pass::foreign_issuer), because `alice` of another issuer is
    /// not your own user `alice`. By default, gates that load users refuse the tokens of other
    /// issuers.
    #[must_use]
    pub fn also_foreign(self) -> Self {
        let (time, inner) = (self.inner.keep_for, Arc::clone(&self.inner));
        let entries = inner.records.policy().max_capacity();
        let load = move |pass| (inner.load)(pass);
        Self::with(
            Box::new(load),
            true,
            time,
            entries.unwrap_or(Self::CAPACITY),
        )
    }

    /// Sets how long gatepass keeps a record, and how many entries it keeps: one for each session
    /// in use. Default 30 s and 10,000. With a time of zero, each request loads its user.
    ///
    /// ```
    /// use std::time::Duration;
    /// use gatepass::wire::Users;
    ///
    /// fn kept<T: Send + Sync + 'static>(users: Users<T>) -> Users<T> {
    ///     users.keep(Duration::from_secs(300), 100_000)
    /// }
    /// ```
    #[must_use]
    pub fn keep(self, time: Duration, entries: u64) -> Self {
        let foreign = self.inner.foreign;
        let load = move |pass| (self.inner.load)(pass);
        Self::with(Box::new(load), foreign, time, entries)
    }

    fn with(load: Box<Load<T>>, foreign: bool, keep_for: Duration, entries: u64) -> Self {
        const YEAR: Duration = Duration::from_secs(365 * 86_400);
        let keep_for = keep_for.min(YEAR);
        // moka doesn't use the gate's clock, which tests move. It only bounds the number of
        // records.
        let records = Cache::builder().max_capacity(entries);
        let longest = keep_for.saturating_mul(2).max(Duration::from_secs(3600));
        Self {
            inner: Arc::new(Inner {
                load,
                foreign,
                keep_for,
                records: records.build(),
                forgotten: Cache::builder().time_to_live(longest).build(),
                forgettings: AtomicU64::new(0),
            }),
        }
    }

    /// Forgets the records of a user on this node, for example after the user has chosen another
    /// name. Only the requests that already wait for a load still get its result.
    ///
    /// ```
    /// use gatepass::{Pass, wire::Users};
    ///
    /// # struct Account;
    /// /// After the new name is stored.
    /// fn renamed(users: &Users<Account>, pass: &Pass) {
    ///     users.forget(pass.subject());
    /// }
    /// ```
    pub fn forget(&self, subject: &Subject) {
        let number = self.inner.forgettings.fetch_add(1, Ordering::Relaxed) + 1;
        self.inner.forgotten.insert(subject.clone(), number);
    }
}

impl<T> Inner<T> {
    async fn load_now(&self, pass: &Pass) -> Result<Arc<T>, Error> {
        let loaded = timeout(LOAD_TIMEOUT, (self.load)(pass.clone())).await;
        let timed_out = |_| Err(StoreError::new(StoreErrorKind::TimedOut));
        match loaded.unwrap_or_else(timed_out) {
            Ok(user) => Ok(Arc::new(user.ok_or(Refusal::Revoked)?)),
            Err(failure) => {
                observe::store_unavailable("load_user", &failure);
                Err(failure.into())
            }
        }
    }

    fn key(&self, pass: &Pass) -> Key {
        Key {
            credential: match pass.session_id() {
                Some(session) => Credential::Session(session),
                None => Credential::Token(pass.subject().clone(), pass.token_id()),
            },
            grant: pass.newest_grant(),
            forgotten: self.forgotten.get(pass.subject()).unwrap_or_default(),
        }
    }
}

impl<T> Clone for Users<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<T> fmt::Debug for Users<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users")
            .field("keep_for", &self.inner.keep_for)
            .finish_non_exhaustive()
    }
}

/// The record of a user, of a type that the handler knows.
pub(super) type AnyUser = Arc<dyn Any + Send + Sync>;

/// A loader of users, without their type.
#[async_trait]
pub(super) trait AnyUsers: fmt::Debug + Send + Sync {
    /// The record of the user of `pass`, if it is kept at the time `now` of the gate's clock.
    fn kept(&self, pass: &Pass, now: Duration) -> Option<AnyUser>;

    /// Loads the record of the user of `pass`.
    async fn load(&self, pass: &Pass, now: Duration) -> Result<AnyUser, Error>;
}

impl<T: Send + Sync + 'static> Users<T> {
    /// Loads the record of a user, once for all requests of the session that wait for it.
    async fn load_shared(&self, pass: &Pass, now: Duration) -> Result<Arc<T>, Error> {
        if pass.is_of_other_service() && !self.inner.foreign {
            return Err(Refusal::WrongIssuer.into());
        }
        if self.inner.keep_for.is_zero() {
            return self.inner.load_now(pass).await;
        }
        // Before the load, so that a user who is forgotten meanwhile is not kept.
        let key = self.inner.key(pass);
        let slot = self.inner.records.get_with_by_ref(&key, Arc::default);
        let before = slot.last.load_full();
        // A request that hangs up drops its turn, and the next one loads.
        let _turn = slot.turn.lock().await;
        if let Some(loaded) = slot.last.load_full()
            && !before.is_some_and(|before| Arc::ptr_eq(&before, &loaded))
        {
            return loaded.user.clone();
        }
        let user = self.inner.load_now(pass).await;
        if user.is_err() {
            // Waiting requests share the failure, and later requests load again.
            self.inner.records.invalidate(&key);
        }
        let loaded = Loaded {
            user: user.clone(),
            at: now,
        };
        slot.last.store(Some(Arc::new(loaded)));
        user
    }
}

#[async_trait]
impl<T: Send + Sync + 'static> AnyUsers for Users<T> {
    fn kept(&self, pass: &Pass, now: Duration) -> Option<AnyUser> {
        let slot = self.inner.records.get(&self.inner.key(pass))?;
        let last = slot.last.load();
        let loaded = last.as_ref()?;
        let age = now.saturating_sub(loaded.at);
        let user = loaded.user.as_ref().ok()?;
        (age < self.inner.keep_for).then(|| Arc::clone(user) as AnyUser)
    }

    async fn load(&self, pass: &Pass, now: Duration) -> Result<AnyUser, Error> {
        let user: AnyUser = self.load_shared(pass, now).await?;
        Ok(user)
    }
}
