//! The demonstrations of the page: a theft, a change of rights, and a second node that learns of a
//! logout.
//!
//! Only this example has such routes. Your own service needs none of them.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use gatepass::{
    Authority, Change, ClientId, Clock, Device, Error, Identity, Pass, Scopes, Session, SessionId,
};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    answer::{Answer, millis},
    brought::{Brought, CookieNames},
    peer::Peer,
    users::Users,
};

/// The scope that the page takes away and gives back.
const RIGHT: &str = "admin";
/// Maximum number of stolen tokens to keep. Another theft replaces an arbitrary one.
const THIEVES: usize = 100;
/// The browser of the thief in the log.
const THIEF: &str = "the thief of the demonstration";

/// An action of the page. The page requests it by `POST`, behind a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Copies the refresh token of the request's cookie, as malware on the user's computer would.
    Steal,
    /// Uses the copy.
    Replay,
    /// Takes the scope `admin` away from the user.
    Demote,
    /// Gives the scope `admin` to the user.
    Promote,
    /// Watches the second node until it refuses the request's access token.
    Peer,
}

impl Action {
    /// The path of its route.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Steal => "/demo/steal",
            Self::Replay => "/demo/replay",
            Self::Demote => "/demo/demote",
            Self::Promote => "/demo/promote",
            Self::Peer => "/demo/peer",
        }
    }
}

/// The demonstrations. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Demo {
    authority: Authority,
    users: Users,
    clock: Arc<dyn Clock>,
    overlap: Duration,
    cookies: CookieNames,
    /// The users whose tokens may be stolen and whose rights may change. Other users of the same
    /// table may be real.
    demo_users: Arc<[String]>,
    thief: Arc<Thief>,
    peer: Option<Peer>,
}

/// The copies of the stolen tokens.
type Thief = Mutex<HashMap<SessionId, Stolen>>;

struct Stolen {
    refresh_token: Zeroizing<String>,
    client: ClientId,
}

impl Demo {
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Demonstrates with the sessions of `authority`, whose gates read the cookies `cookies`. Only
    /// `demo_users` can try thefts and changes of rights: the server must not keep a copy of a real
    /// user's token, and real users must not make themselves administrators.
    pub(crate) fn new(
        authority: Authority,
        users: Users,
        clock: Arc<dyn Clock>,
        overlap: Duration,
        cookies: CookieNames,
        demo_users: Arc<[String]>,
        peer: Option<Peer>,
    ) -> Self {
        Self {
            authority,
            users,
            clock,
            overlap,
            cookies,
            demo_users,
            thief: Arc::default(),
            peer,
        }
    }

