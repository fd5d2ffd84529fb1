//! A connection that stays open for as long as its access token is good.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::{
    env::clock::Timestamp,
    error::Error,
    model::refusal::Refusal,
    observe,
    token::pass::Pass,
    verifier::{ended::Ended, requirements::Requirements, verifier::Verifier},
};

/// A connection that stays open longer than a request: a WebSocket, server-sent events, a gRPC
/// stream. It says when it must end. Cheap to clone; all clones are one connection.
///
/// A gate judges the request that opens a connection, and a `Connection` judges it from then on. By
/// default it ends
///
/// * when the session ends or the token is revoked, within `max_staleness` on every node;
/// * when an [enforced](crate::Change::enforced) change of the session's rights makes the token
///   stale, within the same bound;
/// * when the access token expires, unless the client [renews](Self::renew) the connection;
/// * when the node has not heard from its store for `max_staleness`, since it could not learn of a
///   revocation. Gates answer requests with 503 then.
///
/// The adapters have it as an extractor, and end WebSockets and streams by themselves:
/// [`docs::connections`](crate::docs::connections) has a complete program.
///
/// ```
/// use std::time::Duration;
/// use gatepass::{Authority, Device, Ended, Identity, MasterSecret, MemoryStore, Requirements};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let authority =
///     Authority::builder("https://shop.example", "shop-api", MasterSecret::generate()?, MemoryStore::new())
///         .build()
///         .await?;
/// let issued = authority.issue(Identity::new("alice")?, Device::default()).await?;
/// let verifier = authority.verifier();
/// let pass = verifier.verify(issued.access_token.as_str(), &Requirements::new()).await?;
///
/// let connection = verifier.connection(&pass);
/// authority.end_session(issued.session_id).await?;
/// assert_eq!(connection.ended().await, Ended::Revoked);
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Connection {
    verifier: Verifier,
    requirements: Arc<Requirements>,
    follows_session: bool,
    patience: Duration,
    shared: Arc<Shared>,
}

/// The state of a connection, shared by all futures that wait for its end.
///
/// Such a future keeps no state of its own. A handler may drop it and create another at each
/// message, and that must not restart a timeout.
type Shared = watch::Sender<State>;

#[derive(Clone)]
struct State {
    pass: Pass,
    /// Until when the connection may stay open without a renewal or an answer of the store.
    until: Timestamp,
    /// Whether a task asks the store about the session.
    asking: bool,
    /// Since when a volatile store doesn't answer.
    unanswered_since: Option<Instant>,
    /// The end that the store has reported.
    over: Option<Ended>,
}

/// The longest wait before a connection looks at the clock again. A wall clock that is set forward
/// makes a token expire sooner than its timer knows.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// The pause before the node asks a failing store again about a session.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The shortest time between two questions about a session. For example, tokens that live for a
/// second cause one question a second.
const MIN_LIFETIME: Duration = Duration::from_secs(1);

/// The result of one look.
enum Look {
    Over(Ended),
    /// The connection may stay open for now. Look again after this time.
    Open(Duration),
}

impl Verifier {
    /// A connection that stays open for as long as `pass` is good. A renewal needs only a good
    /// token: [`Connection::require`] adds the requirements of the route. The extractors of the
    /// adapters do that for you.
    pub fn connection(&self, pass: &Pass) -> Connection {
        Connection {
            verifier: self.clone(),
            requirements: Arc::default(),
            follows_session: false,
            patience: Duration::ZERO,
            shared: Arc::new(watch::Sender::new(State {
                until: self.expiry(pass),
                pass: pass.clone(),
                asking: false,
                unanswered_since: None,
                over: None,
            })),
        }
    }

    /// Resolves when a connection with this pass must end. It is [`Connection::ended`] of a
    /// connection with default settings that is never renewed.
    ///
    /// ```
    /// use gatepass::{Ended, Pass, Verifier};
    ///
    /// async fn export(verifier: &Verifier, pass: &Pass) -> Result<String, Ended> {
    ///     tokio::select! {
    ///         ended = verifier.ended(pass) => Err(ended),
    ///         report = async { "a long report".to_owned() } => Ok(report),
    ///     }
    /// }
    /// ```
    pub async fn ended(&self, pass: &Pass) -> Ended {
        self.connection(pass).ended().await
    }

    /// When gates refuse a token as expired.
    fn expiry(&self, pass: &Pass) -> Timestamp {
        pass.expires_at() + self.policy().leeway
    }
}

