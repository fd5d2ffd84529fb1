//! The parts of the application, put together.

use std::{
    io::{self, Write},
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, ensure};
use gatepass::{
    Authority, AuthorityBuilder, Clock, KeySet, LocalPath, MasterSecret, MemoryStore, Pass,
    ReusePolicy, SystemClock, TrustedProxies,
    keys::{Algorithm, SigningKey},
    store::SessionStore,
    wire::{Client, Endpoints},
};
use tracing::{instrument::WithSubscriber, subscriber::NoSubscriber};

use crate::{
    answer::Answer,
    brought::{Brought, CookieNames},
    demo::{Action, Demo},
    greeting::{Interface, greeting},
    location::{Database, StoreLocation},
    pages::{self, Asset},
    peer::Peer,
    secrets::{self, MasterSecretFile},
    settings::Settings,
    store::{self, Store},
    users::{NewUser, Users},
};

/// The application: everything that the routes of a framework need. Cheap to clone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct App {
    /// Begins, refreshes and ends sessions. Gates take its [`verifier`](Authority::verifier).
    pub authority: Authority,
    /// The endpoints under `/auth`.
    pub endpoints: Endpoints,
    /// The users who may log in.
    pub users: Users,
    /// Other origins whose pages may use the service's cookies. They need CORS.
    pub trusted_origins: Vec<String>,
    login_page: LocalPath,
    settings: Arc<Settings>,
    demo_names: Arc<[String]>,
    demo: Demo,
    config: Arc<str>,
    openapi: Arc<str>,
}

impl App {
    /// Opens the store, reads or makes the keys, and starts.
    ///
    /// If it refuses a setting, it leaves no file behind: it tries all settings before it makes the
    /// first file.
    ///
    /// # Errors
    ///
    /// An error names the setting or file that is wrong, and says what to do.
    pub async fn start(settings: &Settings) -> anyhow::Result<Self> {
        match given_clock()? {
            Some(clock) => Self::start_with(settings, Some(&clock), &clock).await,
            None => Self::start_with(settings, None::<&SystemClock>, &SystemClock).await,
        }
    }

    async fn start_with(
        settings: &Settings,
        stores: Option<&(impl Clock + Clone)>,
        clock: &(impl Clock + Clone),
    ) -> anyhow::Result<Self> {
        check_secret(settings)?;
        let file = match (&settings.secret_file, settings.store.directory()) {
            (Some(path), _) => Some(MasterSecretFile::at(path)),
            (None, Some(directory)) => Some(MasterSecretFile::beside(directory)),
            // If the sessions end with the process, there is no secret to keep.
            (None, None) => None,
        };
        let may_be_made = settings.secret_file.is_none();
        let secret = match &file {
            Some(file) if !may_be_made || file.exists()? => file.read()?,
            _ => MasterSecret::generate()?,
        };
        let inputs = Inputs::read(settings)?;
        inputs.try_out(settings, &secret).await?;

        let (store, users) = open(settings, stores).await?;
        let secret = match &file {
            Some(file) if may_be_made => file.read_or_make()?,
            _ => secret,
        };
        Self::assemble(
            settings,
            inputs,
            secret,
            store.into_dyn(),
            users,
            clock.clone(),
        )
        .await
    }

