//! The application, put together.

use std::{
    io::{self, Write},
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, ensure};
use gatepass::{
    Algorithm, Authority, AuthorityBuilder, Clock, KeySet, MasterSecret, MemoryStore, ReusePolicy,
    SessionStore, SigningKey, SystemClock, Transport,
    wire::{Client, Endpoints},
};
use tracing::{instrument::WithSubscriber, subscriber::NoSubscriber};

use crate::{
    Database, MasterSecretFile, Settings, StoreLocation, Users, pages, secrets, store,
    users::NewUser,
};

/// The application: all that a framework's routes need. Cheap to clone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct App {
    /// Begins, refreshes and ends sessions; guards take its [`verifier`](Authority::verifier).
    pub authority: Authority,
    /// The endpoints under `/auth`.
    pub endpoints: Endpoints,
    /// Who may log in.
    pub users: Users,
    /// Origins besides its own whose pages may use its cookies, and need CORS for it.
    pub trusted_origins: Vec<String>,
    transport: Transport,
    issuer: Arc<str>,
    demo_names: Arc<[String]>,
    page: Arc<str>,
    openapi: Arc<str>,
}

impl App {
    /// Opens the store, reads or makes the keys, and starts.
    ///
    /// Settings that are refused leave no file behind: all of them are tried before the first file
    /// is made.
    ///
    /// # Errors
    ///
    /// An error names the setting or file that is wrong, and says what to do.
    pub async fn start(settings: &Settings) -> anyhow::Result<Self> {
        match given_clock()? {
            Some(clock) => Self::start_with(settings, Some(&clock), clock.clone()).await,
            None => Self::start_with(settings, None::<&SystemClock>, SystemClock).await,
        }
    }

    async fn start_with(
        settings: &Settings,
        stores: Option<&(impl Clock + Clone)>,
        clock: impl Clock + Clone,
    ) -> anyhow::Result<Self> {
        check_secret(settings)?;
        let file = match (&settings.secret_file, settings.store.directory()) {
            (Some(path), _) => Some(MasterSecretFile::at(path)),
            (None, Some(directory)) => Some(MasterSecretFile::beside(directory)),
            // Without sessions that outlive the process there is nothing to keep a secret for.
            (None, None) => None,
        };
        let may_be_made = settings.secret_file.is_none();
        let secret = match &file {
            Some(file) if !may_be_made || file.exists()? => file.read()?,
            _ => MasterSecret::generate()?,
        };
        let inputs = Inputs::read(settings)?;
        inputs.try_out(settings, &secret).await?;

        let (store, users) = open(settings, stores, &clock).await?;
        let secret = match &file {
            Some(file) if may_be_made => file.read_or_make()?,
            _ => secret,
        };
        Self::assemble(settings, inputs, secret, store, users, clock).await
    }

    /// Starts with a master secret, a store and a clock of the caller's. The users are where the settings say.
    ///
    /// # Errors
    ///
    /// An error names the setting or file that is wrong, and says what to do.
    pub async fn with_store(
        settings: &Settings,
        secret: MasterSecret,
        store: Arc<dyn SessionStore>,
        clock: impl Clock + Clone,
    ) -> anyhow::Result<Self> {
        let inputs = Inputs::read(settings)?;
        let users = Users::open(&settings.users_in(), clock.clone()).await?;
        Self::assemble(settings, inputs, secret, store, users, clock).await
    }

    async fn assemble(
        settings: &Settings,
        inputs: Inputs,
        secret: MasterSecret,
        store: Arc<dyn SessionStore>,
        users: Users,
        clock: impl Clock,
    ) -> anyhow::Result<Self> {
        let Inputs {
            keys,
            clients,
            users: configured,
        } = inputs;
        let keys = match keys {
            Some(keys) => keys,
            None => KeySet::signing(SigningKey::derived(&secret)),
        };
        let builder = authority(settings, secret, keys, store);
        let builder = builder.authenticator(users.clone()).clock(clock);
        let authority = builder.build().await?;
        let endpoints = endpoints(&authority, clients)?;
        // Last, so that a start that fails has changed nothing.
        match configured {
            Some(configured) => users.replace_all(configured).await?,
            None => users.add_demo_users().await?,
        }
        let demo_names = users.demo_names().await?;
        let page = pages::home(settings.listen, &demo_names, settings.transport);
        Ok(Self {
            demo_names: demo_names.into(),
            trusted_origins: settings.trusted_origins.clone(),
            transport: settings.transport,
            issuer: settings.issuer.as_str().into(),
            page: page.into(),
            openapi: endpoints.openapi().into(),
            endpoints,
            authority,
            users,
        })
    }

