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

/// The application's users, for gates: the record of the user who makes a request, from your
/// database, kept for a short time.
///
/// A gate that has them ([`Gate::users`](crate::wire::Gate::users)) loads the user of each request
/// that it lets through, and a handler takes it by the extractor `User<T>` of its adapter. A user
/// whom the loader doesn't find is refused like a revoked token (401). If the loader fails, the
/// answer is 503, also if it takes longer than 10 s. Requests of one session that come at the same
/// time share one load, and its failure as well.
///
/// gatepass keeps a record for 30 seconds and asks again
///
/// * at once if the session's rights have changed, on each node within `max_staleness`
///   ([`Authority::change`](crate::Authority::change)),
/// * at once if your code calls [`forget`](Self::forget), on this node,
/// * for each new session.
///
/// If the sessions of a user end, gates refuse its tokens, and nothing loads or shows its record
/// again. So a user whom you delete is refused at once if you also end its sessions, for example
/// [in one transaction](crate::docs::transactions). If you delete the row alone, the record is
/// shown for 30 seconds more at most.
///
/// A token of [another issuer](crate::issuers) is refused, unless you call
/// [`also_foreign`](Self::also_foreign). The user of a token that you [adopt](crate::Adopt) is a
/// user of yours, and is loaded.
///
/// Cheap to clone; the clones share the records.
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
    /// Whether users of other issuers are loaded as well.
    foreign: bool,
    keep_for: Duration,
    records: Cache<Key, Arc<Slot<T>>>,
    /// Per user, a number that changes when it is forgotten. An entry lives longer than every
    /// record that it makes useless.
    forgotten: Cache<Subject, u64>,
    forgettings: AtomicU64,
}

/// How long a load may take: as long as the authenticator may by default.
const LOAD_TIMEOUT: Duration = Duration::from_secs(10);

type Load<T> = dyn Fn(Pass) -> Pin<Box<dyn Future<Output = Result<Option<T>, StoreError>> + Send>>
    + Send
    + Sync;

/// The session and its rights that a record was loaded for. A change of rights makes another key,
/// so that the gate loads again.
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
    /// Requests take turns to load, so that those which have waited find a result.
    turn: Mutex<()>,
}

/// The result of a load.
struct Loaded<T> {
    user: Result<Arc<T>, Error>,
    /// By the gate's clock.
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
    /// How long a record is kept.
    const KEEP_FOR: Duration = Duration::from_secs(30);
    /// How many records are kept.
    const CAPACITY: u64 = 10_000;

    /// Users whom `load` loads. `None` is a user who doesn't exist any more.
    pub fn new<F>(load: impl Fn(Pass) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Option<T>, StoreError>> + Send + 'static,
    {
        let load: Box<Load<T>> = Box::new(move |pass| Box::pin(load(pass)));
        Self::with(load, false, Self::KEEP_FOR, Self::CAPACITY)
    }

    /// Loads the users of [other issuers](crate::issuers) as well. Without it, their tokens are
    /// refused by gates that load users: `alice` of another issuer is not your own user `alice`.
    /// Your function must look at [`Pass::foreign_issuer`](crate::Pass::foreign_issuer) then.
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

    /// The same users, whose records are kept for this long, in at most so many entries: one for
    /// each session that is in use. Default 30 s and 10,000. With a time of zero, each request
    /// loads its user.
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
        // A clock that tests move is not moka's: it only makes room.
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
    /// name. A load that is under way counts for the requests that wait for it alone.
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

/// Users of a type that a gate doesn't know.
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
        // Before the load, so that nothing that is forgotten meanwhile is kept.
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
            // Those who wait share the failure, and later requests ask again.
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
