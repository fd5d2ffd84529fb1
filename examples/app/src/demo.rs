//! The demonstrations of the page: a theft, and a second node that learns of a logout.
//!
//! Routes of this example alone. A service of yours has nothing like it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use gatepass::{Authority, ClientId, Clock, Device, Error, Pass, Session, SessionId};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    answer::{Answer, millis},
    brought::{Brought, CookieNames},
    peer::Peer,
};

/// Maximum number of stolen tokens to keep. One more replaces an arbitrary one.
const THIEVES: usize = 100;
/// The browser of the thief, as the log tells it.
const THIEF: &str = "the thief of the demonstration";

/// An act that the page asks for by `POST`, behind a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Copies the refresh token of the request's cookie, as malware on the user's computer would.
    Steal,
    /// Uses the copy.
    Replay,
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
            Self::Peer => "/demo/peer",
        }
    }
}

/// All demonstrations that there are.
#[derive(Clone)]
pub(crate) struct Demo {
    authority: Authority,
    clock: Arc<dyn Clock>,
    overlap: Duration,
    cookies: CookieNames,
    /// The users whose tokens may be stolen. Others of the same table may be real.
    demo_users: Arc<[String]>,
    thief: Arc<Thief>,
    peer: Option<Peer>,
}

/// The copies of tokens that were stolen.
type Thief = Mutex<HashMap<SessionId, Stolen>>;

struct Stolen {
    refresh_token: Zeroizing<String>,
    client: ClientId,
}

impl Demo {
    /// Demonstrates with the sessions of `authority`, whose gates read the cookies by these names:
    /// a theft only from `demo_users`, since a copy of a real user's token belongs in no memory.
    pub(crate) fn new(
        authority: Authority,
        clock: Arc<dyn Clock>,
        overlap: Duration,
        cookies: CookieNames,
        demo_users: Arc<[String]>,
        peer: Option<Peer>,
    ) -> Self {
        Self {
            authority,
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
            actions.extend([Action::Steal, Action::Replay]);
        }
        if self.peer.is_some() {
            actions.push(Action::Peer);
        }
        actions
    }

    /// Does `action` for the session of `pass`, whose request brought these tokens.
    pub(crate) async fn act(&self, action: Action, pass: &Pass, brought: Brought) -> Answer {
        match (action, &self.peer) {
            (Action::Steal, _) if !self.demo_users.is_empty() => self.steal(pass, brought).await,
            (Action::Replay, _) if !self.demo_users.is_empty() => self.replay(pass).await,
            (Action::Peer, Some(peer)) => {
                let access = brought.into_access(self.cookies);
                let verifier = self.authority.verifier();
                peer.watch(verifier, pass.session_id(), access).await
            }
            _ => Answer::error(404, "not_found", "this service shows no such thing"),
        }
    }

    async fn steal(&self, pass: &Pass, brought: Brought) -> Answer {
        let subject = pass.subject().as_str();
        if !self.demo_users.iter().any(|name| name == subject) {
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
        let stolen = Stolen {
            refresh_token,
            client: pass.client_id().clone(),
        };
        keep(&self.thief, pass.session_id(), stolen);
        Answer::ok(json!({
            "generation": session.as_ref().map(|session| session.generation.get()),
            "wait_ms": millis(self.until_it_can_rotate(session.as_ref())),
        }))
    }

    async fn replay(&self, pass: &Pass) -> Answer {
        let thief = &self.thief;
        let id = pass.session_id();
        let Some(stolen) = lock(thief).remove(&id) else {
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
            // The copy is worthless now.
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
        Ok(sessions.find(|session| session.id == pass.session_id()))
    }

    /// How long a refresh brings no new refresh token. The longest time if the session is unknown.
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

/// A map that a panic has left is whole: each change of it is one call.
fn lock(thief: &Thief) -> std::sync::MutexGuard<'_, HashMap<SessionId, Stolen>> {
    thief.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