    /// Tells the terminal that the application listens on `address`, who the demo users are, and
    /// lines of shell to try it with.
    pub fn announce(&mut self, address: SocketAddr) {
        self.page = pages::home(address, &self.demo_names, self.transport).into();
        let banner = pages::banner(address, &self.issuer, &self.demo_names, self.transport);
        // Nobody may be listening at the other end; the service runs all the same.
        let _ = writeln!(io::stdout(), "{banner}");
    }

    /// Tells the terminal the same as [`announce`](Self::announce), with lines of shell of the caller's, which
    /// have `{address}`, `{name}` and `{password}` filled in: where the routes are others than those of most examples.
    pub fn announce_with(&self, address: SocketAddr, lines: &str) {
        let banner = pages::banner_with(address, &self.issuer, &self.demo_names, lines);
        // As above.
        let _ = writeln!(io::stdout(), "{banner}");
    }

    /// Whether requests with tokens would be judged now, for `GET /ready`: a load balancer sends them elsewhere while
    /// they would not. `GET /health` says that the process lives.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.authority.health().is_ready()
    }

    /// The page for browsers, in HTML.
    #[must_use]
    pub fn page(&self) -> &str {
        &self.page
    }

    /// What `GET /openapi.json` answers: the endpoints as OpenAPI describes them, in JSON. Of routes of its own an
    /// application would say here, too, what they are.
    #[must_use]
    pub fn openapi(&self) -> &str {
        &self.openapi
    }
}

/// A clock that is not that of wherever it is asked.
#[cfg(not(feature = "clock-file"))]
fn given_clock() -> anyhow::Result<Option<SystemClock>> {
    Ok(None)
}

#[cfg(feature = "clock-file")]
fn given_clock() -> anyhow::Result<Option<crate::clock_file::ClockFile>> {
    crate::clock_file::ClockFile::from_env()
}

/// The content of the files that settings name.
struct Inputs {
    /// `None` where the key is derived from the master secret, which may not be made yet.
    keys: Option<KeySet>,
    clients: Vec<Client>,
    /// `None` where the demo users are served.
    users: Option<Vec<NewUser>>,
}

impl Inputs {
    fn read(settings: &Settings) -> anyhow::Result<Self> {
        check_demo(settings)?;
        Ok(Self {
            keys: keys(settings)?,
            clients: settings.clients()?,
            users: settings.users.as_deref().map(NewUser::read).transpose()?,
        })
    }

    /// Builds all that is built of the settings, over a store that forgets it.
    async fn try_out(&self, settings: &Settings, secret: &MasterSecret) -> anyhow::Result<()> {
        for location in [
            &settings.store,
            &StoreLocation::Database(settings.users_in()),
        ] {
            if let Some(directory) = location.directory() {
                ensure!(
                    directory.is_dir(),
                    "{directory:?} is not there; name a file in a directory that exists"
                );
            }
        }
        let keys = self.keys.clone();
        let keys = keys.unwrap_or_else(|| KeySet::signing(SigningKey::derived(secret)));
        let builder = authority(settings, secret.clone(), keys, MemoryStore::new());
        // Its log would be about that store.
        let built = builder.build().with_subscriber(NoSubscriber::new()).await?;
        endpoints(&built, self.clients.clone())?;
        Ok(())
    }
}

/// Opens the store and the users. A place that is there already comes first: if it is refused, no
/// file was made for the other.
async fn open(
    settings: &Settings,
    instead: Option<&(impl Clock + Clone)>,
    clock: &(impl Clock + Clone),
) -> anyhow::Result<(Arc<dyn SessionStore>, Users)> {
    let users_in = settings.users_in();
    let is_new = |database: &Database| match database {
        Database::Sqlite(path) => !path.exists(),
        Database::Postgres(_) | Database::Memory => false,
    };
    let store_is_new =
        matches!(&settings.store, StoreLocation::Database(database) if is_new(database));
    if store_is_new && !is_new(&users_in) {
        let users = Users::open(&users_in, clock.clone()).await?;
        return Ok((store::open(&settings.store, instead).await?, users));
    }
    let store = store::open(&settings.store, instead).await?;
    Ok((store, Users::open(&users_in, clock.clone()).await?))
}

