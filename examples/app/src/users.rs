//! The users: a table of the application's own, and the answers that gatepass wants of it.

mod changing;
mod passwords;
mod places;
mod postgres;
mod sqlite;
mod table;
mod tables;

use std::{collections::HashSet, net::IpAddr, path::Path, sync::Arc, thread, time::Duration};

use anyhow::ensure;
use gatepass::{
    AuthenticationError, Authenticator, Credentials, Device, Identity, Scopes, Session, StoreError,
    Subject, UserUpdate, async_trait, store::StoreErrorKind,
};
use tokio::task;
use zeroize::Zeroizing;

use self::{
    passwords::{Passwords, Turn},
    places::{Full, Place, Places},
    table::{Row, Table},
};
use crate::{location::Database, store::Store};

/// The users of the application, in a table of its own. Cheap to clone.
///
/// The table gets along with the sessions in one database: in SQLite it is `app_users`, while all
/// tables of gatepass begin with `gatepass_`, in PostgreSQL `app.users`, while those are in a
/// schema of their own.
///
/// Passwords are kept as argon2id hashes in PHC text, with the defaults of the `argon2` crate,
/// which are OWASP's: 19 MiB, 2 passes, 1 lane. At most 8 are hashed at once, and no more than
/// there are processors, so that logins take at most 152 MiB, and leave processors for other
/// requests.
///
/// gatepass bounds how often a client may try. The other logins wait here, 64 at most. The 65th
/// gets a 503 at once, and the 17th from one address a 429. A client that hangs up gives its place
/// to another one, as long as the server drops the request: actix-web needs
/// `h1_allow_half_closed(false)` for it. Behind a proxy, name it (`--trusted-proxy`), or all
/// clients share the 16 places of the proxy's.
///
/// The user's name is the subject, so that the example reads well. An application of your own takes
/// an id that it never gives to another user: sessions of a deleted user would otherwise go on as
/// those of the next one of that name.
#[derive(Clone)]
pub struct Users {
    inner: Arc<Inner>,
}

struct Inner {
    table: Box<dyn Table>,
    places: Places,
    passwords: Passwords,
    /// The hash for logins without a user, so that they take as long as the others.
    dummy: String,
}

/// A user to be put into the table.
#[derive(serde::Deserialize)]
#[non_exhaustive]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    username: Subject,
    password: String,
    #[serde(default)]
    scope: Scopes,
}

/// User names, passwords and scopes of the demo users. Printed at the start: no secrets.
pub(crate) const DEMO: [(&str, &str, &str); 3] = [
    ("alice", "alice-in-wonderland", "profile"),
    ("bob", "bob-the-builder", "profile"),
    ("root", "root-of-all-evil", "profile admin"),
];

/// Those of the demo users who are there: name, password and scope.
pub(crate) fn demo_users(names: &[String]) -> impl Iterator<Item = (&str, &str, &str)> {
    DEMO.into_iter()
        .filter(move |(name, ..)| names.iter().any(|demo| demo == name))
}

/// Longest password in bytes. More than any password manager makes.
pub(crate) const MAX_PASSWORD: usize = 1024;

/// The most passwords that are hashed at once: two hundred logins a second, and 152 MiB.
const AT_ONCE: usize = 8;
/// The most logins that wait or are hashed. On two processors the last one waits for a second or
/// two.
const PLACES: usize = 64;
/// The most of them from one address, so that it takes more than a handful to lock all others out.
const PLACES_EACH: usize = 16;
/// The longest that a login lasts that is not to be remembered.
const DAY: Duration = Duration::from_secs(86_400);
/// When a client whose address has too many logins waiting may come again: some have ended by then.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl NewUser {
    /// A user to be put into the table.
    ///
    /// # Errors
    ///
    /// That the name or a scope cannot be used as one.
    pub fn new(username: &str, password: &str, scope: &str) -> anyhow::Result<Self> {
        Ok(Self {
            username: Subject::new(username)?,
            password: password.to_owned(),
            scope: Scopes::parse(scope)?,
        })
    }

    /// The users in a JSON file.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Self>> {
        let text = crate::secrets::read(path)?;
        let users: Vec<Self> = serde_json::from_slice(&text).map_err(|error| {
            // Only where: serde's text quotes the file, which holds passwords.
            anyhow::anyhow!(
                r#"line {} of {path:?} is not as in [{{"username":"…","password":"…","scope":"a b"}}]"#,
                error.line()
            )
        })?;
        ensure!(
            !users.is_empty(),
            "{path:?} has no users, so that nobody could log in"
        );
        let mut seen = HashSet::new();
        for NewUser {
            username, password, ..
        } in &users
        {
            ensure!(
                !password.is_empty(),
                "{path:?} has no password for {username:?}"
            );
            ensure!(
                seen.insert(username),
                "{path:?} has the user {username:?} twice"
            );
        }
        Ok(users)
    }

    fn demo() -> anyhow::Result<Vec<Self>> {
        DEMO.iter()
            .map(|(name, password, scope)| Self::new(name, password, scope))
            .collect()
    }
}

