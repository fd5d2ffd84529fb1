//! The example application but for its framework, as the scenarios want it.

mod sockets;

use std::sync::Arc;

use clap::Parser;
use example_app::{App, NewUser, Settings};
use gatepass::{MasterSecret, Scopes, Transport};
use gatepass_sqlite::SqliteStore;
use gatepass_testkit::{
    ManualClock,
    scenario::{CLIENTS, Setup, USERS, UserChange},
};
use tempfile::TempDir;

pub(crate) use self::sockets::OverSockets;

/// The example application over a SQLite file of its own, with the scenarios' users and clock.
pub(crate) struct Application {
    pub(crate) app: App,
    pub(crate) clock: ManualClock,
    _directory: TempDir,
}

impl Application {
    pub(crate) async fn start(clock: ManualClock, setup: Setup) -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("gatepass.db");
        let store = SqliteStore::builder(&path)
            .clock(clock.clone())
            .open()
            .unwrap();
        let location = format!("sqlite:{}", path.display());
        let transport = match setup.transport {
            Transport::Bearer => "bearer",
            Transport::Cookie => "cookie",
            Transport::Both => "both",
        };
        let mut args = vec!["example", "--store", &location, "--transport", transport];
        args.extend(["--issuer", "https://issuer.test"]);
        let clients = CLIENTS.map(|(id, secret)| match secret {
            Some(secret) => format!("{id}:{secret}"),
            None => id.to_owned(),
        });
        args.extend(clients.iter().flat_map(|client| ["--client", client]));
        let idle_ttl = setup.idle_ttl.map(|ttl| format!("{}s", ttl.as_secs()));
        if let Some(idle_ttl) = &idle_ttl {
            args.extend(["--idle-ttl", idle_ttl, "--recovery", idle_ttl]);
        }
        let settings = Settings::parse_from(args);
        let secret = MasterSecret::generate().unwrap();
        let app = App::with_store(&settings, secret, Arc::new(store), clock.clone())
            .await
            .unwrap();
        let users =
            USERS.map(|(name, password, scope)| NewUser::new(name, password, scope).unwrap());
        app.users.replace_all(&users).unwrap();
        Self {
            app,
            clock,
            _directory: directory,
        }
    }

    pub(crate) async fn change_user(&self, name: &str, change: UserChange) {
        let changed = match change {
            UserChange::Scope(scope) => {
                self.app
                    .users
                    .set_scope(name, Scopes::parse(scope).unwrap())
                    .await
            }
            UserChange::Deleted => self.app.users.delete(name).await,
        };
        assert!(changed.unwrap(), "there is a user {name}");
    }
}