/// An authority as the settings want it, but for its users and its clock.
fn authority(
    settings: &Settings,
    secret: MasterSecret,
    keys: KeySet,
    store: impl SessionStore,
) -> AuthorityBuilder {
    let reuse = ReusePolicy {
        overlap: settings.overlap,
        recovery: settings.recovery,
        ..ReusePolicy::default()
    };
    let mut builder = Authority::builder(&settings.issuer, &settings.audience, secret, store)
        .keys(keys)
        .access_ttl(settings.access_ttl)
        .idle_ttl(settings.idle_ttl)
        .absolute_ttl(settings.absolute_ttl)
        .max_sessions(NonZeroU32::new(settings.max_sessions))
        .reuse(reuse)
        .max_staleness(settings.max_staleness)
        .leeway(settings.leeway)
        .transport(settings.transport);
    for origin in &settings.trusted_origins {
        builder = builder.trusted_origin(origin);
    }
    if settings.share_store {
        builder = builder.share_store();
    }
    if settings.insecure_localhost_cookies {
        builder = builder.danger_insecure_cookies_on_localhost();
    }
    builder
}

fn endpoints(authority: &Authority, clients: Vec<Client>) -> anyhow::Result<Endpoints> {
    let has_clients = !clients.is_empty();
    // The clients of the example are its own, so that they may see its users' passwords.
    let mut endpoints = Endpoints::builder(authority.clone())
        .password_grant()
        .resume()
        .renew();
    for client in clients {
        endpoints = endpoints.client(client);
    }
    if has_clients {
        endpoints = endpoints.introspection();
    }
    Ok(endpoints.build()?)
}

/// The passwords of the demo users are public, so they are served to this machine alone.
fn check_demo(settings: &Settings) -> anyhow::Result<()> {
    ensure!(
        settings.users.is_some() || settings.listen.ip().is_loopback(),
        "the passwords of the demo users are public, so they are not served on {}; name users of \
         your own with --users FILE.json, or listen on a loopback address",
        settings.listen
    );
    ensure!(
        !settings.insecure_localhost_cookies || settings.listen.ip().is_loopback(),
        "--insecure-localhost-cookies is for development on this machine, and {} is not on it",
        settings.listen
    );
    Ok(())
}

/// A secret that each node made for itself would have each refuse what the others have issued.
fn check_secret(settings: &Settings) -> anyhow::Result<()> {
    ensure!(
        settings.secret_file.is_some() || !settings.store.is_shared(),
        "nodes that share a server need the same master secret: name its file with --secret-file, a \
         copy of which each node has; make one with: (umask 077; openssl rand -hex 64 > gatepass.secret)"
    );
    Ok(())
}