impl Users {
    /// Opens the table and makes it if it is missing. The sessions are elsewhere.
    ///
    /// # Errors
    ///
    /// That the database cannot be opened or written, and what to do.
    pub async fn open(database: &Database) -> anyhow::Result<Self> {
        Self::open_beside(database, None).await
    }

    /// Opens the table and makes it if it is missing. The store of the sessions, if it is given, is
    /// in the same database.
    pub(crate) async fn open_beside(
        database: &Database,
        sessions: Option<&Store>,
    ) -> anyhow::Result<Self> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self::open_with(database, sessions, processors.min(AT_ONCE)).await
    }

    async fn open_with(
        database: &Database,
        sessions: Option<&Store>,
        at_once: usize,
    ) -> anyhow::Result<Self> {
        let table = tables::open(database, sessions).await?;
        let passwords = Passwords::new(at_once);
        let mut turn = passwords.turn().await?;
        let dummy = task::spawn_blocking(move || turn.hash("nobody's password")).await??;
        Ok(Self {
            inner: Arc::new(Inner {
                table,
                places: Places::new(PLACES, PLACES_EACH),
                passwords,
                dummy,
            }),
        })
    }

    /// Puts the demo users into a table that is empty.
    ///
    /// # Errors
    ///
    /// That the table cannot be written.
    pub async fn add_demo_users(&self) -> anyhow::Result<()> {
        if self.inner.table.is_empty().await? {
            let rows = self.rows(NewUser::demo()?, true).await?;
            // Another node may have been here meanwhile.
            self.inner.table.fill(rows, true).await?;
        }
        Ok(())
    }

    /// Makes these the users, and deletes all others.
    ///
    /// # Errors
    ///
    /// That the table cannot be written; it is unchanged then.
    pub async fn replace_all(&self, users: Vec<NewUser>) -> anyhow::Result<()> {
        let rows = self.rows(users, false).await?;
        Ok(self.inner.table.fill(rows, false).await?)
    }

    /// The rows of new users. Their passwords are hashed before there is a transaction, so that no
    /// other node waits for its lock meanwhile.
    async fn rows(&self, users: Vec<NewUser>, demo: bool) -> anyhow::Result<Vec<Row>> {
        let mut turn = self.inner.passwords.turn().await?;
        let row = move |user: NewUser| {
            Ok(Row {
                name: user.username.as_str().to_owned(),
                hash: turn.hash(&user.password)?,
                scope: user.scope.as_str().to_owned(),
                demo,
            })
        };
        task::spawn_blocking(move || users.into_iter().map(row).collect()).await?
    }

    /// The names of the demo users that there are.
    pub(crate) async fn demo_names(&self) -> anyhow::Result<Vec<String>> {
        Ok(self.inner.table.demo_names().await?)
    }

    /// Gives a user other scopes. Its sessions have them from their next refresh on; to change them
    /// at once, call [`Authority::change`](gatepass::Authority::change) afterwards. Says whether
    /// there is such a user.
    ///
    /// # Errors
    ///
    /// That the table cannot be written.
    pub async fn set_scope(&self, name: &str, scope: Scopes) -> anyhow::Result<bool> {
        Ok(self.inner.table.set_scope(name, &scope).await?)
    }

    /// Gives a user the scopes that `with` makes of the present ones. Returns them, or `None` if
    /// there is no such user.
    pub(crate) async fn change_scope(
        &self,
        name: &str,
        with: impl FnOnce(Scopes) -> Scopes,
    ) -> Result<Option<Scopes>, StoreError> {
        let table = &self.inner.table;
        let Some(row) = table.find(name).await? else {
            return Ok(None);
        };
        let scopes = with(Scopes::parse(&row.scope).map_err(StoreError::corrupt)?);
        let is_there = table.set_scope(name, &scopes).await?;
        Ok(is_there.then_some(scopes))
    }

    /// The user of this name, if this is the password. The attempt has been counted by then.
    async fn check_password(
        &self,
        name: &str,
        password: &str,
        address: Option<IpAddr>,
    ) -> Result<Row, AuthenticationError> {
        let password = Zeroizing::new(password.to_owned());
        let place = self.inner.places.take(address).map_err(no_place)?;
        // A client that hangs up here has this future dropped, and its place is free.
        let turn = self.inner.passwords.turn().await;
        let turn = turn.map_err(AuthenticationError::unavailable)?;
        let user = self.inner.table.find(name).await;
        let user = user.map_err(AuthenticationError::Unavailable)?;
        let inner = Arc::clone(&self.inner);
        // From here on a client that hangs up stops nothing: the place is taken until the
        // processor is free.
        task::spawn_blocking(move || inner.check_password(&password, user, turn, place))
            .await
            .map_err(AuthenticationError::unavailable)?
    }
}

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(
        &self,
        credentials: &Credentials,
        device: &Device,
    ) -> Result<Identity, AuthenticationError> {
        let name = credentials.username();
        let password = credentials.password();
        let password = password.ok_or(AuthenticationError::BadCredentials)?;
        let user = self.check_password(name, password, device.address).await?;
        let subject = Subject::new(&user.name).map_err(corrupt)?;
        let identity = Identity::of(subject).scopes(scopes(&user)?);
        let identity = match credentials.extra::<String>("device") {
            Some(device) => identity.device(device),
            None => identity,
        };
        Ok(match credentials.extra("remember_me") {
            // Until the browser is closed, and for a day at most.
            Some(false) => identity.absolute_ttl(DAY).session_cookies(),
            _ => identity,
        })
    }

    async fn reload_user(&self, session: &Session) -> Result<UserUpdate, AuthenticationError> {
        let found = self.inner.table.find(session.subject().as_str()).await;
        let Some(row) = found.map_err(AuthenticationError::Unavailable)? else {
            return Ok(UserUpdate::Deleted);
        };
        let scopes = scopes(&row)?;
        Ok(if scopes == *session.identity.granted_scopes() {
            UserUpdate::Unchanged
        } else {
            // All else of the identity stays, the device's label for one.
            UserUpdate::Changed(session.identity.clone().scopes(scopes))
        })
    }
}