impl Connection {
    /// The time that an adapter gives a WebSocket to close, from the Close frame to the client's
    /// answer.
    pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

    /// Lets the connection outlive its access token, for as long as its session lives.
    ///
    /// Use it, for example, for a browser that holds its token in a cookie: its scripts can't send
    /// the token through a WebSocket.
    ///
    /// When the token expires, the node asks the store once about the session, and again once per
    /// lifetime of an access token. A revocation ends the connection as soon as without this
    /// setting.
    ///
    /// If the store doesn't answer, the connection ends as [`Ended::Unknown`] after its
    /// [`patience`](Self::patience).
    ///
    /// Two kinds of connections still end when their token expires: the connection of an
    /// impersonation, and a connection with a token of another issuer, which has no session here.
    pub fn follow_session(mut self) -> Self {
        self.follows_session = true;
        self
    }

    /// How much longer than `max_staleness` the connection stays open while the node can't reach
    /// its store. Default zero.
    ///
    /// During this time a revoked session may keep its connection. Choose more than zero if an
    /// outage of a few seconds must not make all clients connect again, and a few more messages to
    /// a revoked session do no harm. For example, choose 30 seconds for a ticker of prices. If the
    /// store is back in time, the connection goes on.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Requires more of a token that the client renews with, as a gate does for each request. The
    /// requirements of several calls add up.
    pub fn require(mut self, requirements: Requirements) -> Self {
        let before = Arc::unwrap_or_clone(self.requirements);
        self.requirements = Arc::new(before.and(requirements));
        self
    }

    /// The pass of the newest token of this connection: the one that opened it, or the one that
    /// last renewed it.
    #[must_use]
    pub fn pass(&self) -> Pass {
        self.shared.borrow().pass.clone()
    }

    /// The verifier that judges the connection.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Prolongs the connection with a newer access token, which the client sends through the
    /// connection itself.
    ///
    /// The token must be good, satisfy the requirements of the route, and belong to the session,
    /// the subject and the client that opened the connection. A good token that expires sooner than
    /// the present one, or that carries older rights, changes nothing, and the call succeeds.
    ///
    /// # Errors
    ///
    /// The errors of [`Verifier::verify`], and [`Refusal::Ambiguous`] for a token of another
    /// session, subject or client. After an error, the connection goes on as before.
    pub async fn renew(&self, token: &str) -> Result<(), Error> {
        let pass = self.verifier.verify(token, &self.requirements).await?;
        let until = self.verifier.expiry(&pass);
        let mut fits = false;
        self.shared.send_if_modified(|state| {
            fits = are_of_one_session(&state.pass, &pass);
            let newness = |pass: &Pass| (pass.grant_version(), pass.expires_at());
            let renews = fits && newness(&pass) >= newness(&state.pass);
            if renews {
                // A connection that follows its session may have been prolonged further.
                state.until = state.until.max(until);
                state.pass = pass.clone();
            }
            renews
        });
        if fits {
            return Ok(());
        }
        let refusal = Refusal::Ambiguous;
        self.verifier.refusals().token(Some(&pass), &refusal);
        Err(refusal.into())
    }

    /// Resolves when the connection must end. It resolves at once for a connection that is already
    /// over.
    ///
    /// You may drop the future and call again. For example, `tokio::select!` in a loop does so at
    /// each message.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled, as all of tokio does.
    pub async fn ended(&self) -> Ended {
        let ended = self.wait_for_end().await;
        observe::connection_ended(&self.pass(), ended.reason());
        ended
    }

    /// Runs `work` until the connection must end, and drops it then, at any `await`. For example,
    /// it drops a write that waits for a slow client.
    ///
    /// # Errors
    ///
    /// The [`Ended`], if the connection ended before `work` was done.
    pub async fn until_ended<F: Future>(&self, work: F) -> Result<F::Output, Ended> {
        tokio::select! {
            biased;
            ended = self.ended() => Err(ended),
            done = work => Ok(done),
        }
    }

    async fn wait_for_end(&self) -> Ended {
        let replica = self.verifier.replica();
        let (mut state, mut unleased) = (self.shared.subscribe(), replica.unleased_since());
        loop {
            let seen = state.borrow_and_update().clone();
            // The watch begins before the look, so that no revocation falls between the two.
            let watch = replica.watch(&seen.pass);
            replica.notice_lease();
            let unleased_since = *unleased.borrow_and_update();
            let pause = match self.look(&seen, unleased_since).await {
                Look::Over(ended) => return ended,
                Look::Open(pause) => pause,
            };
            tokio::select! {
                () = watch.woken() => {}
                // Their senders live as long as this connection.
                _ = state.changed() => {}
                _ = unleased.changed() => {}
                () = sleep(pause) => {}
            }
        }
    }