/// The keys in the files that the settings name, if they name any.
fn keys(settings: &Settings) -> anyhow::Result<Option<KeySet>> {
    if let Some(path) = &settings.jwt_secret_file {
        let key = SigningKey::hs256(&secrets::read(path)?);
        let key = key.with_context(|| format!("cannot use {path:?}"))?;
        return Ok(Some(KeySet::signing(key)));
    }
    let read = |named: &PathBuf| {
        // `PS256:FILE`. A file whose own name begins so is written `./PS256:FILE`.
        let explicit = named.to_str().and_then(|text| {
            let (name, path) = text.split_once(':')?;
            Some((name.parse::<Algorithm>().ok()?, Path::new(path)))
        });
        let path = explicit.map_or(named.as_path(), |(_, path)| path);
        let content = secrets::read(path)?;
        let key = match explicit {
            None => SigningKey::from_any_pem(&content),
            Some((algorithm, _)) if algorithm.is_symmetric() => {
                SigningKey::from_secret(algorithm, &content)
            }
            Some((algorithm, _)) => SigningKey::from_pem(algorithm, &content),
        };
        key.with_context(|| {
            format!("cannot use {path:?}; make a key with: openssl genpkey -algorithm ed25519")
        })
    };
    let Some((first, others)) = settings.keys.split_first() else {
        return Ok(None);
    };
    let mut keys = KeySet::signing(read(first)?);
    for other in others {
        keys = keys.announce(read(other)?.verifying_key().clone());
    }
    Ok(Some(keys))
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use clap::Parser;
    use gatepass::{
        Authenticator, Credentials, Demand, Device, Error, Issued, Refusal, Reread, Scopes,
    };
    use gatepass_testkit::ManualClock;

    use super::*;

    fn sqlite(path: PathBuf) -> StoreLocation {
        StoreLocation::Database(Database::Sqlite(path))
    }

    fn settings(args: &[&str]) -> Settings {
        let elsewhere = args.contains(&"--store");
        let memory: &[&str] = if elsewhere {
            &[]
        } else {
            &["--store", "memory"]
        };
        Settings::parse_from(["example"].iter().chain(memory).chain(args))
    }

    async fn app() -> (App, ManualClock) {
        let clock = ManualClock::new();
        let store = Arc::new(MemoryStore::with_clock(clock.clone()));
        let secret = MasterSecret::generate().unwrap();
        let app = App::with_store(&settings(&[]), secret, store, clock.clone()).await;
        (app.unwrap(), clock)
    }

    async fn log_in(app: &App) -> Result<Issued, Error> {
        let credentials = Credentials::new("alice", "alice-in-wonderland");
        app.authority.login(&credentials, Device::default()).await
    }

    #[tokio::test]
    async fn a_refresh_gets_the_scopes_that_the_user_has_by_then() {
        let (app, _) = app().await;
        let first = log_in(&app).await.unwrap();
        let more = Scopes::parse("admin profile").unwrap();
        assert!(app.users.set_scope("alice", more.clone()).await.unwrap());

        let second = app.authority.refresh(first.refresh_token.as_str()).await;
        assert_eq!(second.unwrap().scopes, more);
    }

    #[tokio::test]
    async fn a_deleted_user_is_logged_out_at_the_next_refresh() {
        let (app, _) = app().await;
        let issued = log_in(&app).await.unwrap();
        assert!(app.users.delete("alice").await.unwrap());
        assert!(!app.users.delete("alice").await.unwrap());

        let refused = app.authority.refresh(issued.refresh_token.as_str()).await;
        assert!(matches!(
            refused,
            Err(Error::Refused(Refusal::SessionEnded))
        ));
        let refused = log_in(&app).await;
        assert!(matches!(
            refused,
            Err(Error::Refused(Refusal::BadCredentials))
        ));
    }

    #[tokio::test]
    async fn sessions_and_users_outlive_the_process_in_one_file() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("app.db");
        let mut settings = settings(&[]);
        settings.store = sqlite(database);
        let issued = log_in(&App::start(&settings).await.unwrap()).await.unwrap();

        let again = App::start(&settings).await.unwrap();
        let refreshed = again.authority.refresh(issued.refresh_token.as_str()).await;
        assert_eq!(refreshed.unwrap().session_id, issued.session_id);
        let mut files: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
            .collect();
        files.sort();
        assert_eq!(files, ["app.db", "gatepass.secret"]);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_database_that_is_made_is_readable_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let mut settings = settings(&[]);
        settings.store = sqlite(directory.path().join("app.db"));
        let _app = App::start(&settings).await.unwrap();
        for file in fs::read_dir(directory.path()).unwrap() {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", file.file_name());
        }
    }

    #[tokio::test]
    async fn the_users_are_those_of_the_file_at_each_start() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("users.json");
        let mut settings = settings(&[]);
        settings.store = sqlite(directory.path().join("app.db"));
        settings.users = Some(file.clone());
        for (present, absent) in [("carol", "dave"), ("dave", "carol")] {
            let users = format!(r#"[{{"username":"{present}","password":"p","scope":"profile"}}]"#);
            fs::write(&file, users).unwrap();
            let app = App::start(&settings).await.unwrap();
            for (name, exists) in [(present, true), (absent, false)] {
                let credentials = Credentials::new(name, "p");
                let outcome = app.authority.login(&credentials, Device::default()).await;
                assert_eq!(outcome.is_ok(), exists, "{name}: {outcome:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_start_that_fails_says_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| {
            fs::write(directory.path().join(name), content).unwrap();
        };
        write("short", "hunter2");
        write("long", &"0123456789abcdef".repeat(8));
        write("text.db", &"this is no database ".repeat(100));
        let path = |name: &str| directory.path().join(name).display().to_string();
        let secret = path("long");
        let start = async |args: &[&str]| {
            let settings = settings(&[&["--secret-file", &secret], args].concat());
            format!("{:#}", App::start(&settings).await.map(drop).unwrap_err())
        };
        for (args, said) in [
            (&["--listen", "0.0.0.0:3000"][..], "--users"),
            (&["--users", &path("missing")], "missing"),
            (&["--jwt-secret-file", &path("missing")], "missing"),
            (&["--jwt-secret-file", &path("short")], "openssl rand"),
            (&["--key", &path("short")], "openssl genpkey"),
            (&["--access-ttl", "100d"], "idle lifetime"),
            (&["--issuer", ""], "issuer"),
            (
                &["--store", "postgres://u:hunter2@127.0.0.1:1/d"],
                "cannot reach PostgreSQL at 127.0.0.1:1/d",
            ),
            (
                &["--store", "postgres://u:hunter2@nowhere:port/d"],
                "not a URL of PostgreSQL",
            ),
            (
                &["--user-store", "postgres://u:hunter2@127.0.0.1:1/d"],
                "cannot reach the users' database at 127.0.0.1:1",
            ),
            (
                &["--store", "postgres://u:12/hunter2@127.0.0.1:1/d"],
                "not a URL of PostgreSQL",
            ),
            (
                &["--user-store", "postgres://u:12/hunter2@127.0.0.1:1/d"],
                "the users' database must be such as",
            ),
            (
                &["--user-store", "postgres://u:hunter2@nowhere:port/d"],
                "the users' database must be such as",
            ),
        ] {
            let error = start(args).await;
            assert!(error.contains(said), "{args:?}: {error}");
            assert!(!error.contains("hunter2"), "{args:?}: {error}");
        }
        for (database, said) in [
            ("text.db", "not an SQLite database"),
            ("missing/app.db", "directory that exists"),
        ] {
            let mut settings = settings(&[]);
            settings.store = sqlite(directory.path().join(Path::new(database)));
            let error = format!("{:#}", App::start(&settings).await.unwrap_err());
            assert!(error.contains(said), "{error}");
        }
    }

    #[tokio::test]
    async fn settings_that_are_refused_leave_no_file_behind() {
        let (files, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (name, content) in [
            ("short", "hunter2"),
            ("text.db", &"this is no database ".repeat(100)),
            ("users.json", r#"[{"username":"a"}]"#),
            ("clients", "spa\nshop:a-secret\nspa\n"),
        ] {
            fs::write(files.path().join(name), content).unwrap();
        }
        let path = |name: &str| files.path().join(name).display().to_string();
        let in_own = |name: &str| format!("sqlite:{}", own.path().join(name).display());
        let file = |name: &str| format!("sqlite:{}", path(name));
        for args in [
            &["--listen", "0.0.0.0:3000"][..],
            &[
                "--listen",
                "0.0.0.0:3000",
                "--users",
                &path("users.json"),
                "--insecure-localhost-cookies",
            ],
            &["--users", &path("missing")],
            &["--users", &path("users.json")],
            &["--secret-file", &path("missing")],
            &["--secret-file", &path("short")],
            &["--jwt-secret-file", &path("short")],
            &["--key", &path("missing")],
            &["--access-ttl", "100d"],
            &["--overlap", "1h"],
            &["--max-staleness", "0s"],
            &["--issuer", ""],
            &["--transport", "cookie", "--trusted-origin", "not an origin"],
            &["--client", "shop:"],
            &["--client", "spa", "--client", "spa"],
            &["--client-file", &path("clients")],
            &["--client-file", &path("missing")],
            &["--user-store", "postgres://u:hunter2@127.0.0.1:1/d"],
            &["--user-store", &file("text.db")],
            &["--user-store", &file("missing/users.db")],
            &[
                "--store",
                "redis://127.0.0.1:1",
                "--user-store",
                &in_own("users.db"),
            ],
            &[
                "--store",
                &file("text.db"),
                "--user-store",
                &in_own("users.db"),
            ],
            &[
                "--store",
                &file("missing/app.db"),
                "--user-store",
                &in_own("users.db"),
            ],
        ] {
            let store = in_own("app.db");
            let elsewhere = args.contains(&"--store");
            let own_store: &[&str] = if elsewhere { &[] } else { &["--store", &store] };
            let settings = settings(&[own_store, args].concat());
            let started = App::start(&settings).await;
            assert!(started.is_err(), "{args:?}");
            let left: Vec<_> = fs::read_dir(own.path()).unwrap().collect();
            assert!(left.is_empty(), "{args:?}: {left:?}");
        }
        assert_eq!(fs::read_dir(files.path()).unwrap().count(), 4);
    }

    #[test]
    fn a_key_of_any_kind_signs_as_its_name_says_or_as_is_usual() {
        let keys = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../crates/gatepass/tests/keys"
        );
        for (given, signs) in [
            ("ed25519.pem", "EdDSA"),
            ("p256.pem", "ES256"),
            ("p384.pem", "ES384"),
            ("rsa.pem", "RS256"),
            ("PS256:rsa.pem", "PS256"),
            ("ES256:p256.pem", "ES256"),
            // Not one of its lines, but longer than a secret must be.
            ("HS512:openssl.jws", "HS512"),
        ] {
            let given = match given.split_once(':') {
                Some((algorithm, file)) => format!("{algorithm}:{keys}/{file}"),
                None => format!("{keys}/{given}"),
            };
            let set = super::keys(&settings(&["--key", &given])).unwrap().unwrap();
            let shown = format!("{set:?}");
            assert!(
                shown.to_uppercase().contains(&signs.to_uppercase()),
                "{shown}"
            );
        }
        let wrong = format!("ES256:{keys}/rsa.pem");
        let error = super::keys(&settings(&["--key", &wrong])).unwrap_err();
        let error = format!("{error:#}");
        assert!(
            error.contains("ES256 needs a key on the curve P-256"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn access_tokens_of_an_announced_key_are_accepted() {
        let directory = tempfile::tempdir().unwrap();
        // RFC 8410, section 10.3, and another.
        let pem = |name: &str, der: &str| {
            let path = directory.path().join(name);
            let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
            fs::write(&path, pem).unwrap();
            path.display().to_string()
        };
        let old = pem(
            "old.pem",
            "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC",
        );
        let new = pem(
            "new.pem",
            "MC4CAQAwBQYDK2VwBCIEIEA/cKGVyrlSd5HNmrNIV3sD9ZHfVmOTNiYlzMwpFAgi",
        );
        let store = Arc::new(MemoryStore::new());
        let secret = MasterSecret::generate().unwrap();
        let start = async |args: &[&str]| {
            App::with_store(&settings(args), secret.clone(), store.clone(), SystemClock).await
        };
        let before = start(&["--key", &old]).await.unwrap();
        let token = log_in(&before).await.unwrap().access_token;

        let after = start(&["--key", &new, "--key", &old]).await.unwrap();
        let demand = Demand::new();
        after
            .authority
            .verifier()
            .verify(token.as_str(), &demand)
            .await
            .unwrap();
        let alone = start(&["--key", &new]).await.unwrap();
        let refused = alone
            .authority
            .verifier()
            .verify(token.as_str(), &demand)
            .await;
        assert!(matches!(refused, Err(Error::Refused(Refusal::UnknownKey))));
    }

    #[tokio::test]
    async fn a_device_is_named_by_the_login_and_keeps_its_name_when_scopes_change() {
        use gatepass::wire::{RequestBody, RequestHead};

        let (app, clock) = app().await;
        let head = RequestHead::collect("POST", "/auth/login", |name| {
            (name == "content-type")
                .then_some(&b"application/json"[..])
                .into_iter()
        });
        let body = br#"{"username":"bob","password":"bob-the-builder","device":"Bob's phone"}"#;
        app.endpoints
            .handle(&head, RequestBody::Complete(body))
            .await;
        let bob = gatepass::Subject::new("bob").unwrap();
        let label = async || {
            let sessions = app.authority.sessions(&bob, None).await.unwrap().sessions;
            sessions[0].grant.device_label().map(str::to_owned)
        };
        assert_eq!(label().await.as_deref(), Some("Bob's phone"));

        app.users.set_scope("bob", Scopes::default()).await.unwrap();
        clock.advance(Duration::from_secs(60));
        let sessions = app.authority.sessions(&bob, None).await.unwrap().sessions;
        let Reread::Changed(grant) = app.users.reread(&sessions[0]).await.unwrap() else {
            panic!("the scopes have changed");
        };
        assert_eq!(grant.device_label(), Some("Bob's phone"));
        assert!(grant.granted_scopes().is_empty());
    }
}
