//! The users: a table of the application, and its implementation of gatepass's `Authenticator`.

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

/// The users of the application, in its own table. Cheap to clone.
///
/// The table and the sessions can share a database. In SQLite the table is `app_users`, and all
/// tables of gatepass begin with `gatepass_`. In PostgreSQL it is `app.users`, and gatepass has a
/// schema of its own.
///
/// The table keeps passwords as argon2id hashes in PHC text, with the defaults of the `argon2`
/// crate, which OWASP recommends: 19 MiB, 2 passes, 1 lane. At most 8 passwords are hashed at once,
/// and no more than there are processors. So logins take at most 152 MiB, and leave processors for
/// other requests.
///
/// gatepass limits how often a client may try. The other logins wait here, 64 at most. The 65th
/// gets a 503 at once, and the 17th from one address a 429. If a client hangs up, another one gets
/// its place, as long as the server drops the request. For that, actix-web needs
/// `h1_allow_half_closed(false)`. If there is a proxy, name it (`--trusted-proxy`). Otherwise all
/// clients share the 16 places of the proxy's address.
///
/// The user's name is the subject, to make the example easy to read. Your own application should
/// use an id that it never gives to another user. Otherwise, the sessions of a deleted user
/// continue as sessions of the next user of that name.
#[derive(Clone)]
pub struct Users {
    inner: Arc<Inner>,
}

struct Inner {
    table: Box<dyn Table>,
    places: Places,
    passwords: Passwords,
    /// The hash for logins without a user, so that they take as long as other logins.
    dummy: String,
}

/// A new user for the table.
#[derive(serde::Deserialize)]
#[non_exhaustive]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    username: Subject,
    password: String,
    #[serde(default)]
    scope: Scopes,
}

/// User names, passwords and scopes of the demo users. They aren't secret: the application prints
/// them at the start.
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

/// Maximum number of passwords to hash at once. That allows two hundred logins a second, and takes
/// 152 MiB.
const AT_ONCE: usize = 8;
/// Maximum number of logins that wait or are being hashed. On two processors, the last one waits
/// for a second or two.
const PLACES: usize = 64;
/// Maximum number of these from one address, so that a few clients can't lock out all others.
const PLACES_EACH: usize = 16;
/// Maximum duration of a login without "remember me".
const DAY: Duration = Duration::from_secs(86_400);
/// When a client whose address has too many waiting logins may try again. Some have ended by then.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl NewUser {
    /// A new user for the table.
    ///
    /// # Errors
    ///
    /// An error if the name or a scope is invalid.
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
            // Only the line: serde's message quotes the file, which contains passwords.
            anyhow::anyhow!(
                r#"line {} of {path:?} is not as in [{{"username":"…","password":"…","scope":"a b"}}]"#,
                error.line()
            )
        })?;
        ensure!(
            !users.is_empty(),
            "{path:?} has no users, so no user could log in"
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
    /// Opens the table, and creates it if necessary. The sessions are elsewhere.
    ///
    /// # Errors
    ///
    /// An error if the application can't open or write the database. It says what to do.
    pub async fn open(database: &Database) -> anyhow::Result<Self> {
        Self::open_beside(database, None).await
    }

    /// Opens the table, and creates it if necessary. `sessions` is the store in the same database,
    /// if any.
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

    /// Adds the demo users to an empty table.
    ///
    /// # Errors
    ///
    /// An error if the application can't write the table.
    pub async fn add_demo_users(&self) -> anyhow::Result<()> {
        if self.inner.table.is_empty().await? {
            let rows = self.rows(NewUser::demo()?, true).await?;
            // Another node may have filled the table meanwhile.
            self.inner.table.fill(rows, true).await?;
        }
        Ok(())
    }

    /// Makes these the users, and deletes all others.
    ///
    /// # Errors
    ///
    /// An error if the application can't write the table. Then the table is unchanged.
    pub async fn replace_all(&self, users: Vec<NewUser>) -> anyhow::Result<()> {
        let rows = self.rows(users, false).await?;
        Ok(self.inner.table.fill(rows, false).await?)
    }

    /// The rows of new users. It hashes their passwords before the transaction begins, so that no
    /// other node waits for the lock meanwhile.
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

    /// The names of the demo users in the table.
    pub(crate) async fn demo_names(&self) -> anyhow::Result<Vec<String>> {
        Ok(self.inner.table.demo_names().await?)
    }

    /// Gives a user other scopes. Its sessions get them at their next refresh. To change them at
    /// once, call [`Authority::change`](gatepass::Authority::change) afterwards. Returns whether
    /// the user exists.
    ///
    /// # Errors
    ///
    /// An error if the application can't write the table.
    pub async fn set_scope(&self, name: &str, scope: Scopes) -> anyhow::Result<bool> {
        Ok(self.inner.table.set_scope(name, &scope).await?)
    }

    /// Gives a user the scopes that `with` makes of the current ones. Returns them, or `None` if
    /// the user doesn't exist.
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

    /// The user of this name, if the password is right. gatepass has already counted the attempt.
    async fn check_password(
        &self,
        name: &str,
        password: &str,
        address: Option<IpAddr>,
    ) -> Result<Row, AuthenticationError> {
        let password = Zeroizing::new(password.to_owned());
        let place = self.inner.places.take(address).map_err(no_place)?;
        // If a client hangs up here, the server drops this future, and its place is free.
        let turn = self.inner.passwords.turn().await;
        let turn = turn.map_err(AuthenticationError::unavailable)?;
        let user = self.inner.table.find(name).await;
        let user = user.map_err(AuthenticationError::Unavailable)?;
        let inner = Arc::clone(&self.inner);
        // From here on, a client that hangs up stops nothing. It keeps its place until the hash is
        // done.
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
            // The cookies last until the browser is closed, and the session for at most a day.
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
            // The rest of the identity stays, for example the device's label.
            UserUpdate::Changed(session.identity.clone().scopes(scopes))
        })
    }
}

impl Inner {
    /// Blocks for as long as one hash takes, even if there is no such user.
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
        // This is no fault of the client, so the answer is a 503. It also has a `Retry-After`.
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
        // One password at a time: a test that takes the turn makes all logins wait.
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

    /// The result of a login if it has one when polled once.
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
