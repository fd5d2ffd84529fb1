//! The example application without its framework, for the scenarios.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use clap::Parser;
use example_app::{App, NewUser, Settings, Users};
use gatepass::{MasterSecret, Scopes, Transport, store::SessionStore};
use gatepass_sqlite::SqliteStore;
use gatepass_testkit::{
    ManualClock,
    scenario::{CLIENTS, Setup, USERS, UserChange},
};
use rusqlite::Connection;
use tempfile::TempDir;

/// The actions of a scenario on an application that aren't requests.
#[async_trait]
pub trait World: Send + Sync + 'static {
    /// Lets time pass for the application.
    async fn pass_time(&self, time: Duration);

    /// Changes a user of the application.
    async fn change_user(&self, name: &str, change: UserChange);

    /// Makes the application's store lose all sessions.
    async fn lose_sessions(&self);
}

#[async_trait]
impl<W: World> World for Arc<W> {
    async fn pass_time(&self, time: Duration) {
        W::pass_time(self, time).await;
    }

    async fn change_user(&self, name: &str, change: UserChange) {
        W::change_user(self, name, change).await;
    }

    async fn lose_sessions(&self) {
        W::lose_sessions(self).await;
    }
}

/// The example application over its own SQLite file, with the scenarios' users and clock.
#[derive(Debug)]
pub struct Application {
    /// The app from which frameworks make routes.
    pub app: App,
    clock: ManualClock,
    directory: TempDir,
}

impl Application {
    /// Starts the application.
    pub async fn start(clock: ManualClock, setup: Setup) -> Self {
        let directory = TempDir::new().unwrap();
        let store = SqliteStore::builder(directory.path().join(STORE))
            .clock(clock.clone())
            .open()
            .unwrap();
        Self::in_directory(directory, Arc::new(store), clock, setup).await
    }

    /// Starts the application with its sessions in `store`.
    pub async fn over(store: Arc<dyn SessionStore>, clock: ManualClock) -> Self {
        let directory = TempDir::new().unwrap();
        Self::in_directory(directory, store, clock, Setup::default()).await
    }

    async fn in_directory(
        directory: TempDir,
        store: Arc<dyn SessionStore>,
        clock: ManualClock,
        setup: Setup,
    ) -> Self {
        example_app::hash_passwords_at_little_cost();
        let location = format!("sqlite:{}", directory.path().join(STORE).display());
        let own = ["example", "--store", &location].map(str::to_owned);
        let settings = Settings::parse_from(own.into_iter().chain(flags(setup)));
        let secret = MasterSecret::generate().unwrap();
        let app = App::with_store(&settings, secret, store, clock.clone())
            .await
            .unwrap();
        let users =
            USERS.map(|(name, password, scope)| NewUser::new(name, password, scope).unwrap());
        app.users.replace_all(users.into()).await.unwrap();
        Self {
            app,
            clock,
            directory,
        }
    }
}

#[async_trait]
impl World for Application {
    async fn pass_time(&self, time: Duration) {
        self.clock.advance(time);
    }

    async fn change_user(&self, name: &str, change: UserChange) {
        change_user(self.directory.path(), &self.app.users, name, change).await;
    }

    async fn lose_sessions(&self) {
        lose_sessions(self.directory.path());
    }
}

/// The file of the store, in the directory of an application.
pub(crate) const STORE: &str = "gatepass.db";

/// The flags for an application with this setup.
pub(crate) fn flags(setup: Setup) -> Vec<String> {
    let transport = match setup.transport {
        Transport::Bearer => "bearer",
        Transport::Cookie => "cookie",
        Transport::Both => "both",
    };
    let own = ["--issuer", "https://issuer.test", "--transport", transport];
    let mut flags = Vec::from_iter(own.map(str::to_owned));
    flags.extend(["--heartbeat", "5s", "--trusted-proxy", "127.0.0.1"].map(str::to_owned));
    for (id, secret) in CLIENTS {
        let client = secret.map_or(id.to_owned(), |secret| format!("{id}:{secret}"));
        flags.extend(["--client".to_owned(), client]);
    }
    if let Some(ttl) = setup.idle_ttl {
        let ttl = format!("{}s", ttl.as_secs());
        for flag in ["--idle-ttl", "--recovery"] {
            flags.extend([flag.to_owned(), ttl.clone()]);
        }
    }
    flags
}

/// Changes a user in the database of a directory. The user must exist.
pub(crate) async fn change_user(directory: &Path, users: &Users, name: &str, change: UserChange) {
    let changed = match change {
        UserChange::Scope(scope) => {
            let set = users.set_scope(name, Scopes::parse(scope).unwrap()).await;
            set.unwrap()
        }
        // Only the row, like a script that doesn't know about sessions.
        UserChange::Deleted => {
            let delete = "DELETE FROM app_users WHERE name = ?1";
            connect(directory).execute(delete, [name]).unwrap() > 0
        }
    };
    assert!(changed, "there is a user {name}");
}

/// Deletes the sessions in a directory, as a lost disk would.
pub(crate) fn lose_sessions(directory: &Path) {
    let delete = "DELETE FROM gatepass_sessions";
    let lost = connect(directory).execute(delete, ()).unwrap();
    assert!(lost > 0, "there is a session");
}

fn connect(directory: &Path) -> Connection {
    let connection = Connection::open(directory.join(STORE)).unwrap();
    // Another writer may be at work.
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    connection
}
