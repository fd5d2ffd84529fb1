//! Events for the application. A separate task calls the handler, so no request waits for it.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tracing::instrument::WithSubscriber;

use crate::{
    authority::names::network,
    model::{
        device::Device,
        ids::{SessionId, SessionNumber, Subject},
        session::{EndReason, Session},
        throttling::ThrottledBy,
    },
    observe,
    store::{SessionStore, answer},
};

/// An event of a login or a session, for [`on_event`](crate::AuthorityBuilder::on_event).
///
/// Only the node where it happened reports an event, and only once. An end that your own
/// transaction commits causes no event.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A session began.
    #[non_exhaustive]
    LoggedIn {
        /// The session, with its user and device.
        session: Box<Session>,
        /// How many other usable sessions the user had, of the newest 100. `None` if the store did
        /// not answer in time.
        other_sessions: Option<usize>,
        /// Whether none of these has this user agent, apart from version numbers. `None` if that is
        /// unknown.
        new_device: Option<bool>,
        /// Whether none of these began at this address (IPv6: in this network of 64 bits). `None`
        /// if that is unknown.
        new_address: Option<bool>,
    },
    /// A spent refresh token came back too late: a thief or the owner has refreshed the session
    /// before.
    #[non_exhaustive]
    RefreshTokenReused {
        /// The session. Its end follows as an event of its own.
        session: Box<Session>,
        /// The device that presented the token.
        device: Option<Device>,
    },
    /// One session ended.
    #[non_exhaustive]
    SessionEnded {
        /// The session.
        session: SessionId,
        /// Its user, if known.
        subject: Option<Subject>,
        /// Why.
        reason: EndReason,
    },
    /// All sessions of a user up to a number ended, except perhaps one: by a logout everywhere, or
    /// to make room for a login.
    #[non_exhaustive]
    SessionsEnded {
        /// The user, if known.
        subject: Option<Subject>,
        /// The number of the last session that ended.
        up_to: SessionNumber,
        /// The number of the session that goes on, if one does.
        except: Option<SessionNumber>,
        /// Why.
        reason: EndReason,
    },
    /// The rights of a session changed.
    #[non_exhaustive]
    RightsChanged {
        /// The session as it is now.
        session: Box<Session>,
        /// Whether older access tokens are refused.
        enforced: bool,
    },
    /// An attempt to log in came too early ([`LoginThrottle`](crate::LoginThrottle)). gatepass
    /// reports at most ten of each bound in a second.
    #[non_exhaustive]
    LoginThrottled {
        /// The bound.
        by: ThrottledBy,
        /// How long the client has to wait.
        retry_after: Duration,
        /// The keyed hash of the user name, as in the log: the name may be a password that was
        /// typed into the wrong field.
        name_hash: String,
        /// The device.
        device: Device,
        /// How many events of this bound gatepass has suppressed since the last one that it
        /// reported.
        suppressed: u64,
    },
}

impl Event {
    /// The user whose client made it happen, if known.
    fn subject(&self) -> Option<&Subject> {
        match self {
            Self::LoggedIn { session, .. }
            | Self::RefreshTokenReused { session, .. }
            | Self::RightsChanged { session, .. } => Some(session.subject()),
            Self::SessionEnded { subject, .. } | Self::SessionsEnded { subject, .. } => {
                subject.as_ref()
            }
            Self::LoginThrottled { .. } => None,
        }
    }
}

/// The application's function, without its types.
pub(crate) type Handler =
    Arc<dyn Fn(Event) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The most events that wait: some megabytes, and more than a burst of logins makes while a handler
/// waits for a mail server.
const WAITING: usize = 1024;
/// The most events of one user that wait. A client that logs in and out in a loop loses its user's
/// events, and no others.
const WAITING_OF_ONE: usize = 64;
/// How long a handler may take for one event. A mail server that hangs must not keep all others
/// back for ever.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most other sessions that a login is compared with: as many as a user has by default.
const COMPARED: usize = 100;

/// The channel to the task that calls the handler. When this is dropped, the task handles the
/// waiting events and ends.
pub(crate) struct Events {
    waiting: mpsc::Sender<Message>,
    users: Users,
    /// Whether the last event was lost, so that the log reports only the first one in a row.
    losing: AtomicBool,
}

enum Message {
    Event(Event, Place),
    Asked(oneshot::Sender<()>),
}

/// How many events of each user wait. Events without a known user count together, so that strangers
/// who guess passwords push no other events out.
#[derive(Clone, Default)]
struct Users(Arc<Mutex<HashMap<Option<Subject>, usize>>>);

/// The place of a waiting event among those of its user. The event gives it up when it is dropped.
struct Place {
    subject: Option<Subject>,
    users: Users,
}