    async fn look(&self, state: &State, unleased_since: Option<Instant>) -> Look {
        if let Some(over) = state.over {
            return Look::Over(over);
        }
        let replica = self.verifier.replica();
        // Look also without a lease: a revocation that the replica knows is always true.
        if let Some(over) = Ended::by(replica.look_up(&state.pass)) {
            return Look::Over(over);
        }
        let left = state.until.since(self.verifier.now());
        // An impersonation ends with its token. The store would report its end only later.
        let follows = self.follows_session
            && state.pass.actor().is_none()
            && state.pass.session_id().is_some();
        if left.is_zero() && !follows {
            return Look::Over(Ended::Expired);
        }
        let mut unsure_since = unleased_since;
        if replica.is_volatile() {
            match replica.ask(&state.pass).await {
                Ok(status) => {
                    self.note_answer(None);
                    if let Some(over) = Ended::by(status) {
                        return Look::Over(over);
                    }
                }
                Err(_) => {
                    let since = state.unanswered_since.unwrap_or_else(Instant::now);
                    self.note_answer(Some(since));
                    unsure_since = Some(since);
                }
            }
        }
        let mut pause = LOOK_AGAIN;
        if let Some(since) = unsure_since {
            let left = self.patience.saturating_sub(since.elapsed());
            if left.is_zero() {
                return Look::Over(Ended::Unknown);
            }
            // The lease signals its return, but a volatile store doesn't.
            pause = pause.min(left);
            if unleased_since.is_none() {
                pause = pause.min(ASK_AGAIN);
            }
        }
        if left.is_zero() {
            // The answer wakes this connection.
            self.ask_once();
        } else {
            pause = pause.min(left);
        }
        Look::Open(pause)
    }

    /// Notes since when a volatile store doesn't answer, without waking the waiting futures.
    fn note_answer(&self, unanswered_since: Option<Instant>) {
        self.shared.send_if_modified(|state| {
            state.unanswered_since = unanswered_since;
            false
        });
    }

    /// Starts a task that asks the store about the session, unless one is running. It is a task,
    /// because a handler may drop its futures at each message of a client, and that must not stop
    /// the question.
    fn ask_once(&self) {
        let mut begins = false;
        self.shared.send_if_modified(|state| {
            begins = !state.asking;
            state.asking = true;
            false
        });
        if begins {
            let question = Question(Arc::downgrade(&self.shared));
            tokio::spawn(question.ask(self.verifier.clone(), self.patience));
        }
    }
}

/// A question to the store whether a session lives. Its drop allows another question, also if its
/// task is cancelled.
struct Question(Weak<Shared>);

impl Question {
    /// Asks until the store answers, for at most `patience`, or until the connection is dropped.
    async fn ask(self, verifier: Verifier, patience: Duration) {
        let began = Instant::now();
        while let Some(pass) = self.0.upgrade().map(|shared| shared.borrow().pass.clone()) {
            let answer = verifier.replica().ask(&pass).await;
            let left = patience.saturating_sub(began.elapsed());
            match answer {
                Ok(status) => return self.answer(&pass, Ended::by(status), &verifier),
                Err(_) if left.is_zero() => {
                    return self.answer(&pass, Some(Ended::Unknown), &verifier);
                }
                Err(_) => sleep(ASK_AGAIN.min(left)).await,
            }
        }
    }

    fn answer(&self, asked: &Pass, over: Option<Ended>, verifier: &Verifier) {
        let Some(shared) = self.0.upgrade() else {
            return;
        };
        shared.send_if_modified(|state| {
            // If the client has renewed its token meanwhile, the new token has time left.
            let is_current = state.pass.token_id() == asked.token_id();
            if is_current {
                let lifetime = asked.expires_at().since(asked.issued_at());
                state.until = verifier.now() + lifetime.max(MIN_LIFETIME);
                state.over = over;
            }
            is_current
        });
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.send_modify(|state| state.asking = false);
        }
    }
}

fn are_of_one_session(one: &Pass, other: &Pass) -> bool {
    one.session_id() == other.session_id()
        && one.foreign_issuer() == other.foreign_issuer()
        && one.subject() == other.subject()
        && one.client_id() == other.client_id()
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("pass", &self.pass())
            .field("follows_session", &self.follows_session)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