impl Inner {
    /// Blocks for as long as it takes to hash one password, with or without such a user.
    fn check_password(
        &self,
        password: &str,
        user: Option<Row>,
        mut turn: Turn,
        _place: Place,
    ) -> Result<Row, AuthenticationError> {
        let too_long = password.len() > MAX_PASSWORD;
        let tried = if too_long { "" } else { password };
        let hash = user.as_ref().map_or(&self.dummy, |user| &user.hash);
        let right = turn
            .verify(tried, hash)
            .map_err(|error| AuthenticationError::Unavailable(StoreError::corrupt(error)))?;
        match user {
            Some(user) if right && !too_long => Ok(user),
            _ => Err(AuthenticationError::BadCredentials),
        }
    }
}

fn scopes(row: &Row) -> Result<Scopes, AuthenticationError> {
    Scopes::parse(&row.scope).map_err(corrupt)
}

fn corrupt(error: impl std::error::Error + Send + Sync + 'static) -> AuthenticationError {
    AuthenticationError::Unavailable(StoreError::corrupt(error))
}

fn no_place(full: Full) -> AuthenticationError {
    match full {
        Full::ForAddress => AuthenticationError::TooManyAttempts {
            retry_after: RETRY_AFTER,
        },
        // Not this client's fault, so that it is a 503, which has a Retry-After as well.
        Full::ForAll => AuthenticationError::Unavailable(StoreError::new(StoreErrorKind::Busy)),
    }
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Users").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for NewUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewUser")
            .field("username", &self.username)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll, Waker},
    };

    use super::*;
    use argon2::PasswordHash;

    async fn users() -> Users {
        // One password at a time, so that a test which takes the turn has all logins wait.
        let users = Users::open_with(&Database::Memory, None, 1);
        let users = users.await.unwrap();
        let alice = NewUser::new("alice", "correct horse", "profile").unwrap();
        users.replace_all(vec![alice]).await.unwrap();
        users
    }

    async fn log_in(
        users: &Users,
        name: &str,
        password: &str,
    ) -> Result<Identity, AuthenticationError> {
        users
            .authenticate(&Credentials::new(name, password), &Device::default())
            .await
    }

    #[tokio::test]
    async fn the_right_password_gets_the_scopes_of_its_user() {
        let users = users().await;
        let identity = log_in(&users, "alice", "correct horse").await.unwrap();
        assert_eq!(identity.subject().as_str(), "alice");
        assert_eq!(identity.granted_scopes().as_str(), "profile");
    }

    #[tokio::test]
    async fn whatever_is_wrong_the_answer_is_the_same() {
        let users = users().await;
        let long = format!("correct horse{}", " ".repeat(MAX_PASSWORD));
        for (name, password) in [
            ("alice", "wrong"),
            ("alice", ""),
            ("alice", &long),
            ("nobody", "correct horse"),
            ("nobody", "nobody's password"),
            ("Alice", "correct horse"),
            ("", ""),
            ("al\0ice", "correct horse"),
            ("' OR 1 --", "correct horse"),
        ] {
            let refused = log_in(&users, name, password).await;
            assert!(
                matches!(refused, Err(AuthenticationError::BadCredentials)),
                "{name:?}: {refused:?}"
            );
        }
    }

    #[tokio::test]
    async fn nobody_costs_what_a_user_costs() {
        let users = users().await;
        let alice = users.inner.table.find("alice").await.unwrap().unwrap();
        let parameters = |hash: &str| {
            let hash = PasswordHash::new(hash).unwrap();
            (hash.algorithm.to_string(), hash.version, hash.params)
        };
        assert_eq!(parameters(&alice.hash), parameters(&users.inner.dummy));
    }

    fn from(address: &str) -> Device {
        let mut device = Device::default();
        device.address = Some(address.parse().unwrap());
        device
    }

    type Login<'a> =
        Pin<Box<dyn Future<Output = Result<Identity, AuthenticationError>> + Send + 'a>>;

    /// The outcome of a login that was looked at once, if it has one by then.
    fn at_once(login: &mut Login<'_>) -> Option<Result<Identity, AuthenticationError>> {
        match login.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn a_login_that_finds_no_place_is_refused_at_once() {
        let users = users().await;
        let alice = Credentials::new("alice", "correct horse");
        let (one, unknown) = (from("192.0.2.1"), Device::default());
        let held = users.inner.passwords.turn().await.unwrap();
        let begin = |device| {
            let mut login: Login<'_> = users.authenticate(&alice, device);
            let outcome = at_once(&mut login);
            (login, outcome)
        };
        let mut waiting = Vec::new();
        for device in [&one; PLACES_EACH] {
            let (login, outcome) = begin(device);
            assert!(outcome.is_none(), "{outcome:?}");
            waiting.push(login);
        }
        let (_, outcome) = begin(&one);
        assert!(
            matches!(
                outcome,
                Some(Err(AuthenticationError::TooManyAttempts { retry_after })) if retry_after == RETRY_AFTER
            ),
            "{outcome:?}"
        );
        for _ in PLACES_EACH..PLACES {
            let (login, outcome) = begin(&unknown);
            assert!(outcome.is_none(), "{outcome:?}");
            waiting.push(login);
        }
        let (_, outcome) = begin(&unknown);
        let Some(Err(AuthenticationError::Unavailable(busy))) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(busy.kind(), StoreErrorKind::Busy);

        drop(held);
        for login in waiting {
            login.await.unwrap();
        }
        log_in(&users, "alice", "correct horse").await.unwrap();
    }

    #[tokio::test]
    async fn clients_that_hang_up_leave_their_places_and_their_turns_to_others() {
        let users = users().await;
        let alice = Credentials::new("alice", "correct horse");
        let one = from("192.0.2.1");
        let held = users.inner.passwords.turn().await.unwrap();
        for _ in 0..10 * PLACES {
            let mut hung_up: Login<'_> = users.authenticate(&alice, &one);
            assert!(at_once(&mut hung_up).is_none());
        }
        let mut next: Login<'_> = users.authenticate(&alice, &one);
        assert!(at_once(&mut next).is_none());
        drop(held);
        next.await.unwrap();
    }

    #[test]
    fn a_file_of_users_that_is_wrong_is_an_error_without_its_passwords() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.json");
        for (text, said) in [
            (
                r#"[{"username":"a","password":"hunter2","role":"x"}]"#,
                "line 1",
            ),
            (r#"[{"username":"","password":"hunter2"}]"#, "line 1"),
            (
                r#"[{"username":"a","password":"hunter2","scope":"ä"}]"#,
                "line 1",
            ),
            (r#"["hunter2"]"#, "line 1"),
            (
                r#"[{"username":"a","password":"hunter2"},{"username":"a","password":"hunter2"}]"#,
                "the user \"a\" twice",
            ),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = format!("{:#}", NewUser::read(&path).unwrap_err());
            assert!(error.contains(said), "{error}");
            assert!(error.contains("users.json"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_debug_shows_no_password() {
        let user = NewUser::new("alice", "hunter2", "profile").unwrap();
        assert!(!format!("{user:?} {:?}", users().await).contains("hunter2"));
    }
}