    /// Starts with the caller's own master secret, store and clock. The settings say where the
    /// users are. A change of a user and the end of the sessions are not one transaction then: see
    /// [`Users::delete`].
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
        let users = Users::open(&settings.users_in()).await?;
        Self::assemble(settings, inputs, secret, store, users, clock).await
    }

    async fn assemble(
        settings: &Settings,
        inputs: Inputs,
        secret: MasterSecret,
        store: Arc<dyn SessionStore>,
        users: Users,
        clock: impl Clock + Clone,
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
        let builder = authority(settings, secret, keys, store)?;
        let builder = builder.authenticator(users.clone()).clock(clock.clone());
        let authority = builder.build().await?;
        let endpoints = endpoints(&authority, clients)?;
        // The last step, so that a failed start changes nothing.
        match configured {
            Some(configured) => users.replace_all(configured).await?,
            None => users.add_demo_users().await?,
        }
        let demo_names: Arc<[String]> = users.demo_names().await?.into();
        let demo = Demo::new(
            authority.clone(),
            users.clone(),
            Arc::new(clock),
            settings.overlap,
            CookieNames::new(settings.insecure_localhost_cookies),
            demo_names.clone(),
            settings.peer.clone().map(Peer::new),
        );
        let config = pages::config(settings.listen, &demo_names, settings, &demo.actions());
        Ok(Self {
            demo_names,
            trusted_origins: settings.trusted_origins.clone(),
            login_page: Asset::HOME.parse()?,
            settings: Arc::new(settings.clone()),
            demo,
            config: config.to_string().into(),
            openapi: endpoints.openapi().into(),
            endpoints,
            authority,
            users,
        })
    }

    /// Tells the terminal that the application listens on `address`, and how to try it.
    pub fn announce(&mut self, address: SocketAddr) {
        let actions = self.demo.actions();
        let config = pages::config(address, &self.demo_names, &self.settings, &actions);
        self.config = config.to_string().into();
        self.greet(address, Interface::Page);
    }

    /// Tells the terminal the same as [`announce`](Self::announce), where there is no page and the
    /// routes are others than those of most examples. With `--curl` it prints `lines` of shell, in
    /// which it fills in `{address}`, `{name}` and `{password}`.
    pub fn announce_with(&self, address: SocketAddr, lines: &'static str) {
        self.greet(address, Interface::Shell(lines));
    }

    fn greet(&self, address: SocketAddr, interface: Interface) {
        let greeting = greeting(address, &self.settings, &self.demo_names, interface);
        // The reader of stdout may be gone; the service runs all the same.
        let _ = writeln!(io::stdout(), "{greeting}");
    }

    /// The application's clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.demo.clock()
    }

    /// The login page, to which gates send browsers.
    #[must_use]
    pub fn login_page(&self) -> LocalPath {
        self.login_page.clone()
    }

    /// Whether this node can judge requests with tokens now, for `GET /ready`. While it can't, a
    /// load balancer sends requests to other nodes. `GET /health` says that the process lives.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.authority.health().is_ready()
    }

    /// The files of the page for browsers, each with the path of its route.
    #[must_use]
    pub fn assets(&self) -> &'static [Asset] {
        &Asset::ALL
    }

    /// The answer to `GET /demo/config`, in JSON: the facts that the page needs about this service.
    #[must_use]
    pub fn config(&self) -> &str {
        &self.config
    }

    /// The available demonstrations of the page. Each is a route behind a gate. Thefts and changes
    /// of rights are available only if there are demo users, and only for them.
    #[must_use]
    pub fn actions(&self) -> Vec<Action> {
        self.demo.actions()
    }

    /// Runs a demonstration with the session of `pass`. The request brought the tokens in
    /// `brought`.
    pub async fn act(&self, action: Action, pass: &Pass, brought: Brought) -> Answer {
        self.demo.act(action, pass, brought).await
    }

    /// The answer to `GET /openapi.json`: the OpenAPI description of the endpoints, in JSON. An
    /// application would also describe its own routes here.
    #[must_use]
    pub fn openapi(&self) -> &str {
        &self.openapi
    }
}

/// The clock of a test, if there is one.
#[cfg(not(feature = "under-test"))]
fn given_clock() -> anyhow::Result<Option<SystemClock>> {
    Ok(None)
}

#[cfg(feature = "under-test")]
fn given_clock() -> anyhow::Result<Option<crate::under_test::ClockFile>> {
    crate::under_test::ClockFile::from_env()
}

/// The content of the files that the settings name.
struct Inputs {
    /// `None` if the key is derived from the master secret, which may not exist yet.
    keys: Option<KeySet>,
    clients: Vec<Client>,
    /// `None` for the demo users.
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

