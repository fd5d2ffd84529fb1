//! Honest clients. A node must never refuse them anything. They note each answer.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use gatepass::{Error, Issued, Refusal};
use gatepass_tests::nodes::{Node, login, subject};
use tokio::task::JoinSet;

/// How long a client without an answer waits before it tries again.
const BACKOFF: Duration = Duration::from_millis(10);

/// Clients of one node, until the test stops them.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<()>,
    pub(crate) seen: Arc<Seen>,
}

/// The answers to the clients.
#[derive(Default)]
pub(crate) struct Seen {
    answered: AtomicU64,
    unavailable: AtomicU64,
    /// Refusals, and all other answers that no client may get.
    wrong: Mutex<Vec<String>>,
    /// The longest duration of an operation, and its name.
    slowest: Mutex<(Duration, &'static str)>,
    /// The new sessions, with everything that was acknowledged about them.
    pub(crate) acknowledged: Mutex<Vec<Acknowledged>>,
}

/// A session, as a client knows it.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    /// The last tokens that the client received.
    pub(crate) issued: Issued,
    /// How often the session got another refresh token. That is once per overlap, regardless of the
    /// number of refreshes.
    pub(crate) rotations: u32,
    /// The state of its logout: not requested, requested, or done.
    pub(crate) logout: Logout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logout {
    Not,
    Asked,
    Done,
}

impl Load {
    /// Starts `clients` clients of `node`.
    pub(crate) fn on(node: &Arc<Node>, clients: usize) -> Self {
        static NAMES: AtomicU64 = AtomicU64::new(0);
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Seen::default()));
        let mut running = JoinSet::new();
        for _ in 0..clients {
            let name = format!("honest {}", NAMES.fetch_add(1, Ordering::Relaxed));
            let client = Client {
                node: Arc::clone(node),
                name,
                stop: Arc::clone(&stop),
                seen: Arc::clone(&seen),
            };
            running.spawn(client.run());
        }
        Self {
            stop,
            clients: running,
            seen,
        }
    }

    /// Lets the clients finish. Panics if a node refused one of them, or if one waited longer than
    /// `limit`.
    pub(crate) async fn stop(mut self, limit: Duration) -> Arc<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(client) = self.clients.join_next().await {
            client.unwrap();
        }
        let wrong = self.seen.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{wrong:#?}");
        let (slowest, operation) = *self.seen.slowest.lock().unwrap();
        assert!(slowest <= limit, "{operation} took {slowest:?}");
        drop(wrong);
        self.seen
    }
}

impl Seen {
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn unavailable(&self) -> u64 {
        self.unavailable.load(Ordering::Relaxed)
    }

    /// Waits until so many more operations were answered.
    pub(crate) async fn answer(&self, more: u64) {
        let goal = self.answered() + more;
        while self.answered() < goal {
            tokio::time::sleep(BACKOFF).await;
        }
    }

    /// Waits until so many more operations got no answer.
    pub(crate) async fn fail(&self, more: u64) {
        let goal = self.unavailable() + more;
        while self.unavailable() < goal {
            tokio::time::sleep(BACKOFF).await;
        }
    }
}

struct Client {
    node: Arc<Node>,
    name: String,
    stop: Arc<AtomicBool>,
    seen: Arc<Seen>,
}

impl Client {
    /// Logs in, uses the session for a while, and logs out.
    async fn run(self) {
        let authority = &self.node.authority;
        while !self.stopped() {
            let issued = self.insist("login", || login(authority, &self.name)).await;
            let Some(issued) = issued else { return };
            let place = self.acknowledge(issued.clone());
            let mut issued = issued;
            for round in 0..6 {
                let verified = self.once("verify", self.node.verify(&issued)).await;
                if let Some(pass) = verified {
                    assert_eq!(pass.session_id(), Some(issued.session_id));
                }
                if round == 3 {
                    let name = subject(&self.name);
                    if let Some(listed) = self.once("list", authority.sessions(&name, None)).await {
                        let own = listed
                            .sessions
                            .iter()
                            .any(|session| session.id == issued.session_id);
                        self.expect(own, "a live session is not listed");
                    }
                }
                let refreshed = self.insist("refresh", || self.node.refresh(&issued)).await;
                let Some(next) = refreshed else { return };
                self.expect(next.session_id == issued.session_id, "another session");
                let rotated = next.refresh_token != issued.refresh_token;
                issued = next;
                self.change(place, |one| {
                    one.issued = issued.clone();
                    one.rotations += u32::from(rotated);
                });
            }
            self.change(place, |one| one.logout = Logout::Asked);
            let token = issued.refresh_token.as_str();
            let out = self.insist("logout", || authority.logout(token)).await;
            if out.is_none() {
                return;
            }
            self.change(place, |one| one.logout = Logout::Done);
            // After an acknowledged logout, this node refuses the session at once.
            let after = self.node.verify(&issued).await;
            let gone = matches!(
                after,
                Err(Error::Refused(Refusal::Revoked) | Error::Store(_))
            );
            self.expect(gone, "honoured after its own logout");
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Repeats a call with the same token, as clients should, until there is an answer or the test
    /// stops.
    async fn insist<T, F>(&self, what: &'static str, mut call: impl FnMut() -> F) -> Option<T>
    where
        F: Future<Output = Result<T, Error>>,
    {
        loop {
            if let Some(answer) = self.once(what, call()).await {
                return Some(answer);
            }
            if self.stopped() {
                return None;
            }
            tokio::time::sleep(BACKOFF).await;
        }
    }

    async fn once<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Option<T> {
        let begun = Instant::now();
        let answer = call.await;
        let took = begun.elapsed();
        let mut slowest = self.seen.slowest.lock().unwrap();
        if slowest.0 < took {
            *slowest = (took, what);
        }
        drop(slowest);
        match answer {
            Ok(answer) => {
                self.seen.answered.fetch_add(1, Ordering::Relaxed);
                Some(answer)
            }
            Err(Error::Store(_)) => {
                self.seen.unavailable.fetch_add(1, Ordering::Relaxed);
                None
            }
            Err(error) => {
                self.expect(false, &format!("{what}: {error:?}"));
                None
            }
        }
    }

    fn expect(&self, right: bool, wrong: &str) {
        if !right {
            self.seen.wrong.lock().unwrap().push(wrong.to_owned());
        }
    }

    fn acknowledge(&self, issued: Issued) -> usize {
        let mut acknowledged = self.seen.acknowledged.lock().unwrap();
        acknowledged.push(Acknowledged {
            issued,
            rotations: 0,
            logout: Logout::Not,
        });
        acknowledged.len() - 1
    }

    fn change(&self, place: usize, change: impl FnOnce(&mut Acknowledged)) {
        change(&mut self.seen.acknowledged.lock().unwrap()[place]);
    }
}