impl Users {
    /// A place for an event of this user; `None` if too many wait.
    fn place(&self, subject: Option<&Subject>) -> Option<Place> {
        let subject = subject.cloned();
        let mut waiting = self.lock();
        let waiting = waiting.entry(subject.clone()).or_default();
        (*waiting < WAITING_OF_ONE).then(|| {
            *waiting += 1;
            let users = self.clone();
            Place { subject, users }
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<Subject>, usize>> {
        // Each change is complete by itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut waiting) = self.users.lock().entry(self.subject.clone()) {
            *waiting.get_mut() -= 1;
            if *waiting.get() == 0 {
                waiting.remove();
            }
        }
    }
}

struct Teller {
    handler: Handler,
    store: Arc<dyn SessionStore>,
    store_timeout: Duration,
}

impl Events {
    pub(crate) fn start(
        handler: Handler,
        store: Arc<dyn SessionStore>,
        store_timeout: Duration,
    ) -> Self {
        let (waiting, received) = mpsc::channel(WAITING);
        let teller = Teller {
            handler,
            store,
            store_timeout,
        };
        tokio::spawn(teller.run(received).with_current_subscriber());
        Self {
            waiting,
            users: Users::default(),
            losing: AtomicBool::new(false),
        }
    }

    /// Queues the event for the handler. The event is lost if too many wait, of all users or of its
    /// own.
    pub(crate) fn tell(&self, event: Event) {
        let lost = !self.takes(event);
        let before = self.losing.swap(lost, Ordering::Relaxed);
        if lost {
            observe::event_lost(!before);
        }
    }

    fn takes(&self, event: Event) -> bool {
        let Some(place) = self.users.place(event.subject()) else {
            return false;
        };
        self.waiting.try_send(Message::Event(event, place)).is_ok()
    }

    /// Waits until the handler has returned for all earlier events.
    pub(crate) async fn told(&self) {
        let (asked, answered) = oneshot::channel();
        if self.waiting.send(Message::Asked(asked)).await.is_ok() {
            // Fails only if the runtime is ending.
            let _ = answered.await;
        }
    }
}

impl Teller {
    async fn run(self, mut received: mpsc::Receiver<Message>) {
        while let Some(message) = received.recv().await {
            match message {
                Message::Event(event, place) => {
                    self.tell(event).await;
                    drop(place);
                }
                // The caller may have given up.
                Message::Asked(asked) => drop(asked.send(())),
            }
        }
    }

    async fn tell(&self, mut event: Event) {
        self.compare(&mut event).await;
        let handler = Arc::clone(&self.handler);
        // A task of its own, so that a panic ends nothing else.
        let handling = async move { timeout(PATIENCE, async move { handler(event).await }).await };
        match tokio::spawn(handling.with_current_subscriber()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => observe::event_handler_failed("it took too long"),
            Err(_) => observe::event_handler_failed("it panicked"),
        }
    }

    /// Compares a login with the other sessions of its user.
    async fn compare(&self, event: &mut Event) {
        let Event::LoggedIn {
            session,
            other_sessions,
            new_device,
            new_address,
        } = event
        else {
            return;
        };
        let others = (self.store).sessions(session.account(), Some(session.number), COMPARED);
        let others = answer::in_time(self.store_timeout, others).await;
        let Ok(others) = others.inspect_err(|error| observe::store_unavailable("events", error))
        else {
            return;
        };
        let devices = || others.iter().map(|other| &other.device);
        *other_sessions = Some(others.len());
        *new_device = session.device.user_agent.as_ref().map(|own| {
            let mut agents = devices().filter_map(|device| device.user_agent.as_ref());
            !agents.any(|other| product(other).eq(product(own)))
        });
        *new_address = session.device.address.map(|own| {
            let mut addresses = devices().filter_map(|device| device.address);
            !addresses.any(|other| network(other) == network(own))
        });
    }
}

/// A user agent without its version numbers, which change with each update of a browser.
fn product(agent: &str) -> impl Iterator<Item = char> {
    let is_version = |c: &char| c.is_ascii_digit() || matches!(c, '.' | '_');
    agent.chars().filter(move |c| !is_version(c))
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_without_a_user_count_together_and_push_no_others_out() {
        let users = Users::default();
        let places = Vec::from_iter((0..WAITING_OF_ONE).filter_map(|_| users.place(None)));
        assert_eq!(places.len(), WAITING_OF_ONE);
        assert!(users.place(None).is_none());
        let alice = Subject::new("alice").unwrap();
        assert!(users.place(Some(&alice)).is_some());
        drop(places);
        assert!(users.place(None).is_some());
        assert!(users.lock().is_empty());
    }
}
