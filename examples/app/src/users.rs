//! The users: a table of the application's own, and the answers that gatepass wants of it.

use std::{
    collections::HashSet,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, ensure};
use argon2::{
    Argon2, PasswordHash, PasswordHasher, PasswordVerifier,
    password_hash::{self, SaltString},
};
use gatepass::{
    AuthenticationError, Authenticator, Clock, Credentials, Device, Grant, Random, Reread, Scopes,
    Session, StoreError, Subject, SystemRandom, async_trait,
};
use rusqlite::{Connection, OptionalExtension, named_params};
use tokio::{sync::Semaphore, task};
use zeroize::Zeroizing;

use crate::{attempts::Attempts, settings::StoreLocation};

/// The users of the application, in its own table `app_users`. Cheap to clone.
///
/// In SQLite the table is in the same file as the sessions: both get along, since all tables of
/// gatepass begin with `gatepass_`.
///
/// Passwords are kept as argon2id hashes in PHC text, with the defaults of the `argon2` crate, which
/// are OWASP's: 19 MiB, 2 passes, 1 lane. As that much memory is used by each login at a time, no
/// more are hashed at once than there are processors.
///
/// The user's name is the subject, so that the example reads well. An application of your own takes
/// an id that it never gives to anybody else: sessions of a deleted user would otherwise go on as
/// those of the next one of that name.
#[derive(Clone)]
pub struct Users {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Mutex<Connection>,
    attempts: Attempts,
    hashers: Arc<Semaphore>,
    /// What the password of a user that does not exist is compared with, so that it takes as long.
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

/// Longest password in bytes. More than any password manager makes.
const MAX_PASSWORD: usize = 1024;

struct Row {
    hash: String,
    scope: String,
}

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
    /// Opens the table and makes it if it is missing. Blocks while it does.
    ///
    /// # Errors
    ///
    /// That the file cannot be opened or written.
    pub fn open(store: &StoreLocation, clock: impl Clock) -> anyhow::Result<Self> {
        let connection = match store {
            StoreLocation::Sqlite(path) => Connection::open(path)
                .with_context(|| format!("cannot open {path:?} for the users"))?,
            StoreLocation::Memory => Connection::open_in_memory()?,
        };
        // The sessions' writer holds the same file's lock for moments at a time.
        connection.busy_timeout(Duration::from_secs(2))?;
        connection
            .execute_batch(
                "CREATE TABLE IF NOT EXISTS app_users (
                     name  TEXT PRIMARY KEY NOT NULL,
                     hash  TEXT NOT NULL,
                     scope TEXT NOT NULL,
                     demo  INTEGER NOT NULL
                 ) STRICT, WITHOUT ROWID",
            )
            .context("cannot make the table of users")?;
        let hashers = thread::available_parallelism().map_or(1, usize::from);
        let inner = Inner {
            connection: Mutex::new(connection),
            attempts: Attempts::new(Arc::new(clock)),
            hashers: Arc::new(Semaphore::new(hashers)),
            dummy: hash("nobody's password")?,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Puts the demo users into a table that is empty. Blocks while it hashes.
    ///
    /// # Errors
    ///
    /// That the table cannot be written.
    pub fn add_demo_users(&self) -> anyhow::Result<()> {
        let empty = "SELECT NOT EXISTS (SELECT 1 FROM app_users)";
        if self
            .inner
            .connection()
            .query_one(empty, (), |row| row.get(0))?
        {
            self.write(&NewUser::demo()?, true)?;
        }
        Ok(())
    }

    /// Makes these the users, and deletes all others. Blocks while it hashes.
    ///
    /// # Errors
    ///
    /// That the table cannot be written; it is unchanged then.
    pub fn replace_all(&self, users: &[NewUser]) -> anyhow::Result<()> {
        self.write(users, false)
    }

    fn write(&self, users: &[NewUser], demo: bool) -> anyhow::Result<()> {
        // Before the transaction: nobody should wait for a lock while passwords are hashed.
        let hashes: Vec<String> = users
            .iter()
            .map(|user| hash(&user.password))
            .collect::<Result<_, _>>()?;
        let mut connection = self.inner.connection();
        let transaction = connection.transaction()?;
        transaction.execute("DELETE FROM app_users", ())?;
        for (user, hash) in users.iter().zip(hashes) {
            transaction.execute(
                "INSERT INTO app_users (name, hash, scope, demo) VALUES (:name, :hash, :scope, :demo)",
                named_params! {
                    ":name": user.username.as_str(), ":hash": hash,
                    ":scope": user.scope.as_str(), ":demo": demo,
                },
            )?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// The names of the demo users that there are.
    pub(crate) fn demo_names(&self) -> rusqlite::Result<Vec<String>> {
        let connection = self.inner.connection();
        let mut names =
            connection.prepare("SELECT name FROM app_users WHERE demo ORDER BY name")?;
        names.query_map((), |row| row.get(0))?.collect()
    }

    /// Gives a user other scopes. Its sessions have them from their next refresh on. Says whether
    /// there is such a user.
    ///
    /// # Errors
    ///
    /// That the table cannot be written.
    pub async fn set_scope(&self, name: &str, scope: Scopes) -> anyhow::Result<bool> {
        let name = name.to_owned();
        let update = "UPDATE app_users SET scope = :scope WHERE name = :name";
        let changed = self
            .inner
            .query(move |connection| {
                connection.execute(
                    update,
                    named_params! { ":name": name, ":scope": scope.as_str() },
                )
            })
            .await?;
        Ok(changed > 0)
    }

    /// Deletes a user. Its sessions end at their next refresh; to end them at once, call
    /// [`Authority::logout_all`](gatepass::Authority::logout_all) afterwards. Says whether there was
    /// such a user.
    ///
    /// # Errors
    ///
    /// That the table cannot be written.
    pub async fn delete(&self, name: &str) -> anyhow::Result<bool> {
        let name = name.to_owned();
        let delete = "DELETE FROM app_users WHERE name = :name";
        let deleted = self
            .inner
            .query(move |connection| connection.execute(delete, named_params! { ":name": name }))
            .await?;
        Ok(deleted > 0)
    }
}

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(
        &self,
        credentials: &Credentials,
        _: &Device,
    ) -> Result<Grant, AuthenticationError> {
        let name = credentials.username().to_owned();
        let password = Zeroizing::new(credentials.password().to_owned());
        self.inner.check_attempts(&name)?;
        let hashers = Arc::clone(&self.inner.hashers);
        let permit = hashers
            .acquire_owned()
            .await
            .map_err(AuthenticationError::unavailable)?;
        let inner = Arc::clone(&self.inner);
        // The permit goes along, and the attempt is counted there: a client that hangs up stops neither.
        let granted = task::spawn_blocking(move || {
            let _permit = permit;
            inner.authenticate(&name, &password)
        })
        .await
        .map_err(AuthenticationError::unavailable)??;
        Ok(match credentials.extra::<String>("device") {
            Some(device) => granted.device(device),
            None => granted,
        })
    }

    async fn reread(&self, session: &Session) -> Result<Reread, AuthenticationError> {
        let name = session.subject().as_str().to_owned();
        let row = self
            .inner
            .query(move |connection| find(connection, &name))
            .await
            .map_err(AuthenticationError::Unavailable)?;
        let Some(row) = row else {
            return Ok(Reread::Gone);
        };
        let scopes = scopes(&row)?;
        Ok(if scopes == *session.grant.granted_scopes() {
            Reread::Unchanged
        } else {
            // All else of the grant stays, the device's label for one.
            Reread::Changed(session.grant.clone().scopes(scopes))
        })
    }
}

impl Inner {
    /// Blocks for as long as it takes to hash one password, whatever the answer.
    fn authenticate(&self, name: &str, password: &str) -> Result<Grant, AuthenticationError> {
        // Again: attempts that waited for their turn must see the failures of those before them.
        self.check_attempts(name)?;
        let row = find(&self.connection(), name).map_err(AuthenticationError::unavailable)?;
        let too_long = password.len() > MAX_PASSWORD;
        let tried = if too_long { "" } else { password };
        let hash = row.as_ref().map_or(&self.dummy, |row| &row.hash);
        let right = verify(tried, hash)
            .map_err(|error| AuthenticationError::Unavailable(StoreError::corrupt(error)))?;
        match row {
            Some(row) if right && !too_long => {
                self.attempts.succeeded(name);
                let subject = Subject::new(name).map_err(corrupt)?;
                Ok(Grant::new(subject).scopes(scopes(&row)?))
            }
            _ => {
                self.attempts.failed(name);
                Err(AuthenticationError::BadCredentials)
            }
        }
    }

    fn check_attempts(&self, name: &str) -> Result<(), AuthenticationError> {
        self.attempts
            .check(name)
            .map_err(|retry_after| AuthenticationError::TooManyAttempts { retry_after })
    }

    /// Asks the database off the async threads.
    async fn query<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(self);
        task::spawn_blocking(move || query(&inner.connection()))
            .await
            .map_err(StoreError::unavailable)?
            .map_err(StoreError::unavailable)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn find(connection: &Connection, name: &str) -> rusqlite::Result<Option<Row>> {
    connection
        .prepare_cached("SELECT hash, scope FROM app_users WHERE name = :name")?
        .query_one(named_params! { ":name": name }, |row| {
            Ok(Row {
                hash: row.get("hash")?,
                scope: row.get("scope")?,
            })
        })
        .optional()
}

fn scopes(row: &Row) -> Result<Scopes, AuthenticationError> {
    Scopes::parse(&row.scope).map_err(corrupt)
}

fn corrupt(error: impl std::error::Error + Send + Sync + 'static) -> AuthenticationError {
    AuthenticationError::Unavailable(StoreError::corrupt(error))
}

fn hash(password: &str) -> anyhow::Result<String> {
    let mut salt = [0; 16];
    SystemRandom.fill(&mut salt)?;
    let hash = SaltString::encode_b64(&salt).and_then(|salt| {
        Ok(Argon2::default()
            .hash_password(password.as_bytes(), &salt)?
            .to_string())
    });
    hash.context("cannot hash a password")
}

fn verify(password: &str, hash: &str) -> Result<bool, password_hash::Error> {
    let hash = PasswordHash::new(hash)?;
    match Argon2::default().verify_password(password.as_bytes(), &hash) {
        Ok(()) => Ok(true),
        Err(password_hash::Error::Password) => Ok(false),
        Err(error) => Err(error),
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
    use gatepass_testkit::ManualClock;

    use super::*;

    fn users() -> (Users, ManualClock) {
        let clock = ManualClock::new();
        let users = Users::open(&StoreLocation::Memory, clock.clone()).unwrap();
        let alice = NewUser::new("alice", "correct horse", "profile").unwrap();
        users.replace_all(&[alice]).unwrap();
        (users, clock)
    }

    async fn log_in(
        users: &Users,
        name: &str,
        password: &str,
    ) -> Result<Grant, AuthenticationError> {
        users
            .authenticate(&Credentials::new(name, password), &Device::default())
            .await
    }

    #[tokio::test]
    async fn the_right_password_gets_the_scopes_of_its_user() {
        let (users, _) = users();
        let grant = log_in(&users, "alice", "correct horse").await.unwrap();
        assert_eq!(grant.subject().as_str(), "alice");
        assert_eq!(grant.granted_scopes().as_str(), "profile");
    }

    #[tokio::test]
    async fn whatever_is_wrong_the_answer_is_the_same() {
        let (users, _) = users();
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

    #[test]
    fn nobody_costs_what_a_user_costs() {
        let (users, _) = users();
        let alice = find(&users.inner.connection(), "alice").unwrap().unwrap();
        let parameters = |hash: &str| {
            let hash = PasswordHash::new(hash).unwrap();
            (hash.algorithm.to_string(), hash.version, hash.params)
        };
        assert_eq!(parameters(&alice.hash), parameters(&users.inner.dummy));
    }

    #[tokio::test]
    async fn a_name_is_locked_after_too_many_failures_whether_or_not_it_exists() {
        for name in ["alice", "nobody"] {
            let (users, clock) = users();
            for _ in 0..10 {
                let refused = log_in(&users, name, "wrong").await;
                assert!(matches!(refused, Err(AuthenticationError::BadCredentials)));
            }
            let refused = log_in(&users, name, "correct horse").await;
            let Err(AuthenticationError::TooManyAttempts { retry_after }) = refused else {
                panic!("{name}: {refused:?}");
            };
            clock.advance(retry_after);
            let outcome = log_in(&users, name, "correct horse").await;
            assert_eq!(outcome.is_ok(), name == "alice");
        }
    }

    #[tokio::test]
    async fn guesses_in_parallel_are_counted_like_guesses_in_turn() {
        let (users, _) = users();
        // One at a time: a single permit shows that those who waited are judged again.
        let processors = users.inner.hashers.available_permits();
        users.inner.hashers.forget_permits(processors - 1);
        let guesses: Vec<_> = (0..30)
            .map(|_| {
                let users = users.clone();
                tokio::spawn(async move { log_in(&users, "alice", "wrong").await })
            })
            .collect();
        let mut tried = 0;
        for guess in guesses {
            if matches!(
                guess.await.unwrap(),
                Err(AuthenticationError::BadCredentials)
            ) {
                tried += 1;
            }
        }
        assert_eq!(tried, 10);
    }

    #[test]
    fn the_demo_users_go_only_into_an_empty_table() {
        let users = Users::open(&StoreLocation::Memory, ManualClock::new()).unwrap();
        users.add_demo_users().unwrap();
        assert_eq!(users.demo_names().unwrap(), ["alice", "bob", "root"]);

        let carol = NewUser::new("carol", "secret", "").unwrap();
        users.replace_all(&[carol]).unwrap();
        users.add_demo_users().unwrap();
        assert!(users.demo_names().unwrap().is_empty());
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

    #[test]
    fn a_debug_shows_no_password() {
        let user = NewUser::new("alice", "hunter2", "profile").unwrap();
        assert!(!format!("{user:?} {:?}", users().0).contains("hunter2"));
    }
}