    /// Builds everything that the settings configure, over a temporary store in memory.
    async fn try_out(&self, settings: &Settings, secret: &MasterSecret) -> anyhow::Result<()> {
        for location in [
            &settings.store,
            &StoreLocation::Database(settings.users_in()),
        ] {
            if let Some(directory) = location.directory() {
                ensure!(
                    directory.is_dir(),
                    "{directory:?} doesn't exist; name a file in a directory that exists"
                );
            }
        }
        let keys = self.keys.clone();
        let keys = keys.unwrap_or_else(|| KeySet::signing(SigningKey::derived(secret)));
        let builder = authority(settings, secret.clone(), keys, MemoryStore::new())?;
        // Its log would describe the temporary store.
        let built = builder.build().with_subscriber(NoSubscriber::new()).await?;
        endpoints(&built, self.clients.clone())?;
        Ok(())
    }
}

/// Opens the store and the users. If only one of their files exists, opens that one first. So a
/// refusal leaves no new file behind.
async fn open(
    settings: &Settings,
    instead: Option<&(impl Clock + Clone)>,
) -> anyhow::Result<(Store, Users)> {
    let users_in = settings.users_in();
    let is_new = |database: &Database| match database {
        Database::Sqlite(path) => !path.exists(),
        Database::Postgres(_) | Database::Memory => false,
    };
    let store_is_new =
        matches!(&settings.store, StoreLocation::Database(database) if is_new(database));
    if store_is_new && !is_new(&users_in) {
        let users = Users::open(&users_in).await?;
        return Ok((store::open(&settings.store, instead).await?, users));
    }
    let store = store::open(&settings.store, instead).await?;
    let is_same_database = settings.store == StoreLocation::Database(users_in.clone());
    let beside = is_same_database.then_some(&store);
    let users = Users::open_beside(&users_in, beside).await?;
    Ok((store, users))
}

/// An authority with these settings, but without users and clock.
fn authority(
    settings: &Settings,
    secret: MasterSecret,
    keys: KeySet,
    store: impl SessionStore,
) -> anyhow::Result<AuthorityBuilder> {
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
        .transport(settings.transport)
        // For gates that renew tokens. The example has none, but you may add one.
        .renewed_token_header("X-Renewed-Token");
    for origin in &settings.trusted_origins {
        builder = builder.trusted_origin(origin);
    }
    if !settings.trusted_proxies.is_empty() {
        let proxies = TrustedProxies::x_forwarded_for(&settings.trusted_proxies)?;
        builder = builder.trusted_proxies(proxies);
    }
    if settings.no_login_throttle {
        builder = builder.login_throttle(None);
    }
    if let Some(interval) = settings.heartbeat {
        builder = builder.heartbeat(interval);
    }
    if settings.share_store {
        builder = builder.share_store();
    }
    if settings.insecure_localhost_cookies {
        builder = builder.danger_insecure_cookies_on_localhost();
    }
    Ok(builder)
}

fn endpoints(authority: &Authority, clients: Vec<Client>) -> anyhow::Result<Endpoints> {
    let has_clients = !clients.is_empty();
    // The clients are the example's own, so they may see the passwords of its users.
    let mut endpoints = Endpoints::builder(authority.clone())
        .password_grant()
        .resume()
        .renew()
        .wait_for_enforcement();
    for client in clients {
        endpoints = endpoints.client(client);
    }
    if has_clients {
        endpoints = endpoints.introspection();
    }
    Ok(endpoints.build()?)
}

/// Checks that the demo users, whose passwords are public, are served only to this machine.
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

/// Nodes with different secrets would refuse each other's tokens.
fn check_secret(settings: &Settings) -> anyhow::Result<()> {
    ensure!(
        settings.secret_file.is_some() || !settings.store.is_shared(),
        "nodes that share a server need the same master secret: name its file with --secret-file, a \
         copy of which each node has; make one with: (umask 077; openssl rand -hex 64 > gatepass.secret)"
    );
    Ok(())
}

/// The keys in the files that the settings name, if any.
fn keys(settings: &Settings) -> anyhow::Result<Option<KeySet>> {
    if let Some(path) = &settings.jwt_secret_file {
        let key = SigningKey::hs256(&secrets::read(path)?);
        let key = key.with_context(|| format!("cannot use {path:?}"))?;
        return Ok(Some(KeySet::signing(key)));
    }
    let read = |named: &PathBuf| {
        // For example `PS256:FILE`. If the name of a file begins like this, write `./PS256:FILE`.
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
mod tests;
