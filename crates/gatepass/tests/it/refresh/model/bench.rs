//! The nodes under test, the users that they know, and a mint of the refresh tokens to expect.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

use gatepass::{
    AuthenticationError, Authenticator, Authority, ClientId, Credentials, Device, Identity,
    MasterSecret, MemoryStore, ReusePolicy, Session, SessionId, Subject, Timestamp, UserUpdate,
    async_trait, keys::SecretSet, store::SessionStore,
};
use gatepass_testkit::{ManualClock, sessions::new_session};
use test_support::world::{DAY, MINUTE, SECRET, World, builder};

use crate::refresh::model::session::{
    self, Allowed, MAX_SESSIONS, NEVER, Reached, SECRETS, Secrets, User, UserState,
};

pub(crate) const CLIENTS: [&str; 2] = ["default", "mobile"];
pub(crate) const PASSWORD: &str = "wonderland";

/// Four nodes over the store under test: one for each client that reads users again, and one that
/// does not. Their number is [`node_of`].
pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) nodes: Vec<Authority>,
    pub(crate) users: Users,
    pub(crate) mints: Vec<Mint>,
    pub(crate) reached: Mutex<Reached>,
}

pub(crate) fn node_of(client: usize, plain: bool) -> usize {
    client + if plain { CLIENTS.len() } else { 0 }
}

pub(crate) fn reads_users(node: usize) -> bool {
    node < CLIENTS.len()
}

impl Bench {
    pub(crate) async fn new(world: World) -> Self {
        let users = Users::default();
        let mut nodes = Vec::new();
        for plain in [false, true] {
            for client in CLIENTS {
                let node = builder(world.store.clone(), &world.clock)
                    .client_id(client)
                    .access_ttl(millis(session::ACCESS))
                    .idle_ttl(millis(session::IDLE))
                    .absolute_ttl(millis(session::ABSOLUTE))
                    .max_sessions(max_sessions())
                    .reuse(ReusePolicy {
                        overlap: millis(session::OVERLAP),
                        recovery: millis(session::RECOVERY),
                        ..Default::default()
                    });
                let node = if plain {
                    node
                } else {
                    node.authenticator(users.clone())
                };
                nodes.push(node.build().await.unwrap());
            }
        }
        let mut mints = Vec::new();
        for secret in 0..SECRETS {
            mints.push(Mint::new(secret).await);
        }
        Self {
            world,
            nodes,
            users,
            mints,
            reached: Mutex::default(),
        }
    }

    pub(crate) fn replace_secrets(&self, secrets: &Secrets) {
        let mut set = SecretSet::new(secret(secrets.active));
        for other in (0..SECRETS).filter(|other| *other != secrets.active) {
            let until = secrets.until[other];
            if until != NEVER {
                set = set.retire(secret(other), Timestamp::from_unix_millis(until));
            }
        }
        for node in &self.nodes {
            node.replace_secrets(&set).unwrap();
        }
    }
}

fn secret(number: usize) -> MasterSecret {
    let bytes = [SECRET, &[b'0'; 9][..number]].concat();
    MasterSecret::from_bytes(&bytes).unwrap()
}

pub(crate) fn client(number: usize) -> ClientId {
    ClientId::new(CLIENTS[number]).unwrap()
}

pub(crate) fn scopes(scopes: session::Scopes) -> gatepass::Scopes {
    let named = ["a", "b", "c", "d"].into_iter().enumerate();
    let held = named.filter(|(bit, _)| scopes & (1 << bit) != 0);
    gatepass::Scopes::new(held.map(|(_, name)| name)).unwrap()
}

pub(crate) fn identity(subject: Subject, allowed: Allowed) -> Identity {
    let identity = Identity::of(subject).scopes(scopes(allowed.scopes));
    match allowed.ttl {
        Some(ttl) => identity.access_ttl(millis(ttl)),
        None => identity,
    }
}

/// The users of the application, by name.
#[derive(Clone, Default)]
pub(crate) struct Users(Arc<Mutex<HashMap<String, User>>>);

impl Users {
    pub(crate) fn set(&self, subject: &Subject, user: User) {
        let name = subject.as_str().to_owned();
        self.0.lock().unwrap().insert(name, user);
    }

    fn of(&self, name: &str) -> User {
        self.0.lock().unwrap()[name]
    }
}

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(
        &self,
        credentials: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        let user = self.of(credentials.username());
        if user.state == UserState::Deleted || credentials.password() != Some(PASSWORD) {
            return Err(AuthenticationError::BadCredentials);
        }
        let subject = Subject::new(credentials.username())?;
        Ok(identity(subject, user.allowed))
    }

    async fn reload_user(&self, session: &Session) -> Result<UserUpdate, AuthenticationError> {
        let user = self.of(session.subject().as_str());
        Ok(match user.state {
            UserState::Unchanged => UserUpdate::Unchanged,
            UserState::Changed => {
                UserUpdate::Changed(identity(session.subject().clone(), user.allowed))
            }
            UserState::Deleted => UserUpdate::Deleted,
        })
    }
}

/// A node that makes the refresh tokens of one secret, of any session and generation: also those
/// that the store under test has not come to.
pub(crate) struct Mint {
    node: Authority,
    store: MemoryStore,
}

impl Mint {
    async fn new(active: usize) -> Self {
        let clock = ManualClock::new();
        let store = MemoryStore::with_clock(clock.clone());
        // With an overlap it would make the next token only once that is over.
        let node = builder(store.clone(), &clock).reuse(ReusePolicy {
            overlap: Duration::ZERO,
            ..Default::default()
        });
        let node = node.build().await.unwrap();
        let others = (0..SECRETS).filter(|other| *other != active);
        let secrets = others.fold(SecretSet::new(secret(active)), |secrets, other| {
            secrets.announce(secret(other))
        });
        node.replace_secrets(&secrets).unwrap();
        Self { node, store }
    }

    /// Lets the mint know of a session.
    pub(crate) async fn begin(&self, id: SessionId, subject: &Subject, number: usize) {
        let mut new = new_session(subject.as_str());
        new.id = id;
        new.client = client(number);
        new.idle_ttl = DAY;
        new.absolute_ttl = DAY;
        new.access_ttl = MINUTE;
        self.store.begin(new).await.unwrap();
    }

    /// The token that follows `token`.
    pub(crate) async fn after(&self, token: &str, number: usize) -> String {
        let client = client(number);
        let issued = self
            .node
            .refresh_as(&client, token, None, None)
            .await
            .unwrap();
        issued.refresh_token.as_str().to_owned()
    }
}

fn max_sessions() -> NonZeroU32 {
    NonZeroU32::new(MAX_SESSIONS as u32).unwrap()
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(millis.try_into().unwrap())
}
