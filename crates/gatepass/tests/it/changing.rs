//! Changes of the rights of sessions that go on: what they write, who enforces them and when, and
//! what becomes of them in races and faults.

mod authenticating;
mod enforcing;
mod faults;
mod impersonating;
mod many;
mod races;
mod writing;

use std::sync::{Arc, Mutex};

use gatepass::{
    AuthenticationError, Authenticator, Authority, Change, Credentials, Device, Error, Identity,
    Issued, Pass, Refusal, Scopes, Session, UserUpdate, async_trait, store::SessionStore,
};
use test_support::world::{refusal, subject, verify};

fn scopes(list: &str) -> Scopes {
    Scopes::parse(list).unwrap()
}

fn identity(name: &str, list: &str) -> Identity {
    Identity::of(subject(name)).scopes(scopes(list))
}

/// A session of this user with these scopes.
async fn begin(node: &Authority, name: &str, list: &str) -> Issued {
    let issued = node.issue(identity(name, list), Device::default()).await;
    issued.unwrap()
}

/// Gives a session these scopes.
fn to(list: &str) -> impl Fn(Identity) -> Result<Identity, gatepass::IdentityError> + use<> {
    let list = scopes(list);
    move |identity| Ok(identity.scopes(list.clone()))
}

/// Gives a session this claim and no other.
fn claiming(
    claim: serde_json::Value,
) -> impl Fn(Identity) -> Result<Identity, gatepass::IdentityError> {
    move |identity| identity.claims(&claim)
}

fn enforced(list: &str) -> Change {
    Change::enforced(to(list))
}

fn offered(list: &str) -> Change {
    Change::offered(to(list))
}

async fn stored(store: &impl SessionStore, issued: &Issued) -> Session {
    store.load(issued.session_id).await.unwrap().0.unwrap()
}

async fn is_stale(node: &Authority, issued: &Issued) -> bool {
    match verify(node, issued).await {
        Ok(_) => false,
        refused => {
            assert_eq!(refusal(refused), Refusal::StaleGrant);
            true
        }
    }
}

#[track_caller]
fn assert_stale(verified: Result<Pass, Error>) {
    assert_eq!(refusal(verified), Refusal::StaleGrant);
}

/// Users of whom the application says what the test sets. A test can hold its answer.
#[derive(Clone, Default)]
struct Users(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    update: Option<UserUpdate>,
    held: Option<Held>,
}

/// The next question to the users. The answer was read when the question came, and arrives when the
/// test lets it.
struct Held {
    asked: tokio::sync::oneshot::Sender<()>,
    answer: tokio::sync::oneshot::Receiver<()>,
}

impl Users {
    fn now(&self, update: UserUpdate) {
        self.0.lock().unwrap().update = Some(update);
    }

    fn are(&self, identity: Identity) {
        self.now(UserUpdate::Changed(identity));
    }

    /// Holds the next answer. Resolves, when it is awaited, once the question came.
    fn hold(
        &self,
    ) -> (
        tokio::sync::oneshot::Receiver<()>,
        tokio::sync::oneshot::Sender<()>,
    ) {
        let (asked, has_asked) = tokio::sync::oneshot::channel();
        let (release, answer) = tokio::sync::oneshot::channel();
        self.0.lock().unwrap().held = Some(Held { asked, answer });
        (has_asked, release)
    }

    async fn answer(&self) -> UserUpdate {
        let (update, held) = {
            let mut state = self.0.lock().unwrap();
            (state.update.clone(), state.held.take())
        };
        if let Some(Held { asked, answer }) = held {
            asked.send(()).unwrap();
            answer.await.unwrap();
        }
        update.unwrap_or(UserUpdate::Unchanged)
    }
}

#[async_trait]
impl Authenticator for Users {
    /// The password is anything.
    async fn authenticate(
        &self,
        credentials: &Credentials,
        _: &Device,
    ) -> Result<Identity, AuthenticationError> {
        match self.answer().await {
            UserUpdate::Changed(identity) => Ok(identity),
            UserUpdate::Unchanged => Ok(Identity::new(credentials.username())?),
            UserUpdate::Deleted => Err(AuthenticationError::BadCredentials),
        }
    }

    async fn reload_user(&self, _: &Session) -> Result<UserUpdate, AuthenticationError> {
        Ok(self.answer().await)
    }
}
