//! The application, put together.

use std::{
    io::{self, Write},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context, ensure};
use gatepass::{
    Authority, Clock, KeySet, MasterSecret, MemoryStore, ReusePolicy, SessionStore, SigningKey,
    SystemClock, wire::Endpoints,
};
use gatepass_sqlite::SqliteStore;

use crate::{MasterSecretFile, Settings, StoreLocation, Users, pages, secrets, users::NewUser};

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
    listen: SocketAddr,
}

impl App {
    /// Opens the store, reads or makes the keys, and starts.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings or the files that they name, and what to do.
    pub async fn start(settings: &Settings) -> anyhow::Result<Self> {
        check_demo(settings)?;
        let store: Arc<dyn SessionStore> = match &settings.store {
            StoreLocation::Sqlite(path) => Arc::new(SqliteStore::open(path)?),
            StoreLocation::Memory => Arc::new(MemoryStore::new()),
        };
        let secret = match &settings.secret_file {
            Some(path) => secrets::master(path)?,
            None => MasterSecretFile::beside(settings.store.directory()).read_or_make()?,
        };
        Self::with_store(settings, secret, store, SystemClock).await
    }

    /// Starts with a master secret, a store and a clock of the caller's. The users are where
    /// `settings.store` says.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings or the files that they name, and what to do.
    pub async fn with_store(
        settings: &Settings,
        secret: MasterSecret,
        store: Arc<dyn SessionStore>,
        clock: impl Clock + Clone,
    ) -> anyhow::Result<Self> {
        check_demo(settings)?;
        let keys = keys(settings, &secret)?;
        let users = Users::open(&settings.store, clock.clone())?;
        match &settings.users {
            Some(path) => users.replace_all(&NewUser::read(path)?)?,
            None => users.add_demo_users()?,
        }

        let reuse = ReusePolicy {
            overlap: settings.overlap,
            recovery: settings.recovery,
            ..ReusePolicy::default()
        };
        let authority = Authority::builder(&settings.issuer, &settings.audience, secret, store)
            .keys(keys)
            .access_ttl(settings.access_ttl)
            .idle_ttl(settings.idle_ttl)
            .absolute_ttl(settings.absolute_ttl)
            .reuse(reuse)
            .max_staleness(settings.max_staleness)
            .leeway(settings.leeway)
            .authenticator(users.clone())
            .clock(clock)
            .build()
            .await?;
        Ok(Self {
            endpoints: Endpoints::builder(authority.clone()).build()?,
            authority,
            users,
            listen: settings.listen,
        })
    }

    /// Listens on the configured address, without blocking as async runtimes want it.
    ///
    /// # Errors
    ///
    /// That the address cannot be listened on, such as one that is in use.
    pub fn bind(&self) -> anyhow::Result<TcpListener> {
        let bind = || {
            let listener = TcpListener::bind(self.listen)?;
            listener.set_nonblocking(true)?;
            io::Result::Ok(listener)
        };
        bind().with_context(|| {
            format!(
                "cannot listen on {}; choose another address with --listen",
                self.listen
            )
        })
    }

    /// Tells the terminal that the application listens on `address`, who the demo users are, and
    /// lines of shell to try it with.
    ///
    /// # Errors
    ///
    /// That the users cannot be read.
    pub fn announce(&self, address: SocketAddr) -> anyhow::Result<()> {
        let banner = pages::banner(address, &self.users.demo_names()?);
        // Nobody may be listening at the other end; the service runs all the same.
        let _ = writeln!(io::stdout(), "{banner}");
        Ok(())
    }

    /// The page for browsers, in HTML.
    #[must_use]
    pub fn page(&self) -> String {
        pages::home(self.listen)
    }
}

/// Everybody knows the passwords of the demo users.
fn check_demo(settings: &Settings) -> anyhow::Result<()> {
    ensure!(
        settings.users.is_some() || settings.listen.ip().is_loopback(),
        "the passwords of the demo users are public, so they are not served on {}; name users of \
         your own with --users FILE.json, or listen on a loopback address",
        settings.listen
    );
    Ok(())
}

fn keys(settings: &Settings, master: &MasterSecret) -> anyhow::Result<KeySet> {
    if let Some(path) = &settings.jwt_secret_file {
        let key = SigningKey::hs256(&secrets::read(path)?);
        return Ok(KeySet::signing(
            key.with_context(|| format!("cannot use {path:?}"))?,
        ));
    }
    let ed25519 = |path: &PathBuf| {
        SigningKey::ed25519_pem(&secrets::read(path)?).with_context(|| {
            format!("cannot use {path:?}; make one with: openssl genpkey -algorithm ed25519")
        })
    };
    let Some((first, others)) = settings.keys.split_first() else {
        return Ok(KeySet::signing(SigningKey::derived(master)));
    };
    let mut keys = KeySet::signing(ed25519(first)?);
    for other in others {
        keys = keys.announce(ed25519(other)?.verifying_key().clone());
    }
    Ok(keys)
}