    /// The actions that have a route.
    pub(crate) fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        if !self.demo_users.is_empty() {
            actions.extend([
                Action::Steal,
                Action::Replay,
                Action::Demote,
                Action::Promote,
            ]);
        }
        if self.peer.is_some() {
            actions.push(Action::Peer);
        }
        actions
    }

    /// Runs `action` for the session of `pass`. The request brought the tokens in `brought`.
    pub(crate) async fn act(&self, action: Action, pass: &Pass, brought: Brought) -> Answer {
        match (action, &self.peer) {
            (Action::Steal, _) if !self.demo_users.is_empty() => self.steal(pass, brought).await,
            (Action::Replay, _) if !self.demo_users.is_empty() => self.replay(pass).await,
            (Action::Demote | Action::Promote, _) if !self.demo_users.is_empty() => {
                let changed = self.change(pass, action == Action::Promote).await;
                changed.unwrap_or_else(|error| Answer::store_unavailable(&error))
            }
            (Action::Peer, Some(peer)) if let Some(session) = pass.session_id() => {
                let access = brought.into_access(self.cookies);
                let verifier = self.authority.verifier();
                peer.watch(verifier, session, access).await
            }
            _ => Answer::error(404, "not_found", "this service has no such demonstration"),
        }
    }

    fn is_demo_user(&self, pass: &Pass) -> bool {
        let subject = pass.subject().as_str();
        self.demo_users.iter().any(|name| name == subject)
    }

    /// Gives the right to the user of `pass`, or takes it away. Your own application does the same
    /// when an administrator changes a user: first the user, then the sessions.
    async fn change(&self, pass: &Pass, gives: bool) -> Result<Answer, Error> {
        if !self.is_demo_user(pass) {
            let description = "only a demo user's rights can be changed; log in as one of them";
            return Ok(Answer::error(403, "not_a_demo_user", description));
        }
        let changed = move |scopes: &Scopes| {
            let right = Scopes::new([RIGHT]).unwrap_or_default();
            if gives {
                scopes.union(&right)
            } else {
                scopes.without(&right)
            }
        };
        let subject = pass.subject();
        let scopes = self
            .users
            .change_scope(subject.as_str(), |scopes| changed(&scopes));
        let Some(scopes) = scopes.await? else {
            return Ok(Answer::error(
                404,
                "no_user",
                "the user is not there any more",
            ));
        };
        let with = move |identity: Identity| {
            let scopes = changed(identity.granted_scopes());
            Ok(identity.scopes(scopes))
        };
        let change = match gives {
            // Older access tokens stay valid, and the server offers their clients a refresh.
            true => Change::offered(with),
            // Every node refuses older access tokens within `max_staleness`.
            false => Change::enforced(with),
        };
        let sessions = self.authority.change(subject, &change).await?;
        Ok(Answer::ok(
            json!({"scope": scopes.as_str(), "sessions": sessions}),
        ))
    }

    async fn steal(&self, pass: &Pass, brought: Brought) -> Answer {
        if !self.is_demo_user(pass) {
            let description = "only a demo user's token can be stolen; log in as one of them";
            return Answer::error(403, "not_a_demo_user", description);
        }
        let Some(refresh_token) = brought.into_refresh_token(self.cookies) else {
            let description = "the request has no cookie with a refresh token to steal";
            return Answer::error(400, "nothing_to_steal", description);
        };
        let session = match self.session(pass).await {
            Ok(session) => session,
            Err(error) => return Answer::store_unavailable(&error),
        };
        if let (Some(id), Some(client)) = (pass.session_id(), pass.client_id().cloned()) {
            let stolen = Stolen {
                refresh_token,
                client,
            };
            keep(&self.thief, id, stolen);
        }
        Answer::ok(json!({
            "generation": session.as_ref().map(|session| session.generation.get()),
            "wait_ms": millis(self.until_it_can_rotate(session.as_ref())),
        }))
    }

    async fn replay(&self, pass: &Pass) -> Answer {
        let thief = &self.thief;
        let id = pass.session_id();
        let stolen = id.and_then(|id| Some((id, lock(thief).remove(&id)?)));
        let Some((id, stolen)) = stolen else {
            return Answer::error(409, "not_stolen", "steal the refresh token first");
        };
        let mut device = Device::default();
        device.user_agent = Some(THIEF.to_owned());
        let Stolen {
            refresh_token,
            client,
        } = stolen;
        let refreshed = self
            .authority
            .refresh_as(&client, &refresh_token, None, Some(&device))
            .await;
        match refreshed {
            Ok(issued) => {
                let refresh_token = Zeroizing::new(issued.refresh_token.as_str().to_owned());
                keep(
                    thief,
                    id,
                    Stolen {
                        refresh_token,
                        client,
                    },
                );
                Answer::ok(json!({"status": 200, "reason": null}))
            }
            // The copy is now worthless.
            Err(Error::Refused(refusal)) => {
                Answer::ok(json!({"status": 401, "reason": refusal.reason()}))
            }
            Err(error) => {
                keep(
                    thief,
                    id,
                    Stolen {
                        refresh_token,
                        client,
                    },
                );
                Answer::store_unavailable(&error)
            }
        }
    }

    /// The session of `pass`, if it is among the newest of its user.
    async fn session(&self, pass: &Pass) -> Result<Option<Session>, Error> {
        let page = self.authority.sessions(pass.subject(), None).await?;
        let mut sessions = page.sessions.into_iter();
        Ok(sessions.find(|session| Some(session.id) == pass.session_id()))
    }

    /// How long a refresh brings no new refresh token. If the session is unknown, the longest
    /// possible time.
    fn until_it_can_rotate(&self, session: Option<&Session>) -> Duration {
        let Some(session) = session else {
            return self.overlap;
        };
        let now = self.clock.now();
        let age = session
            .rotated
            .map(|last| session.age_of(last, now).unwrap_or_default());
        age.map_or(Duration::ZERO, |age| self.overlap.saturating_sub(age))
    }
}

impl fmt::Debug for Demo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Demo")
            .field("actions", &self.actions())
            .finish_non_exhaustive()
    }
}

fn keep(thief: &Thief, id: SessionId, stolen: Stolen) {
    let mut thief = lock(thief);
    if thief.len() >= THIEVES && !thief.contains_key(&id) {
        let forgotten = thief.keys().next().copied();
        forgotten.and_then(|forgotten| thief.remove(&forgotten));
    }
    thief.insert(id, stolen);
}

/// The map stays consistent after a panic, because each change of it is one call.
fn lock(thief: &Thief) -> std::sync::MutexGuard<'_, HashMap<SessionId, Stolen>> {
    thief.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
